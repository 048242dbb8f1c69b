"""What every Deepgram endpoint shares: who is let in, how refusals look, query parameters, and the line of a session.

Refusals are HTTP answers with a JSON body of ``err_code``, ``err_msg`` and ``request_id``, also at a WebSocket's upgrade
(developers.deepgram.com/docs/errors).
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_agent.audio.resample import RATES_HZ, Resampler
from voice_agent.clock import process_seconds
from voice_agent.dev_vendors.deepgram_manners import NO_ANSWER, NO_AUDIO
from voice_agent.dev_vendors.desk import Exchange, Mark
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ

# What the vendor decodes and this stand-in does not: said so, rather than taken for a client's mistake.
_VENDOR_ENCODINGS: Final = frozenset(
    {"linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus", "speex", "g729"}
)
_GARBAGE: Final = '{"type": "Results", "channel": {"alternatives": [{"trans'
# A session that is recycled has said something before.
_RECYCLED_AFTER_S: Final = 0.5
# What can be taken back is not handed to the network all at once.
_AHEAD_MAX: Final = 16
# Messages that a client does not take; then it is as good as gone.
_WAITING_MAX: Final = 1000


class RefusedError(Exception):
    """A request is answered with an error instead of being served."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    def response(self, request_id: str) -> Response:
        body = {"err_code": self.code, "err_msg": str(self), "request_id": request_id}
        headers = {"dg-request-id": request_id, "dg-error": str(self)}
        if self.retry_after_s is not None:
            headers["retry-after"] = f"{self.retry_after_s:g}"
        return Response(orjson.dumps(body), self.status, headers, media_type="application/json")


def admit(connection: HTTPConnection, exchange: Exchange) -> None:
    """Lets a request with the desk's key in. Raises ``RefusedError``: for a wrong key, or the fault that is switched on."""
    fault = exchange.fault
    kind = "ASR" if exchange.stage is Stage.ASR else "TTS"
    if fault is Fault.UNAUTHORIZED or not _has_key(connection, exchange.desk.key):
        raise RefusedError(401, "INVALID_AUTH", "Invalid credentials.")
    if fault is Fault.QUOTA:
        raise RefusedError(
            402,
            f"{kind}_PAYMENT_REQUIRED",
            f"Project does not have enough credits for an {kind} request and does not have an overage agreement.",
        )
    if fault is Fault.RATE_LIMITED:
        raise RefusedError(
            429,
            "TOO_MANY_REQUESTS",
            "Too many requests. Please try again later.",
            retry_after_s=exchange.desk.retry_after_s,
        )
    if fault is Fault.SERVER_ERROR:
        raise RefusedError(503, "SERVICE_UNAVAILABLE", "Service is temporarily unavailable. Please try again later.")


def _has_key(connection: HTTPConnection, key: str) -> bool:
    """``Authorization: Token KEY`` (or ``Bearer``); for browsers the subprotocols ``token, KEY``."""
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    if not given:
        scheme, _, given = connection.headers.get("sec-websocket-protocol", "").partition(",")
    return scheme.strip().lower() in {"token", "bearer"} and secrets.compare_digest(
        given.strip().encode(), key.encode()
    )


@dataclass(frozen=True, slots=True)
class Query:
    """A request's parameters. Everything raises ``RefusedError`` for a value that the vendor does not take."""

    params: QueryParams

    def text(self, name: str, default: str = "") -> str:
        return self.params.get(name, default)

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self.params.getlist(name))

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.text(name).lower()
        if value not in {"", "true", "false"}:
            raise _unreadable(name, f"provided string was not `true` or `false`: {value}")
        return value == "true" if value else default

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float | None:
        text = self.text(name)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            raise _unreadable(name, "invalid number") from None
        if not low <= value <= high:
            raise RefusedError(
                400, "INVALID_QUERY_PARAMETER", f"{name} must be between {low:g} and {high:g}, got {text}."
            )
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        if self.text(name) and not self.text(name).isdecimal():
            raise _unreadable(name, "invalid digit found in string")
        value = self.number(name, low, high)
        return None if value is None else int(value)


def _unreadable(name: str, why: str) -> RefusedError:
    return RefusedError(400, "INVALID_QUERY_PARAMETER", f"Failed to deserialize query parameters: {name}: {why}")


def audio_format(query: Query, *, stated: bool) -> Resampler | None:
    """What brings the client's audio to 16 kHz. ``None`` where the query tells no encoding (the vendor expects a container
    then); with ``stated`` that is refused. Raises ``RefusedError``."""
    encoding = query.text("encoding")
    rate_hz = query.whole("sample_rate", 1, 192_000)
    if not encoding:
        if stated:
            raise RefusedError(
                400, "Bad Request", "Bad Request: encoding is required: this stand-in reads no containers."
            )
        return None
    if encoding in _VENDOR_ENCODINGS:
        raise RefusedError(400, "Bad Request", f"Bad Request: this stand-in decodes linear16 only, not {encoding}.")
    if encoding != "linear16":
        raise _unreadable("encoding", f"unknown variant `{encoding}`")
    if rate_hz is None:
        raise RefusedError(400, "Bad Request", "Bad Request: sample_rate is required with encoding=linear16.")
    if rate_hz not in RATES_HZ:
        raise RefusedError(
            400,
            "Bad Request",
            f"Bad Request: this stand-in hears {', '.join(map(str, RATES_HZ))} Hz, not sample_rate={rate_hz}.",
        )
    if (query.whole("channels", 1, 8) or 1) != 1 or query.flag("multichannel"):
        raise RefusedError(400, "Bad Request", "Bad Request: this stand-in hears one channel.")
    return Resampler(rate_hz, SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True)
class _Out:
    payload: bytes | str | None  # None: close
    about: str
    due_s: float
    content: bool
    last: bool
    code: int = 1000


class Line:
    """One session's WebSocket: messages go out in the order in which they were posted, none before it is due; every one is
    in the journal. Run ``sending`` beside ``receive``."""

    def __init__(self, socket: WebSocket, exchange: Exchange, request_id: str) -> None:
        self.request_id = request_id
        self.exchange = exchange
        self._socket = socket
        self._out: deque[_Out] = deque()
        self._news = asyncio.Event()
        self._sent = asyncio.Event()
        self.on_idle: Callable[[], None] = lambda: self.close(1011, NO_AUDIO)
        self.closing = False

    @property
    def fault(self) -> Fault | None:
        return self.exchange.fault

    def due_s(self, asked_s: float) -> float:
        """When an answer to what was asked at ``asked_s`` may go, by the desk's delays."""
        return asked_s + self.exchange.desk.delays[self.exchange.stage].first_s

    def post(
        self, message: dict[str, Any], about: str, *, due_s: float = 0.0, content: bool = False, last: bool = False
    ) -> None:
        """``content``: it holds a transcript (such messages may become garbage); ``last``: it ends an utterance."""
        self._put(_Out(orjson.dumps(message).decode(), about, due_s, content, last))

    def post_audio(self, pcm: bytes, *, due_s: float = 0.0) -> None:
        self._put(_Out(pcm, f"audio {len(pcm)} bytes", due_s, content=True, last=False))

    def close(self, code: int, reason: str = "") -> None:
        """Closes after all that was posted. Nothing can be posted afterwards."""
        self._put(_Out(None, reason, 0.0, content=False, last=False, code=code))
        self.closing = True

    def recycle(self) -> None:
        """Ends the session as the vendor does when it restarts a server. What is not due yet is lost."""
        now = process_seconds()
        self._out = deque(out for out in self._out if out.due_s <= now)
        if self.exchange.desk.deepgram.recycles_politely:
            self.close(1000)
        else:
            self.close(1011, NO_ANSWER)

    def take_back_audio(self) -> None:
        """Forgets the audio that was posted and not sent."""
        self._out = deque(out for out in self._out if not isinstance(out.payload, bytes))

    async def room(self) -> None:
        """Waits while much is posted and not sent."""
        while len(self._out) >= _AHEAD_MAX:
            self._sent.clear()
            await self._sent.wait()

    async def receive(self) -> bytes | str | None:
        """The client's next message; ``None`` when it has gone. After the vendor's time without any the session closes."""
        try:
            async with asyncio.timeout(None if self.closing else self.exchange.desk.deepgram.idle_s):
                message = await self._socket.receive()
        except TimeoutError:
            self.on_idle()
            message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        audio: bytes | None = message.get("bytes")
        if audio is not None:
            self.exchange.note(Mark.RECEIVED, f"audio {len(audio)} bytes")
            return audio
        text: str = message.get("text") or ""
        self.exchange.note(Mark.RECEIVED, text[:200])
        return text

    async def sending(self) -> None:
        """Sends until the line is closed, or the client has gone."""
        while True:
            while not self._out:
                self._news.clear()
                await self._news.wait()
            early_s = self._out[0].due_s - process_seconds()
            if early_s > 0:
                self._news.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), early_s)
                continue  # what was first may have been taken back meanwhile
            out = self._out.popleft()
            self._sent.set()
            try:
                if out.payload is None:
                    self.exchange.note(Mark.CLOSED, f"{out.code} {out.about}".rstrip())
                    await self._socket.close(out.code, out.about)
                    return
                await self._send(out)
            except (WebSocketDisconnect, RuntimeError):  # starlette's two ways to say that the client has gone
                return

    async def _send(self, out: _Out) -> None:
        if isinstance(out.payload, bytes):
            await self._socket.send_bytes(out.payload)
        elif out.content and self.fault is Fault.GARBAGE_JSON:
            await self._socket.send_text(_GARBAGE)
            self.exchange.note(Mark.SENT, "garbage")
            return
        else:
            await self._socket.send_text(out.payload or "")
        self.exchange.note(Mark.SENT, out.about)
        if out.content:
            self.exchange.sent_content(out.about)
        if out.last:
            self.exchange.note(Mark.LAST_BYTE, out.about)

    def _put(self, out: _Out) -> None:
        if self.closing:
            return
        if len(self._out) >= _WAITING_MAX:
            self._out.clear()
            out = _Out(None, "the client does not take its messages", 0.0, content=False, last=False, code=1008)
            self.closing = True
        self._out.append(out)
        self._news.set()


def recycled(line: Line, heard_s: float) -> bool:
    """Whether the session is to be recycled now."""
    return line.fault is Fault.RECYCLED and heard_s >= _RECYCLED_AFTER_S


def new_id() -> str:
    return str(uuid.uuid4())


def now_s() -> float:
    """The journal's clock."""
    return process_seconds()
