"""What stops the agent and what does not, in real calls. How fast it stops is benchmarks/barge_in.py's to measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.integration.calls import AT_ONCE, a_few_at_once, place_call
from tests.servers import RunningServer

from voice_agent.evaluation.caller import SimulatedCaller
from voice_agent.evaluation.caller_noises import click, cough, hum

QUESTION = "What is your return policy?"
HEARD_BEFORE_S = 0.7  # how much of an answer is heard before the sound
RIGHT_SHARE = 0.95  # one trial in twenty may go wrong: speech detection is a matter of probability

pytestmark = [pytest.mark.speech, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Sound:
    name: str
    pcm: bytes


def _harmless(speech: Callable[..., bytes]) -> Iterator[Sound]:
    for seed in range(7):
        yield Sound(f"cough {seed}", cough(seed))
    for seed in range(5):
        yield Sound(f"click {seed}", click(seed))
    for seed in range(6):  # hummed: the test voices read "mm-hmm" out as if it were a word
        yield Sound(f"mm-hmm {seed}", hum(seed))
    for voice in ("heart", "joe", "heart-low"):
        for text in ("Uh-huh.", "Okay."):
            yield Sound(f"{voice} says {text}", speech(text, voice))


INTERRUPTIONS = (
    "Wait, stop.",
    "Hold on, please.",
    "Sorry, I have another question.",
    "How long does shipping take?",
    "No, that's not what I meant.",
    "Actually, what are your opening hours?",
    "Excuse me, can I pay with PayPal?",
)


def _real(speech: Callable[..., bytes]) -> Iterator[Sound]:
    for voice in ("heart", "joe", "heart-low"):
        for text in INTERRUPTIONS:
            yield Sound(f"{voice} says {text}", speech(text, voice))


async def test_coughs_clicks_and_backchannels_do_not_stop_the_agent(
    server: RunningServer, speech: Callable[..., bytes], figure: Callable[[str], None]
) -> None:
    sounds = list(_harmless(speech))
    assert len(sounds) >= 20

    async def stopped_by(share: list[Sound]) -> list[str]:
        """One call, one trial after another: the agent is asked, interrupted by a sound, and heard to the end."""
        stopped: list[str] = []
        async with place_call(server) as caller:
            await caller.wait_for_agent_to_finish()
            for sound in share:
                begun = await _ask_and_listen(caller, speech(QUESTION))
                caller.begin(sound.pcm)
                await caller.wait_for_agent_to_finish(timeout_s=30)
                if _was_stopped(caller, begun):
                    stopped.append(sound.name)
        return stopped

    shares = [sounds[at::AT_ONCE] for at in range(AT_ONCE)]
    stopped = [name for names in await a_few_at_once(stopped_by, shares) for name in names]
    figure(f"{len(stopped)} of {len(sounds)} harmless sounds stopped the agent: {stopped}")
    assert len(stopped) <= (1 - RIGHT_SHARE) * len(sounds) + 1e-9, stopped


async def test_interruptions_stop_the_agent(
    server: RunningServer, speech: Callable[..., bytes], figure: Callable[[str], None]
) -> None:
    sounds = list(_real(speech))
    assert len(sounds) >= 20

    async def ignored(sound: Sound) -> bool:
        async with place_call(server) as caller:
            await caller.wait_for_agent_to_finish()
            begun = await _ask_and_listen(caller, speech(QUESTION))
            await caller.say(sound.pcm)
            await caller.stay(0.6)
            return not _was_stopped(caller, begun)

    results = await a_few_at_once(ignored, sounds)
    missed = [sound.name for sound, missed in zip(sounds, results, strict=True) if missed]
    figure(f"{len(missed)} of {len(sounds)} interruptions were ignored: {missed}")
    assert len(missed) <= (1 - RIGHT_SHARE) * len(sounds) + 1e-9, missed


async def _ask_and_listen(caller: SimulatedCaller, question: bytes) -> int:
    """Asks, and hears the beginning of the answer; gives the position in the caller's frames from which to judge."""
    asked = await caller.say(question)
    await caller.wait_for_sound(seconds=HEARD_BEFORE_S, since_s=asked.last_voiced_s)
    return len(caller.events)


def _was_stopped(caller: SimulatedCaller, since: int) -> bool:
    return any(frame["action"] == "stop" for frame in caller.frames("interruption", since))
