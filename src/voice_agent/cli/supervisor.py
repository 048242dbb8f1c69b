"""The parent of a server's workers: accepts connections, hands each to the least loaded worker, keeps the workers alive.

Theory of operation. The workers share nothing: each has its own event loop, models and share of the calls. The parent
does no work of a call; it holds the listening socket and passes what it accepts on as a file descriptor.

Why so, and neither ``SO_REUSEPORT`` nor one listening socket for all: calls are few and last minutes. Hashing them over
sockets gave one of four idle workers 32 of 100 calls and another 21; with a shared socket, where the kernel wakes whom
it likes, they got 30 and 12. Neither knows that a worker is full or drains. Only somebody who knows all workers can give
the next call to the one with most room, never to one that is full, dying or still starting. The price is one hop per
connection, none per frame.

Rules:
1. The first worker starts alone: it makes the database and the knowledge base, while the demo shop, one for all, starts
   beside. Then the others, at once.
2. A worker that dies, or says nothing for ``SILENCE_S``, is replaced, after a pause that grows while workers die young.
   One that cannot start before the server was ready ends the server, with its reason.
3. SIGINT or SIGTERM drains all workers; the second one kills them. Whatever ends the parent ends the workers.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from voice_agent.cli.address import base_url, bound
from voice_agent.cli.restart_pause import RestartPause
from voice_agent.cli.shop_keeper import OrderSystem, order_system
from voice_agent.cli.worker import FORCE_AFTER_DRAIN_S, WorkerPlace, run_worker
from voice_agent.cli.worker_link import CallChanged, Failed, Gone, Link, Message, Ready, Stop, hand_over
from voice_agent.config import Settings
from voice_agent.errors import ConfigError, VoiceAgentError
from voice_agent.gateway.admission import ServerStatus
from voice_agent.gateway.server_view import CallBook, WorkerLoad
from voice_agent.observability.metrics_sharing import forget_gauges

if TYPE_CHECKING:
    from voice_agent.call.services import CallServices

# A worker's loop says something four times a second; one that is silent for so long will not come back.
SILENCE_S = 30.0

_BACKLOG = 2048
_BATCH = 64  # connections accepted in one go
_OUT_OF_DESCRIPTORS_PAUSE_S = 0.1

_log = structlog.get_logger(__name__)


async def supervise(
    settings: Settings,
    on_ready: Callable[[str], None],
    *,
    make_services: Callable[[Settings], CallServices] | None = None,
) -> None:
    """Serves with ``settings.server.workers`` processes until SIGINT or SIGTERM; see ``launch.run``."""
    host = settings.server.host
    with (
        bound(host, settings.server.port) as listener,
        tempfile.TemporaryDirectory(prefix="voice-agent-", dir=_memory_folder()) as folder,
    ):
        url = base_url(host, listener.getsockname()[1])
        async with order_system(settings, needed=make_services is None) as shop:
            supervisor = _Supervisor(shop, make_services, listener, Path(folder))
            with supervisor.signals():
                try:
                    await supervisor.run(lambda: on_ready(url))
                except BaseExceptionGroup as group:
                    raise _first_of_ours(group) from None


def _memory_folder() -> str | None:
    """Metrics are written during calls and must not wait for a disk; nobody needs them after a restart."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - holds a private folder


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    ours, _ = group.split(VoiceAgentError)
    error: BaseException = ours or group
    while ours is not None and isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass(slots=True)
class _Worker:
    """The parent's side of one worker process. ``handed_over`` counts the connections it was given."""

    slot: int
    process: BaseProcess
    link: Link
    channel: socket.socket
    lifeline: socket.socket
    ready: bool = False
    failure: str = ""
    handed_over: int = 0
    load: WorkerLoad | None = None

    def burden(self) -> tuple[bool, int]:
        """What the next connection is decided by: the smallest takes it."""
        if self.load is None:
            return True, self.handed_over
        on_their_way = self.handed_over - self.load.received
        return self.load.status is not ServerStatus.READY, self.load.connections + on_their_way


class _Supervisor:
    def __init__(
        self,
        shop: OrderSystem,
        make_services: Callable[[Settings], CallServices] | None,
        listener: socket.socket,
        folder: Path,
    ) -> None:
        self._shop = shop
        self._shop_gate, self._its_shop_gate = socket.socketpair()
        self._settings = settings = shop.settings
        self._make_services = make_services
        self._listener = listener
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._workers: dict[int, _Worker] = {}
        self._books = [CallBook() for _ in range(settings.server.workers)]  # they outlive the workers
        self._slot_ready = [asyncio.Event() for _ in range(settings.server.workers)]
        self._started = False
        self._listening = False
        self._stopping = asyncio.Event()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Returns once every worker has ended. Raises an exception group with the ``ConfigError`` of one that could not
        start."""
        try:
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(self._start(group, on_ready), name="start-workers")
                await self._stopping.wait()
                starting.cancel()
        finally:
            self._stop_listening()
            self._shop_gate.close()
            self._its_shop_gate.close()

    async def _start(self, group: asyncio.TaskGroup, on_ready: Callable[[], None]) -> None:
        group.create_task(self._keep(0), name="worker-0")
        await self._shop.up()
        self._shop_gate.close()  # every worker sees it, also those that are born later
        await self._slot_ready[0].wait()
        for slot in range(1, self._settings.server.workers):
            group.create_task(self._keep(slot), name=f"worker-{slot}")
        for ready in self._slot_ready:
            await ready.wait()
        self._started = True
        self._listener.setblocking(False)
        self._listener.listen(_BACKLOG)
        self._listen()
        on_ready()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the server."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._end)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.remove_signal_handler(number)

    def _end(self) -> None:
        if self._stopping.is_set():
            self._kill_all()
            return
        self._stopping.set()
        for worker in self._workers.values():
            worker.link.send(Stop())
        self._loop.call_later(self._settings.server.drain_timeout_s + FORCE_AFTER_DRAIN_S, self._kill_all)

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()

    # Workers

    async def _keep(self, slot: int) -> None:
        """Has a worker in this slot until the server ends."""
        pause, lost_calls = RestartPause(), 0
        while not self._stopping.is_set():
            born_s = self._loop.time()
            worker = await self._bear(slot, lost_calls)
            self._workers[slot] = worker
            try:
                await self._follow(worker)
            finally:
                del self._workers[slot]
                lost_calls = await self._bury(worker)
            if self._stopping.is_set():
                return
            code = worker.process.exitcode
            if not self._started:
                raise ConfigError(worker.failure or f"worker {slot} ended while it started (exit code {code}).")
            pause_s = pause.after(self._loop.time() - born_s)
            _log.error("worker ended", slot=slot, code=code, why=worker.failure, lost_calls=lost_calls, pause_s=pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()

    async def _bear(self, slot: int, lost_calls: int) -> _Worker:
        (link, its_link), (channel, its_channel), (lifeline, its_lifeline) = (socket.socketpair() for _ in range(3))
        server = self._settings.server
        share, rest = divmod(server.max_calls, server.workers)
        own = server.model_copy(update={"max_calls": share + (slot < rest)})
        settings = replace(self._settings, server=own)
        place = WorkerPlace(
            slot=slot,
            settings=settings,
            make_services=self._make_services,
            link=its_link,
            handed=its_channel,
            lifeline=its_lifeline,
            shop_gate=self._its_shop_gate,
            metrics_folder=self._folder,
            began_s=self._began_s,
            lost_calls=lost_calls,
            again=self._started,
        )
        # Spawned, not forked: the parent has threads, and a fork of it could inherit a lock that nobody gives back.
        process = multiprocessing.get_context("spawn").Process(
            target=run_worker, args=(place,), name=f"voice-agent-worker-{slot}", daemon=True
        )
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for end in (its_link, its_channel, its_lifeline):
            end.close()
        channel.setblocking(False)
        return _Worker(slot, process, await Link.open(link), channel, lifeline)

    async def _follow(self, worker: _Worker) -> None:
        """Listens to a worker until its process has ended. Kills one that has fallen silent."""
        ended = asyncio.Event()
        self._loop.add_reader(worker.process.sentinel, ended.set)
        self._introduce(worker)
        try:
            while True:
                async with asyncio.timeout(SILENCE_S if worker.ready else None):
                    message = await worker.link.receive()
                if message is None:
                    break
                self._note(worker, message)
            worker.ready = False
            async with asyncio.timeout(FORCE_AFTER_DRAIN_S):
                await ended.wait()
        except TimeoutError:
            worker.failure = f"it was silent for {SILENCE_S:g} s"
        finally:
            self._loop.remove_reader(worker.process.sentinel)
            worker.process.kill()
            worker.process.join()

    def _introduce(self, worker: _Worker) -> None:
        """Tells a new worker what the others are doing, and what the one before it has done."""
        for other in self._workers.values():
            if other.load is not None:
                worker.link.send(other.load)
        for slot, book in enumerate(self._books):
            for entry in book.entries():
                worker.link.send(CallChanged(slot, entry))
        if self._stopping.is_set():
            worker.link.send(Stop())

    def _note(self, worker: _Worker, message: Message) -> None:
        match message:
            case Ready(slot=slot):
                worker.ready = True
                self._slot_ready[slot].set()
                if self._started:
                    self._listen()
            case WorkerLoad():
                worker.load = message
                self._tell_others(worker, message)
            case CallChanged(entry=entry):
                self._books[worker.slot].note(entry)
                self._tell_others(worker, message)
            case Failed(message=text):
                worker.failure = text
            case _:
                pass

    def _tell_others(self, worker: _Worker, message: Message) -> None:
        for other in self._workers.values():
            if other is not worker:
                other.link.send(message)

    async def _bury(self, worker: _Worker) -> int:
        """Gives the number of calls that died with it."""
        await worker.link.close()
        worker.channel.close()
        worker.lifeline.close()
        forget_gauges(self._folder, worker.slot)
        self._tell_others(worker, Gone(worker.slot))
        lost = self._books[worker.slot].give_up(datetime.now(UTC))
        for entry in lost:
            self._tell_others(worker, CallChanged(worker.slot, entry))
        return len(lost)

    # Connections

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._loop.add_reader(self._listener, self._accept)

    def _stop_listening(self) -> None:
        """What comes now waits in the backlog."""
        if self._listening:
            self._listening = False
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            workers = sorted((w for w in self._workers.values() if w.ready), key=_Worker.burden)
            if not workers:
                self._stop_listening()  # until a worker is ready
                return
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors or memory: it would be reported again at once
                _log.error("a connection could not be accepted", error=str(error))
                self._stop_listening()
                self._loop.call_later(_OUT_OF_DESCRIPTORS_PAUSE_S, self._listen)
                return
            with connection:
                for worker in workers:
                    if hand_over(worker.channel, connection):
                        worker.handed_over += 1
                        break
