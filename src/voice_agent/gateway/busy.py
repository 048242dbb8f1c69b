"""How a call beyond capacity is refused: at next to no cost, with a code, or with a spoken sentence.

Rules:
1. A call that cannot be admitted is refused on its first bytes, before a request is parsed, a task made or a log line
   written: while calls are refused, those that are admitted must not pay for it. The client gets what it would get from
   the long way: the handshake's answer (RFC 6455 §4.2.2), then a close frame with code 1013.
2. A request that does not look like a handshake for a call goes the long way; so does whatever the register lets pass.
3. Where refusals are spoken, ``SPOKEN_AT_ONCE`` of them at a time go the long way and get the clip first. The clip is
   paced as speech is: a client may stop its output on the close frame, and would cut off what came in one piece.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from voice_agent.audio.resample import Resampler
from voice_agent.call.door import SPEAK_RATE_HZ
from voice_agent.gateway.admission import Admission

BUSY = 1013  # RFC 6455 §7.4.1, registered with IANA: try again later
SPOKEN_AT_ONCE = 8
# For the client to answer the close frame before the connection is cut.
LINGER_S = 2.0

_CHUNK_S = 0.1
_LEAD_S = 0.2
_KEY = re.compile(rb"\r\nsec-websocket-key:[ \t]*([A-Za-z0-9+/=]{24})[ \t]*\r\n", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_CLOSE_FRAME = 0x88  # final fragment, opcode "connection close"

Send = Callable[[Any], Awaitable[None]]


def busy_reason(why: str) -> str:
    """The close frame's text."""
    return f"busy: {why}; try again later"


class BusyClip:
    """A sentence for callers who are refused: 16-bit mono PCM at 24 kHz, made once."""

    def __init__(self, pcm: bytes) -> None:
        self._pcm = pcm
        self._by_rate: dict[int, bytes] = {SPEAK_RATE_HZ: pcm}
        self._speaking = 0

    @property
    def free(self) -> bool:
        """Whether another caller may hear it now."""
        return self._speaking < SPOKEN_AT_ONCE

    async def say(self, send: Send, out_rate_hz: int) -> None:
        """Plays it to its end, in real time; at once silent where too many hear it already. Raises ``OSError`` where the
        client is gone. Safe to cancel."""
        if not self.free:
            return
        self._speaking += 1
        try:
            await self._play(send, self._at_rate(out_rate_hz), round(out_rate_hz * _CHUNK_S) * 2)
        finally:
            self._speaking -= 1

    async def _play(self, send: Send, pcm: bytes, chunk_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for number, start in enumerate(range(0, len(pcm), chunk_bytes)):
            await asyncio.sleep(began_s + number * _CHUNK_S - _LEAD_S - loop.time())
            await send({"type": "websocket.send", "bytes": pcm[start : start + chunk_bytes]})
        await asyncio.sleep(_LEAD_S)

    def _at_rate(self, rate_hz: int) -> bytes:
        if rate_hz not in self._by_rate:
            self._by_rate[rate_hz] = Resampler(SPEAK_RATE_HZ, rate_hz).process(self._pcm)
        return self._by_rate[rate_hz]


def early_refusals(admission: Admission, paths: Collection[str], clip: BusyClip | None = None) -> type[H11Protocol]:
    """The HTTP protocol class for uvicorn that keeps rule 1 for WebSocket requests to ``paths``."""
    starts = tuple(f"GET {path}{end}".encode() for path in paths for end in ("?", " "))

    class EarlyRefusals(H11Protocol):
        _first = True
        _cut: asyncio.TimerHandle | None = None

        def data_received(self, data: bytes) -> None:
            if self._cut is not None:
                self._answered(data)
            elif self._first and (accept := handshake_answer(data, starts)):
                self._first = False
                silent = clip is None or not clip.free
                reason = admission.begin_handshake(final=silent)
                if reason and silent:
                    self._refuse(accept, reason)
                else:
                    super().data_received(data)
                    if not reason and not _is_under_way(self.transport):
                        admission.end_handshake()
            else:
                self._first = False
                super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._cut is not None:
                self._cut.cancel()
            super().connection_lost(exc)

        def _refuse(self, accept: bytes, reason: str) -> None:
            payload = BUSY.to_bytes(2, "big") + busy_reason(reason).encode()
            self.transport.write(accept + bytes((_CLOSE_FRAME, len(payload))) + payload)
            self._cut = self.loop.call_later(LINGER_S, self.transport.close)

        def _answered(self, data: bytes) -> None:
            """What comes after a refusal is dropped, until the client's own close frame."""
            if data and data[0] == _CLOSE_FRAME:
                with suppress(OSError):
                    self.transport.close()

    return EarlyRefusals


def _is_under_way(transport: asyncio.Transport) -> bool:
    """Whether the request has become a WebSocket's, and the door will be asked. One that was malformed beyond what is
    looked at here has been answered: it must not stand in the way of others."""
    protocol = transport.get_protocol()
    return isinstance(protocol, WebSocketsSansIOProtocol) and protocol.handshake_initiated and not protocol.close_sent


def handshake_answer(request: bytes, starts: tuple[bytes, ...]) -> bytes:
    """The answer that accepts a WebSocket handshake; empty where ``request`` is not a whole one that begins with one of
    ``starts``."""
    if not request.startswith(starts) or not request.endswith(b"\r\n\r\n"):
        return b""
    key = _KEY.search(request)
    if key is None or _UPGRADE.search(request) is None:
        return b""
    digest = base64.b64encode(hashlib.sha1(key[1] + _MAGIC).digest())  # noqa: S324 - the protocol wants SHA-1
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + digest
        + b"\r\n\r\n"
    )
