"""The shop, running: its database, its data and its API behind a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from voice_agent.clock import Clock
from voice_agent.demo_backend.api import create_api
from voice_agent.demo_backend.database import ShopDatabase, open_shop_database
from voice_agent.demo_backend.faults import FaultBoard
from voice_agent.demo_backend.seed import ShopSize, seed_shop
from voice_agent.demo_backend.shop import Shop
from voice_agent.errors import ConfigError

LOOPBACK = "127.0.0.1"
_MAX_HEAD_BYTES = 16_384
_MAX_REQUESTS_AT_ONCE = 200  # more than a database file serves in a second
# Longer than the platform keeps a connection that waits: then it is never the shop that closes one in a caller's turn.
_KEEP_ALIVE_S = 330
_CLOSE_WITHIN_S = 1


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
        async with _serving(api, host, port) as taken:
            shown = f"[{host}]" if ":" in host else host
            yield RunningShop(f"http://{shown}:{taken}", token, database, size, faults)


class _Server(uvicorn.Server):
    """Leaves signals to the program it runs in, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _serving(api: FastAPI, host: str, port: int) -> AsyncIterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio knows a TCP socket and turns Nagle's algorithm off: 40 ms an answer otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} of {host} cannot be used: {error.strerror}; choose another --port."
            ) from None
        config = uvicorn.Config(
            api,
            http="h11",
            ws="none",
            lifespan="off",
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
            limit_concurrency=_MAX_REQUESTS_AT_ONCE,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_CLOSE_WITHIN_S,
            log_config=None,
            access_log=False,
            server_header=False,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="demo-backend")
        try:
            await server.ready.wait()
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
