"""Deepgram's /v1/speak, as its own client and plain WebSockets find it."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import orjson
import pytest
from tests.hearing import plain_words, recognised
from tests.unit.dev_vendors.deepgram_kit import DEADLINE_S, checked, raw, real_stand_in, sdk, stand_in
from websockets.exceptions import InvalidStatus

from voice_agent.dev_vendors.desk import Delays, Mark
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import ToneSynthesizer
from voice_agent.errors import ProviderError, ProviderFault

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the vendor's client uses an old interface

MODEL = "aura-2-thalia-en"
PATH = f"/v1/speak?model={MODEL}&encoding=linear16&sample_rate=24000"


def of_seconds(seconds: float) -> ToneSynthesizer:
    return ToneSynthesizer(lambda text: seconds)


class StuckSynthesizer:
    """Speaks a tenth of a second, then nothing until it is closed."""

    sample_rate_hz = 24_000

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        try:
            yield bytes(4800)
            await asyncio.Event().wait()
        finally:
            self.closed.set()


class BrokenSynthesizer:
    sample_rate_hz = 24_000

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        raise ProviderError("no voice", category=ProviderFault.INTERNAL)
        yield b""


async def next_json(socket: Any) -> dict[str, Any]:
    """The next text message; audio before it is passed over."""
    async with asyncio.timeout(DEADLINE_S):
        while isinstance(message := await socket.recv(), bytes):
            pass
    found: dict[str, Any] = orjson.loads(message)
    return found


async def spoken(socket: Any) -> tuple[bytes, dict[str, Any]]:
    """The audio up to the next text message, and that message."""
    pcm = b""
    async with asyncio.timeout(DEADLINE_S):
        while isinstance(message := await socket.recv(), bytes):
            pcm += message
    return pcm, orjson.loads(message)


async def test_the_vendors_client_gets_speech_that_can_be_understood() -> None:
    from deepgram.speak.v1.types import SpeakV1Text

    voice = {"model": MODEL, "encoding": "linear16", "sample_rate": 16000}
    async with real_stand_in() as vendors, sdk(vendors).speak.v1.connect(**voice) as connection:
        await connection.send_text(SpeakV1Text(text="Your order has been shipped, "))
        await connection.send_text(SpeakV1Text(text="and it arrives on Monday."))
        await connection.send_flush()
        messages = []
        async with asyncio.timeout(DEADLINE_S):
            async for message in connection:
                messages.append(message)
                if getattr(message, "type", "") == "Flushed":
                    await connection.send_clear()
                    await connection.send_text(SpeakV1Text(text="x" * 2001))
                    await connection.send_close()
    texts = checked(message for message in messages if not isinstance(message, bytes))
    assert [message.type for message in texts] == ["Metadata", "Flushed", "Cleared", "Warning"]
    assert texts[0].model_name == MODEL
    assert [message.sequence_id for message in texts[1:3]] == [0, 1]
    audio = [message for message in messages if isinstance(message, bytes)]
    assert len(audio) > 5
    heard = plain_words(recognised(b"".join(audio), 16_000))
    assert "your order has been shipped" in heard
    assert "monday" in heard


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000])
async def test_the_audio_is_as_long_as_it_should_be(rate_hz: int) -> None:
    path = f"/v1/speak?model={MODEL}&encoding=linear16&sample_rate={rate_hz}"
    async with stand_in(synthesizer=of_seconds(1.0)) as vendors, raw(vendors, path) as socket:
        assert (await next_json(socket))["type"] == "Metadata"
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        pcm, message = await spoken(socket)
        await socket.send('{"type": "Close"}')
        await socket.wait_closed()
    assert message == {"type": "Flushed", "sequence_id": 0}
    assert len(pcm) / 2 / rate_hz == pytest.approx(1.0, abs=0.01)
    assert socket.close_code == 1000


async def test_clear_stops_the_synthesis_at_once() -> None:
    synthesizer = StuckSynthesizer()
    async with stand_in(synthesizer=synthesizer) as vendors, raw(vendors, PATH) as socket:
        await next_json(socket)
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        async with asyncio.timeout(DEADLINE_S):
            assert isinstance(await socket.recv(), bytes)
            await socket.send('{"type": "Clear"}')
            assert (await next_json(socket))["type"] == "Cleared"
            await synthesizer.closed.wait()
        assert vendors.desk.journal.find(Mark.CLIENT_GONE, stage=Stage.TTS, text="Clear") is not None
        await socket.send('{"type": "Flush"}')
        assert await spoken(socket) == (b"", {"type": "Flushed", "sequence_id": 1}), "the text is forgotten"


async def test_a_client_that_goes_stops_the_synthesis() -> None:
    synthesizer = StuckSynthesizer()
    async with stand_in(synthesizer=synthesizer) as vendors:
        async with raw(vendors, PATH) as socket:
            await next_json(socket)
            await socket.send('{"type": "Speak", "text": "Hello."}')
            await socket.send('{"type": "Flush"}')
            await socket.recv()
            socket.transport.abort()
        await asyncio.wait_for(synthesizer.closed.wait(), DEADLINE_S)
        await vendors.desk.journal.wait_for(Mark.CLIENT_GONE, stage=Stage.TTS)


async def test_too_many_flushes_are_warned_of() -> None:
    async with stand_in(synthesizer=of_seconds(0.01)) as vendors, raw(vendors, PATH) as socket:
        vendors.desk.deepgram.flushes_per_minute = 2
        await next_json(socket)
        for _ in range(3):
            await socket.send('{"type": "Flush"}')
        kinds = sorted([(await next_json(socket))["type"] for _ in range(3)])
    assert kinds == ["Flushed", "Flushed", "Warning"]


@pytest.mark.parametrize("frame", ["no json", "[]", '{"type": "Speak"}', '{"type": "Nonsense"}', b"audio"])
async def test_what_cannot_be_read_is_warned_of_and_the_session_lives_on(frame: str | bytes) -> None:
    async with stand_in(synthesizer=of_seconds(0.1)) as vendors, raw(vendors, PATH) as socket:
        await next_json(socket)
        await socket.send(frame)
        warning = await next_json(socket)
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        pcm, _ = await spoken(socket)
    assert (warning["type"], bool(warning["code"]), bool(warning["description"])) == ("Warning", True, True)
    assert len(pcm) == 4800


@pytest.mark.parametrize(
    "query",
    [
        "model=nova-3",
        "model=aura-2-nobody-en",
        f"model={MODEL}&encoding=mulaw&sample_rate=8000",
        f"model={MODEL}&encoding=cassette",
        f"model={MODEL}&sample_rate=11025",
        f"model={MODEL}&sample_rate=fast",
    ],
)
async def test_parameters_that_the_vendor_does_not_take_are_refused(query: str) -> None:
    async with stand_in() as vendors:
        with pytest.raises(InvalidStatus) as refused:
            await raw(vendors, f"/v1/speak?{query}")
    assert refused.value.response.status_code == 400
    assert orjson.loads(refused.value.response.body or b"")["err_code"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.UNAUTHORIZED, 401), (Fault.RATE_LIMITED, 429), (Fault.QUOTA, 402), (Fault.SERVER_ERROR, 503)],
)
async def test_faults_at_the_upgrade_and_at_a_request(fault: Fault, status: int) -> None:
    async with stand_in() as vendors:
        vendors.set_fault(Stage.TTS, fault)
        with pytest.raises(InvalidStatus) as refused:
            await raw(vendors, PATH)
        answer = await posted(vendors, "encoding=linear16", {"text": "Hello."})
    assert (refused.value.response.status_code, answer.status_code) == (status, status)
    assert answer.json()["err_code"] == orjson.loads(refused.value.response.body or b"")["err_code"]


async def test_an_empty_vendor_says_nothing() -> None:
    async with stand_in(synthesizer=of_seconds(0.5)) as vendors, raw(vendors, PATH) as socket:
        vendors.set_fault(Stage.TTS, Fault.EMPTY)
        await next_json(socket)
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        assert await spoken(socket) == (b"", {"type": "Flushed", "sequence_id": 0})


async def test_garbage_comes_in_place_of_audio() -> None:
    async with stand_in(synthesizer=of_seconds(0.5)) as vendors, raw(vendors, PATH) as socket:
        vendors.set_fault(Stage.TTS, Fault.GARBAGE_JSON)
        await next_json(socket)
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        async with asyncio.timeout(DEADLINE_S):
            garbage = await socket.recv()
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(garbage)


async def test_a_session_is_recycled_in_mid_speech() -> None:
    async with stand_in(synthesizer=of_seconds(2.0)) as vendors, raw(vendors, PATH) as socket:
        vendors.set_fault(Stage.TTS, Fault.RECYCLED)
        await next_json(socket)
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        async with asyncio.timeout(DEADLINE_S):
            pcm = await until_closed(socket)
    assert socket.close_code == 1011
    assert 0 < len(pcm) < 2 * 48_000


async def until_closed(socket: Any) -> bytes:
    from websockets.exceptions import ConnectionClosedError

    pcm = b""
    try:
        async for message in socket:
            pcm += message if isinstance(message, bytes) else b""
    except ConnectionClosedError:
        pass
    return pcm


async def test_a_synthesiser_that_fails_closes_the_session() -> None:
    async with stand_in(synthesizer=BrokenSynthesizer()) as vendors, raw(vendors, PATH) as socket:
        await next_json(socket)
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        async with asyncio.timeout(DEADLINE_S):
            await until_closed(socket)
    assert socket.close_code == 1011


async def test_the_first_audio_is_as_late_as_the_desk_says() -> None:
    async with stand_in(synthesizer=of_seconds(0.1)) as vendors, raw(vendors, PATH) as socket:
        vendors.desk.delays[Stage.TTS] = Delays(first_s=0.15)
        await next_json(socket)
        await socket.send('{"type": "Speak", "text": "Hello."}')
        await socket.send('{"type": "Flush"}')
        await spoken(socket)
        asked = vendors.desk.journal.find(Mark.RECEIVED, stage=Stage.TTS, text="Flush")
        sent = vendors.desk.journal.find(Mark.FIRST_BYTE, stage=Stage.TTS)
    assert asked is not None
    assert sent is not None
    assert sent.at_s - asked.at_s >= 0.15


async def posted(vendors: Any, query: str, body: Any, *, key: str = "") -> httpx2.Response:
    headers = {"authorization": f"Token {key or vendors.desk.key}"}
    async with httpx2.AsyncClient(trust_env=False) as client:
        url = f"{vendors.deepgram_url}/v1/speak?model={MODEL}&{query}"
        return await client.post(url, content=body if isinstance(body, str) else orjson.dumps(body), headers=headers)


async def test_a_request_gives_a_wav_file_or_raw_audio() -> None:
    async with stand_in(synthesizer=of_seconds(0.5)) as vendors, httpx.AsyncClient(trust_env=False) as requests:
        pieces = sdk(vendors, requests=requests).speak.v1.audio.generate(
            text="Hello.", model=MODEL, encoding="linear16", container="none", sample_rate=16000
        )
        plain = b"".join([piece async for piece in pieces])
        file = await posted(vendors, "encoding=linear16", {"text": "Hello."})
    assert len(plain) == pytest.approx(16_000, abs=400)
    assert file.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(file.content)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (24_000, 1, 2)
        assert len(reader.readframes(10**6)) == 24_000


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("", {"text": "Hello."}, 400),  # the vendor's default is MP3
        ("encoding=linear16", "no json", 400),
        ("encoding=linear16", {"txt": "Hello."}, 400),
        ("encoding=linear16", {"text": " "}, 400),
        ("encoding=linear16", {"text": "x" * 2001}, 413),
    ],
)
async def test_requests_that_the_vendor_does_not_take_are_refused(query: str, body: Any, status: int) -> None:
    async with stand_in() as vendors:
        answer = await posted(vendors, query, body)
    assert answer.status_code == status
    assert answer.json()["err_msg"]
