"""``POST /v1/audio/speech`` (https://platform.openai.com/docs/api-reference/audio/createSpeech): PCM or WAV, 24 kHz mono.

Audio is sent as it is made, in pieces that end within a sample: nothing promises a client whole ones. Any model and
voice name is accepted, and ``speed`` and ``instructions`` have no effect.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from voice_agent.audio.resample import Resampler
from voice_agent.dev_vendors.desk import Exchange, Mark
from voice_agent.dev_vendors.faults import Fault
from voice_agent.dev_vendors.openai_wire import BROKEN_JSON, ApiError, Piece, StreamedResponse, read_body
from voice_agent.errors import ProviderError

SPEECH_RATE_HZ = 24_000
MAX_INPUT_CHARS = 4096
_PIECE_BYTES = 4_800  # a tenth of a second
_UNKNOWN_BYTES = 0xFFFFFFFF  # the length in a header that is sent before the audio is made
_WAV_HEADER = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", _UNKNOWN_BYTES, b"WAVE", b"fmt ", 16, 1, 1, SPEECH_RATE_HZ, SPEECH_RATE_HZ * 2, 2, 16),
    *(b"data", _UNKNOWN_BYTES),
)


class CustomVoice(BaseModel):
    id: Annotated[str, Field(min_length=1)]


class SpeechRequest(BaseModel):
    model: Annotated[str, Field(min_length=1)]
    input: Annotated[str, Field(min_length=1, max_length=MAX_INPUT_CHARS)]
    voice: Annotated[str, Field(min_length=1)] | CustomVoice
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    speed: Annotated[float, Field(ge=0.25, le=4)] = 1.0


async def answer_speech(request: Request, exchange: Exchange) -> Response:
    asked = await read_body(request, SpeechRequest)
    if asked.response_format not in ("pcm", "wav"):
        raise ApiError(
            400,
            f"'{asked.response_format}' is not made by this local server: ask for 'pcm' or 'wav'.",
            code="unsupported_value",
            param="response_format",
        )
    exchange.note(Mark.RECEIVED, f"{len(asked.input)} characters")
    if exchange.fault is Fault.GARBAGE_JSON:
        exchange.note(Mark.LAST_BYTE)
        return Response(BROKEN_JSON, media_type="application/json")
    closing = {"connection": "close"} if exchange.fault is Fault.RECYCLED else None
    as_events = asked.stream_format == "sse"
    media_type = "text/event-stream" if as_events else f"audio/{asked.response_format}"
    return StreamedResponse(
        exchange,
        _events(exchange, asked) if as_events else _audio(exchange, asked),
        media_type=media_type,
        headers=closing,
    )


async def _audio(exchange: Exchange, asked: SpeechRequest) -> AsyncGenerator[Piece, None]:
    if asked.response_format == "wav":
        yield Piece(_WAV_HEADER)
    async with aclosing(exchange.paced(_pieces(exchange, asked))) as pieces:
        async for piece in pieces:
            yield Piece(piece, content=True)


async def _events(exchange: Exchange, asked: SpeechRequest) -> AsyncGenerator[Piece, None]:
    tokens = 0
    async with aclosing(_audio(exchange, asked)) as pieces:
        async for piece in pieces:
            tokens += 1
            delta = {"type": "speech.audio.delta", "audio": base64.b64encode(piece.data).decode()}
            yield Piece(_event(delta), content=piece.content)
    asked_tokens = len(asked.input.split())
    usage = {"input_tokens": asked_tokens, "output_tokens": tokens, "total_tokens": asked_tokens + tokens}
    yield Piece(_event({"type": "speech.audio.done", "usage": usage}))


async def _pieces(exchange: Exchange, asked: SpeechRequest) -> AsyncGenerator[bytes, None]:
    if exchange.fault is Fault.EMPTY:
        return
    kept = b""  # the newest byte, so that pieces break samples
    async with aclosing(spoken(exchange, asked.input, _PIECE_BYTES)) as pieces:
        async for piece in pieces:
            yield kept + piece[:-1]
            kept = piece[-1:]
    if kept:
        yield kept


async def spoken(exchange: Exchange, text: str, piece_bytes: int) -> AsyncGenerator[bytes, None]:
    """The desk's speech at ``SPEECH_RATE_HZ``, in pieces of at most that size. An engine that fails ends it early."""
    engine = exchange.desk.engines.synthesizer
    to_vendor = Resampler(engine.sample_rate_hz, SPEECH_RATE_HZ)
    chunks = engine.synthesize(text, locale=exchange.desk.locale)
    try:
        async for chunk in chunks:
            pcm = to_vendor.process(chunk)
            for start in range(0, len(pcm), piece_bytes):
                yield pcm[start : start + piece_bytes]
    except ProviderError as error:
        exchange.note(Mark.REFUSED, f"the engine failed: {error.category}")
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
