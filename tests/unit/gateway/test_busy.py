"""Refusals: what a client gets on its first bytes is what the long way would give it, and a clip comes first if wanted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from tests.unit.gateway.calls import served
from tests.virtual_time import run_virtual
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from voice_agent.gateway.busy import SPOKEN_AT_ONCE, BusyClip, handshake_answer
from voice_agent.models import Refusal

STARTS = ("GET /ws/call?", "GET /ws/call ")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455 §1.3


def request(path: str = "/ws/call?caller_id=7", key: str = KEY, upgrade: str = "websocket", end: str = "\r\n") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nupgrade: {upgrade}\r\nConnection: Upgrade\r\n"
        f"sec-websocket-key: {key}\r\nSec-WebSocket-Version: 13\r\n{end}"
    ).encode()


def answered(data: bytes) -> bytes:
    return handshake_answer(data, tuple(start.encode() for start in STARTS))


def test_the_answer_is_the_one_of_the_rfc() -> None:
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" in answered(request())
    assert answered(request("/ws/call"))


@pytest.mark.parametrize(
    "data",
    [
        request("/ws/callx"),
        request("/metrics"),
        request(key="short"),
        request(upgrade="h2c"),
        request(end=""),
        b"",
        b"\x16\x03\x01",
    ],
)
def test_whatever_is_no_whole_handshake_goes_the_long_way(data: bytes) -> None:
    assert answered(data) == b""


class Sent:
    """Collects what is sent and when, on the running loop's clock."""

    def __init__(self) -> None:
        self.began_s = asyncio.get_running_loop().time()
        self.messages: list[tuple[float, bytes]] = []

    async def __call__(self, message: Any) -> None:
        self.messages.append((asyncio.get_running_loop().time() - self.began_s, message["bytes"]))


def test_the_clip_is_paced_and_brought_to_the_rate_of_the_call() -> None:
    async def main() -> tuple[list[tuple[float, bytes]], float]:
        sent = Sent()
        await BusyClip(b"\1\0" * 24_000).say(sent, 8000)
        return sent.messages, asyncio.get_running_loop().time() - sent.began_s

    messages, took_s = run_virtual(main())
    assert sum(len(data) for _, data in messages) == pytest.approx(16_000, abs=200)
    assert messages[0][0] == 0.0
    assert messages[-1][0] == pytest.approx(0.7, abs=0.11)
    assert took_s == pytest.approx(0.9, abs=0.11)


def test_only_so_many_hear_the_clip_at_once_and_a_place_comes_back() -> None:
    async def main() -> tuple[int, bool, bool]:
        clip, sent = BusyClip(b"\0\0" * 24_000), [Sent() for _ in range(SPOKEN_AT_ONCE + 2)]
        tasks = [asyncio.create_task(clip.say(each, 24_000)) for each in sent]
        await asyncio.sleep(0.01)
        free_meanwhile = clip.free
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return sum(bool(each.messages) for each in sent), free_meanwhile, clip.free

    assert run_virtual(main()) == (SPOKEN_AT_ONCE, False, True)


async def refusal(url: str) -> tuple[int, str, bytes]:
    """Close code, close reason and the audio that came before."""
    heard: list[str | bytes] = []
    async with connect(url, compression=None) as client:
        with suppress(ConnectionClosed):
            while True:
                heard.append(await client.recv())
    assert client.close_code is not None
    return client.close_code, client.close_reason or "", b"".join(data for data in heard if isinstance(data, bytes))


@pytest.mark.parametrize("early", [True, False])
async def test_a_client_beyond_capacity_gets_the_same_both_ways(early: bool) -> None:
    async with served(capacity=1, early=early) as server, connect(server.ws("caller_id=1")) as first:
        await first.recv()
        code, reason, heard = await refusal(server.ws("caller_id=2"))
    assert (code, reason, heard) == (1013, "busy: all 1 places are taken; try again later", b"")


async def test_many_at_once_are_refused_while_a_call_goes_on() -> None:
    async with served(capacity=1, early=True) as server, connect(server.ws("caller_id=1")) as first:
        await first.recv()
        refusals = await asyncio.gather(*(refusal(server.ws("caller_id=2")) for _ in range(60)))
        assert {code for code, _, _ in refusals} == {1013}
        await first.send(b"\5\0" * 320)
        assert await first.recv()
        assert len(server.calls) == 1


async def test_a_refused_client_that_keeps_talking_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_agent.gateway.busy.LINGER_S", 0.05)
    async with served(capacity=1, early=True) as server, connect(server.ws("caller_id=1")) as first:
        await first.recv()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request())
        answer = await reader.readuntil(b"try again later")
        assert answer.startswith(b"HTTP/1.1 101 ")
        writer.write(b"\x82\x00" * 10)
        await writer.drain()
        assert await reader.read() == b""
        writer.close()


async def test_where_refusals_are_spoken_the_clip_comes_before_the_close() -> None:
    clip = BusyClip(b"\7\0" * 2400)
    async with (
        served(capacity=1, early=True, busy_clip=clip) as server,
        connect(server.ws("caller_id=1")) as first,
    ):
        await first.recv()
        assert await refusal(server.ws("caller_id=2")) == (
            1013,
            "busy: all 1 places are taken; try again later",
            b"\7\0" * 2400,
        )


async def test_other_requests_are_answered_as_ever() -> None:
    async with served(capacity=1, early=True) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(2):  # the second on the same connection
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_malformed_handshake_keeps_no_place() -> None:
    malformed = request().replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8")
    plain = request().replace(b"Connection: Upgrade", b"Connection: close")
    async with served(capacity=1, early=True) as server:
        for data in (malformed, plain):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            status = (await reader.readline()).decode()
            assert status.startswith("HTTP/1.1 4"), status
            writer.close()
        async with connect(server.ws("caller_id=1")) as first:
            assert await first.recv()
            assert len(server.calls) == 1


@pytest.mark.parametrize("clip", [None, BusyClip(b"\7\0" * 240)], ids=["silent", "spoken"])
async def test_a_refusal_is_counted_once(clip: BusyClip | None) -> None:
    counted: list[Refusal] = []
    async with (
        served(capacity=1, early=True, on_refused=counted.append, busy_clip=clip) as server,
        connect(server.ws("caller_id=1")) as first,
    ):
        await first.recv()
        await refusal(server.ws("caller_id=2"))
    assert counted == [Refusal.FULL]
