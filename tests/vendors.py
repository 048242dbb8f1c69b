"""Stand-ins for hosted vendors in a thread of their own, so that a test's event loop holds nothing but the client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine
from voice_agent.dev_vendors.desk import Engines, Entry, Mark, VendorDesk
from voice_agent.dev_vendors.engines import open_engines
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.pool import ModelPool

T = TypeVar("T")

OpenEngines = Callable[[], AbstractAsyncContextManager[Engines]]

_ESTABLISHED = "01"
_START_S = 120.0  # local models load on a busy machine


@asynccontextmanager
async def scripted_engines(
    hears: tuple[str, ...], model: ScriptedModel, synthesizer: ToneSynthesizer | None = None
) -> AsyncIterator[Engines]:
    """Engines without models; the recogniser hears the texts ``hears`` in turn."""
    pool = ModelPool(1)
    try:
        yield Engines(
            LocalRecognizerFactory(pool),  # loads nothing: the scripted engine hears instead
            model,
            synthesizer or ToneSynthesizer(),
            ScriptedEngine(hears),
        )
    finally:
        await pool.close()


class VendorThread:
    """Running stand-ins, handled from another thread."""

    def __init__(self, vendors: RunningVendors, loop: asyncio.AbstractEventLoop) -> None:
        self._vendors = vendors
        self._loop = loop

    @property
    def deepgram_url(self) -> str:
        return self._vendors.deepgram_url

    @property
    def openai_base_url(self) -> str:
        return self._vendors.openai_base_url

    @property
    def key(self) -> str:
        return self._vendors.desk.key

    def url(self, stage: Stage) -> str:
        return self._vendors.url(stage)

    def set_fault(self, stage: Stage, fault: Fault | None, *, after_bytes: int | None = None) -> None:
        """Returns when it is on."""
        self._there(lambda: self._vendors.set_fault(stage, fault, after_bytes=after_bytes))

    def change(self, change: Callable[[VendorDesk], T]) -> T:
        """``change(desk)`` in the stand-ins' own thread."""
        return self._there(lambda: change(self._vendors.desk))

    def entries(self, since_s: float = 0.0) -> list[Entry]:
        """The journal's entries so far, oldest first."""
        return self._there(lambda: [e for e in self._vendors.desk.journal.entries if e.at_s >= since_s])

    async def wait_for(
        self, *marks: Mark, stage: Stage, since_s: float = 0.0, text: str = "", timeout_s: float = 10.0
    ) -> Entry:
        """The first entry with one of the marks. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout_s):
            while True:
                for entry in self.entries(since_s):
                    if entry.mark in marks and entry.stage is stage and text in entry.text:
                        return entry
                await asyncio.sleep(0.005)

    def stop(self, event: asyncio.Event) -> None:
        """Sets an event of the stand-ins' loop."""
        self._loop.call_soon_threadsafe(event.set)

    def connections(self) -> int:
        """How many connections this process has open to the stand-ins' lines."""
        ports = {f"{int(self.url(stage).rpartition(':')[2]):04X}" for stage in Stage}
        rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
        return sum(row[3] == _ESTABLISHED and row[2].rpartition(":")[2] in ports for row in rows)

    def _there(self, work: Callable[[], T]) -> T:
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(timeout=10)


@contextmanager
def vendors_in_thread(engines: OpenEngines = open_engines) -> Iterator[VendorThread]:
    """Serves until left. ``engines``: by default the local models, which really hear, think and speak."""
    started: Future[VendorThread] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        async with engines() as opened, running_vendors(VendorDesk(opened)) as vendors:
            started.set_result(VendorThread(vendors, asyncio.get_running_loop()))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="dev-vendors")
    thread.start()
    running = started.result(timeout=_START_S)
    try:
        yield running
    finally:
        running.stop(stop)
        thread.join()
