"""Whatever a client does, the full server goes on: no crash, no session left, clear close codes and reasons."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError

import psutil
import pytest
from tests.conftest import Say, StartServer
from tests.servers import RunningServer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SETTLE_S = 20.0


def ws(server: RunningServer, query: str = "") -> str:
    return f"ws://127.0.0.1:{server.port}/ws/call?{query}"


async def closing(client: ClientConnection, timeout_s: float = 20.0) -> tuple[int, str]:
    """Reads to the end: close code and reason."""
    async with asyncio.timeout(timeout_s):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


async def frame_of(client: ClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The next text frame that is wanted."""
    async with asyncio.timeout(30):
        while True:
            message = await client.recv()
            if isinstance(message, str) and wanted(frame := json.loads(message)):
                return dict(frame)


async def settled(server: RunningServer) -> None:
    """All sessions are gone, in readiness and in metrics; fails after a while."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + SETTLE_S
    while True:
        active = json.loads(await asyncio.to_thread(_ready, server))["active_sessions"]
        if active == 0 and await asyncio.to_thread(server.metric, "voice_active_sessions") == 0:
            return
        assert loop.time() < deadline_s, f"{active} sessions are left"
        await asyncio.sleep(0.1)


def _ready(server: RunningServer) -> str:
    try:
        return server.get("/ready")
    except HTTPError as full:  # 503 has the same body
        with full:
            return str(full.read().decode())


async def healthy(server: RunningServer) -> None:
    """Every session is gone, nothing went wrong inside, and the next call works."""
    await settled(server)
    assert "Traceback" not in server.log_path.read_text(errors="replace")
    async with connect(ws(server), compression=None) as client:
        async with asyncio.timeout(10):
            assert isinstance(await client.recv(), bytes)
        await client.close()
    await settled(server)


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("caller_id=" + "9" * 10_000, 1008, "caller_id: 10000 characters given, at most 128 allowed"),
        ("in_rate=44100", 1008, "in_rate: allowed are 8000, 16000, 24000, 48000"),
        ("events=maybe", 1008, "events: allowed are 0 and 1"),
    ],
)
async def test_bad_parameters_are_named(server: RunningServer, query: str, code: int, reason: str) -> None:
    async with connect(ws(server, query), compression=None) as client:
        assert await closing(client) == (code, reason)
    await healthy(server)


async def test_an_unknown_locale_falls_back_and_is_logged(server: RunningServer) -> None:
    async with connect(ws(server, "events=1&locale=tlh-KX"), compression=None) as client:
        session = await frame_of(client, lambda frame: frame["type"] == "session")
        assert session["locale"] == "en-US"
    await healthy(server)
    assert "tlh-KX" in server.log_path.read_text()


async def test_text_where_audio_is_expected(server: RunningServer) -> None:
    async with connect(ws(server), compression=None) as client:
        await client.send("hello?")
        assert (await closing(client))[0] == 1003
    await healthy(server)


async def test_a_10_mb_frame(server: RunningServer) -> None:
    async with connect(ws(server), compression=None) as client:
        with suppress(ConnectionClosed):
            await client.send(os.urandom(10_000_000))
        assert (await closing(client))[0] == 1009
    await healthy(server)


async def test_noise_in_frames_of_odd_and_silly_sizes(server: RunningServer) -> None:
    rng = random.Random(7)
    async with connect(ws(server, "events=1"), compression=None) as client:
        for size in (0, 1, 3, 641, 1, 0, 64_001, 7):
            await client.send(rng.randbytes(size))
        for _ in range(100):
            await client.send(rng.randbytes(rng.choice((1, 639, 640, 641, 1_281))))
            await asyncio.sleep(0.01)
        await client.send('{"type":"hangup"}')
        assert (await closing(client))[0] == 1000
    await healthy(server)


async def test_garbage_instead_of_control_frames(server: RunningServer) -> None:
    rng = random.Random(11)
    async with connect(ws(server, "events=1"), compression=None) as client:
        for text in ("", "{", "null", "[[[[", '{"type":"dtmf","key":"99"}', '{"type":"playback","reply_id":1e400}'):
            await client.send(text)
            await frame_of(client, lambda frame: frame["type"] == "error")
        # Claims that make no sense, of replies that do not exist.
        for played_ms in (0, 86_400_000, 1.5):
            await client.send(
                json.dumps({"type": "playback", "reply_id": rng.randrange(2**40), "played_ms": played_ms})
            )
        await client.send('{"type":"hangup"}')
        assert (await closing(client))[0] == 1000
    await healthy(server)


async def test_bytes_that_are_no_websocket_frames(server: RunningServer) -> None:
    async with connect(ws(server), compression=None) as client:
        client.transport.write(bytes(random.Random(3).randbytes(2_000)))
        assert (await closing(client))[0] in (1002, 1007, 1009)
    await healthy(server)


async def _in_the_greeting(client: ClientConnection, say: Say) -> None:
    await frame_of(client, lambda frame: frame["type"] == "agent_text")


async def _while_listening(client: ClientConnection, say: Say) -> None:
    await frame_of(client, lambda frame: frame["type"] == "agent_heard")


async def _while_speaking(client: ClientConnection, say: Say) -> None:
    await _while_listening(client, say)
    await _speak(client, say("Where is my order eight three one oh two?")[: 16_000 * 2])
    await frame_of(client, lambda frame: frame.get("caller") == "speaking")


async def _while_thinking(client: ClientConnection, say: Say) -> None:
    await _while_listening(client, say)
    await _speak(client, say("What is your return policy?") + bytes(32_000))
    await frame_of(client, lambda frame: frame.get("agent") == "thinking")


async def _while_the_agent_answers(client: ClientConnection, say: Say) -> None:
    await _while_listening(client, say)
    await _speak(client, say("What is your return policy?") + bytes(32_000))
    await frame_of(client, lambda frame: frame.get("purpose") == "answer")


async def _while_a_pin_is_awaited(client: ClientConnection, say: Say) -> None:
    await _while_listening(client, say)
    await _speak(client, say("Where is my order eight three one oh two?") + bytes(32_000))
    await frame_of(client, lambda frame: frame.get("waiting_for") == "pin")
    await client.send('{"type":"dtmf","key":"4"}')


async def _while_handing_over(client: ClientConnection, say: Say) -> None:
    await _while_listening(client, say)
    await _speak(client, say("I want to speak to a human, please.") + bytes(32_000))
    await frame_of(client, lambda frame: frame.get("call") == "transferring")


async def _speak(client: ClientConnection, pcm: bytes) -> None:
    """Plays PCM at 16 kHz in real time."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number, at in enumerate(range(0, len(pcm), 640)):
        await client.send(pcm[at : at + 640])
        await asyncio.sleep(max(0.0, began_s + (number + 1) * 0.02 - loop.time()))


@pytest.mark.parametrize(
    "moment",
    [
        _in_the_greeting,
        _while_listening,
        _while_speaking,
        _while_thinking,
        _while_the_agent_answers,
        _while_a_pin_is_awaited,
        _while_handing_over,
    ],
)
@pytest.mark.speech
async def test_hanging_up_at_any_moment(
    server: RunningServer, speech: Say, moment: Callable[[ClientConnection, Say], Awaitable[None]]
) -> None:
    """Three callers at once reach the moment and leave in three ways: by the book, by closing, by vanishing."""

    async def caller(ending: str) -> None:
        client = await connect(ws(server, "events=1&caller_id=%2B15550100"), compression=None)
        try:
            await moment(client, speech)
            if ending == "hangup":
                await client.send('{"type":"hangup"}')
                assert await closing(client) == (1000, "hangup")
            elif ending == "abort":
                client.transport.abort()
        finally:
            await client.close()

    async with asyncio.TaskGroup() as group:
        for ending in ("hangup", "close", "abort"):
            group.create_task(caller(ending))
    await settled(server)
    assert "Traceback" not in server.log_path.read_text(errors="replace")


async def test_200_connects_and_disconnects(start_server: StartServer) -> None:
    server = start_server({"MAX_CALLS": "4"})
    process = psutil.Process(server.pid)
    rng = random.Random(5)
    outcomes = {"answered": 0, "busy": 0, "left": 0}

    async def one(number: int) -> None:
        try:
            client = await connect(ws(server, "events=1" if number % 2 else ""), compression=None, open_timeout=20)
        except OSError:
            return
        try:
            match number % 4:
                case 0:
                    client.transport.abort()
                    outcomes["left"] += 1
                case 1 | 2:
                    with suppress(ConnectionClosed):
                        await client.send(rng.randbytes(rng.randrange(2_000)))
                        await client.recv()
                        outcomes["answered"] += 1
                case _:
                    outcomes["left"] += 1
        finally:
            await client.close()
            outcomes["busy"] += client.close_code == 1013

    await one(1)
    await settled(server)
    files_before, threads_before = process.num_fds(), process.num_threads()
    for batch in range(40):
        await asyncio.gather(*(one(batch * 5 + offset) for offset in range(5)))
    await healthy(server)
    assert outcomes["answered"] > 20, (
        "four places, five at a time: how many are busy is a matter of the machine's speed"
    )
    assert process.num_fds() <= files_before + 5
    assert process.num_threads() <= threads_before + 4


async def test_a_full_server_says_so_at_once_and_recovers(start_server: StartServer) -> None:
    server = start_server({"MAX_CALLS": "1"})
    async with connect(ws(server), compression=None) as first:
        await first.recv()
        loop = asyncio.get_running_loop()
        waits_ms = []
        for _ in range(5):
            began_s = loop.time()
            async with connect(ws(server), compression=None) as second:
                assert await closing(second) == (1013, "busy: all 1 places are taken; try again later")
            waits_ms.append((loop.time() - began_s) * 1e3)
        assert min(waits_ms) < 100
    await healthy(server)
