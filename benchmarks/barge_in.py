"""How fast an interrupting caller is given the floor, and what does not interrupt.

Interruptions: onset of the caller's speech -> last sample of the agent's audio played by a client that honours pacing
and "clear". Harmless sounds (coughs, clicks, a hummed "mm-hmm"): does the agent go on? One caller, real time, a server in
another process.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from common import console, print_summaries, save, summary
from tests.servers import running_server
from tests.speech import VOICES, synthesise

from voice_agent.errors import CallError
from voice_agent.evaluation.caller import CallOptions, SimulatedCaller
from voice_agent.evaluation.caller_noises import click, cough, hum

TARGET_MEDIAN_MS = 300.0
HEARD_BEFORE_S = 0.7  # how much of the answer is heard before the caller makes a sound
QUESTION = "What is your return policy?"
# Each is a question itself, so that its answer is the next to be interrupted.
INTERRUPTIONS = (
    "How long does shipping take?",
    "Wait, what are your opening hours?",
    "Sorry, can I pay with PayPal?",
    "Do you ship to Canada?",
    "Actually, do gift cards expire?",
)


@dataclass(frozen=True)
class Sound:
    kind: str
    pcm: bytes


@dataclass
class Measured:
    """``stops_ms`` by interruption; ``harmless`` and ``stopped`` count trials by kind of sound."""

    stops_ms: list[float] = field(default_factory=list)
    missed: int = 0
    harmless: dict[str, int] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)


def harmless_sounds(trials: int) -> list[Sound]:
    """Coughs, clicks and hums in turn."""
    sounds: list[Sound] = []
    for number in range(trials):
        match number % 3:
            case 0:
                sounds.append(Sound("cough", cough(number)))
            case 1:
                sounds.append(Sound("click", click(number)))
            case _:
                sounds.append(Sound("mm-hmm", hum(number)))
    return sounds


async def measure_stops(url: str, trials: int, measured: Measured) -> None:
    """One call as far as it goes: every interruption is the question whose answer is interrupted next."""
    done = 0
    while done < trials:
        async with SimulatedCaller(url, CallOptions(caller_id="+15550100")) as caller:
            await caller.wait_for_agent_to_finish(timeout_s=30)
            said = await caller.say(synthesise(QUESTION, rate_hz=16_000)[0])
            while done < trials and caller.closed is None:
                text = INTERRUPTIONS[done % len(INTERRUPTIONS)]
                pcm = synthesise(text, VOICES[done % len(VOICES)], rate_hz=16_000)[0]
                done += 1
                try:
                    await caller.wait_for_sound(seconds=HEARD_BEFORE_S, since_s=said.last_voiced_s)
                    begun = len(caller.events)
                    said = caller.begin(pcm)
                    stop = await caller.wait_for(
                        "interruption", lambda frame: frame["action"] == "stop", since=begun, timeout_s=4
                    )
                except CallError as error:
                    measured.missed += 1
                    console.print(f"missed: {error}", markup=False)
                    break
                last_s = caller.playback.audio_ends_at_s(before_s=stop.at_s)
                if last_s is not None:
                    measured.stops_ms.append((last_s - said.first_voiced_s) * 1e3)
                await said.sent.wait()


async def measure_harmless(url: str, sounds: list[Sound], measured: Measured) -> None:
    question = synthesise(QUESTION, rate_hz=16_000)[0]
    rest = list(sounds)
    while rest:
        async with SimulatedCaller(url, CallOptions(caller_id="+15550100")) as caller:
            await caller.wait_for_agent_to_finish(timeout_s=30)
            while rest and caller.closed is None:
                sound = rest.pop(0)
                asked = await caller.say(question)
                await caller.wait_for_sound(seconds=HEARD_BEFORE_S, since_s=asked.last_voiced_s)
                begun = len(caller.events)
                caller.begin(sound.pcm)
                await caller.wait_for_agent_to_finish(timeout_s=30)
                stopped = any(frame["action"] == "stop" for frame in caller.frames("interruption", begun))
                measured.harmless[sound.kind] = measured.harmless.get(sound.kind, 0) + 1
                measured.stopped[sound.kind] = measured.stopped.get(sound.kind, 0) + stopped


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24, help="trials each way (default 24)")
    parser.add_argument("--url", default="", help="measure a running server instead of starting one")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    measured = Measured()
    with ExitStack() as stack:
        url = args.url
        if not url:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voice-agent-bench-")))
            console.print("Starting the server ...", style="dim")
            settings = {"MAX_TURNS_PER_SESSION": "1000", "LOG_LEVEL": "WARNING"}
            url = stack.enter_context(running_server(folder, settings)).url
        console.print(f"{args.trials} interruptions in real time ...", style="dim")
        asyncio.run(measure_stops(url, args.trials, measured))
        console.print(f"{args.trials} harmless sounds in real time ...", style="dim")
        asyncio.run(measure_harmless(url, harmless_sounds(args.trials), measured))
    return report(measured)


def report(measured: Measured) -> int:
    print_summaries("Interruption: speech onset to last sample played", {"barge-in": measured.stops_ms})
    if measured.missed:
        console.print(f"{measured.missed} interruptions did not stop the agent", style="bold red")
    for kind, count in measured.harmless.items():
        console.print(f"{kind}: stopped the agent in {measured.stopped[kind]} of {count} trials")
    figures = summary(measured.stops_ms)
    false_stops = sum(measured.stopped.values())
    met = bool(measured.stops_ms) and figures["median"] <= TARGET_MEDIAN_MS and not false_stops and not measured.missed
    console.print(
        f"Target (median at most {TARGET_MEDIAN_MS:g} ms, nothing missed, no false stop): {'met' if met else 'MISSED'}",
        style="green" if met else "bold red",
    )
    save(
        "barge_in",
        {
            "summary_ms": {"barge-in": figures},
            "stops_ms": [round(value, 1) for value in measured.stops_ms],
            "missed": measured.missed,
            "harmless_trials": measured.harmless,
            "false_stops": measured.stopped,
            "met": met,
        },
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
