"""``voice-agent dev-vendors``: stand-ins for the hosted vendors on this machine, and what they are asked, as it comes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from rich.console import Console

from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine
from voice_agent.dev_vendors.desk import Delays, Engines, Entry, Mark, VendorDesk
from voice_agent.dev_vendors.engines import open_engines
from voice_agent.dev_vendors.faults import Stage, parse_fault
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.errors import ConfigError
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.pool import ModelPool


@dataclass(frozen=True, slots=True)
class VendorPlan:
    """What the user asked for. ``first_ms``, ``gap_ms``: "200", or "llm=200" for one stage; ``faults``: "llm=reset".

    ``script``: what the language model always answers; no model is loaded then, and speech is a tone.
    """

    port: int
    key: str
    faults: tuple[str, ...]
    first_ms: tuple[str, ...]
    gap_ms: tuple[str, ...]
    script: str | None


def run_dev_vendors(plan: VendorPlan) -> None:
    """Serves until interrupted. Raises ``ConfigError`` for what cannot be done."""
    asyncio.run(_serve(plan))


async def _serve(plan: VendorPlan) -> None:
    faults = [parse_fault(text) for text in plan.faults]
    delays = _delays(plan)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _engines(plan, Console(stderr=True, highlight=False, markup=False)) as engines:
        desk = VendorDesk(engines, key=plan.key, delays=delays)
        for stage, fault in faults:
            desk.faults.set(stage, fault)
        async with running_vendors(desk, port=plan.port) as vendors:
            console.print(_welcome(vendors, faulty=[f"{stage}={fault}" for stage, fault in faults if fault]))
            desk.journal.listen(_Printer(console).show)
            await stop.wait()


@asynccontextmanager
async def _engines(plan: VendorPlan, console: Console) -> AsyncIterator[Engines]:
    if plan.script is None:
        async with open_engines(progress=lambda what: console.print(f"Loading {what} ...", style="dim")) as engines:
            yield engines
        return
    pool = ModelPool(1)
    try:
        recognizers = LocalRecognizerFactory(pool)  # loads nothing: the scripted engine hears instead
        yield Engines(recognizers, ScriptedModel(plan.script), ToneSynthesizer(), ScriptedEngine((plan.script,)))
    finally:
        await pool.close()


def _delays(plan: VendorPlan) -> dict[Stage, Delays]:
    delays = {stage: Delays() for stage in Stage}
    for option, name, texts in (("--first-ms", "first_s", plan.first_ms), ("--gap-ms", "gap_s", plan.gap_ms)):
        for stages, seconds in _per_stage(option, texts):
            for stage in stages:
                delays[stage] = replace(delays[stage], **{name: seconds})
    return delays


def _per_stage(option: str, texts: Sequence[str]) -> list[tuple[tuple[Stage, ...], float]]:
    read: list[tuple[tuple[Stage, ...], float]] = []
    for text in texts:
        stage, _, number = text.rpartition("=")
        try:
            milliseconds = int(number)
            stages = (Stage(stage),) if stage else tuple(Stage)
        except ValueError:
            milliseconds, stages = -1, ()
        if milliseconds < 0:
            raise ConfigError(f"{option} {text}: write milliseconds, for all stages (200) or for one (llm=200).")
        read.append((stages, milliseconds / 1000))
    return read


def _welcome(vendors: RunningVendors, faulty: list[str]) -> str:
    settings = "\n".join(f"export {name}={value}" for name, value in vendors.environment().items())
    return (
        "# Paste these where you start voice-agent; deepgram and openai_realtime can speak as well (TTS_PROVIDER).\n"
        f"{settings}\n"
        f"# Faults: {', '.join(faulty) or 'none'}. Switch one at any time:\n"
        f"#   curl -X PUT {vendors.direct_url}/dev/faults/llm/hang_midstream   (none heals)\n"
        "# Ctrl-C ends. What comes in:"
    )


class _Printer:
    """Prints a line for each request, and one for how it ended, with times since it began."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: dict[int, float] = {}
        self._first: dict[int, float] = {}

    def show(self, entry: Entry) -> None:
        number = entry.exchange
        match entry.mark:
            case Mark.REQUEST:
                self._begun[number] = entry.at_s
                self._print(entry, entry.text)
            case Mark.FIRST_BYTE:
                self._first[number] = entry.at_s
            case Mark.LAST_BYTE:
                self._print(entry, f"answered in {self._ms(entry)}{self._first_words(number)}")
            case Mark.CLIENT_GONE:
                self._print(entry, f"the client left after {self._ms(entry)}{self._first_words(number)}")
            case Mark.REFUSED:
                self._print(entry, f"refused: {entry.text}")
            case Mark.STRUCK:
                self._print(entry, f"fault: {entry.text}")
            case Mark.CLOSED:
                self._print(entry, f"closed after {self._ms(entry)}")
            case Mark.RECEIVED if entry.text == "response.create":  # a request of its own within a Realtime session
                self._begun[number] = entry.at_s
                self._print(entry, entry.text)
            case Mark.RECEIVED | Mark.SENT:
                return
        if entry.mark in (Mark.CLOSED, Mark.REFUSED):
            self._begun.pop(number, None)

    def _ms(self, entry: Entry) -> str:
        return f"{(entry.at_s - self._begun.get(entry.exchange, entry.at_s)) * 1000:.0f} ms"

    def _first_words(self, number: int) -> str:
        first_s = self._first.pop(number, None)
        if first_s is None:
            return ""
        return f", first content after {(first_s - self._begun.get(number, first_s)) * 1000:.0f} ms"

    def _print(self, entry: Entry, text: str) -> None:
        number = f"#{entry.exchange}" if entry.exchange else "line"
        self._console.print(f"{entry.stage} {number:>5}  {text}")
