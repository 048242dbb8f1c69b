"""The shop, running: its database, its data and its API behind a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_agent.clock import Clock
from voice_agent.demo_backend.api import create_api
from voice_agent.demo_backend.database import ShopDatabase, open_shop_database
from voice_agent.demo_backend.faults import FaultBoard
from voice_agent.demo_backend.seed import ShopSize, seed_shop
from voice_agent.demo_backend.shop import Shop
from voice_agent.gateway.side_server import LOOPBACK, serving

_SERVER: dict[str, Any] = {
    "h11_max_incomplete_event_size": 16_384,
    "limit_concurrency": 200,  # more than a database file serves in a second
    # Longer than the platform keeps a connection that waits: then it is never the shop that closes one in a caller's turn.
    "timeout_keep_alive": 330,
    "timeout_graceful_shutdown": 1,
}


@dataclass(frozen=True, slots=True)
class RunningShop:
    url: str
    token: str
    database: ShopDatabase
    size: ShopSize
    faults: FaultBoard | None


@asynccontextmanager
async def running_shop(
    *,
    state_dir: Path,
    token: str,
    clock: Clock,
    database_url: str = "",
    host: str = LOOPBACK,
    port: int = 0,
    faults: FaultBoard | None = None,
) -> AsyncIterator[RunningShop]:
    """Opens, fills and serves in this event loop. ``port`` 0 takes a free one.

    Raises ``ConfigError`` for a database or a port that cannot be used, ``StoreError`` where filling fails.
    """
    async with open_shop_database(database_url, state_dir) as database:
        size = await seed_shop(database, clock.wall().date())
        api = create_api(Shop(database, clock), token, faults)
        async with serving(api, host=host, port=port, **_SERVER) as taken:
            shown = f"[{host}]" if ":" in host else host
            yield RunningShop(f"http://{shown}:{taken}", token, database, size, faults)
