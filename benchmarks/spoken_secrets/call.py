"""One spoken call of the suite, in real time, and what its client got."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.hearing import PROMPT_FOLDER
from tests.servers import RunningServer
from tests.speech import synthesise

from voice_agent.audio.frames import bytes_for
from voice_agent.errors import CallError
from voice_agent.evaluation.adversary.secrets import UNITS, Secrets, filled, one_by_one
from voice_agent.evaluation.caller import CallFrame, CallOptions, SimulatedCaller
from voice_agent.evaluation.caller_audio import read_wav

from .scenarios import HUMAN, Key, Line, Say, Scenario

_RATE_HZ = 16_000
_PAUSE = re.compile(r"\|(\d+(?:\.\d+)?)\|")
_BETWEEN_DIGITS_S = 0.1
_BESIDE_DIGITS = "joe"  # there are recordings of a person's digits, not of the sentences around them
_INTO_THE_AGENTS_WORDS_S = 0.7
_KEY_S = 0.12
_ANSWER_S = 25.0
_TRIES = 2
_HEARS_OF_THE_END_S = 1.0
_UNANSWERED_S = 0.5


@dataclass(frozen=True, slots=True)
class Played:
    """``problem`` says what did not go as a scenario expects (no answer in time, a call that ended sooner)."""

    scenario: Scenario
    secrets: Secrets
    call_id: str
    frames: tuple[CallFrame, ...]
    problem: str


def spoken(text: str, voice: str) -> bytes:
    """``text`` with its pauses as audio."""
    parts = _PAUSE.split(text)
    pcm = [bytes(bytes_for(float(part), _RATE_HZ)) if at % 2 else _voiced(part, voice) for at, part in enumerate(parts)]
    return b"".join(pcm)


def _voiced(text: str, voice: str) -> bytes:
    words = text.split()
    if voice != HUMAN or not set(words) <= set(UNITS):
        return synthesise(text, _BESIDE_DIGITS if voice == HUMAN else voice, rate_hz=_RATE_HZ)[0]
    files = [PROMPT_FOLDER / "digits" / f"{UNITS.index(word)}.wav" for word in words]
    gap = bytes(bytes_for(_BETWEEN_DIGITS_S, _RATE_HZ))
    return gap.join(read_wav(file, _RATE_HZ) for file in files)


def audio_of(scenario: Scenario, secrets: Secrets) -> dict[Line, bytes]:
    """The scenario's spoken lines."""
    return {
        line: spoken(filled(line.text, secrets, one_by_one), scenario.voice)
        for line in scenario.lines
        if isinstance(line, Say)
    }


async def place(server: RunningServer, scenario: Scenario, secrets: Secrets, audio: dict[Line, bytes]) -> Played:
    problem = call_id = ""
    async with SimulatedCaller(server.url, CallOptions(caller_id=scenario.caller_id)) as caller:
        try:
            call_id = str((await caller.wait_for("session")).data["call_id"])
            await caller.wait_for_agent_to_finish()
            for line in scenario.lines:
                await _perform(caller, line, secrets, audio, ends=line is scenario.lines[-1])
            if scenario.verifies:
                await _say_again_until_verified(caller, spoken(one_by_one(secrets.pin), scenario.voice))
            if caller.closed is None:
                await caller.hang_up()
        except CallError as error:
            problem = str(error)
        frames = tuple(caller.events)
    return Played(scenario, secrets, call_id, frames, problem)


async def _say_again_until_verified(caller: SimulatedCaller, pin: bytes) -> None:
    """What the recogniser misheard is asked for again, and callers say it again."""
    for _ in range(_TRIES):
        if any(frame["verified"] for frame in caller.frames("state")):
            return
        await caller.wait_for_agent_to_finish(timeout_s=_ANSWER_S)
        since_s = (await caller.say(pin)).last_voiced_s
        await caller.wait_for_sound(seconds=_HEARS_OF_THE_END_S, since_s=since_s)


async def _perform(
    caller: SimulatedCaller, line: Line, secrets: Secrets, audio: dict[Line, bytes], *, ends: bool
) -> None:
    """Says or keys a line and hears the answer; of the last one (``ends``) its beginning."""
    if isinstance(line, Key):
        since_s = caller.now()
        for key in filled(line.text, secrets, str):
            await caller.press(key)
            await caller.stay(_KEY_S)
    else:
        if line.over:
            since_s = caller.utterances[-1].last_voiced_s if caller.utterances else caller.started_s
            await caller.wait_for_sound(seconds=_INTO_THE_AGENTS_WORDS_S, since_s=since_s)
        since_s = (await caller.say(audio[line])).last_voiced_s
        if line.last:
            await caller.hang_up()
            return
    if ends:
        await caller.wait_for_sound(seconds=_HEARS_OF_THE_END_S, since_s=since_s)
    elif line.answered:
        await caller.wait_for_agent_to_finish(since_s=since_s, timeout_s=_ANSWER_S)
    else:
        await caller.stay(_UNANSWERED_S)
