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

    async def head(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            assert (await self.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    async def whole(self) -> bytes:
        """The body of an answer that nothing happens to, in its chunks."""
        await self.head()
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readuntil(b"\r\n0\r\n\r\n")

    async def is_silent(self) -> bool:
        """Nothing more comes, for a while."""
        try:
            async with asyncio.timeout(QUIET_S):
                await self.reader.readexactly(1)
        except TimeoutError:
            return True
        return False

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
            assert (await plain.whole()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert not [entry for entry in desk.desk.journal.entries if entry.mark is Mark.STRUCK]


async def test_hang_connect_takes_the_request_and_never_answers() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.HANG_CONNECT)
        plain.ask()
        assert await plain.is_silent()
        assert struck(desk, Fault.HANG_CONNECT) == 1
        assert desk.desk.journal.find(Mark.REQUEST) is None  # the vendor never saw it


async def test_hang_midstream_stops_after_some_bytes_and_goes_on_when_healed() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.HANG_MIDSTREAM, after_bytes=500)
        plain.ask()
        await plain.head()
        async with asyncio.timeout(DEADLINE_S):
            await plain.reader.readexactly(500)
        assert await plain.is_silent()
        desk.vendors.set_fault(Stage.LLM, None)
        async with asyncio.timeout(DEADLINE_S):
            await plain.reader.readuntil(b"data: [DONE]")


async def test_a_hanging_line_still_tells_the_vendor_that_the_client_left() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.desk.delays[Stage.LLM] = Delays(gap_s=3600)
        desk.vendors.set_fault(Stage.LLM, Fault.HANG_MIDSTREAM, after_bytes=0)
        plain.ask()
        await desk.desk.journal.wait_for(Mark.STRUCK, timeout_s=DEADLINE_S)
        plain.close()
        await desk.desk.journal.wait_for(Mark.CLIENT_GONE, timeout_s=DEADLINE_S)


async def test_slow_drip_gives_a_few_bytes_at_a_time() -> None:
    async with stand_in() as desk, caller(desk) as plain:
        desk.vendors.set_fault(Stage.LLM, Fault.SLOW_DRIP, after_bytes=0)
        plain.ask()
        await plain.head()
        async with asyncio.timeout(DEADLINE_S):
            drips = [len(await plain.reader.read(65_536)) for _ in range(3)]
        assert all(0 < size < 1000 for size in drips), f"a late reader may find several drips of {DRIP_BYTES} at once"
        assert struck(desk, Fault.SLOW_DRIP) == 1
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
            async with asyncio.timeout(DEADLINE_S) as limit:
                async for chunk in stream:
                    words.append(chunk.choices[0].delta.content or "")
                    if len(words) == 4:
                        desk.vendors.set_fault(Stage.LLM, fault, after_bytes=0)
                        if fault is Fault.HANG_MIDSTREAM:
                            limit.reschedule(asyncio.get_running_loop().time() + 0.5)

        with pytest.raises((APIConnectionError, TimeoutError, OSError)) as broken:
            await read()
        assert isinstance(broken.value, TimeoutError) is (fault is Fault.HANG_MIDSTREAM)
        assert struck(desk, fault) == 1
    assert 0 < len("".join(words)) < len(SAID)


async def test_refused_closes_the_door_and_opens_it_again() -> None:
    async with stand_in() as desk, caller(desk) as before:
        before.ask()
        await before.whole()
        desk.vendors.set_fault(Stage.LLM, Fault.REFUSED)
        with pytest.raises(ConnectionRefusedError):
            async with caller(desk):
                pass
        with pytest.raises(ConnectionResetError):
            await before.rest()
        async with caller(desk, Stage.TTS) as other:  # the other lines stand
            other.ask(*SPEECH)
            assert len(await other.whole()) > 48_000
        desk.vendors.set_fault(Stage.LLM, None)
        async with caller(desk) as after:
            after.ask()
            assert b"[DONE]" in await after.whole()


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
        assert b"[DONE]" in await plain.whole()
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
