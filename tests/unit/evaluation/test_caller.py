"""The simulated caller against a real WebSocket server that speaks the call protocol: it greets, then echoes.

These are the few unit tests that take real time: the caller's whole point is to keep it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from voice_agent.audio.frames import pcm_of, samples_of
from voice_agent.errors import CallError
from voice_agent.evaluation.caller import FRAME_S, CallOptions, SimulatedCaller

GREETING_S = 0.2


def tone(seconds: float, rate_hz: int) -> bytes:
    return pcm_of(0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz))


class EchoServer:
    """Answers every loud stretch of at least five frames with its own echo, paced by the caller's own frames."""

    def __init__(self) -> None:
        self.controls: list[dict[str, object]] = []
        self.frame_sizes: set[int] = set()
        self.headers: list[str] = []

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query)
        self.headers.append(socket.request.headers.get("Authorization", ""))
        if query.get("locale") == ["refuse"]:
            await socket.close(1013, "busy")
            return
        self._events = query["events"] == ["1"]
        await self._text(socket, "session", call_id="c1")
        await self._state(socket, "speaking")
        await socket.send(tone(GREETING_S, int(query["out_rate"][0])))
        await self._state(socket, "idle")
        loud = b""
        async for message in socket:
            if isinstance(message, str):
                self.controls.append(json.loads(message))
                if self.controls[-1]["type"] == "hangup":
                    await self._text(socket, "end", outcome="completed", reason="hangup")
                    await socket.close(1000, "bye")
                continue
            self.frame_sizes.add(len(message))
            if np.any(samples_of(message)):
                loud += message
            elif loud:
                await self._state(socket, "speaking")
                await socket.send(loud)
                await self._state(socket, "idle")
                loud = b""

    async def _state(self, socket: ServerConnection, agent: str) -> None:
        await self._text(socket, "state", agent=agent)

    async def _text(self, socket: ServerConnection, kind: str, **fields: object) -> None:
        if self._events:
            await socket.send(json.dumps({"type": kind, "t": 0.0, **fields}))


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[EchoServer, str]]:
    server = EchoServer()
    async with serve(server.handle, "127.0.0.1", 0, compression=None) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield server, f"ws://127.0.0.1:{port}"


@pytest.mark.parametrize("events", [True, False])
async def test_a_turn_is_said_answered_and_measured(events: bool) -> None:
    options = CallOptions(events=events, in_rate_hz=24_000)
    async with echo() as (server, url), SimulatedCaller(url, options) as caller:
        await caller.wait_for_agent_to_finish()
        said = tone(0.3, 24_000)
        utterance = await caller.say(said)
        heard = await caller.wait_for_answer(utterance)
        # The echo waits for one frame of silence behind the last voiced sample: 20 to 40 ms, and the network.
        assert 0.0 < heard.received_s - utterance.last_voiced_s < 0.25
        assert heard.played_s >= heard.received_s
        await caller.wait_for_agent_to_finish()
        track = samples_of(caller.heard_track())
        assert np.count_nonzero(np.abs(track) > 164) / 24_000 == pytest.approx(GREETING_S + 0.3, abs=0.05)
        assert bool(caller.events) is events
        await caller.hang_up()
    assert server.frame_sizes == {round(24_000 * FRAME_S) * 2}
    assert caller.closed is not None
    assert caller.closed.code == 1000


async def test_silence_flows_between_utterances_in_real_time() -> None:
    async with echo() as (_, url), SimulatedCaller(url) as caller:
        begun_s = caller.now()
        utterance = await caller.say(tone(0.2, 16_000))
        await caller.stay(0.3)
        elapsed_s = caller.now() - begun_s
        assert utterance.end_s - utterance.start_s == pytest.approx(0.2)
        assert len(caller.sent_track()) / 32_000 == pytest.approx(elapsed_s, abs=0.1)
        assert utterance.last_voiced_s == pytest.approx(utterance.end_s, abs=0.02)


async def test_recordings_queue_up_behind_each_other() -> None:
    async with echo() as (_, url), SimulatedCaller(url) as caller:
        first, second = caller.begin(tone(0.1, 16_000)), caller.begin(tone(0.1, 16_000))
        assert second.start_s == pytest.approx(first.end_s)
        await asyncio.wait_for(second.sent.wait(), 5)
        assert first.sent.is_set()


async def test_control_frames_and_the_token_reach_the_server() -> None:
    async with echo() as (server, url), SimulatedCaller(url, CallOptions(token="s3cret")) as caller:
        await caller.press("4")
        await caller.acknowledge(1, 250.0)
        await caller.hang_up()
    assert server.headers == ["Bearer s3cret"]
    assert [c["type"] for c in server.controls] == ["dtmf", "playback", "hangup"]
    assert caller.frames("end") == [{"type": "end", "t": 0.0, "outcome": "completed", "reason": "hangup"}]


async def test_a_wait_ends_with_the_call() -> None:
    async with echo() as (_, url), SimulatedCaller(url) as caller:
        await caller.wait_for("session")
        waiting = asyncio.ensure_future(caller.wait_for("transcript", timeout_s=30))
        await caller.hang_up()
        with pytest.raises(CallError, match="ended"):
            await waiting


async def test_a_wait_that_runs_out_shows_what_came_last() -> None:
    async with echo() as (_, url), SimulatedCaller(url) as caller:
        await caller.wait_for("state")
        with pytest.raises(CallError, match=r"no 'transcript' frame within 0.05 s.*state"):
            await caller.wait_for("transcript", timeout_s=0.05)


async def test_a_refusal_is_seen_as_a_close() -> None:
    async with echo() as (_, url), SimulatedCaller(url, CallOptions(locale="refuse")) as caller:
        closed = await caller.wait_until_closed()
        assert (closed.code, closed.reason) == (1013, "busy")


async def test_no_server_is_a_plain_error() -> None:
    with pytest.raises(CallError, match="no call server"):
        async with SimulatedCaller("ws://127.0.0.1:9"):
            pass


async def test_vanishing_drops_the_connection() -> None:
    async with echo() as (_, url), SimulatedCaller(url) as caller:
        await caller.wait_for("session")
        caller.vanish()
        assert (await caller.wait_until_closed()).code == 1006
