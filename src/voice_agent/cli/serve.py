"""The server of one process: in the foreground, or inside another command for as long as that needs it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace

from voice_agent import __version__
from voice_agent.app.platform import Platform, open_platform
from voice_agent.call.services import CallServices
from voice_agent.cli.address import base_url, bound
from voice_agent.cli.shop_keeper import order_system
from voice_agent.config import Settings, load_settings
from voice_agent.gateway.busy import early_refusals
from voice_agent.gateway.http import Register, create_http_app
from voice_agent.gateway.server import CallServer, server_config
from voice_agent.observability.logging import configure_logging

CALL_PATH = "/ws/call"


@asynccontextmanager
async def local_server() -> AsyncIterator[str]:
    """A server with the user's settings on a free port of this machine, in this event loop; gives its base URL.

    It logs warnings only, so that a command's own output stays readable. Raises ``ConfigError``.
    """
    settings = load_settings()
    own = settings.server.model_copy(update={"host": "127.0.0.1", "port": 0, "log_level": "WARNING"})
    pipeline = configure_logging(own.log_level, own.log_format)
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
    ``services`` replaces what calls work with (benchmarks bring scripted providers). ``WORKERS`` does not matter here: see
    ``launch.run``. Raises ``ConfigError``.
    """
    host = settings.server.host
    with bound(host, settings.server.port) as listener:
        port = listener.getsockname()[1]
        async with (
            order_system(settings, needed=services is None) as shop,
            open_platform(shop.settings, services=services, shop_up=shop.up) as platform,
        ):
            server = PlatformServer(
                platform,
                platform.admission,
                port=port,
                on_listening=lambda: on_ready(base_url(host, port)),
                stop=stop,
            )
            await server.serve(sockets=[listener])


class PlatformServer(CallServer):
    """A platform's HTTP server, doors included. ``register`` is what it says of its calls.

    Calls ``on_listening`` once it answers. Ends by SIGINT or SIGTERM, or by ``stop`` where another program owns the
    signals; then it drains.
    """

    def __init__(
        self,
        platform: Platform,
        register: Register,
        *,
        port: int,
        on_listening: Callable[[], None],
        stop: asyncio.Event | None,
    ) -> None:
        settings = platform.settings.server
        app = create_http_app(
            admission=register,
            agents=platform.agents,
            metrics=platform.metrics,
            doors={CALL_PATH: platform.gateway},
            version=__version__,
            access_token=settings.access_token.get_secret_value(),
        )

        async def drain() -> None:
            await platform.gateway.shut_down(settings.drain_timeout_s)

        refusals = early_refusals(platform.admission, [CALL_PATH], platform.busy_clip)
        super().__init__(server_config(app, host=settings.host, port=port, http=refusals), before_shutdown=drain)
        self._on_listening = on_listening
        self._stop = stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_listening()

    async def adopt(self, connection: socket.socket) -> None:
        """Takes a connection that somebody else has accepted; one that is gone already is dropped."""
        connection.setblocking(False)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # typed as any Protocol
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; true ends the server."""
        return await super().on_tick(counter) or (self._stop is not None and self._stop.is_set())

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals() if self._stop is None else nullcontext():
            yield
