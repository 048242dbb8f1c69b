"""Scripts played against a small server of our own: what is noted, and what happens when calls are refused or end early."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from voice_agent.audio.frames import pcm_of, silence
from voice_agent.errors import CallError
from voice_agent.evaluation.turn_taking.measures import outcomes
from voice_agent.evaluation.turn_taking.player import ScriptPlayer
from voice_agent.evaluation.turn_taking.script import Script, Step
from voice_agent.evaluation.turn_taking.timeline import CallTimeline, Kind, Mark

IN_HZ, OUT_HZ = 16_000, 24_000
_TONE_FRAMES = 10  # of 20 ms


def tone(seconds: float, rate_hz: int) -> bytes:
    return pcm_of(0.3 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate_hz)) / rate_hz))


class AnsweringServer:
    """Greets, and answers each burst of sound with a tone of 0.2 s once 100 ms of silence have followed it.

    The first ``refuse`` calls are closed as busy; a call is closed after ``answers`` answers.
    """

    def __init__(self, *, refuse: int = 0, answers: int = 100) -> None:
        self._refuse = refuse
        self._answers = answers
        self.calls = 0

    async def handle(self, socket: ServerConnection) -> None:
        self.calls += 1
        if self.calls <= self._refuse:
            await socket.close(1013, "busy")
            return
        await self._text(socket, "session", call_id=f"call-{self.calls}")
        await self._begin(socket)
        heard, quiet, answers, playing = False, 0, 0, _TONE_FRAMES
        async for message in socket:
            if isinstance(message, str):
                await socket.close(1000, "hangup")
                return
            playing -= 1  # frames come in real time: they are the clock
            if playing == 0:
                await self._end(socket)
                if answers == self._answers:
                    await socket.close(1000, "enough")
                    return
            loud = bool(np.abs(np.frombuffer(message, "<i2").astype(np.int32)).max() > 300)
            heard, quiet = heard or loud, 0 if loud else quiet + 1
            if heard and quiet == 5:
                await self._begin(socket)
                heard, answers, playing = False, answers + 1, _TONE_FRAMES

    async def _begin(self, socket: ServerConnection) -> None:
        await self._text(socket, "state", agent="speaking", waiting_for="none", verified=False)
        await socket.send(tone(0.2, OUT_HZ))

    async def _end(self, socket: ServerConnection) -> None:
        await self._text(socket, "agent_heard", reply_id=1, text="", interrupted=False)
        await self._text(socket, "state", agent="idle", waiting_for="none", verified=False)

    async def _text(self, socket: ServerConnection, kind: str, **fields: object) -> None:
        await socket.send(json.dumps({"type": kind, "t": 0.0, **fields}))


@asynccontextmanager
async def served(server: AnsweringServer) -> AsyncIterator[str]:
    async with serve(server.handle, "127.0.0.1", 0, compression=None) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"


def question(label: str, *, pause_s: float = 0.0) -> Step:
    pcm = tone(0.2, IN_HZ)
    if pause_s:
        pcm += silence(pause_s, IN_HZ) + tone(0.1, IN_HZ)
    return Step(Kind.TURN, label, pcm, "variant")


async def test_a_turn_is_noted_with_its_true_times_and_its_answer() -> None:
    ended: list[CallTimeline] = []
    async with served(AnsweringServer(refuse=1)) as url:
        player = ScriptPlayer(url, on_call=lambda _, call: ended.append(call), busy_wait_s=0.0)
        (call,) = await player.play_all([Script("family", "one", (question("first"),))], parallel=1)
    assert ended == [call], "the refused call is no call"
    assert (call.name, call.family, call.call_id, call.problem) == ("one", "family", "call-2", "")
    (act,) = call.acts
    assert act.end_s - act.start_s == pytest.approx(0.2, abs=0.02)
    assert len(call.sound) == 2, "the greeting and the answer"
    assert [mark for _, mark in call.marks] == [Mark.FINISHED, Mark.FINISHED]
    (outcome,) = outcomes(call)
    assert (outcome.kind, outcome.answered, outcome.cut_off) == (Kind.TURN, True, False)


async def test_an_answer_inside_a_pause_is_a_cut_off() -> None:
    async with served(AnsweringServer()) as url:
        (call,) = await ScriptPlayer(url).play(Script("family", "one", (question("paused", pause_s=0.4),)))
    assert len(call.acts[0].pauses) == 1
    assert outcomes(call)[0].cut_off is True


async def test_a_call_that_ends_early_is_followed_by_another_with_what_is_left() -> None:
    async with served(AnsweringServer(answers=1)) as url:
        script = Script("family", "two", (question("first"), question("second")))
        calls = await ScriptPlayer(url).play(script)
    assert [call.name for call in calls] == ["two", "two (call 2)"]
    assert [[act.label for act in call.acts] for call in calls] == [["first"], ["second"]]


async def test_a_server_that_refuses_every_call_is_told_as_such() -> None:
    async with served(AnsweringServer(refuse=1000)) as url:
        with pytest.raises(CallError, match="refuses calls"):
            await ScriptPlayer(url, busy_wait_s=0.0).play_all([Script("family", "one", (question("first"),))], 1)


async def test_a_sound_for_an_agent_that_is_silent_is_left_out() -> None:
    sound = Step(Kind.NOISE, "cough", tone(0.1, IN_HZ), "variant", heard_s=1.0)
    async with served(AnsweringServer()) as url:
        (call,) = await ScriptPlayer(url).play(Script("family", "one", (question("first"), sound)))
    assert len(call.acts) == 1
    assert "left out" in call.problem
