"""Time-based codes: the RFC's own figures, the window, and a code that is taken once."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.unit.store.conftest import WallClock, add_caller, store_settings

from voice_agent.config import IdentitySettings
from voice_agent.errors import ConfigError
from voice_agent.models import SecretOutcome
from voice_agent.store.database import Database, open_database
from voice_agent.store.totp_secrets import TotpSecrets
from voice_agent.tools.second_factor import FactorChallenge
from voice_agent.tools.totp import STEP_S, TotpFactor, new_secret, provisioning_uri, secret_from, totp_code

RFC_SECRET = b"12345678901234567890"
ANA = "+15559000"
KEY = SecretStr(base64.b64encode(bytes(32)).decode())


@pytest.mark.parametrize(
    ("moment_s", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_codes_are_those_of_rfc_6238_appendix_b(moment_s: int, code: str) -> None:
    assert totp_code(RFC_SECRET, moment_s // STEP_S, digits=8) == code
    assert totp_code(RFC_SECRET, moment_s // STEP_S) == code[-6:]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(store_settings(), tmp_path) as opened:
        await add_caller(opened, ANA, "8265")
        yield opened


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
async def factor(database: Database, clock: WallClock) -> TotpFactor:
    stored = TotpSecrets(database, IdentitySettings.model_construct(identity_key=KEY))
    await stored.put(ANA, RFC_SECRET)
    return TotpFactor(stored, clock)


def code_at(clock: WallClock, shift: int = 0) -> str:
    return totp_code(RFC_SECRET, int(clock.wall().timestamp()) // STEP_S + shift)


async def outcome(factor: TotpFactor, code: str) -> SecretOutcome:
    return (await factor.check(ANA, "call-1", code)).outcome


@pytest.mark.parametrize(("shift", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_code_is_right_in_its_step_and_the_ones_beside_it(
    factor: TotpFactor, clock: WallClock, shift: int, right: bool
) -> None:
    assert (await outcome(factor, code_at(clock, shift)) is SecretOutcome.VERIFIED) is right


async def test_a_code_is_taken_once_and_an_older_one_not_after_it(factor: TotpFactor, clock: WallClock) -> None:
    older, code = code_at(clock, -1), code_at(clock)
    assert await outcome(factor, code) is SecretOutcome.VERIFIED
    assert await outcome(factor, code) is SecretOutcome.WRONG
    assert await outcome(factor, older) is SecretOutcome.WRONG
    clock.advance(STEP_S)
    assert await outcome(factor, code) is SecretOutcome.WRONG
    assert await outcome(factor, code_at(clock)) is SecretOutcome.VERIFIED


@pytest.mark.parametrize("code", ["", "000000", "28708", "2870820", "٢٨٧٠٨٢", "\ud800"])
async def test_anything_else_is_wrong(factor: TotpFactor, clock: WallClock, code: str) -> None:
    assert code != code_at(clock)
    assert await outcome(factor, code) is SecretOutcome.WRONG


async def test_only_callers_with_a_secret_are_asked(factor: TotpFactor, database: Database) -> None:
    await add_caller(database, "+15559001", "8265")
    challenge = await factor.begin(ANA, "call-1", "es-ES")
    assert isinstance(challenge, FactorChallenge)
    assert challenge.digits == 6
    assert all(challenge.sentence(locale) for locale in ("en-US", "en-AU", "es-ES", "fr-FR", "ar-SA"))
    assert await factor.begin("+15559001", "call-1", "en-US") is None


@given(st.binary(min_size=16, max_size=64))
def test_a_secret_is_read_however_it_is_written(secret: bytes) -> None:
    written = base64.b32encode(secret).decode()
    spaced = " ".join(written[at : at + 4] for at in range(0, len(written), 4)).lower()
    for form in (written, written.rstrip("="), spaced):
        assert secret_from(form) == secret


@pytest.mark.parametrize("written", ["", "ABC", "1" * 32, "A" * 24, "A" * 200, "ü" * 32])
def test_what_is_no_secret_is_refused_and_not_quoted(written: str) -> None:
    with pytest.raises(ConfigError, match="this secret is not taken") as refused:
        secret_from(written)
    assert not written or written not in str(refused.value)


def test_the_uri_tells_an_app_all_it_needs() -> None:
    uri = urlsplit(provisioning_uri(RFC_SECRET, account=ANA, issuer="Juniper & Pine"))
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/Juniper%20%26%20Pine:%2B15559000")
    told = {name: value for name, (value,) in parse_qs(uri.query).items()}
    assert secret_from(told.pop("secret")) == RFC_SECRET
    assert told == {"issuer": "Juniper & Pine", "algorithm": "SHA1", "digits": "6", "period": "30"}


def test_new_secrets_have_160_bits_and_differ() -> None:
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert {len(secret) for secret in made} == {20}
