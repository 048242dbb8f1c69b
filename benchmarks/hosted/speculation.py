"""Voice to voice with and without speculation: two servers, the same turns at the same time, hosted-like delays."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import console, summary
from tests.servers import RunningServer, running_server
from tests.speech import synthesise

from hosted.vendor_process import Script, VendorProcess, vendor_process
from voice_agent.dev_vendors.desk import Delays
from voice_agent.dev_vendors.faults import Stage
from voice_agent.errors import CallError
from voice_agent.evaluation.caller import CallOptions, SimulatedCaller

AT_ONCE, WAITING = "over with the final", "with a wait"
# Whole questions end a turn at once; of statements it is open whether the caller goes on, and the recogniser is given no
# full stop for them, so that a vendor that judges turns is not sure at once either.
SCRIPT = (
    "What is your return policy?",
    "I bought a tent two weeks ago.",
    "My brother gave me a jacket for my birthday.",
    "When are your stores open on Sunday?",
    "I have been thinking about a new lantern.",
    "We ordered some mugs last month.",
)
# A turn that was committed later than this after its final left a wait.
HELD_MS = 50.0
ANSWER = "All right, let us look at that."
VOICE = "heart"
MODELS = ("nova-3", "flux-general-en")
DELAYS = {
    Stage.ASR: Delays(first_s=0.1),
    Stage.LLM: Delays(first_s=0.35, gap_s=0.01),
    Stage.TTS: Delays(first_s=0.15, gap_s=0.005),
}
_PARTS = ("turn_ms", "asr_ms", "llm_ms", "tts_ms", "remainder_ms")


@dataclass(frozen=True)
class Turn:
    """``held_ms``: from the recogniser's final to the commit, by the server's log."""

    text: str
    wait_ms: float
    held_ms: float


@dataclass
class Waits:
    """One server's turns. ``parts_ms``: the server's own account of them (``observability/turn_latency.py``)."""

    name: str
    speculates: bool
    turns: list[Turn] = field(default_factory=list)
    parts_ms: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in _PARTS})
    drafts: int = 0
    wasted: int = 0
    problems: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        return {
            "recogniser": self.name,
            "speculation": self.speculates,
            "turns": [[turn.text, round(turn.wait_ms, 1), round(turn.held_ms, 1)] for turn in self.turns],
            "parts_ms": {part: summary(values) for part, values in self.parts_ms.items()},
            "drafts": self.drafts,
            "wasted": self.wasted,
            "problems": self.problems,
        }


def by_kind(off: Waits, on: Waits) -> dict[str, tuple[list[float], list[float]]]:
    """The waits in milliseconds without and with speculation, by what the turn left to save: told by the server without."""
    kinds: dict[str, tuple[list[float], list[float]]] = {AT_ONCE: ([], []), WAITING: ([], [])}
    for before, after in zip(off.turns, on.turns, strict=True):
        without, speculating = kinds[WAITING if before.held_ms > HELD_MS else AT_ONCE]
        without.append(before.wait_ms)
        speculating.append(after.wait_ms)
    return kinds


async def compare(rounds: int) -> list[tuple[Waits, Waits]]:
    """(without, with) speculation, for each recogniser."""
    speech = {text: synthesise(text, VOICE, rate_hz=16_000)[0] for text in SCRIPT}
    pairs: list[tuple[Waits, Waits]] = []
    for model in MODELS:
        script = Script(tuple(text.rstrip(".") for text in SCRIPT), ANSWER, DELAYS)
        with vendor_process(script) as vendors, tempfile.TemporaryDirectory(prefix="voice-agent-bench-") as folder:
            pairs.append(await _pair(model, vendors, Path(folder), speech, rounds))
    return pairs


async def _pair(
    model: str, vendors: VendorProcess, folder: Path, speech: dict[str, bytes], rounds: int
) -> tuple[Waits, Waits]:
    with ExitStack() as stack:
        off, on = Waits(f"deepgram {model}", False), Waits(f"deepgram {model}", True)
        servers = [
            stack.enter_context(running_server(folder / str(waits.speculates), _settings(model, vendors, waits)))
            for waits in (off, on)
        ]
        await asyncio.sleep(8)  # new servers have their fixed phrases spoken
        for number in range(rounds):
            without, speculating = await asyncio.gather(
                *(_call(server, waits, speech) for server, waits in zip(servers, (off, on), strict=True))
            )
            if len(without) == len(speculating) == len(SCRIPT):  # else the turns have no counterpart
                off.turns += without
                on.turns += speculating
            console.print(f"  {model}: call {number + 1} of {rounds}", style="dim")
        for server, waits in zip(servers, (off, on), strict=True):
            made = _drafts(server)
            waits.drafts, waits.wasted = sum(made.values()), sum(n for what, n in made.items() if what != "used")
        return off, on


def _settings(model: str, vendors: VendorProcess, waits: Waits) -> dict[str, str]:
    return {
        "ASR_PROVIDER": "deepgram",
        "ASR_MODEL": model,
        "LLM_PROVIDER": "openai",
        "TTS_PROVIDER": "openai",
        "DEEPGRAM_URL": vendors.url(Stage.ASR),
        "DEEPGRAM_API_KEY": vendors.key,
        "OPENAI_BASE_URL": f"{vendors.url(Stage.LLM)}/v1",
        "OPENAI_API_KEY": vendors.key,
        "SPECULATION": "true" if waits.speculates else "false",
        "FILLER_AFTER_MS": "5000",  # what is measured is the answer
        "LOG_LEVEL": "WARNING",
    }


async def _call(server: RunningServer, waits: Waits, speech: dict[str, bytes]) -> list[Turn]:
    """The whole script in one call."""
    measured_ms: list[float] = []
    try:
        async with SimulatedCaller(server.url, CallOptions(caller_id="+15550100")) as caller:
            session = await caller.wait_for("session")
            await caller.wait_for_agent_to_finish(timeout_s=30)
            for text in SCRIPT:
                utterance = await caller.say(speech[text])
                heard = await caller.wait_for_answer(utterance)
                measured_ms.append((heard.received_s - utterance.last_voiced_s) * 1e3)
                await caller.wait_for_agent_to_finish(timeout_s=30)
            for frame in caller.frames("metrics"):
                for part in _PARTS:
                    if isinstance(frame.get(part), int | float):
                        waits.parts_ms[part].append(float(frame[part]))
            await caller.hang_up()
    except CallError as error:
        waits.problems.append(str(error)[:200])
        console.print(f"  {waits.name}: {error}", markup=False, style="red")
        return []
    await asyncio.sleep(1)  # the log is written by a thread
    held_ms = _held_ms(server, str(session.data["call_id"]))
    if len(held_ms) != len(SCRIPT):
        waits.problems.append(f"{len(held_ms)} turns were committed, not {len(SCRIPT)}")
        return []
    return [Turn(*row) for row in zip(SCRIPT, measured_ms, held_ms, strict=True)]


def _held_ms(server: RunningServer, call_id: str) -> list[float]:
    """How long each turn was held after its final."""
    held: list[float] = []
    final_s = 0.0
    for path in server.event_logs():
        lines = path.read_text().splitlines()
        for entry in map(json.loads, lines) if call_id in lines[0] + lines[1] else ():
            if entry.get("name") == "asr_final":
                final_s = entry["t"]
            elif entry.get("name") == "turn_committed":
                held.append((entry["t"] - final_s) * 1e3)
    return held


def _drafts(server: RunningServer) -> dict[str, int]:
    """How many drafts came to what, from the server's metrics."""
    found = re.findall(r'^voice_drafts_total\{\w+="(\w+)"\} (\S+)$', server.get("/metrics"), re.MULTILINE)
    return {outcome: int(float(count)) for outcome, count in found}
