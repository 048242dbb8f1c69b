"""A real SQLite file per test, and a wall clock that tests set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import insert

from voice_agent.config import StoreSettings
from voice_agent.store.callers import hash_pin
from voice_agent.store.database import Database, open_database
from voice_agent.store.tables import callers


class WallClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def store_settings(url: str = "") -> StoreSettings:
    return StoreSettings.model_construct(database_url=SecretStr(url))


async def add_caller(database: Database, caller_id: str, pin: str) -> None:
    async with database.begin() as connection:
        row = {"caller_id": caller_id, "name": "Test Caller", "locale": "en-US", "pin_hash": hash_pin(pin)}
        await connection.execute(insert(callers).values(row))


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(store_settings(), tmp_path) as opened:
        yield opened
