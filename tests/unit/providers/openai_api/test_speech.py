"""The speech endpoint's client: what is sent, audio in every packing, and every kind of wrong answer."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from tests.unit.providers.openai_api.conftest import MakeAccount
from tests.unit.providers.openai_api.wire import Reply, wire

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.openai_api.pcm_stream import PcmStream
from voice_agent.providers.openai_api.speech import EndpointSynthesizer, SpeechSettings, parts_of
from voice_agent.providers.openai_api.voices import SPEECH_VOICES, voice_of_agent

PCM = np.arange(2000, dtype="<i2").tobytes()
RAW = {"content-type": "audio/pcm"}


def wav(
    pcm: bytes, *, rate_hz: int = 24_000, channels: int = 1, bits: int = 16, size: int | None = None, extra: bytes = b""
) -> bytes:
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate_hz, rate_hz * 2, 2, bits)
    data = struct.pack("<4sI", b"data", len(pcm) if size is None else size)
    return struct.pack("<4sI4s", b"RIFF", 0, b"WAVE") + extra + chunk + data + pcm


def synthesizer(account: MakeAccount, url: str, **settings: Any) -> EndpointSynthesizer:
    given = {"model": "some-voice-model", "voice": "alloy", "model_variable": "ACME_TTS_MODEL"}
    return EndpointSynthesizer(account(url), SpeechSettings(**{**given, **settings}))


async def spoken(synthesizer: EndpointSynthesizer, text: str = "Hello there.") -> list[bytes]:
    async with asyncio.timeout(20):
        return [chunk async for chunk in synthesizer.synthesize(text, locale="en-US")]


async def failing(account: MakeAccount, reply: Reply) -> ProviderError:
    async with wire(reply) as server:
        with pytest.raises(ProviderError) as caught:
            await spoken(synthesizer(account, server.url))
    return caught.value


async def test_the_request_has_what_the_api_asks_for(account: MakeAccount) -> None:
    async with wire(Reply([PCM], headers=RAW)) as server:
        assert b"".join(await spoken(synthesizer(account, server.url), "**Order 83** is here.")) == PCM
        await spoken(synthesizer(account, server.url, speed=1.2, instructions="calmly", voice={"id": "voice_1"}))
        assert server.connections == 1
    asked, second = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/audio/speech")
    assert asked.json == {
        "model": "some-voice-model",
        "voice": "alloy",
        "input": "Order eighty-three is here.",
        "response_format": "pcm",
    }
    assert second.json["speed"] == 1.2
    assert second.json["instructions"] == "calmly"
    assert second.json["voice"] == {"id": "voice_1"}


@pytest.mark.parametrize("size", [1, 3, 333])
async def test_any_split_gives_whole_samples(account: MakeAccount, size: int) -> None:
    pieces = [PCM[start : start + size] for start in range(0, len(PCM), size)]
    async with wire(Reply([*pieces, b"\x01"], headers=RAW)) as server:
        chunks = await spoken(synthesizer(account, server.url))
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    assert b"".join(chunks) == PCM


async def test_audio_goes_out_before_the_answer_is_whole(account: MakeAccount) -> None:
    async with wire(Reply([PCM], headers=RAW, then="hold")) as server, asyncio.timeout(20):
        async with aclosing(cast(Any, synthesizer(account, server.url).synthesize("Hello.", locale="en-US"))) as chunks:
            assert await anext(chunks)
        await server.client_gone.wait()


async def test_a_server_that_knows_wav_only_is_asked_for_that(account: MakeAccount) -> None:
    refusal = {"error": {"message": "pcm is not supported", "param": "response_format", "code": "unsupported_value"}}
    async with wire(
        Reply([json.dumps(refusal).encode()], 400), Reply([wav(PCM)], headers={"content-type": "audio/wav"})
    ) as server:
        voice = synthesizer(account, server.url)
        assert b"".join(await spoken(voice)) == PCM
        assert b"".join(await spoken(voice)) == PCM
    assert [asked.json["response_format"] for asked in server.asked] == ["pcm", "wav", "wav"]


async def test_a_text_that_is_too_long_is_read_in_parts(account: MakeAccount) -> None:
    async with wire(Reply([PCM], headers=RAW)) as server:
        assert b"".join(await spoken(synthesizer(account, server.url), "All of it is true. " * 300)) == 2 * PCM
    assert all(len(asked.json["input"]) <= 4096 for asked in server.asked)


def test_parts_are_cut_at_spaces_and_lose_no_word() -> None:
    text = " ".join(f"word{n}" for n in range(500))
    parts = parts_of(text, 100)
    assert all(0 < len(part) <= 100 for part in parts)
    assert " ".join(parts) == text
    assert parts_of("x" * 250, 100) == ["x" * 100, "x" * 100, "x" * 50]
    assert parts_of("") == []


@pytest.mark.parametrize(
    ("reply", "category"),
    [
        (Reply([], headers=RAW), ProviderFault.EMPTY),
        (Reply([b"\x01"], headers=RAW), ProviderFault.EMPTY),
        (Reply([wav(b"")], headers=RAW), ProviderFault.EMPTY),
        (Reply([wav(PCM)[:30]], headers=RAW), ProviderFault.PROTOCOL),
        (Reply([b"<html>"], headers={"content-type": "text/html"}), ProviderFault.PROTOCOL),
        (Reply([b"{}"], headers={"content-type": "application/json"}), ProviderFault.PROTOCOL),
        (Reply([b"{nonsense"], headers={"content-type": "application/json"}), ProviderFault.PROTOCOL),
        (
            Reply([b'{"error": {"code": "insufficient_quota"}}'], headers={"content-type": "application/json"}),
            ProviderFault.QUOTA,
        ),
        (Reply([b"ID3\x04 music"], headers={"content-type": "audio/mpeg"}), ProviderFault.PROTOCOL),
        (Reply([b"ID3\x04 music"], headers={"content-type": "application/octet-stream"}), ProviderFault.PROTOCOL),
        (Reply([wav(PCM, rate_hz=22_050)], headers=RAW), ProviderFault.PROTOCOL),
        (Reply([wav(PCM, channels=2)], headers=RAW), ProviderFault.PROTOCOL),
        (Reply([wav(PCM, bits=24)], headers=RAW), ProviderFault.PROTOCOL),
        (Reply([b"{}"], 401), ProviderFault.AUTH),
        (Reply([b"{}"], 429), ProviderFault.RATE),
        (Reply([b"{}"], 500), ProviderFault.INTERNAL),
        (Reply([PCM], headers=RAW, then="cut"), ProviderFault.NETWORK),
        (Reply([PCM], headers=RAW, then="reset"), ProviderFault.NETWORK),
    ],
)
async def test_what_is_no_speech(account: MakeAccount, reply: Reply, category: ProviderFault) -> None:
    assert (await failing(account, reply)).category is category


# --- WAV --------------------------------------------------------------------------------------------------------------


def unpacked(body: bytes, size: int, content_type: str = "") -> bytes:
    stream = PcmStream(content_type, 24_000)
    return b"".join(stream.feed(body[at : at + size]) for at in range(0, len(body), size)) + stream.flush()


@pytest.mark.parametrize("size", [1, 10, 100_000])
def test_a_header_is_taken_off_however_it_is_split(size: int) -> None:
    extra = struct.pack("<4sI", b"LIST", 5) + b"hello\x00"
    assert unpacked(wav(PCM, extra=extra), size) == PCM
    assert unpacked(wav(PCM, size=0xFFFFFFFF), size, "audio/wav") == PCM
    assert unpacked(wav(PCM) + b"LIST\x04\x00\x00\x00more", size) == PCM


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_another_rate_is_converted(rate_hz: int) -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)).astype("<i2").tobytes()
    samples = np.frombuffer(unpacked(wav(tone, rate_hz=rate_hz), 999), dtype="<i2")
    assert samples.size / 24_000 == pytest.approx(1.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(samples[2000:22_000]))
    assert np.argmax(spectrum) * 24_000 / 20_000 == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    "body",
    [
        b"RIFF\x00\x00\x00\x00WAVEdata\x10\x00\x00\x00" + PCM,
        b"RIFF\x00\x00\x00\x00WAVEfmt \x04\x00\x00\x00" + PCM,
        b"RIFF\x00\x00\x00\x00WAVEjunk\xff\xff\xff\x7f" + PCM,
    ],
)
def test_a_broken_header_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="WAV"):
        unpacked(body, 50)


def test_something_else_under_the_name_of_wav_is_refused() -> None:
    with pytest.raises(ValueError, match="no WAV"):
        unpacked(PCM, 100, "audio/wav")


async def test_an_agents_voice_goes_before_the_usual_one(account: MakeAccount) -> None:
    named = partial(voice_of_agent, voices=SPEECH_VOICES, usual="alloy")
    async with wire(Reply([PCM], headers=RAW)) as server:
        speaker = synthesizer(account, server.url, named_voice=named)
        for voice in ("nova", "voice_7", "aura-2-thalia-en", ""):
            assert [chunk async for chunk in speaker.synthesize("Hello.", locale="en-US", voice=voice)]
    assert [asked.json["voice"] for asked in server.asked] == ["nova", {"id": "voice_7"}, "alloy", "alloy"]
