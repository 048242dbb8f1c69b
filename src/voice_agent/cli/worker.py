"""One of several processes that are the server: the platform and its doors, on connections that the parent hands over.

It ends when the parent says so, on SIGTERM, and when the parent is gone, however that died: then it drains like at any
shutdown, and where even that hangs, a thread that watches the parent ends it by force.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop
from uvicorn.protocols.http.h11_impl import H11Protocol

from voice_agent.cli.worker_link import CallChanged, Failed, Gone, Link, Ready, Stop, take_over
from voice_agent.clock import LoopClock
from voice_agent.config import Settings
from voice_agent.errors import VoiceAgentError
from voice_agent.gateway.admission import Admission, CallEntry
from voice_agent.gateway.server_view import ServerView, WorkerLoad
from voice_agent.models import CallOutcome
from voice_agent.observability.logging import configure_logging
from voice_agent.observability.metrics_sharing import share_metrics

if TYPE_CHECKING:
    from voice_agent.call.services import CallServices
    from voice_agent.cli.serve import PlatformServer

# How often the parent hears of the load: it spreads connections by it, and kills a worker that falls silent.
REPORT_S = 0.25
# After the drain: hanging up, flushing and closing have deadlines of their own, which add up to less.
FORCE_AFTER_DRAIN_S = 25.0
# Connections taken in one go: enough for a burst, few enough that calls get their turn between.
_BATCH = 16

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What a worker is told at its birth. ``settings.server.max_calls`` is its own share.

    ``link``, ``handed``, ``lifeline`` and ``shop_gate`` are its ends of socket pairs: messages, connections, and two that
    only ever close, with the parent and once the order system can be asked. ``began_s`` is when the server started,
    ``lost_calls`` how many the last worker in this slot took with it. ``again``: the server was ready once, and is to stay.
    """

    slot: int
    settings: Settings
    make_services: Callable[[Settings], CallServices] | None
    link: socket.socket
    handed: socket.socket
    lifeline: socket.socket
    shop_gate: socket.socket
    metrics_folder: Path
    began_s: float
    lost_calls: int
    again: bool = False


def run_worker(place: WorkerPlace) -> None:
    """The process's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the parent decides
    share_metrics(place.metrics_folder, place.slot)
    server = place.settings.server
    limit_s = server.drain_timeout_s + FORCE_AFTER_DRAIN_S
    threading.Thread(target=_end_with_parent, args=(place.lifeline, limit_s), name="lifeline", daemon=True).start()
    pipeline = configure_logging(server.log_level, server.log_format)
    try:
        uvloop.run(_work(place))
    finally:
        pipeline.stop()


def _end_with_parent(lifeline: socket.socket, limit_s: float) -> None:
    """The loop notices by itself that the parent is gone, unless it hangs: then there is nobody left to end it."""
    with suppress(OSError):
        lifeline.recv(1)
    threading.Event().wait(limit_s)
    os._exit(1)


async def _work(place: WorkerPlace) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})  # the parent blocked them for the birth
    link = await Link.open(place.link)
    try:
        await _serve(place, link, stop)
    except VoiceAgentError as error:
        link.send(Failed(place.slot, str(error)))
    finally:
        await link.close()


async def _serve(place: WorkerPlace, link: Link, stop: asyncio.Event) -> None:
    from voice_agent.app.platform import open_platform
    from voice_agent.cli.serve import PlatformServer

    services = place.make_services(place.settings) if place.make_services is not None else None
    async with open_platform(
        place.settings, services=services, shop_up=lambda: _gone_through(place.shop_gate), lenient=place.again
    ) as platform:
        platform.metrics.sessions.labels(CallOutcome.ERROR.value).inc(place.lost_calls)
        view = ServerView(platform.admission, LoopClock(), began_s=place.began_s)
        listening = asyncio.Event()
        server = PlatformServer(platform, view, port=place.settings.server.port, on_listening=listening.set, stop=stop)
        reporter = _Reporter(place.slot, platform.admission, server, link)
        platform.admission.on_change = reporter.call_changed
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(_heed_parent(link, view, stop), name="parent-link"),
                group.create_task(reporter.run(listening), name="load-report"),
                group.create_task(_adopt(place.handed, server, reporter), name="adopt-connections"),
            ]
            await server.serve(sockets=[])
            for helper in helpers:
                helper.cancel()


async def _gone_through(gate: socket.socket) -> None:
    """Returns once the other end is closed."""
    gate.setblocking(False)
    await asyncio.get_running_loop().sock_recv(gate, 1)


class _Reporter:
    """Tells the parent how things are: now and then, and at once when a call begins, changes or ends."""

    def __init__(self, slot: int, admission: Admission, server: PlatformServer, link: Link) -> None:
        self._slot = slot
        self._admission = admission
        self._server = server
        self._link = link
        self.received = 0

    async def run(self, listening: asyncio.Event) -> None:
        await listening.wait()
        self._link.send(Ready(self._slot))
        while True:
            self._report()
            await asyncio.sleep(REPORT_S)

    def call_changed(self, entry: CallEntry) -> None:
        self._link.send(CallChanged(self._slot, entry))
        self._report()

    def took(self, connections: int) -> None:
        """So many were handed over and are open now."""
        self.received += connections
        self._report()

    def _report(self) -> None:
        now = self._admission.status()
        connections = sum(map(_may_be_a_call, self._server.server_state.connections))
        self._link.send(
            WorkerLoad(self._slot, now.status, now.reason, now.active, now.capacity, connections, self.received)
        )


def _may_be_a_call(protocol: asyncio.Protocol) -> bool:
    """Whether a connection is a call or has not yet said what it is. Others cost little, and soon end."""
    return not isinstance(protocol, H11Protocol) or protocol.cycle is None


async def _heed_parent(link: Link, view: ServerView, stop: asyncio.Event) -> None:
    while (message := await link.receive()) is not None:
        match message:
            case WorkerLoad():
                view.note_load(message)
            case CallChanged(slot=slot, entry=entry):
                view.note_call(slot, entry)
            case Gone(slot=slot):
                view.note_gone(slot)
            case Stop():
                stop.set()
            case _:
                pass
    if not stop.is_set():
        _log.error("the parent process is gone: the worker drains and ends")
        stop.set()


async def _adopt(handed: socket.socket, server: PlatformServer, reporter: _Reporter) -> None:
    """Makes the connections that the parent hands over the server's own; returns when the parent is gone."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    handed.setblocking(False)
    loop.add_reader(handed, readable.set)
    try:
        while True:
            await readable.wait()
            readable.clear()
            while batch := _taken(handed):
                await asyncio.gather(*(server.adopt(connection) for connection in batch))
                reporter.took(len(batch))
    except EOFError:  # the socket stays readable: to go on would be to spin
        return
    finally:
        loop.remove_reader(handed)


def _taken(handed: socket.socket) -> list[socket.socket]:
    """What is there, at most ``_BATCH``. Raises ``EOFError`` where nothing will come any more."""
    batch: list[socket.socket] = []
    try:
        while len(batch) < _BATCH and (connection := take_over(handed)) is not None:
            batch.append(connection)
    except EOFError:
        if not batch:
            raise
    return batch
