from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from argon2 import extract_parameters
from sqlalchemy import delete, func, select, update
from tests.unit.store.conftest import WallClock, store_settings

from voice_agent.config import IdentitySettings
from voice_agent.errors import ConfigError
from voice_agent.models import SecretOutcome
from voice_agent.store.caller_admin import CallerAdmin, weakness
from voice_agent.store.callers import CallerDirectory, _matches, hash_pin
from voice_agent.store.database import SQLITE_FILE, Database, open_database
from voice_agent.store.demo import demo_callers, seed_demo
from voice_agent.store.tables import callers

SETTINGS = IdentitySettings.model_construct(pin_digits=4, pin_max_attempts=3, pin_lockout_s=900)

#: What version 0.1.0 kept beside the tables of today, with the row that stands for its whole demo shop.
OLD_ORDERS = """
CREATE TABLE orders (
  order_id VARCHAR(32) PRIMARY KEY, caller_id VARCHAR(72) NOT NULL REFERENCES callers (caller_id),
  status VARCHAR(20) NOT NULL, placed_on DATE NOT NULL, estimated_delivery DATE, delivered_on DATE,
  carrier VARCHAR(60) NOT NULL, total_cents INTEGER NOT NULL, currency VARCHAR(3) NOT NULL);
CREATE TABLE order_items (
  order_id VARCHAR(32) REFERENCES orders (order_id) ON DELETE CASCADE, position INTEGER, name TEXT, quantity INTEGER);
INSERT INTO orders VALUES ('83102', '+15550100', 'in_transit', '2026-02-25', '2026-03-03', NULL, 'UPS', 17700, 'USD');
UPDATE meta SET value = '2026-03-01' WHERE key = 'demo_seed';
"""


def test_there_are_many_people_and_no_two_are_alike() -> None:
    people = demo_callers()
    assert len(people) == 230
    for distinct in ("caller_id", "pin", "pin_hash"):
        assert len({getattr(person, distinct) for person in people}) == len(people)
    assert not [person.caller_id for person in people if weakness(person.pin, 4)]


def test_the_precomputed_hashes_are_like_those_made_now_and_fit_the_pins() -> None:
    people = demo_callers()
    made_now = extract_parameters(hash_pin("4271"))
    assert [person.caller_id for person in people if extract_parameters(person.pin_hash) != made_now] == []
    tenth = people[date.today().toordinal() % 10 :: 10]  # noqa: DTZ011 - any day will do; all of them take eight seconds
    with ThreadPoolExecutor(2) as threads:  # 20-60 ms each, outside of the interpreter's lock
        fit = threads.map(lambda person: _matches(person.pin_hash, person.pin), tenth)
        assert [person.caller_id for person, fits in zip(tenth, fit, strict=True) if not fits] == []


async def test_the_seeded_callers_can_verify_themselves(database: Database, clock: WallClock) -> None:
    assert await seed_demo(database) == 230
    directory = CallerDirectory(database, SETTINGS, clock)
    last = demo_callers()[-1]
    for caller_id, pin in (("+15550100", "4271"), ("+15550101", "9036"), (last.caller_id, last.pin)):
        assert await directory.verify(caller_id, pin) == (SecretOutcome.VERIFIED, 3)
    caller = await directory.find("+15550100")
    assert caller is not None
    assert caller.name == "Dana Reyes"
    directory.close()


async def test_seeding_again_brings_nobody_back_and_touches_nobody(database: Database) -> None:
    await seed_demo(database)
    async with database.begin() as connection:
        await connection.execute(update(callers).where(callers.c.caller_id == "+15550100").values(pin_hash="changed"))
        await connection.execute(delete(callers).where(callers.c.caller_id == "+15550101"))
    assert await seed_demo(database) == 0
    async with database.begin() as connection:
        kept = select(callers.c.pin_hash).where(callers.c.caller_id == "+15550100")
        assert (await connection.execute(kept)).scalar_one() == "changed"
        assert (await connection.execute(select(func.count()).select_from(callers))).scalar_one() == 229


async def test_two_processes_may_seed_at_once(tmp_path: Path) -> None:
    async def seed() -> int:
        async with open_database(store_settings(), tmp_path) as database:
            return await seed_demo(database)

    assert sorted(await asyncio.gather(*(seed() for _ in range(4)))) == [0, 0, 0, 230]


async def test_a_database_of_an_earlier_version_gets_the_further_people_and_keeps_its_orders(
    tmp_path: Path, clock: WallClock
) -> None:
    async with open_database(store_settings(), tmp_path) as database:
        await seed_demo(database)
        async with database.begin() as connection:
            await connection.execute(delete(callers).where(~callers.c.caller_id.startswith("+155501")))
            await connection.execute(update(callers).where(callers.c.caller_id == "+15550100").values(pin_hash="own"))
    with sqlite3.connect(tmp_path / SQLITE_FILE) as file:
        file.executescript(OLD_ORDERS)
    file.close()
    async with open_database(store_settings(), tmp_path) as database:
        assert await seed_demo(database) == 185
        async with database.begin() as connection:
            kept = select(callers.c.pin_hash).where(callers.c.caller_id == "+15550100")
            assert (await connection.execute(kept)).scalar_one() == "own"
        admin = CallerAdmin(database, clock)
        await admin.remove("+15550101")
        with pytest.raises(ConfigError, match="'orders'"):  # an old order refers to the caller
            await admin.remove("+15550100")
    with sqlite3.connect(tmp_path / SQLITE_FILE) as file:
        assert file.execute("SELECT count(*) FROM orders").fetchone() == (1,)
    file.close()
