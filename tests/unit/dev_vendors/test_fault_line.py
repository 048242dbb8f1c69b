"""Each byte-level fault, seen through a line by a plain socket and by the vendor's own client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import APIConnectionError
from tests.unit.dev_vendors.openai_kit import DEADLINE_S, SAID, StandIn, stand_in
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from voice_agent.dev_vendors.desk import Delays, Mark
from voice_agent.dev_vendors.fault_line import DRIP_BYTES, TLS_ALERT
from voice_agent.dev_vendors.faults import Fault, Stage

QUIET_S = 0.15  # nothing has come for so long: nothing comes any more
BODY = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'

SPEECH = ("/v1/audio/speech", b'{"model": "m", "voice": "v", "input": "Hi", "response_format": "pcm"}')


class Caller:
    """A plain connection to a line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self.reader = reader
        self._writer = writer
        self._key = key

    def ask(self, path: str = "/v1/chat/completions", body: bytes = BODY) -> None:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._key}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)

    def close(self) -> None:
        self._writer.close()

    async def body_so_far(self) -> bytes:
        """What has come behind the head until nothing more comes, or the connection ends."""
        got = await self.reader.readuntil(b"\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 200")
        body = b""
        try:
            while True:
                async with asyncio.timeout(QUIET_S):
                    piece = await self.reader.read(65_536)
                if not piece:
                    return body
                body += piece
        except TimeoutError:
            return body

    async def rest(self) -> bytes:
        """All that still comes until the server closes."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()


@asynccontextmanager
async def caller(desk: StandIn, line: Stage = Stage.LLM) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.vendors.lines[line].port)
    try:
        yield Caller(reader, writer, desk.desk.key)
    finally:
        writer.transport.abort()


def struck(desk: StandIn, fault: Fault) -> int:
    return len([entry for entry in desk.desk.journal.entries if entry.mark is Mark.STRUCK and entry.text == fault])


async def test_without_a_fault_everything_passes_on_a_kept_connection() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        for _ in range(2):
            plain.ask()
            assert (await plain.body_so_far()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert not [entry for entry in desk.desk.journal.entries if entry.mark is Mark.STRUCK]


async def test_hang_connect_takes_the_request_and_never_answers() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.HANG_CONNECT)
        plain.ask()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                await plain.reader.read(1)
        assert struck(desk, Fault.HANG_CONNECT) == 1
        assert desk.desk.journal.find(Mark.REQUEST) is None  # the vendor never saw it


async def test_hang_midstream_stops_after_some_bytes_and_goes_on_when_healed() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.HANG_MIDSTREAM, after_bytes=500)
        plain.ask()
        assert len(await plain.body_so_far()) == 500
        desk.vendors.set_fault(Stage.LLM, None)
        async with asyncio.timeout(DEADLINE_S):
            await plain.reader.readuntil(b"data: [DONE]")


async def test_a_hanging_line_still_tells_the_vendor_that_the_client_left() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.desk.delays[Stage.LLM] = Delays(gap_s=3600)
        desk.vendors.set_fault(Stage.LLM, Fault.HANG_MIDSTREAM, after_bytes=0)
        plain.ask()
        await plain.body_so_far()
        plain.close()
        await desk.desk.journal.wait_for(Mark.CLIENT_GONE, timeout_s=DEADLINE_S)


async def test_slow_drip_gives_a_few_bytes_at_a_time() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.SLOW_DRIP, after_bytes=0)
        plain.ask()
        await plain.reader.readuntil(b"\r\n\r\n")
        for _ in range(3):
            async with asyncio.timeout(DEADLINE_S):
                assert 0 < len(await plain.reader.read(65_536)) <= DRIP_BYTES
        desk.vendors.set_fault(Stage.LLM, None)
        async with asyncio.timeout(DEADLINE_S):
            await plain.reader.readuntil(b"data: [DONE]")


async def test_half_a_frame_ends_in_the_middle_of_a_message() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.HALF_FRAME, after_bytes=700)
        plain.ask()
        got = await plain.rest()
    assert not got.endswith(b"\n\n\r\n")
    assert b"[DONE]" not in got
    assert len(got) > 700


async def test_a_reset_is_a_reset() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.RESET, after_bytes=700)
        plain.ask()
        with pytest.raises(ConnectionResetError):
            await plain.rest()


@pytest.mark.parametrize("fault", [Fault.HALF_FRAME, Fault.RESET, Fault.HANG_MIDSTREAM])
async def test_a_stream_under_way_is_struck_when_the_fault_is_switched_on(fault: Fault) -> None:
    async with stand_in() as desk:
        desk.desk.delays[Stage.LLM] = Delays(gap_s=0.01)
        hello: list[Any] = [{"role": "user", "content": "Hello"}]
        stream = await desk.sdk.chat.completions.create(model="m", messages=hello, stream=True)
        words: list[str] = []

        async def read() -> None:
            async with asyncio.timeout(1 if fault is Fault.HANG_MIDSTREAM else DEADLINE_S):
                async for chunk in stream:
                    words.append(chunk.choices[0].delta.content or "")
                    if len(words) == 4:
                        desk.vendors.set_fault(Stage.LLM, fault, after_bytes=0)

        with pytest.raises((APIConnectionError, TimeoutError, OSError)) as broken:
            await read()
        assert isinstance(broken.value, TimeoutError) is (fault is Fault.HANG_MIDSTREAM)
        assert struck(desk, fault) == 1
    assert 0 < len("".join(words)) < len(SAID)


async def test_refused_closes_the_door_and_opens_it_again() -> None:
    async with stand_in() as desk, caller(desk) as before:
        before.ask()
        await before.body_so_far()
        desk.vendors.set_fault(Stage.LLM, Fault.REFUSED)
        with pytest.raises(ConnectionRefusedError):
            async with caller(desk):
                pass
        with pytest.raises(ConnectionResetError):
            await before.rest()
        async with caller(desk, Stage.TTS) as other:  # the other lines stand
            other.ask(*SPEECH)
            assert len(await other.body_so_far()) > 48_000
        desk.vendors.set_fault(Stage.LLM, None)
        async with caller(desk) as after:
            after.ask()
            assert b"[DONE]" in await after.body_so_far()


async def test_tls_fails_for_who_speaks_it_and_for_who_does_not() -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.LLM, Fault.TLS)
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", desk.vendors.lines[Stage.LLM].port, ssl=context)
        async with caller(desk) as plain:
            plain.ask()
            assert await plain.rest() == TLS_ALERT


async def test_the_path_says_whose_fault_strikes() -> None:
    """Over one connection, as a client that serves two stages with one account does."""
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.TTS, Fault.RESET, after_bytes=100)
        plain.ask()
        assert b"[DONE]" in await plain.body_so_far()
        plain.ask(*SPEECH)
        with pytest.raises(ConnectionResetError):
            await plain.rest()


async def test_a_websocket_is_struck_within_a_frame() -> None:
    async with stand_in() as desk, asyncio.timeout(DEADLINE_S):
        url = desk.vendors.url(Stage.TTS).replace("http", "ws") + "/v1/realtime?model=m"
        headers = {"authorization": f"Bearer {desk.desk.key}"}
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await socket.recv()
            desk.vendors.set_fault(Stage.TTS, Fault.HALF_FRAME, after_bytes=0)
            await socket.send('{"type": "response.cancel"}')
            with pytest.raises(ConnectionClosedError) as closed:
                await socket.recv()
    assert closed.value.rcvd is None  # no close frame came
