"""Voice to voice with and without speculation: two servers, the same turns at the same time, hosted-like delays."""

from __future__ import annotations

import asyncio
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

CERTAIN, WAITING = "certain", "with a wait"
# Whole questions end a turn at once; of statements it is open whether the caller goes on, and the recogniser is given no
# full stop for them, so that a vendor that judges turns is not sure at once either.
SCRIPT = (
    (CERTAIN, "What is your return policy?"),
    (WAITING, "I bought a tent two weeks ago."),
    (CERTAIN, "Do you ship to Canada?"),
    (WAITING, "I would like to know about gift cards."),
    (CERTAIN, "When are your stores open on Sunday?"),
    (WAITING, "My brother gave me a jacket for my birthday."),
    (CERTAIN, "Can I pay with PayPal?"),
    (WAITING, "I have been thinking about a new lantern."),
)
ANSWER = "All right, let us look at that."
VOICE = "heart"
MODELS = ("nova-3", "flux-general-en")
DELAYS = {
    Stage.ASR: Delays(first_s=0.1),
    Stage.LLM: Delays(first_s=0.35, gap_s=0.01),
    Stage.TTS: Delays(first_s=0.15, gap_s=0.005),
}
_PARTS = ("turn_ms", "asr_ms", "llm_ms", "tts_ms", "remainder_ms")


@dataclass
class Waits:
    """One server's turns. ``parts_ms``: the server's own account of them (``observability/turn_latency.py``)."""

    name: str
    speculates: bool
    by_kind: dict[str, list[float]] = field(default_factory=lambda: {CERTAIN: [], WAITING: []})
    parts_ms: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in _PARTS})
    drafts: int = 0
    wasted: int = 0
    problems: list[str] = field(default_factory=list)

    kinds = (CERTAIN, WAITING)

    def waits_ms(self, kind: str) -> list[float]:
        return self.by_kind[kind]

    def record(self) -> dict[str, Any]:
        return {
            "recogniser": self.name,
            "speculation": self.speculates,
            "voice_to_voice_ms": {kind: summary(values) for kind, values in self.by_kind.items()},
            "parts_ms": {part: summary(values) for part, values in self.parts_ms.items()},
            "drafts": self.drafts,
            "wasted": self.wasted,
            "problems": self.problems,
        }


async def compare(rounds: int) -> list[tuple[Waits, Waits]]:
    """(without, with) speculation, for each recogniser."""
    speech = {text: synthesise(text, VOICE, rate_hz=16_000)[0] for _, text in SCRIPT}
    pairs: list[tuple[Waits, Waits]] = []
    for model in MODELS:
        script = Script(tuple(text.rstrip(".") for _, text in SCRIPT), ANSWER, DELAYS)
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
            await asyncio.gather(
                *(_call(server, waits, speech) for server, waits in zip(servers, (off, on), strict=True))
            )
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


async def _call(server: RunningServer, waits: Waits, speech: dict[str, bytes]) -> None:
    """The whole script in one call."""
    try:
        async with SimulatedCaller(server.url, CallOptions(caller_id="+15550100")) as caller:
            await caller.wait_for_agent_to_finish(timeout_s=30)
            for kind, text in SCRIPT:
                utterance = await caller.say(speech[text])
                heard = await caller.wait_for_answer(utterance)
                waits.by_kind[kind].append((heard.received_s - utterance.last_voiced_s) * 1e3)
                await caller.wait_for_agent_to_finish(timeout_s=30)
            for frame in caller.frames("metrics"):
                for part in _PARTS:
                    if isinstance(frame.get(part), int | float):
                        waits.parts_ms[part].append(float(frame[part]))
            await caller.hang_up()
    except CallError as error:
        waits.problems.append(str(error)[:200])
        console.print(f"  {waits.name}: {error}", markup=False, style="red")


def _drafts(server: RunningServer) -> dict[str, int]:
    """How many drafts came to what, from the server's metrics."""
    found = re.findall(r'^voice_drafts_total\{\w+="(\w+)"\} (\S+)$', server.get("/metrics"), re.MULTILINE)
    return {outcome: int(float(count)) for outcome, count in found}
