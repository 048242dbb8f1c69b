"""Deepgram's ``/v1/speak``: text in, speech out; as a WebSocket, and as a plain request.

Rules of the WebSocket (developers.deepgram.com: tts-websocket, tts-ws-flush, tts-ws-clear, tts-ws-close):

1. ``Metadata`` greets. ``Speak`` adds text; ``Flush`` has all of it spoken, its audio comes in binary messages, then
   ``Flushed``. Both confirmations count on in ``sequence_id``.
2. ``Clear`` throws text away, and audio that was not sent; ``Cleared`` confirms it. ``Close`` ends the session at once.
3. What is too long, or comes too often, is answered with a ``Warning`` and left undone.
"""

from __future__ import annotations

import asyncio
import io
import wave
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, cast

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_agent.audio.resample import RATES_HZ, Resampler
from voice_agent.dev_vendors.bodies import MAX_BODY_BYTES, body_of, unread
from voice_agent.dev_vendors.deepgram_door import Line, Query, RefusedError, admit, new_id, now_s
from voice_agent.dev_vendors.deepgram_manners import NO_ANSWER
from voice_agent.dev_vendors.deepgram_session import parsed
from voice_agent.dev_vendors.desk import Exchange, Mark, VendorDesk
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.errors import ProviderError

_log = structlog.get_logger(__name__)

_DEFAULT_MODEL: Final = "aura-asteria-en"
_AURA_1 = "angus arcas asteria athena helios hera luna orion orpheus perseus stella zeus"
_AURA_2 = (
    "amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia delia draco electra harmonia "
    "helena hera hermes hyperion iris janus juno jupiter luna mars minerva neptune odysseus ophelia orion orpheus pandora "
    "phoebe pluto saturn selene thalia theia vesta zeus"
)
# Voices of other languages are known to the vendor, but the synthesiser behind speaks English.
MODELS: Final = frozenset(f"aura-{name}-en" for name in _AURA_1.split()) | {
    f"aura-2-{name}-en" for name in _AURA_2.split()
}
_CHARACTERS_MAX: Final = 2000
_FLUSH_WINDOW_S: Final = 60.0
_PIECE_S: Final = 0.1  # audio per message
_ENCODINGS: Final = frozenset({"linear16", "mulaw", "alaw", "mp3", "opus", "flac", "aac"})


def _voice(query: Query, *, encoding: str) -> tuple[str, int]:
    """Model and sample rate of a request. Raises ``RefusedError``."""
    model = query.text("model", _DEFAULT_MODEL)
    if model not in MODELS:
        raise RefusedError(400, "Bad Request", f"Bad Request: No such model {model}.")
    encoding = query.text("encoding", encoding)
    if encoding not in _ENCODINGS:
        raise RefusedError(400, "UNSUPPORTED_AUDIO_FORMAT", f"Unsupported audio format: encoding={encoding}.")
    if encoding != "linear16":
        raise RefusedError(
            400, "UNSUPPORTED_AUDIO_FORMAT", f"This stand-in speaks encoding=linear16 only, not {encoding}."
        )
    rate_hz = query.whole("sample_rate", 1, 192_000) or 24_000
    if rate_hz not in RATES_HZ:
        raise RefusedError(
            400,
            "UNSUPPORTED_AUDIO_FORMAT",
            f"Unsupported audio format: sample_rate={rate_hz} is none of {', '.join(map(str, RATES_HZ))}.",
        )
    return model, rate_hz


async def _spoken(exchange: Exchange, text: str, rate_hz: int) -> AsyncGenerator[bytes, None]:
    """The text's speech in pieces, no earlier than the desk's delays allow. Raises ``ProviderError``."""
    desk = exchange.desk
    if not text.strip() or exchange.fault is Fault.EMPTY:
        return
    synthesizer = desk.engines.synthesizer
    resampler = Resampler(synthesizer.sample_rate_hz, rate_hz)
    piece_bytes = round(_PIECE_S * rate_hz) * 2

    async def pieces() -> AsyncGenerator[bytes, None]:
        async with aclosing(cast(Any, synthesizer.synthesize(text, locale=desk.locale))) as chunks:
            async for chunk in chunks:
                pcm = resampler.process(chunk)
                for start in range(0, len(pcm), piece_bytes):
                    yield pcm[start : start + piece_bytes]
        if rest := resampler.flush():
            yield rest

    async with aclosing(exchange.paced(pieces())) as paced:
        async for piece in paced:
            yield piece


class Speak:
    """One session of the WebSocket."""

    def __init__(self, line: Line, rate_hz: int) -> None:
        self._line = line
        self._rate_hz = rate_hz
        self._text: list[str] = []
        self._jobs: deque[str] = deque()
        self._wanted = asyncio.Event()
        self._sequence = 0
        self._flushes: deque[float] = deque()
        self._working: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()  # cancelled, and not at their end yet

    async def serve(self) -> None:
        """Until the client has gone, or the session is closed."""
        sending = asyncio.create_task(self._line.sending(), name="deepgram-sending")
        hearing = asyncio.create_task(self._hear(), name="deepgram-hearing")
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop()
            tasks = {sending, hearing, *self._ending}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()  # a defect of ours is heard of

    async def _hear(self) -> None:
        while True:
            try:
                message = await self._line.receive()
            except (WebSocketDisconnect, RuntimeError):  # starlette's two ways to say that it is over
                return
            if message is None:
                if not self._line.closing:
                    self._line.exchange.note(Mark.CLIENT_GONE)
                return
            if self._line.closing:
                continue
            if isinstance(message, bytes):
                self._warn("DATA-0000", "Binary messages are not supported: send JSON text messages.")
            else:
                self._command(message)

    def _command(self, text: str) -> None:
        message = parsed(text)
        kind = message["type"] if isinstance(message, dict) else ""
        if kind == "Speak" and isinstance(message, dict) and isinstance(message.get("text"), str):
            self._speak(message["text"])
        elif kind == "Flush":
            self._flush()
        elif kind == "Clear":
            self._clear()
        elif kind == "Close":
            self._stop()
            self._line.close(1000)
        else:
            why = message if isinstance(message, str) else f"unknown or incomplete message `{kind}`"
            self._warn("DATA-0001", f"The message could not be understood: {why}.")

    def _speak(self, text: str) -> None:
        if len(text) > _CHARACTERS_MAX:
            self._warn("EXCESSIVE_TEXT", f"A message has at most {_CHARACTERS_MAX} characters; this one was ignored.")
        else:
            self._text.append(text)

    def _flush(self) -> None:
        now = now_s()
        while self._flushes and now - self._flushes[0] > _FLUSH_WINDOW_S:
            self._flushes.popleft()
        most = self._line.exchange.desk.deepgram.flushes_per_minute
        if len(self._flushes) >= most:
            self._warn("EXCESSIVE_FLUSH", f"At most {most} Flush messages are taken in {_FLUSH_WINDOW_S:g} seconds.")
            return
        self._flushes.append(now)
        self._jobs.append("".join(self._text))
        self._text.clear()
        if self._working is None or self._working.done():
            self._line.exchange.begin()
            self._working = asyncio.create_task(self._work(), name="deepgram-speaking")

    def _clear(self) -> None:
        if self._stop():
            self._line.exchange.note(Mark.CLIENT_GONE, "Clear")
        self._text.clear()
        self._line.take_back_audio()
        self._confirm("Cleared")

    def _stop(self) -> bool:
        """Ends the work under way; says whether there was any."""
        self._jobs.clear()
        task, self._working = self._working, None
        if task is None:
            return False
        working = not task.done()
        task.cancel()
        self._ending = {ending for ending in (*self._ending, task) if not ending.done()}
        return working

    async def _work(self) -> None:
        line = self._line
        try:
            while self._jobs:
                text = self._jobs.popleft()
                count = 0
                async with aclosing(_spoken(line.exchange, text, self._rate_hz)) as pieces:
                    async for piece in pieces:
                        if line.fault is Fault.RECYCLED and count:
                            line.recycle()
                            return
                        if line.fault is Fault.GARBAGE_JSON:
                            line.post({}, "garbage", content=True)
                        else:
                            line.post_audio(piece)
                        count += 1
                        await line.room()
                self._confirm("Flushed", last=True)
                line.exchange.begin()
        except ProviderError as failed:
            line.close(1011, f"Deepgram could not speak: {failed.category}")
        except Exception:  # a defect of ours: the client must not wait for its audio
            _log.exception("the stand-in for Deepgram could not speak")
            line.close(1011, NO_ANSWER)

    def _confirm(self, kind: str, *, last: bool = False) -> None:
        self._line.post({"type": kind, "sequence_id": self._sequence}, f"{kind} {self._sequence}", last=last)
        self._sequence += 1

    def _warn(self, code: str, description: str) -> None:
        self._line.post({"type": "Warning", "code": code, "description": description}, f"Warning {code}")


async def serve_speaking(socket: WebSocket, desk: VendorDesk) -> None:
    """The WebSocket, from its upgrade to its end."""
    exchange = desk.open(Stage.TTS, f"{socket.url.path}?{socket.url.query}")
    request_id = new_id()
    try:
        admit(socket, exchange)
        model, rate_hz = _voice(Query(socket.query_params), encoding="linear16")
    except RefusedError as refusal:
        exchange.note(Mark.REFUSED, f"{refusal.status} {refusal}")
        await socket.send_denial_response(refusal.response(request_id))
        return
    subprotocol = socket.headers.get("sec-websocket-protocol", "").partition(",")[0].strip() or None
    await socket.accept(subprotocol, [(b"dg-request-id", request_id.encode())])
    line = Line(socket, exchange, request_id)
    line.post({"type": "Metadata", "request_id": request_id, **_told(model)}, "Metadata")
    await Speak(line, rate_hz).serve()


def _told(model: str) -> dict[str, Any]:
    uuid = "0f5a3f1e-6a1c-4d8e-9b57-3d1b0a7c2e44"
    return {"model_name": model, "model_version": "2026-01-01.0", "model_uuid": uuid, "additional_model_uuids": [uuid]}


async def speak_once(request: Request, desk: VendorDesk) -> Response:
    """``POST /v1/speak`` with ``{"text": …}``: raw PCM with ``container=none``, else a WAV file of unknown length."""
    exchange = desk.open(Stage.TTS, f"POST {request.url.path}?{request.url.query}")
    request_id = new_id()
    try:
        admit(request, exchange)
        query = Query(request.query_params)
        model, rate_hz = _voice(query, encoding="mp3")
        text = _asked(await body_of(request))
    except RefusedError as refusal:
        exchange.note(Mark.REFUSED, f"{refusal.status} {refusal}")
        return refusal.response(request_id)
    except ClientDisconnect:
        exchange.note(Mark.CLIENT_GONE)
        return unread()
    if exchange.fault is Fault.GARBAGE_JSON:
        exchange.note(Mark.SENT, "garbage")
        return Response('{"audio": "', media_type="application/json")
    headers = {"dg-request-id": request_id, "dg-model-name": model, "dg-char-count": str(len(text))}
    contained = query.text("container", "wav") != "none"
    media_type = "audio/wav" if contained else f"audio/l16;rate={rate_hz};channels=1"

    async def body() -> AsyncGenerator[bytes, None]:
        complete = False
        try:
            async with aclosing(_spoken(exchange, text, rate_hz)) as pieces:
                first = True
                async for piece in pieces:
                    exchange.sent_content(f"audio {len(piece)} bytes")
                    yield _wav_header(rate_hz) + piece if first and contained else piece
                    first = False
            complete = True
        finally:
            exchange.note(Mark.LAST_BYTE if complete else Mark.CLIENT_GONE)

    return StreamingResponse(body(), headers=headers, media_type=media_type)


def _asked(body: bytes | None) -> str:
    """The text of a request's JSON body. Raises ``RefusedError``."""
    if body is None:
        raise RefusedError(413, "PAYLOAD_TOO_LARGE", f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = None
    text = message.get("text") if isinstance(message, dict) else None
    if not isinstance(text, str):
        raise RefusedError(
            400, "PAYLOAD_ERROR", "Failed to deserialize JSON payload. Please specify exactly one of `text`."
        )
    if not text.strip():
        raise RefusedError(400, "EMPTY_TEXT", "Input text contained no characters.")
    if len(text) > _CHARACTERS_MAX:
        raise RefusedError(
            413, "INPUT_TEXT_TOO_LONG", f"Input text exceeds maximum character limit of {_CHARACTERS_MAX}."
        )
    return text


def _wav_header(rate_hz: int) -> bytes:
    """A header for audio whose length is not known yet: as long as the format allows."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(b"")
    header = bytearray(file.getvalue())
    header[4:8] = header[40:44] = b"\xff\xff\xff\x7f"
    return bytes(header)
