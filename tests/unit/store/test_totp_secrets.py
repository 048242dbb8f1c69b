"""Sealed TOTP secrets, and codes that are taken once, on a real database."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text, update
from tests.unit.store.conftest import WallClock, add_caller, store_settings
from tests.unit.store.racing import race

from voice_agent.config import IdentitySettings
from voice_agent.errors import ConfigError, StoreError
from voice_agent.store.caller_admin import CallerAdmin
from voice_agent.store.database import Database, open_database
from voice_agent.store.tables import totp_secrets
from voice_agent.store.totp_secrets import TotpSecrets

ANA, BEN = "+15559000", "+15559001"
SECRET = b"twenty secret bytes!"
KEY = base64.b64encode(bytes(range(32))).decode()

SPEND = """
import asyncio, json, sys
from pathlib import Path
from pydantic import SecretStr
from voice_agent.config import IdentitySettings, StoreSettings
from voice_agent.store.database import open_database
from voice_agent.store.totp_secrets import TotpSecrets

async def main():
    settings = IdentitySettings.model_construct(identity_key=SecretStr(sys.argv[2]))
    async with open_database(StoreSettings.model_construct(database_url=SecretStr("")), Path(sys.argv[1])) as database:
        stored = TotpSecrets(database, settings)
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps([await stored.spend(sys.argv[3], step) for step in range(1000, 1040)]))

asyncio.run(main())
"""

COLD = """
import asyncio, sys
from pathlib import Path
from pydantic import SecretStr
from voice_agent.config import IdentitySettings, StoreSettings
from voice_agent.errors import StoreError
from voice_agent.store.database import open_database
from voice_agent.store.totp_secrets import TotpSecrets, warm_sealing

async def main():
    settings = IdentitySettings.model_construct(identity_key=SecretStr(sys.argv[2]))
    async with open_database(StoreSettings.model_construct(database_url=SecretStr("")), Path(sys.argv[1])) as database:
        stored = TotpSecrets(database, settings)
        await asyncio.to_thread(warm_sealing)
        before = set(sys.modules)
        try:
            await stored.get(sys.argv[3])
        except StoreError:
            print("tried", sorted(name for name in set(sys.modules) - before if "crypto" in name))

asyncio.run(main())
"""


def identity(key: str = KEY) -> IdentitySettings:
    return IdentitySettings.model_construct(identity_key=SecretStr(key))


@pytest.fixture
async def stored(database: Database) -> TotpSecrets:
    for caller_id in (ANA, BEN):
        await add_caller(database, caller_id, "8265")
    return TotpSecrets(database, identity())


async def test_a_secret_comes_back_and_stands_nowhere_in_clear(stored: TotpSecrets, tmp_path: Path) -> None:
    assert await stored.get(ANA) is None
    assert await stored.put("+1 (555) 9000", SECRET) == ANA
    assert await stored.get(ANA) == SECRET
    forms = (SECRET, base64.b64encode(SECRET).rstrip(b"="), base64.b32encode(SECRET), SECRET.hex().encode())
    assert not [form for form in forms if form in all_bytes(tmp_path)]


def all_bytes(folder: Path) -> bytes:
    content = b"".join(file.read_bytes() for file in folder.iterdir())
    assert content
    return content


async def test_the_same_secret_is_never_sealed_to_the_same_text(stored: TotpSecrets, database: Database) -> None:
    seen = set()
    for _ in range(3):
        await stored.put(ANA, SECRET)
        async with database.begin() as connection:
            seen.add((await connection.execute(select(totp_secrets.c.sealed))).scalar_one())
    assert len(seen) == 3


async def test_another_key_opens_nothing(stored: TotpSecrets, database: Database) -> None:
    await stored.put(ANA, SECRET)
    await stored.put(BEN, SECRET)
    other = TotpSecrets(database, identity(base64.urlsafe_b64encode(b"\xff" * 32).decode()))
    with pytest.raises(StoreError, match="cannot be opened with this IDENTITY_KEY"):
        await other.get(ANA)
    assert await other.sealed_otherwise() == (2, 2)
    assert await stored.sealed_otherwise() == (2, 0)


async def test_a_sealed_secret_copied_to_another_caller_does_not_open(stored: TotpSecrets, database: Database) -> None:
    await stored.put(ANA, SECRET)
    await stored.put(BEN, b"another twenty bytes")
    async with database.begin() as connection:
        sealed = (
            await connection.execute(select(totp_secrets.c.sealed).where(totp_secrets.c.caller_id == ANA))
        ).scalar()
        await connection.execute(update(totp_secrets).where(totp_secrets.c.caller_id == BEN).values(sealed=sealed))
    with pytest.raises(StoreError):
        await stored.get(BEN)


@pytest.mark.parametrize("sealed", ["", "1:", "1:AAAA", "1:" + "A" * 80, "not base64 ü"])
async def test_a_damaged_one_is_an_error_not_a_secret(stored: TotpSecrets, database: Database, sealed: str) -> None:
    await stored.put(ANA, SECRET)
    async with database.begin() as connection:
        await connection.execute(update(totp_secrets).values(sealed=sealed))
    with pytest.raises(StoreError):
        await stored.get(ANA)


async def test_a_step_is_taken_once_and_none_before_it(stored: TotpSecrets) -> None:
    await stored.put(ANA, SECRET)
    steps = [1000, 1000, 999, 1001, 1000, 1001]
    assert [await stored.spend(ANA, step) for step in steps] == [True, False, False, True, False, False]
    assert not await stored.spend(BEN, 1000), "who has no secret has no step to spend"
    await stored.put(ANA, b"another twenty bytes")
    assert await stored.spend(ANA, 1000), "a new secret begins anew"


async def test_of_racing_processes_one_gets_each_step(stored: TotpSecrets, tmp_path: Path) -> None:
    await stored.put(ANA, SECRET)
    first, second = await race(SPEND, str(tmp_path), KEY, ANA)
    assert not any(a and b for a, b in zip(first, second, strict=True)), "a code was taken twice"
    assert first[-1] or second[-1]
    assert sum(first) + sum(second) <= 40


async def test_an_unknown_caller_gets_none(stored: TotpSecrets) -> None:
    with pytest.raises(ConfigError, match=r"there is no caller \+19990000"):
        await stored.put("+19990000", SECRET)


async def test_operators_see_who_has_one_and_take_it_away(
    stored: TotpSecrets, database: Database, clock: WallClock
) -> None:
    admin = CallerAdmin(database, clock)
    await admin.set_totp(ANA, SECRET, identity())
    assert [(row.caller_id, row.has_totp) for row in await admin.all()] == [(ANA, True), (BEN, False)]
    assert await admin.remove_totp(ANA) == ANA
    assert await stored.get(ANA) is None
    with pytest.raises(ConfigError, match="has no TOTP secret"):
        await admin.remove_totp(ANA)
    await admin.set_totp(ANA, SECRET, identity())
    await admin.remove(ANA)
    assert await stored.sealed_otherwise() == (0, 0), "it goes with the caller"


async def test_a_database_made_before_there_were_such_secrets_gets_the_table(tmp_path: Path) -> None:
    async with open_database(store_settings(), tmp_path) as database, database.begin() as connection:
        await connection.execute(text("DROP TABLE totp_secrets"))
    async with open_database(store_settings(), tmp_path) as database:
        assert await TotpSecrets(database, identity()).sealed_otherwise() == (0, 0)


@pytest.mark.parametrize("key", ["", "short", "A" * 44, base64.b64encode(bytes(31)).decode()])
async def test_without_a_key_there_is_no_store(database: Database, key: str) -> None:
    with pytest.raises(ConfigError, match="IDENTITY_KEY"):
        TotpSecrets(database, identity(key))


async def test_a_warm_cipher_leaves_no_import_to_the_first_code(stored: TotpSecrets, tmp_path: Path) -> None:
    await stored.put(ANA, SECRET)
    other_key = base64.b64encode(bytes(32)).decode()
    command = [sys.executable, "-c", COLD, str(tmp_path), other_key, ANA]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("tried []\n", "")
