"""How the HTTP server is run: every choice about sockets, limits and shutdown in one place.

Choices:
- WebSockets by the sans-I/O implementation without per-message deflate (PCM does not compress: it costs more time than
  the frame itself and saves about one percent), on uvloop;
- ``PING_INTERVAL_S`` and ``PING_TIMEOUT_S``: a peer that vanished without a word is noticed within 25 s while nobody
  speaks, and proxies see traffic; while the agent speaks, the outbox notices a stalled client in 5 s;
- small send buffers: what the kernel holds can't be taken back at an interruption and hides a client that has stopped
  reading, and 64 KiB is well over a second of audio;
- requests up to ``MAX_REQUEST_HEAD_BYTES``: h11 enforces it for every request, and the WebSocket handshake, which parses
  the request once more, is brought to the same limit, so that an overlong parameter gets its close reason;
- frames beside ASGI: a call's audio goes from the parser into the call, and from the call into the socket, by plain calls
  (see ``direct_frames.py``);
- shutdown: calls are drained before the listening sockets close, so that /ready can say "draining" meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode
from websockets.http11 import Request

from voice_agent.gateway.direct_frames import EXTENSION

MAX_FRAME_BYTES = 1_048_576
MAX_REQUEST_HEAD_BYTES = 65_536
PING_INTERVAL_S = 10.0
PING_TIMEOUT_S = 15.0
SEND_BUFFER_BYTES = 65_536
LINGER_S = 3.0  # for a client to read the close frame before the connection is cut
QUIET_S = 0.3
UVICORN_SHUTDOWN_S = 5

Application = Callable[..., Awaitable[None]]


class CallProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, with frames beside ASGI, and with endings that reach the client and do not wait for one that has
    stopped reading."""

    linger_until = 0.0  # loop time; set where a connection is broken off
    audio_sink: Callable[[bytes], bool] | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # not refused
            self.scope["extensions"] = {**self.scope["extensions"], EXTENSION: self}  # type: ignore[dict-item]  # its own

    def take_audio(self, sink: Callable[[bytes], bool]) -> None:
        self.audio_sink = sink

    def send_now(self, frame: bytes | str) -> bool:
        if not self.writable.is_set() or self.disconnected or self.close_sent or self.transport.is_closing():
            return False
        try:
            if isinstance(frame, str):
                self.conn.send_text(frame.encode())
            else:
                self.conn.send_binary(frame)
        except InvalidState:  # the client's close frame has just come
            return False
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))  # the rejection, which nobody else would send
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(b"".join(self.frames)):
            self.conn.fail(CloseCode.INVALID_DATA, "a text frame must be UTF-8")
            self.handle_parser_exception()
            return
        if self.curr_msg_data_type == "bytes" and self.audio_sink is not None and self.queue.empty():
            data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
            if self.close_sent or self.audio_sink(data):
                self.frames = []
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """A frame broke the protocol or a limit. Closing at once with unread data in the socket would reset the
        connection, and the client would never see the close frame: so what still comes is read and dropped, until
        nothing comes for ``QUIET_S``, at most for ``LINGER_S``. Called again for each piece of it."""
        now = self.loop.time()
        if not self.close_sent:
            assert self.conn.close_sent is not None
            code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.linger_until = now + LINGER_S
            if self.read_paused:
                self.read_paused = False
                self.transport.resume_reading()
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(max(0.0, min(QUIET_S, self.linger_until - now)), self.transport.close)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done with this connection: whatever the client does, it ends soon."""
        super().on_task_complete(task)
        if not self.disconnected:
            self.loop.call_later(2 * LINGER_S, self.transport.abort)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class _NoHandshakeLines(logging.Filter):
    """uvicorn logs each handshake with its whole query, which may hold a caller id and the token."""

    def filter(self, record: logging.LogRecord) -> bool:
        return '"WebSocket %s"' not in str(record.msg)


def server_config(app: Any, *, host: str, port: int, **overrides: Any) -> uvicorn.Config:
    """The configuration every server of this program uses, tests included. ``app`` is an ASGI application."""
    http11.MAX_LINE_LENGTH = MAX_REQUEST_HEAD_BYTES
    logger = logging.getLogger("uvicorn.error")
    if not any(isinstance(item, _NoHandshakeLines) for item in logger.filters):
        logger.addFilter(_NoHandshakeLines())
    options: dict[str, Any] = {
        "loop": "uvloop",
        "http": "h11",
        "h11_max_incomplete_event_size": MAX_REQUEST_HEAD_BYTES,
        "ws": CallProtocol,
        "ws_max_size": MAX_FRAME_BYTES,
        "ws_per_message_deflate": False,
        "ws_ping_interval": PING_INTERVAL_S,
        "ws_ping_timeout": PING_TIMEOUT_S,
        "timeout_graceful_shutdown": UVICORN_SHUTDOWN_S,
        "log_config": None,
        "access_log": False,
        "server_header": False,
    }
    return uvicorn.Config(app, host=host, port=port, **(options | overrides))


class CallServer(uvicorn.Server):
    """A server that lets its calls end before it closes. ``before_shutdown`` runs while requests are still answered; a
    second interrupt cuts it short."""

    def __init__(self, config: uvicorn.Config, *, before_shutdown: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.ensure_future(self._before_shutdown())
        while not draining.done() and not self.force_exit:
            await asyncio.wait([draining], timeout=0.1)
        if draining.done():
            draining.result()
        else:
            draining.cancel()
        await super().shutdown(sockets)
