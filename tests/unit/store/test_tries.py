"""One count of tries for every secret, with a PIN that is not the whole proof."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.store.conftest import WallClock, add_caller, store_settings

from voice_agent.config import IdentitySettings
from voice_agent.models import SecretOutcome
from voice_agent.store.callers import CallerDirectory
from voice_agent.store.database import Database, open_database
from voice_agent.store.tries import TryCount

ANA, PIN = "+15559000", "73918264"
SETTINGS = IdentitySettings.model_construct(second_factor="totp", pin_digits=8, pin_max_attempts=3, pin_lockout_s=900)


@pytest.fixture
def tries(database: Database, clock: WallClock) -> TryCount:
    return TryCount(database, SETTINGS, clock)


@pytest.fixture
async def directory(database: Database, clock: WallClock) -> AsyncIterator[CallerDirectory]:
    """PINs where a second factor follows."""
    await add_caller(database, ANA, PIN)
    opened = CallerDirectory(database, SETTINGS, clock)
    yield opened
    opened.close()


async def test_a_right_pin_that_is_not_the_whole_proof_forgets_no_wrong_code(
    directory: CallerDirectory, tries: TryCount
) -> None:
    assert await directory.verify(ANA, PIN) == (SecretOutcome.VERIFIED, 3)
    assert await tries.count(ANA) == 1  # a wrong code
    assert await directory.verify(ANA, PIN) == (SecretOutcome.VERIFIED, 2)
    assert await tries.count(ANA) == 2
    assert await directory.verify(ANA, PIN) == (SecretOutcome.VERIFIED, 1)
    assert await tries.count(ANA) == 3
    assert await tries.count(ANA) is None
    assert await directory.verify(ANA, PIN) == (SecretOutcome.LOCKED, 0)


async def test_wrong_pins_and_wrong_codes_are_one_count(directory: CallerDirectory, tries: TryCount) -> None:
    await directory.verify(ANA, "1")
    await tries.count(ANA)
    assert await directory.verify(ANA, "2") == (SecretOutcome.LOCKED, 0)


async def test_a_whole_proof_forgets_them(directory: CallerDirectory, tries: TryCount) -> None:
    await directory.verify(ANA, "1")
    await tries.count(ANA)
    await tries.forget(ANA)
    assert await directory.verify(ANA, "2") == (SecretOutcome.WRONG, 2)


async def test_the_last_try_taken_back_takes_its_lock_along(tries: TryCount) -> None:
    assert [await tries.count(ANA) for _ in range(3)] == [1, 2, 3]
    assert await tries.count(ANA) is None
    await tries.take_back(ANA)
    assert await tries.count(ANA) == 3
    assert await tries.count(ANA) is None


async def test_nothing_is_taken_back_from_nothing(tries: TryCount) -> None:
    await tries.take_back(ANA)
    await tries.count(ANA)
    await tries.take_back(ANA)
    await tries.take_back(ANA)
    assert await tries.count(ANA) == 1


async def test_racing_codes_get_three_tries_together(tries: TryCount, clock: WallClock, tmp_path: Path) -> None:
    async with open_database(store_settings(), tmp_path) as other_database:
        other = TryCount(other_database, SETTINGS, clock)
        counted = await asyncio.gather(*(door.count(ANA) for _ in range(8) for door in (tries, other)))
    assert sum(number is not None for number in counted) == 3
