"""The order system of a server: the one that is set, or the demo shop, which the server then keeps running for itself.

Theory of operation. The demo shop is a process of its own, so that it takes nothing from the calls' event loop and is
reached as any shop is, over HTTP. Its port is chosen before it starts and stays the same: a socket that is bound and never
listens keeps the system from giving it to others, and lets the shop listen beside it (both with SO_REUSEADDR). While no
shop listens, a connection is refused at once, and the caller hears the tool's fallback. Another program of this machine
that insists on that very port could take it then: this shop and its callers are a demonstration's.

Rules:
1. It starts beside whatever else starts. One that cannot start ends the server's start, with its reason.
2. One that ends later is started again, after a pause that grows while shops die young.
3. It ends with the server, however that dies: its standard input is a pipe that the server holds (``shop_process``).
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from pydantic import SecretStr

from voice_agent.cli.restart_pause import RestartPause
from voice_agent.cli.shop_process import ShopPlace, ShopReport
from voice_agent.config import Settings
from voice_agent.errors import ConfigError

# Its first start fills a database, on a machine that loads models meanwhile.
START_WITHIN_S = 60.0
_END_WITHIN_S = 5.0  # it ends by force a little earlier

_LOOPBACK = "127.0.0.1"
_PROGRAM = ("-P", "-m", "voice_agent.cli.shop_process")  # -P: what lies in the working folder is not imported

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OrderSystem:
    """``settings`` are those the platform is to be opened with. ``up`` returns once the order system can be asked, and
    raises ``ConfigError`` where the demo shop cannot start."""

    settings: Settings
    up: Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def order_system(settings: Settings, *, needed: bool = True) -> AsyncIterator[OrderSystem]:
    """Keeps the demo shop running where demo data is wanted and no order system is set. ``needed`` false: nobody asks it."""
    if settings.shop.api_url or not settings.demo_data_wanted or not needed:
        yield OrderSystem(settings, _up_already)
        return
    with _reserved_port() as port:
        place = ShopPlace(
            state_dir=str(settings.server.state_dir),
            database_url=settings.shop.database_url.get_secret_value(),
            port=port,
            token=secrets.token_urlsafe(24),
            log_level=settings.server.log_level,
            log_format=settings.server.log_format,
        )
        reached = {"api_url": f"http://{_LOOPBACK}:{port}", "api_token": SecretStr(place.token)}
        settings = replace(settings, shop=settings.shop.model_copy(update=reached))
        opened = asyncio.Event()
        keeping = asyncio.create_task(_keep(place, opened), name="demo-shop")
        try:
            yield OrderSystem(settings, lambda: _opened_or_failed(opened, keeping))
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def _up_already() -> None:
    """Whoever set another order system has started it."""


async def _opened_or_failed(opened: asyncio.Event, keeping: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(opened.wait(), name="demo-shop-opened")
    try:
        await asyncio.wait([waiting, keeping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if keeping.done():
        keeping.result()


@contextmanager
def _reserved_port() -> Iterator[int]:
    """A free port of loopback that the system gives nobody else meanwhile."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((_LOOPBACK, 0))
        yield reserved.getsockname()[1]


async def _keep(place: ShopPlace, opened: asyncio.Event) -> None:
    """Has a shop until cancelled. Raises ``ConfigError`` where the first one cannot start."""
    loop = asyncio.get_running_loop()
    pause = RestartPause()
    while True:
        born_s = loop.time()
        ended = await _live(place, opened)
        if not opened.is_set():
            raise ConfigError(f"the demo shop cannot start: {ended} (DEMO_DATA=false leaves it out.)")
        pause_s = pause.after(loop.time() - born_s)
        _log.error("the demo shop ended", why=ended, pause_s=pause_s)
        await asyncio.sleep(pause_s)


async def _live(place: ShopPlace, opened: asyncio.Event) -> str:
    """Runs one shop to its end; gives how it ended. Cancelling ends it."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *_PROGRAM, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
    except OSError as error:
        return f"no process could be started ({error.strerror})."
    try:
        report = await _report_of(process, place)
        if report.failure:
            return report.failure
        url = f"http://{_LOOPBACK}:{place.port}"
        _log.info("the demo shop is open", url=url, callers=report.callers, orders=report.orders)
        opened.set()
        return f"exit code {await process.wait()}."
    finally:
        await _end(process)


async def _report_of(process: Process, place: ShopPlace) -> ShopReport:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps(place, option=orjson.OPT_APPEND_NEWLINE))
    try:
        async with asyncio.timeout(START_WITHIN_S):
            line = await process.stdout.readline()
            if not line:
                return ShopReport(failure=f"exit code {await process.wait()}.")
    except TimeoutError:
        return ShopReport(failure=f"it was not ready within {START_WITHIN_S:g} s.")
    try:
        return ShopReport(**orjson.loads(line))
    except (ValueError, TypeError):
        return ShopReport(failure=f"it does not say that it is ready, but {line!r}.")


async def _end(process: Process) -> None:
    """Lets it end by closing its standard input, then by force."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_WITHIN_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
