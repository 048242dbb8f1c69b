"""What operators do with callers, on a real database."""

from __future__ import annotations

import pytest
from tests.unit.store.conftest import WallClock

from voice_agent.config import IdentitySettings
from voice_agent.errors import ConfigError
from voice_agent.models import SecretOutcome
from voice_agent.store.caller_admin import CallerAdmin, weakness
from voice_agent.store.callers import CallerDirectory
from voice_agent.store.database import Database


@pytest.fixture
def admin(database: Database, clock: WallClock) -> CallerAdmin:
    return CallerAdmin(database, clock)


@pytest.fixture
def directory(database: Database, clock: WallClock) -> CallerDirectory:
    return CallerDirectory(database, IdentitySettings(), clock)


async def outcome(directory: CallerDirectory, caller_id: str, pin: str) -> SecretOutcome:
    return (await directory.verify(caller_id, pin))[0]


async def test_an_added_caller_proves_their_identity_however_the_number_is_written(
    admin: CallerAdmin, directory: CallerDirectory
) -> None:
    assert await admin.add("+1 (555) 019-9", "Ada Nym", "en-GB", "8265") == "+15550199"
    assert await outcome(directory, "001 555 0199", "8265") is SecretOutcome.VERIFIED
    (row,) = await admin.all()
    assert (row.name, row.locale, row.failures, row.locked_s) == ("Ada Nym", "en-GB", 0, 0.0)


async def test_a_new_pin_replaces_the_old_one_and_takes_off_the_lock(
    admin: CallerAdmin, directory: CallerDirectory
) -> None:
    await admin.add("+15550199", "Ada Nym", "en-GB", "8265")
    for _ in range(3):
        await outcome(directory, "+15550199", "1111")
    assert (await admin.all())[0].locked_s > 0
    await admin.set_pin("+15550199", "9371")
    assert await outcome(directory, "+15550199", "8265") is SecretOutcome.WRONG
    assert await outcome(directory, "+15550199", "9371") is SecretOutcome.VERIFIED


async def test_a_lock_is_taken_off(admin: CallerAdmin, directory: CallerDirectory) -> None:
    await admin.add("+15550199", "Ada Nym", "en-GB", "8265")
    for _ in range(3):
        await outcome(directory, "+15550199", "1111")
    assert await outcome(directory, "+15550199", "8265") is SecretOutcome.LOCKED
    await admin.unlock("+15550199")
    assert await outcome(directory, "+15550199", "8265") is SecretOutcome.VERIFIED


async def test_a_removed_caller_is_unknown(admin: CallerAdmin, directory: CallerDirectory) -> None:
    await admin.add("+15550199", "Ada Nym", "en-GB", "8265")
    await admin.remove("+15550199")
    assert await outcome(directory, "+15550199", "8265") is SecretOutcome.UNKNOWN_CALLER


async def test_who_is_not_there_is_named(admin: CallerAdmin) -> None:
    for change in (admin.unlock("x"), admin.remove("x"), admin.set_pin("x", "8265")):
        with pytest.raises(ConfigError, match="no caller x"):
            await change
    await admin.add("+15550199", "Ada Nym", "en-GB", "8265")
    with pytest.raises(ConfigError, match="exists already"):
        await admin.add("15550199", "Ada Nym", "en-GB", "8265")


@pytest.mark.parametrize("pin", ["", "12", "12345", "12a4", "1111", "1234", "4321", "7890", "9012", "٤٢٧١"])
def test_weak_pins_are_told_without_being_quoted(pin: str) -> None:
    problem = weakness(pin, 4)
    assert problem
    assert not pin or pin not in problem


@pytest.mark.parametrize("pin", ["4271", "8265", "1122"])
def test_other_pins_are_taken(pin: str) -> None:
    assert weakness(pin, 4) == ""
