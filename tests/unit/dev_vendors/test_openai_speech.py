"""Speech of the stand-in, as the vendor's own client receives it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from typing import Any

import numpy as np
import pytest
from openai import BadRequestError
from tests.unit.dev_vendors.openai_kit import DEADLINE_S, StandIn, stand_in

from voice_agent.audio.frames import samples_of
from voice_agent.dev_vendors.desk import Delays, Mark
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import TONE_HZ, ToneSynthesizer


def asked(**options: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello there.", "response_format": "pcm"} | options


async def audio_of(desk: StandIn, **options: Any) -> bytes:
    async with desk.sdk.audio.speech.with_streaming_response.create(**asked(**options)) as answer:
        return b"".join([chunk async for chunk in answer.iter_bytes()])


async def test_pcm_is_the_whole_tone_at_24_khz() -> None:
    async with stand_in(synthesizer=ToneSynthesizer(lambda text: len(text) / 10)) as desk:
        pcm = await audio_of(desk)
    samples = samples_of(pcm)
    assert samples.size == 24_000 * len("Hello there.") // 10
    spectrum = np.abs(np.fft.rfft(samples[:24_000].astype(float)))
    assert int(spectrum.argmax()) == TONE_HZ


async def test_it_arrives_while_it_is_made_and_not_in_whole_samples() -> None:
    async with stand_in() as desk:
        desk.desk.delays[Stage.TTS] = Delays(gap_s=0.005)
        async with desk.sdk.audio.speech.with_streaming_response.create(**asked()) as answer:
            assert answer.headers["content-type"] == "audio/pcm"
            pieces = [chunk async for chunk in answer.iter_bytes()]
    assert len(pieces) > 5
    assert any(len(piece) % 2 for piece in pieces)
    assert sum(map(len, pieces)) == 48_000


async def test_wav_has_a_header_of_unknown_length() -> None:
    async with stand_in() as desk:
        data = await audio_of(desk, response_format="wav")
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
    assert len(data) == 44 + 48_000


async def test_audio_as_events() -> None:
    async with stand_in() as desk, desk.http as http:
        answer = await http.post("/audio/speech", json=asked(stream_format="sse"))
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert len(b"".join(base64.b64decode(event["audio"]) for event in events[:-1])) == 48_000
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"response_format": "mp3"}, "response_format"),
        ({"response_format": "midi"}, "response_format"),
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"speed": 9}, "speed"),
    ],
)
async def test_a_bad_request_names_its_field(options: dict[str, Any], param: str) -> None:
    async with stand_in() as desk:
        with pytest.raises(BadRequestError) as refused:
            await audio_of(desk, **options)
    assert refused.value.param == param


async def test_an_empty_answer_and_one_that_is_no_audio() -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.TTS, Fault.EMPTY)
        assert await audio_of(desk) == b""
        desk.vendors.set_fault(Stage.TTS, Fault.GARBAGE_JSON)
        async with desk.sdk.audio.speech.with_streaming_response.create(**asked()) as answer:
            body = await answer.read()
            assert answer.headers["content-type"] == "application/json"
    with pytest.raises(ValueError, match=r"Unterminated string|JSON"):
        json.loads(body)


async def test_a_recycled_connection_is_closed_after_a_whole_answer() -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.TTS, Fault.RECYCLED)
        async with desk.sdk.audio.speech.with_streaming_response.create(**asked()) as answer:
            assert len(await answer.read()) == 48_000
            assert answer.headers["connection"] == "close"


async def test_a_client_that_leaves_stops_the_synthesis() -> None:
    stopped = asyncio.Event()

    class Endless(ToneSynthesizer):
        async def synthesize(self, text: str, *, locale: str, voice: str = "") -> Any:
            try:
                yield bytes(4_800)
                await asyncio.Event().wait()
            finally:
                stopped.set()

    async with stand_in(synthesizer=Endless()) as desk:
        async with desk.sdk.audio.speech.with_streaming_response.create(**asked()) as answer:
            async for _ in answer.iter_bytes():
                break
        async with asyncio.timeout(DEADLINE_S):
            await stopped.wait()
        await desk.desk.journal.wait_for(Mark.CLIENT_GONE, stage=Stage.TTS, timeout_s=DEADLINE_S)
        assert desk.desk.journal.find(Mark.LAST_BYTE) is None
