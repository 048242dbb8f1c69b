"""The streaming door against a real client and a real server."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.calls import FailingCall, StuckCall, StuckInGreeting, TalkativeCall, served
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from voice_agent.agents.book import AgentBook, open_agents
from voice_agent.gateway import outbox as outbox_module
from voice_agent.gateway import websocket as websocket_module

GREETING_BYTES = 4_800  # 0.1 s at 24 kHz
PLAIN = {"compression": None, "max_size": 2**24}


async def closing(ws: ClientConnection) -> tuple[int | None, str]:
    """Reads to the end: close code and reason."""
    try:
        async with asyncio.timeout(10):
            while True:
                await ws.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")


async def audio(ws: ClientConnection, byte_count: int) -> bytes:
    """The next ``byte_count`` bytes of audio; a text frame among them is an error."""
    data = b""
    async with asyncio.timeout(10):
        while len(data) < byte_count:
            frame = await ws.recv()
            assert isinstance(frame, bytes), f"a text frame was sent: {frame}"
            data += frame
    return data


async def frame_of(ws: ClientConnection, kind: str) -> dict[str, Any]:
    """The next text frame of a type; what comes before it is skipped."""
    async with asyncio.timeout(10):
        while True:
            message = await ws.recv()
            if isinstance(message, str):
                frame: dict[str, Any] = json.loads(message)
                if frame["type"] == kind:
                    return frame


@pytest.fixture(autouse=True)
def _no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever the client does, the server's libraries have nothing to complain of."""
    yield
    complaints = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert complaints == []


async def until(met: Callable[[], bool]) -> None:
    """Lets the loop run until ``met``; fails after 10 s."""
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - what is waited for is a state of the server, not an event of ours
            await asyncio.sleep(0.01)


class TestPlainClient:
    async def test_the_greeting_is_the_first_thing_sent_and_no_text_ever(self) -> None:
        async with served() as server, connect(server.ws("caller_id=+15550100"), **PLAIN) as ws:
            assert len(await audio(ws, GREETING_BYTES)) == GREETING_BYTES
            await ws.send(bytes(640))
            assert await audio(ws, 100)
            assert server.calls[0].caller_id == "+15550100"

    async def test_a_text_frame_closes_with_1003(self) -> None:
        async with served() as server, connect(server.ws(), **PLAIN) as ws:
            await ws.send('{"type":"hangup"}')
            assert await closing(ws) == (1003, "text frame: only calls with events=1 take them")
            assert await server.idle()
            assert server.calls[0].hang_ups == ["protocol"]

    @pytest.mark.parametrize("sizes", [[1] * 9, [639, 641, 3], [640, 640], [1_000, 9_001, 77]])
    async def test_any_frame_size_gives_the_same_samples(self, sizes: list[int]) -> None:
        sent = bytes(i % 251 for i in range(sum(sizes)))
        async with served() as server, connect(server.ws(), **PLAIN) as ws:
            at = 0
            for size in sizes:
                await ws.send(sent[at : at + size])
                at += size
            await audio(ws, GREETING_BYTES + len(sent) // 4 * 6)
        assert bytes(server.calls[0].heard) == sent[: len(sent) & ~1]

    @pytest.mark.parametrize(("in_rate", "out_rate"), [(8_000, 8_000), (48_000, 16_000), (24_000, 48_000)])
    async def test_rates_are_converted(self, in_rate: int, out_rate: int) -> None:
        async with served() as server, connect(server.ws(f"in_rate={in_rate}&out_rate={out_rate}"), **PLAIN) as ws:
            greeting = await audio(ws, GREETING_BYTES * out_rate // 24_000 - 20)
            assert abs(len(greeting) - GREETING_BYTES * out_rate // 24_000) <= 20
            await ws.send(bytes(2 * in_rate // 5))  # 0.2 s
            await audio(ws, 2 * out_rate // 5 - 100)
        assert abs(len(server.calls[0].heard) - 6_400) <= 20

    async def test_closing_the_connection_hangs_up(self) -> None:
        async with served() as server:
            async with connect(server.ws(), **PLAIN) as ws:
                await audio(ws, 100)
            assert await server.idle()
            assert server.calls[0].hang_ups == ["hangup"]

    async def test_a_cut_connection_is_a_lost_caller(self) -> None:
        async with served() as server:
            ws = await connect(server.ws(), **PLAIN)
            await audio(ws, 100)
            ws.transport.abort()
            assert await server.idle()
            assert server.calls[0].hang_ups == ["lost"]


class TestRefusal:
    @pytest.mark.parametrize(
        ("query", "reason"),
        [
            ("in_rate=11025", "in_rate: allowed are 8000, 16000, 24000, 48000"),
            ("out_rate=", "out_rate: allowed are 8000, 16000, 24000, 48000"),
            ("events=yes", "events: allowed are 0 and 1"),
            ("caller_id=" + "x" * 10_000, "caller_id: 10000 characters given, at most 128 allowed"),
            ("caller_id=a%00b", "caller_id: only printable characters are allowed"),
        ],
    )
    async def test_a_bad_parameter_is_named_in_the_close_reason(self, query: str, reason: str) -> None:
        async with served() as server, connect(server.ws(query), **PLAIN) as ws:
            assert await closing(ws) == (1008, reason)
            assert server.calls == []

    async def test_busy(self) -> None:
        async with served(capacity=1) as server, connect(server.ws(), **PLAIN) as first:
            await audio(first, 100)
            began = asyncio.get_running_loop().time()
            async with connect(server.ws(), **PLAIN) as second:
                assert await closing(second) == (1013, "busy: all 1 places are taken; try again later")
            assert asyncio.get_running_loop().time() - began < 1.0
            await first.close()
            assert await server.idle()
            async with connect(server.ws(), **PLAIN) as third:
                assert await audio(third, 100)

    async def test_a_server_that_is_still_starting_says_so(self) -> None:
        async with served(warm=False) as server, connect(server.ws(), **PLAIN) as ws:
            assert await closing(ws) == (1013, "busy: the server is still starting; try again later")

    @pytest.mark.parametrize(
        ("query", "headers", "reason"),
        [
            ("", {}, "token: an access token is required"),
            ("token=wrong", {}, "token: wrong access token"),
            ("", {"Authorization": "Basic s3cret"}, "token: an access token is required"),
        ],
    )
    async def test_without_the_token(self, query: str, headers: dict[str, str], reason: str) -> None:
        async with (
            served(access_token="s3cret") as server,
            connect(server.ws(query), additional_headers=headers, **PLAIN) as ws,
        ):
            assert await closing(ws) == (1008, reason)

    @pytest.mark.parametrize(("query", "headers"), [("token=s3cret", {}), ("", {"Authorization": "Bearer s3cret"})])
    async def test_with_the_token(self, query: str, headers: dict[str, str]) -> None:
        async with (
            served(access_token="s3cret") as server,
            connect(server.ws(query), additional_headers=headers, **PLAIN) as ws,
        ):
            assert await audio(ws, 100)

    async def test_a_page_of_another_origin(self) -> None:
        async with served(allowed_origins=["https://shop.example"]) as server:
            async with connect(server.ws(), origin="https://evil.example", **PLAIN) as ws:
                code, reason = await closing(ws)
                assert code == 1008
                assert "ALLOWED_ORIGINS" in reason
            for origin in ("https://shop.example", f"http://127.0.0.1:{server.port}"):
                async with connect(server.ws(), origin=origin, **PLAIN) as ws:
                    assert await audio(ws, 100)


class TestEvents:
    async def test_session_comes_before_the_greeting(self) -> None:
        async with served() as server, connect(server.ws("events=1&caller_id=bob&out_rate=8000"), **PLAIN) as ws:
            first = json.loads(await ws.recv())
            assert first == {
                "type": "session",
                "t": pytest.approx(0.0, abs=0.5),
                "call_id": "call-1",
                "caller_id": "bob",
                "locale": "en-US",
                "agent": "",
                "in_rate": 16_000,
                "out_rate": 8_000,
            }
            state = await frame_of(ws, "state")
            assert (state["call"], state["agent"], state["verified"]) == ("active", "thinking", False)
            spoken = await frame_of(ws, "agent_text")
            assert (spoken["reply_id"], spoken["index"], spoken["purpose"]) == (1, 0, "greeting")

    async def test_controls_reach_the_call(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            await frame_of(ws, "agent_heard")
            for frame in (
                {"type": "dtmf", "key": "7"},
                {"type": "dtmf", "key": "#"},
                {"type": "playback", "reply_id": 1, "played_ms": 250},
                {"type": "resume"},
                {"type": "hangup"},
            ):
                await ws.send(json.dumps(frame))
            end = await frame_of(ws, "end")
            assert end["reason"] == "hangup"
            assert await closing(ws) == (1000, "hangup")
            call = server.calls[0]
            assert (call.keys, call.acknowledged, call.resumed) == (["7", "#"], [(1, 0.25)], 1)

    async def test_a_key_clears_what_the_agent_was_saying(self) -> None:
        async with served(StuckInGreeting) as server, connect(server.ws("events=1"), **PLAIN) as ws:
            await frame_of(ws, "agent_text")
            await ws.send('{"type":"dtmf","key":"5"}')
            frames = [await frame_of(ws, kind) for kind in ("interruption", "agent_heard", "clear")]
            assert frames[0]["action"] == "stop"
            assert frames[1]["interrupted"] is True
            assert frames[2]["reply_id"] == 1
            assert frames[2]["t"] >= frames[1]["t"]

    async def test_what_is_not_understood_is_answered_and_the_call_goes_on(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            for text, code in (("{", "not_json"), ("[]", "not_json"), ('{"type":"x"}', "unknown_type")):
                await ws.send(text)
                assert (await frame_of(ws, "error"))["code"] == code
            await ws.send('{"type":"dtmf","key":"1"}')
            await ws.send('{"type":"hangup"}')
            await frame_of(ws, "end")
            assert server.calls[0].keys == ["1"]

    async def test_too_many_malformed_frames_end_the_call(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            for _ in range(21):
                await ws.send("nonsense")
            assert await closing(ws) == (1008, "text frame: more than 20 were not understood")
            assert await server.idle()

    async def test_a_flood_of_good_frames_ends_the_call(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            for _ in range(400):
                await ws.send('{"type":"resume"}')
            assert await closing(ws) == (1008, "text frame: too many in too short a time")

    async def test_an_overlong_text_frame(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            await ws.send("x" * 4_097)
            assert await closing(ws) == (1009, "text frame: at most 4096 bytes are allowed")

    async def test_a_failed_call_still_says_end(self) -> None:
        async with served(FailingCall) as server, connect(server.ws("events=1"), **PLAIN) as ws:
            assert (await frame_of(ws, "end"))["outcome"] == "error"
            assert await closing(ws) == (1011, "the call failed on the server")
            assert await server.idle()


class TestLimits:
    async def test_a_10_mb_frame_closes_with_1009_and_the_client_learns_it(self) -> None:
        async with served() as server, connect(server.ws(), **PLAIN) as ws:
            await audio(ws, 100)
            with suppress(ConnectionClosed):  # the close frame may come while this is still being sent
                await ws.send(bytes(10_000_000))
            code, reason = await closing(ws)
            assert code == 1009
            assert "1048576" in reason
            assert await server.idle()

    async def test_a_frame_of_1_mib_is_taken_and_read_at_a_bounded_pace(self) -> None:
        async with served() as server, connect(server.ws(), **PLAIN) as ws:
            await audio(ws, GREETING_BYTES)
            await ws.send(bytes(1_048_576))  # 32.8 s of audio
            await audio(ws, 48_000)
            assert len(server.calls[0].heard) < 10 * 32_000
            await ws.close()
            assert await server.idle()

    async def test_a_client_that_stops_reading_is_let_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox_module, "STALL_S", 0.2)
        monkeypatch.setattr(websocket_module, "FLUSH_DEADLINE_S", 0.2)
        async with served(TalkativeCall) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                handshake = (
                    b"GET /ws/call HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                )
                await asyncio.get_running_loop().run_in_executor(None, raw.sendall, handshake)
                await until(lambda: bool(server.calls and server.calls[0].hang_ups))
                assert server.calls[0].hang_ups == ["overflow"]
                assert await server.idle()

    async def test_a_call_that_does_not_end_is_cancelled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(websocket_module, "HANG_UP_DEADLINE_S", 0.1)
        async with served(StuckCall) as server, connect(server.ws("events=1"), **PLAIN) as ws:
            await ws.send('{"type":"hangup"}')
            assert await closing(ws) == (1011, "the call did not end in time")
            assert await server.idle()

    async def test_garbage_instead_of_a_frame(self) -> None:
        async with served() as server, connect(server.ws(), **PLAIN) as ws:
            await audio(ws, 100)
            ws.transport.write(b"\xff\xff\xff\xff garbage")
            code, _ = await closing(ws)
            assert code == 1002
            assert await server.idle()

    async def test_text_that_is_not_utf8(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            ws.transport.write(b"\x81\x82\x00\x00\x00\x00\xc3\x28")  # a masked text frame of two bad bytes
            code, _ = await closing(ws)
            assert code == 1007
            assert await server.idle()

    async def test_200_connects_and_disconnects_leave_nothing_behind(self) -> None:
        async with served(capacity=200) as server:

            async def one(number: int) -> None:
                ws = await connect(server.ws("events=1" if number % 2 else ""), **PLAIN)
                if number % 3:
                    await ws.recv()
                if number % 5 == 0:
                    ws.transport.abort()
                await ws.close()

            for batch in range(20):
                await asyncio.gather(*(one(batch * 10 + i) for i in range(10)))
            assert await server.idle()
            assert server.admission.status().active == 0
            await until(lambda: not any(task.get_name().startswith("call") for task in asyncio.all_tasks()))
            assert len(server.calls) == 200


class TestShutdown:
    async def test_running_calls_are_told_and_closed_with_1001(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            await frame_of(ws, "agent_heard")
            stopping = asyncio.create_task(server.gateway.shut_down(0.05))
            assert (await frame_of(ws, "end"))["reason"] == "shutdown"
            assert await closing(ws) == (1001, "the server is shutting down")
            await stopping
            async with connect(server.ws(), **PLAIN) as late:
                assert await closing(late) == (1013, "busy: the server is shutting down; try again later")

    async def test_draining_lets_a_call_end_by_itself(self) -> None:
        async with served() as server, connect(server.ws("events=1"), **PLAIN) as ws:
            await frame_of(ws, "agent_heard")
            stopping = asyncio.create_task(server.gateway.shut_down(30))
            await ws.send('{"type":"hangup"}')
            assert await closing(ws) == (1000, "hangup")
            await stopping


class TestAgents:
    @pytest.mark.parametrize(
        ("query", "agent"),
        [("", "shop"), ("agent=bank", "bank"), ("called=%2B1+555+0199", "bank"), ("called=anonymous", "shop")],
    )
    async def test_name_or_number_choose(self, agents: AgentBook, query: str, agent: str) -> None:
        async with served(agents=agents) as server, connect(server.ws(query), **PLAIN) as ws:
            await audio(ws, 100)
            assert [call.agent for call in server.calls] == [agent]

    @pytest.mark.parametrize("query", ["agent=casino", f"agent={'x' * 65}"])
    async def test_a_name_that_no_agent_has_is_refused(self, agents: AgentBook, query: str) -> None:
        async with served(agents=agents) as server, connect(server.ws(query), **PLAIN) as ws:
            code, reason = await closing(ws)
            assert (code, reason.partition(":")[0]) == (1008, "agent")
            assert server.calls == []

    @pytest.fixture
    def agents(self, tmp_path: Path) -> AgentBook:
        (tmp_path / "bank.yaml").write_text("name: bank\nnumbers: ['+1 555 0199']")
        (tmp_path / "shop.yaml").write_text("name: shop")
        return open_agents(tmp_path, "shop")
