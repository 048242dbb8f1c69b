"""``voice-agent serve``: the server in the foreground; and one inside another command, for as long as it needs it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace

import structlog
import uvicorn
import uvloop
from rich.console import Console
from rich.panel import Panel

from voice_agent import __version__
from voice_agent.app import open_platform
from voice_agent.call.services import CallServices
from voice_agent.clock import process_seconds
from voice_agent.config import Settings, load_settings
from voice_agent.errors import ConfigError
from voice_agent.gateway.http import create_http_app
from voice_agent.gateway.server import CallServer, server_config
from voice_agent.observability.logging import configure_logging

_log = structlog.get_logger(__name__)


def run_server(*, host: str | None, port: int | None, begun_s: float) -> None:
    """Serves until SIGINT or SIGTERM, then drains. ``begun_s`` is when the program started, for the ready message.

    Raises ``ConfigError`` for settings, models, a database or an address that cannot be used.
    """
    # The options are settings like any other, so that they are checked as such.
    os.environ.update({name: str(value) for name, value in (("HOST", host), ("PORT", port)) if value is not None})
    settings = load_settings()
    pipeline = configure_logging(settings.server.log_level, settings.server.log_format)
    try:
        uvloop.run(serve(settings, lambda url: _announce(settings, url, process_seconds() - begun_s)))
    finally:
        pipeline.stop()


@asynccontextmanager
async def local_server() -> AsyncIterator[str]:
    """A server with the user's settings on a free port of this machine, in this event loop; gives its base URL.

    It logs warnings only, so that a command's own output stays readable. Raises ``ConfigError``.
    """
    settings = load_settings()
    own = settings.server.model_copy(update={"host": "127.0.0.1", "port": 0})
    pipeline = configure_logging("WARNING", settings.server.log_format)
    ready: asyncio.Queue[str] = asyncio.Queue(1)
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(replace(settings, server=own), ready.put_nowait, stop=stop), name="local-server"
    )
    waiting = asyncio.create_task(ready.get(), name="local-server-ready")
    try:
        await asyncio.wait([waiting, serving], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield await waiting
    finally:
        stop.set()
        waiting.cancel()
        await asyncio.wait([serving])
        pipeline.stop()


async def serve(
    settings: Settings,
    on_ready: Callable[[str], None],
    *,
    stop: asyncio.Event | None = None,
    services: CallServices | None = None,
) -> None:
    """Opens everything, listens, and calls ``on_ready`` with the base URL once calls are admitted.

    SIGINT and SIGTERM end it, draining; where ``stop`` is given, setting that does, and signals are left alone.
    ``services`` replaces what calls work with (benchmarks bring scripted providers). Raises ``ConfigError``.
    """
    host = settings.server.host
    with _bound(host, settings.server.port) as listener:
        port = listener.getsockname()[1]
        async with open_platform(settings, services=services) as platform:
            app = create_http_app(
                admission=platform.admission,
                metrics=platform.metrics,
                doors={"/ws/call": platform.gateway},
                version=__version__,
                access_token=settings.server.access_token.get_secret_value(),
            )

            async def drain() -> None:
                await platform.gateway.shut_down(settings.server.drain_timeout_s)

            server = _Server(
                server_config(app, host=host, port=port),
                before_shutdown=drain,
                on_listening=lambda: on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}"),
                stop=stop,
            )
            await server.serve(sockets=[listener])


class _Server(CallServer):
    """Says when it listens; ends by SIGINT or SIGTERM, or by ``stop`` where another program owns the signals."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        before_shutdown: Callable[[], Awaitable[None]],
        on_listening: Callable[[], None],
        stop: asyncio.Event | None,
    ) -> None:
        super().__init__(config, before_shutdown=before_shutdown)
        self._on_listening = on_listening
        self._stop = stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_listening()

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; true ends the server."""
        return await super().on_tick(counter) or (self._stop is not None and self._stop.is_set())

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals() if self._stop is None else nullcontext():
            yield


def _bound(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet: an address that is taken is known before any model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"HOST={host!r} is no address of this machine: {error.strerror}.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"HOST={host} PORT={port} cannot be listened on: {error.strerror}. Stop what uses it, or choose another "
            "port (voice-agent serve --port 8001)."
        ) from None
    return listener


def _announce(settings: Settings, url: str, seconds: float) -> None:
    """Where to go, for a person at a terminal; a log line elsewhere. The demo caller's PIN stays out of logs."""
    console = Console(highlight=False)
    if not console.is_terminal:
        _log.info("ready", url=url, seconds=round(seconds, 2), capacity=settings.server.max_calls)
        return
    lines = [
        f"Call console   [bold]{url}/[/]",
        f"Ready in       {seconds:.1f} s, up to {settings.server.max_calls} calls at once",
    ]
    if settings.demo_data_wanted:
        lines += [
            "",
            "Try it as the demo caller [bold]+15550100[/], PIN [bold]4271[/]:",
            "  [italic]Where is my order eight three one oh two?[/]",
            '  voice-agent call --say "What is your return policy?"',
        ]
    console.print(Panel("\n".join(lines), title="voice-agent", border_style="green", expand=False))
