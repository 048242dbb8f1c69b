"""What the server says, on its way to the client, text and audio in their order.

Theory of operation: while the socket takes everything, each frame is written to it at once, by a plain call. As soon as it
does not, frames wait in one queue, and one writer brings them out through ASGI, which waits for the socket.

Rules:
1. Audio is refused while more than ``AUDIO_QUEUE_S`` of it waits: that is the call's backpressure, and unsent audio can
   still be taken back.
2. Text never waits, for the event log may not; more than ``TEXT_QUEUE_BYTES`` of it unsent is an overflow.
3. A client that takes nothing for ``STALL_S`` is an overflow too. After one, or once the client is gone, the outbox is
   broken: audio raises ``ConnectionError``, text is forgotten, ``on_broken`` has been told why.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from voice_agent.audio.resample import Resampler
from voice_agent.call.door import SPEAK_RATE_HZ
from voice_agent.gateway.direct_frames import DirectFrames
from voice_agent.models import ReplyId

AUDIO_QUEUE_S = 0.1
TEXT_QUEUE_BYTES = 262_144
STALL_S = 5.0

Send = Callable[[Any], Awaitable[None]]


class Outbox:
    """A call's ``Door``. ``events`` says whether text frames are sent at all; ``call_time`` gives the seconds since the
    call began, for frames that the log does not stamp; ``on_broken`` gets "lost" or "overflow"."""

    def __init__(
        self,
        send: Send,
        *,
        out_rate_hz: int,
        events: bool,
        call_time: Callable[[], float],
        on_broken: Callable[[str], None],
        direct: DirectFrames | None = None,
    ) -> None:
        self._send = send
        self._direct = direct
        self._events = events
        self._call_time = call_time
        self._on_broken = on_broken
        self._out_rate_hz = out_rate_hz
        self._resampler = Resampler(SPEAK_RATE_HZ, out_rate_hz)
        self._audio_limit_bytes = int(2 * out_rate_hz * AUDIO_QUEUE_S)
        self._queue: deque[bytes | str] = deque()
        self._audio_bytes = 0
        self._text_bytes = 0
        self._broken = False
        self._sealed = False
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    # The call's side

    def send_audio(self, pcm: bytes) -> bool:
        """16-bit mono PCM at 24 kHz; False where there is no room for it."""
        if self._broken:
            raise ConnectionError("the client is gone")
        if self._audio_bytes >= self._audio_limit_bytes:
            return False
        data = b"" if self._sealed else self._resampler.process(pcm)
        if data and not self._write_through(data):
            self._audio_bytes += len(data)
            self._put(data)
        return True

    def clear(self, reply_id: ReplyId) -> None:
        """Takes back what is unsent and asks the client to do the same."""
        if self._broken:
            raise ConnectionError("the client is gone")
        self._queue = deque(item for item in self._queue if isinstance(item, str))
        self._audio_bytes = 0
        self._resampler = Resampler(SPEAK_RATE_HZ, self._out_rate_hz)
        self.send_text({"type": "clear", "reply_id": reply_id})

    # The gateway's side

    def send_text(self, frame: dict[str, Any]) -> None:
        """Queues one JSON object; never blocks, never raises. Without events it is forgotten. A frame without ``t``
        gets the present time."""
        if not self._events or self._broken or self._sealed:
            return
        stamped = frame if "t" in frame else {"type": frame["type"], "t": round(self._call_time(), 3), **frame}
        text = orjson.dumps(stamped).decode()
        if self._write_through(text):
            return
        self._text_bytes += len(text)
        if self._text_bytes > TEXT_QUEUE_BYTES:
            self._break("overflow")
            return
        self._put(text)

    def seal(self) -> None:
        """The call is over: what is queued is still sent, nothing is added."""
        self._sealed = True

    async def flushed(self, timeout_s: float) -> None:
        """Waits until everything queued was handed to the socket, at most ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            pass

    async def run(self) -> None:
        """The writer; returns once the outbox is broken, otherwise never. Cancel it at the call's end."""
        while not self._broken:
            await self._wanted.wait()
            while self._queue and not self._broken:
                await self._write(self._queue.popleft())
            self._wanted.clear()
            self._idle.set()

    def _write_through(self, frame: bytes | str) -> bool:
        """Writes at once, unless something is still waiting or the socket is behind."""
        return self._direct is not None and self._idle.is_set() and self._direct.send_now(frame)

    def _put(self, item: bytes | str) -> None:
        self._queue.append(item)
        self._idle.clear()
        self._wanted.set()

    async def _write(self, item: bytes | str) -> None:
        try:
            async with asyncio.timeout(STALL_S):
                if isinstance(item, str):
                    await self._send({"type": "websocket.send", "text": item})
                    self._text_bytes -= len(item)
                else:
                    await self._send({"type": "websocket.send", "bytes": item})
                    self._audio_bytes = max(0, self._audio_bytes - len(item))
        except TimeoutError:
            self._break("overflow")
        except (OSError, RuntimeError):  # RuntimeError: the server has already begun to close this connection
            self._break("lost")

    def _break(self, why: str) -> None:
        if self._broken:
            return
        self._broken = True
        self._queue.clear()
        self._wanted.set()
        self._idle.set()
        self._on_broken(why)
