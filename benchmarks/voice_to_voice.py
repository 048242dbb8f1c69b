"""How long a caller waits for an answer: last voiced sample -> first non-silent sample of the answer at the client.

One caller speaks in real time to a server in another process, one frame of 20 ms at a time, each sent when its last
sample would have been captured. The server's own account of each turn (its metrics frames) stands beside.

--scripted puts providers of zero delay behind the same platform; the figure is then taken from the moment the client has
sent the 20 ms of silence that end a turn there, so that only the platform's own work is left.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import ROOT, console, print_summaries, save, summary
from tests.servers import running_server
from tests.speech import VOICES, synthesise

from voice_agent.audio.frames import pcm_of
from voice_agent.errors import CallError
from voice_agent.evaluation.caller import CallOptions, SimulatedCaller, Utterance

FRAME_S = 0.02
TARGET_MEDIAN_MS, TARGET_P95_MS, TARGET_OWN_MS = 650.0, 900.0, 10.0
QUESTIONS = (
    "What is your return policy?",
    "How much is standard shipping?",
    "When are your stores open on Sunday?",
    "Can I pay with PayPal?",
    "Do you ship to Canada?",
    "How long is the warranty on a tent?",
    "Where is my order eight three one oh two?",
    "Has order eight three one one seven been delivered?",
    "Do gift cards expire?",
    "What do I do if something arrives broken?",
)
STAGES = ("turn_ms", "asr_ms", "llm_ms", "tts_ms", "remainder_ms")


@dataclass
class Measured:
    """Milliseconds, one entry a turn; ``spoken_over`` counts turns whose answer began before the caller had finished."""

    waits: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    spoken_over: int = 0
    unanswered: list[str] = field(default_factory=list)
    worst_sender_lateness_ms: float = 0.0


async def measure(url: str, turns: int, say: list[bytes], labels: list[str], verify: bool) -> Measured:
    """Calls until ``turns`` turns are measured; a call that ends is followed by another."""
    measured = Measured()
    done = 0
    while done < turns:
        async with SimulatedCaller(url, CallOptions(caller_id="+15550100")) as caller:
            await caller.wait_for_agent_to_finish(timeout_s=30)
            if verify:
                await _verify(caller)
            begun = done
            while done < turns and caller.closed is None:
                index = done % len(say)
                done += 1
                await _one_turn(caller, say[index], labels[index], measured)
            measured.worst_sender_lateness_ms = max(measured.worst_sender_lateness_ms, caller.worst_lateness_s * 1e3)
            for frame in caller.frames("metrics"):
                for stage in STAGES:
                    if isinstance(frame.get(stage), int | float):
                        measured.stages[stage].append(float(frame[stage]))
            if caller.closed is not None and done == begun:
                raise CallError(f"the server ends calls at once: {caller.closed}")
    return measured


async def _verify(caller: SimulatedCaller) -> None:
    """Proves the caller's identity once, so that order questions are answered like any other."""
    await caller.say(synthesise("Where is my order eight three one oh two?", rate_hz=16_000)[0])
    await caller.wait_for("state", lambda state: state["waiting_for"] == "pin")
    await caller.wait_for_agent_to_finish(timeout_s=30)
    asked_s = caller.now()
    for digit in "4271":
        await caller.press(digit)
    await caller.wait_for_agent_to_finish(timeout_s=30, since_s=asked_s)


async def _one_turn(caller: SimulatedCaller, pcm: bytes, label: str, measured: Measured) -> None:
    try:
        utterance = await caller.say(pcm)
        if _was_spoken_over(caller, utterance):
            measured.spoken_over += 1
        else:
            heard = await caller.wait_for_answer(utterance)
            measured.waits.append((heard.received_s - utterance.last_voiced_s) * 1e3)
        await caller.wait_for_agent_to_finish(timeout_s=30)
    except CallError as error:
        measured.unanswered.append(f"{label}: {error}")


def _was_spoken_over(caller: SimulatedCaller, utterance: Utterance) -> bool:
    heard = caller.playback.first_sound_after(utterance.first_voiced_s)
    return heard is not None and heard.received_s < utterance.last_voiced_s


def tone(seconds: float) -> bytes:
    return pcm_of(0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 16_000)) / 16_000))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=30, help="turns to measure (default 30)")
    parser.add_argument("--scripted", action="store_true", help="zero-delay providers: the platform's own share")
    parser.add_argument("--url", default="", help="measure a running server instead of starting one")
    parser.add_argument("--voices", default=",".join(VOICES[:2]), help=f"of {', '.join(VOICES)}")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.scripted:
        say, labels = [tone(1.0)], ["tone"]
    else:
        voices = args.voices.split(",")
        say = [synthesise(text, voices[n % len(voices)], rate_hz=16_000)[0] for n, text in enumerate(QUESTIONS)]
        labels = list(QUESTIONS)
    settings = {"MAX_TURNS_PER_SESSION": "1000", "LOG_LEVEL": "WARNING"}
    program = [sys.executable, str(ROOT / "benchmarks" / "scripted_server.py")] if args.scripted else []
    with ExitStack() as stack:
        url = args.url
        if not url:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voice-agent-bench-")))
            console.print("Starting the server ...", style="dim")
            url = stack.enter_context(running_server(folder, settings, program)).url
        console.print(f"Measuring {args.turns} turns in real time ...", style="dim")
        measured = asyncio.run(measure(url, args.turns, say, labels, verify=not args.scripted))
    return report(measured, scripted=args.scripted)


def report(measured: Measured, *, scripted: bool) -> int:
    waits = [wait - FRAME_S * 1e3 for wait in measured.waits] if scripted else measured.waits
    name = "platform's own share" if scripted else "voice to voice"
    rows = {name: waits} | {f"server: {stage.removesuffix('_ms')}": v for stage, v in measured.stages.items()}
    print_summaries(f"{name}, one caller, real time", rows)
    if measured.spoken_over or measured.unanswered:
        console.print(f"{measured.spoken_over} turns were spoken over; {len(measured.unanswered)} without an answer")
        for line in measured.unanswered:
            console.print(f"  {line}", markup=False)
    targets = {"median": TARGET_OWN_MS} if scripted else {"median": TARGET_MEDIAN_MS, "p95": TARGET_P95_MS}
    figures = summary(waits)
    met = bool(waits) and all(figures[key] <= limit for key, limit in targets.items())
    limits = ", ".join(f"{key} at most {limit:g} ms" for key, limit in targets.items())
    console.print(f"Target ({limits}): {'met' if met else 'MISSED'}", style="green" if met else "bold red")
    save(
        "voice_to_voice_scripted" if scripted else "voice_to_voice",
        {
            "summary_ms": {row: summary(values) for row, values in rows.items()},
            "waits_ms": [round(wait, 1) for wait in waits],
            "spoken_over": measured.spoken_over,
            "unanswered": measured.unanswered,
            "worst_sender_lateness_ms": round(measured.worst_sender_lateness_ms, 1),
            "targets_ms": targets,
            "met": met,
        },
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
