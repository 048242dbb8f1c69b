"""Stand-ins in a process of their own, so that a client's figures hold no work of theirs.

Both processes read the machine's one monotonic clock, so an entry of the journal and a client's times can be compared.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine
from voice_agent.dev_vendors.desk import Delays, Engines, Entry, VendorDesk
from voice_agent.dev_vendors.faults import Stage
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.pool import ModelPool

_START_S = 60.0


@dataclass(frozen=True)
class Script:
    """What the recogniser hears, one text after the other, and what the model always answers."""

    heard: tuple[str, ...]
    answer: str
    delays: Mapping[Stage, Delays]


@dataclass(frozen=True)
class _Addresses:
    key: str
    lines: Mapping[Stage, str]


class VendorProcess:
    """Running stand-ins, asked over a pipe."""

    def __init__(self, pipe: Connection, addresses: _Addresses) -> None:
        self._pipe = pipe
        self._addresses = addresses

    @property
    def key(self) -> str:
        return self._addresses.key

    def url(self, stage: Stage) -> str:
        return self._addresses.lines[stage]

    def entries(self, since_s: float) -> list[Entry]:
        """The journal's entries since then, oldest first."""
        self._pipe.send(("entries", since_s))
        entries: list[Entry] = self._pipe.recv()
        return entries

    def set_delays(self, stage: Stage, delays: Delays) -> None:
        self._pipe.send(("delays", (stage, delays)))
        self._pipe.recv()


@contextmanager
def vendor_process(script: Script) -> Iterator[VendorProcess]:
    """Serves until left."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, script), name="dev-vendors", daemon=True)
    process.start()
    try:
        if not ours.poll(_START_S):
            raise RuntimeError("the stand-ins did not start")
        yield VendorProcess(ours, ours.recv())
    finally:
        ours.send(("stop", None))
        process.join(10)
        if process.is_alive():
            process.terminate()


def _main(pipe: Connection, script: Script) -> None:
    asyncio.run(_serve(pipe, script))


async def _serve(pipe: Connection, script: Script) -> None:
    pool = ModelPool(1)
    engines = Engines(
        LocalRecognizerFactory(pool),  # loads nothing: the scripted engine hears instead
        ScriptedModel(script.answer),
        ToneSynthesizer(),
        ScriptedEngine(script.heard),
    )
    async with running_vendors(VendorDesk(engines, delays=dict(script.delays))) as vendors:
        pipe.send(_Addresses(vendors.desk.key, {stage: vendors.url(stage) for stage in Stage}))
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), lambda: _obey(pipe, vendors, stop))
        await stop.wait()
        asyncio.get_running_loop().remove_reader(pipe.fileno())
    await pool.close()


def _obey(pipe: Connection, vendors: RunningVendors, stop: asyncio.Event) -> None:
    while pipe.poll():
        what, value = pipe.recv()
        if what == "entries":
            pipe.send([entry for entry in vendors.desk.journal.entries if entry.at_s >= value])
        elif what == "delays":
            stage, delays = value
            vendors.desk.delays[stage] = delays
            pipe.send(None)
        else:
            stop.set()
            return
