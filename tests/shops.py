"""The demo shop in this event loop, behind a real socket: seeded once a session, a fresh copy of its file for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from voice_agent.clock import LoopClock
from voice_agent.demo_backend.database import SQLITE_FILE, open_shop_database
from voice_agent.demo_backend.faults import FaultBoard
from voice_agent.demo_backend.seed import seed_shop
from voice_agent.demo_backend.server import RunningShop, running_shop

TOKEN = "a-token-of-the-shop"  # not a real one
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ELM = {"street": "12 Elm Street", "city": "Salem", "region": "OR", "postal_code": "97301"}

#: One call of each of the shop's tools that works for Dana, in an order in which all of them work.
TOOL_EXAMPLES: dict[str, dict[str, Any]] = {
    "order_status": {"order_id": "83102"},
    "list_orders": {"state": "open"},
    "delivery_estimate": {"order_id": "83102"},
    "start_return": {"order_id": "83117", "condition": "unused", "items": [{"name": "ceramic mug", "quantity": 2}]},
    "update_address": {"order_id": "83240", **ELM},
    "cancel_order": {"order_id": "83240", "reason": "found it cheaper"},
    "callback_request": {"topic": "an invoice", "preferred": "evening"},
}


class WallClock(LoopClock):
    """The loop's clock, with a wall that stands where a test puts it."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def wall(self) -> datetime:
        return self.at

    def pass_days(self, days: int) -> None:
        self.at += timedelta(days=days)


def seeded_copy(folder: Path, at: datetime = NOON) -> None:
    """Puts the database of a freshly filled shop into ``folder``."""
    (folder / SQLITE_FILE).write_bytes(_seeded(at))


@cache
def _seeded(at: datetime) -> bytes:
    async def seed(folder: Path) -> None:
        async with open_shop_database("", folder) as database:
            await seed_shop(database, at.date())

    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:  # a thread: a test's event loop may run here
        pool.submit(asyncio.run, seed(Path(folder))).result()
        return (Path(folder) / SQLITE_FILE).read_bytes()


@asynccontextmanager
async def open_shop(folder: Path, clock: WallClock | None = None) -> AsyncIterator[RunningShop]:
    """A running shop with a fault board; ``folder`` keeps its file."""
    clock = clock or WallClock()
    if not (folder / SQLITE_FILE).exists():
        seeded_copy(folder, clock.at)
    async with running_shop(state_dir=folder, token=TOKEN, clock=clock, faults=FaultBoard()) as shop:
        yield shop
