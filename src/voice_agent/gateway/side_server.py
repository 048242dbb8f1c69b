"""An HTTP server of its own beside whatever else its event loop does: stand-ins and demonstrations are served by it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from voice_agent.errors import ConfigError

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def serving(app: Any, *, host: str = LOOPBACK, port: int = 0, **options: Any) -> AsyncIterator[int]:
    """Serves an ASGI application in this event loop while the block runs; gives the port, a free one for 0.

    ``options`` are uvicorn's. Raises ``ConfigError`` where the port cannot be used. Leaving ends what is still answered
    after ``timeout_graceful_shutdown``.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio knows a TCP socket and turns Nagle's algorithm off: 40 ms an answer otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        with port_errors(host, port):
            listener.bind((host, port))
            listener.listen()
        server = _Server(uvicorn.Config(app, **(_OPTIONS | options)))
        running = asyncio.create_task(server.serve(sockets=[listener]), name="side-server")
        try:
            await server.ready.wait()
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


_OPTIONS: dict[str, Any] = {
    "http": "h11",
    "ws": "none",
    "lifespan": "off",
    "log_config": None,
    "log_level": "warning",  # that it starts and ends is for its owner to say
    "access_log": False,
    "server_header": False,
}


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


@contextmanager
def port_errors(host: str, port: int) -> Iterator[None]:
    """A port that is taken, in one line for the operator."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"port {port} of {host} cannot be used: {error.strerror}; choose another --port.") from error
