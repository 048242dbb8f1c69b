"""Paces a reply's audio to the caller's ear, and knows how much of it has been heard.

Theory of operation: media time is counted in samples. ``_origin_s`` is the loop time at which the reply's first sample
is (or would have been) played; a chunk is due ``lead_s`` before its own place after that origin. So lateness never adds
up, a late chunk is followed by a catch-up, and what lies ahead of the ear is at most the lead plus one chunk. When there
was nothing to send (synthesis was late, playout paused, the client stalled) the origin moves on. Sending is a chain of
timers, one for each chunk, without a task of its own.

What is heard follows the same clock, less the lag that the client's acknowledgements show, if it sends any. After a pause
the last sounds may be sent again, so that speech goes on where a sound begins; they count once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from voice_agent.audio.resumption import chunks_to_repeat
from voice_agent.call.door import SPEAK_RATE_HZ, Door
from voice_agent.clock import Clock
from voice_agent.conversation.events import PlayoutAdvanced, PlayoutStarted, PlayoutStarved, ReplyFinished
from voice_agent.models import ReplyId

CHUNK_S = 0.02
CHUNK_BYTES = int(SPEAK_RATE_HZ * CHUNK_S) * 2
# Synthesis may run this far ahead of sending; beyond it, it waits. Bounds memory and wasted work per call.
BUFFER_S = 8.0
# Sent audio kept to be repeated after a pause.
_KEPT_CHUNKS = round(0.5 / CHUNK_S)
# How often the machine hears of progress.
REPORT_S = 0.25
# Timers are no finer than this, so what is due within it is due now.
_GRAIN_S = 0.001
# A client that claims to lag more than this is stalled or wrong.
MAX_LAG_S = 2.0
# How soon a client that takes nothing is tried again.
_RETRY_S = 0.02
# Pacing anew sends up to the lead at once, so a client may ask for it only so often.
RESUME_EVERY_S = 1.0

Post = Callable[[PlayoutStarted | PlayoutAdvanced | PlayoutStarved | ReplyFinished], None]
Played = Callable[[float, bytes], None]


class Lateness(Protocol):
    """Where the lateness of each chunk is counted, in seconds after it was due."""

    def record(self, late_s: float) -> None: ...


def _seconds(byte_count: int) -> float:
    return byte_count / (SPEAK_RATE_HZ * 2)


class Playout:
    """One call's playout, all on one event loop. ``played`` is told of every chunk and the loop time at which it reaches
    the ear; ``on_lost``, once, that the far side is gone. ``close`` it at the call's end."""

    def __init__(
        self,
        door: Door,
        clock: Clock,
        post: Post,
        *,
        lead_s: float,
        on_lost: Callable[[], None],
        lateness: Lateness,
        played: Played | None = None,
    ) -> None:
        self._door = door
        self._clock = clock
        self._post = post
        self._lead_s = lead_s
        self._on_lost = on_lost
        self._lateness = lateness
        self._played = played
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._silent = asyncio.Event()
        self._reply_id: ReplyId | None = None
        self._resumed_at = -RESUME_EVERY_S
        self._reset()

    def _reset(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._partial = b""
        self._queued_bytes = 0
        self._sent_bytes = 0
        self._spent: deque[bytes] = deque(maxlen=_KEPT_CHUNKS)
        self._repeated_s = 0.0
        self._origin_s: float | None = None
        self._complete = False
        self._paused = False
        self._lag_s = 0.0
        self._heard_floor_s = 0.0
        self._reported_s = 0.0
        self._awaited_s: float | None = None  # when the chunk that the timer waits for is due
        self._running_dry = self._starved = False
        self._room.set()
        self._silent.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Sends nothing more."""
        self._closed = True
        self._reply_id = None
        self._reset()

    # The reply's side

    def begin(self, reply_id: ReplyId, *, held: bool = False) -> None:
        """A new reply takes the place of whatever was left of the last. One that is ``held`` waits for ``unpause``."""
        self._reply_id = reply_id
        self._reset()
        self._paused = held

    def has_sent(self, reply_id: ReplyId) -> bool:
        """Whether any of this reply has gone out."""
        return reply_id == self._reply_id and self._sent_bytes > 0

    async def write(self, reply_id: ReplyId, pcm: bytes) -> None:
        """Queues audio (16-bit mono, 24 kHz); waits while the buffer is full. Audio of another reply is dropped."""
        while reply_id == self._reply_id and _seconds(self._queued_bytes) >= BUFFER_S:
            self._room.clear()
            await self._room.wait()
        if reply_id == self._reply_id:
            self._queue(pcm)

    def fill(self, reply_id: ReplyId, pcm: bytes) -> None:
        """Queues audio at once: a phrase for a silence, of at most a few seconds."""
        if reply_id == self._reply_id:
            self._queue(pcm + bytes(-len(self._partial + pcm) % CHUNK_BYTES))

    def is_silent(self, reply_id: ReplyId) -> bool:
        """Whether the caller hears nothing of this reply at the moment, because there is nothing to send."""
        return reply_id == self._reply_id and self._silent.is_set()

    async def until_silent(self, reply_id: ReplyId) -> None:
        """Returns once all audio that there is of the reply has been heard, or the reply is over."""
        if reply_id == self._reply_id:
            await self._silent.wait()

    def _queue(self, pcm: bytes) -> None:
        data = self._partial + pcm
        whole = len(data) - len(data) % CHUNK_BYTES
        for start in range(0, whole, CHUNK_BYTES):
            self._chunks.append(data[start : start + CHUNK_BYTES])
        self._partial = data[whole:]
        self._queued_bytes += whole
        if self._chunks:
            self._silent.clear()
            self._starved = False
        self._pump_if_idle()

    def complete(self, reply_id: ReplyId) -> None:
        """No more audio comes for this reply; ``ReplyFinished`` follows once all has been heard."""
        if reply_id == self._reply_id:
            if self._partial:
                self._chunks.append(self._partial)
                self._queued_bytes += len(self._partial)
                self._partial = b""
            self._complete = True
            self._pump_if_idle()

    # The machine's side

    def pause(self, reply_id: ReplyId) -> None:
        if reply_id == self._reply_id:
            self._paused = True

    def unpause(self, reply_id: ReplyId, *, rewind_s: float = 0.0) -> None:
        """Goes on, at the beginning of a sound at most ``rewind_s`` back; not before the caller of this has returned, so
        that a ``pause`` which follows at once lets nothing out."""
        if reply_id == self._reply_id:
            self._repeat(chunks_to_repeat(tuple(self._spent), round(rewind_s / CHUNK_S)))
            self._paused = False
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(0.0, self._pump)

    def cancel(self, reply_id: ReplyId) -> float:
        """Drops what is unsent; gives the seconds heard. Later audio of this reply is ignored."""
        if reply_id != self._reply_id:
            return 0.0
        heard_s = self.heard_s()
        self._reply_id = None
        self._reset()
        return heard_s

    def _repeat(self, chunks: int) -> None:
        self.heard_s()  # what was heard so far stays heard
        for _ in range(chunks):
            chunk = self._spent.pop()
            self._chunks.appendleft(chunk)
            self._queued_bytes += len(chunk)
            self._sent_bytes -= len(chunk)
            self._repeated_s += _seconds(len(chunk))

    # The client's side

    def acknowledge(self, reply_id: ReplyId, played_s: float) -> None:
        """The client says how much it has played; what it lags behind the paced clock is kept as the lag."""
        if reply_id != self._reply_id or self._origin_s is None:
            return
        played_s = max(0.0, min(played_s - self._repeated_s, _seconds(self._sent_bytes)))
        self._lag_s = min(MAX_LAG_S, max(0.0, self._paced_s() - played_s))
        self._post(PlayoutAdvanced(reply_id, round(played_s, 4), acknowledged=True))

    def resume_client(self) -> None:
        """The client's output runs again after a stall: pace anew from here instead of catching up."""
        now = self._clock.now()
        if self._origin_s is not None and now - self._resumed_at >= RESUME_EVERY_S:
            self._resumed_at = now
            self._origin_s = now - _seconds(self._sent_bytes)

    def heard_s(self) -> float:
        """Seconds of the current reply that have reached the ear; never falls."""
        self._heard_floor_s = max(self._heard_floor_s, self._paced_s() - self._lag_s)
        return self._heard_floor_s

    def _paced_s(self) -> float:
        if self._origin_s is None:
            return 0.0
        return max(0.0, min(_seconds(self._sent_bytes), self._clock.now() - self._origin_s))

    # Sending

    def _pump_if_idle(self) -> None:
        if self._timer is None or self._running_dry:
            self._pump()

    def _pump(self) -> None:
        """Sends what is due and sets the timer for what comes next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            wait_s = self._step()
            while wait_s == 0.0:
                wait_s = self._step()
        except ConnectionError:
            self.close()
            self._on_lost()
            return
        if wait_s is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._pump)

    def _step(self) -> float | None:
        """Sends one chunk if one is due; gives the seconds until there is something to do (None: until told)."""
        reply_id = self._reply_id
        if reply_id is None:
            return None
        self._report(reply_id)
        self._running_dry = False
        if not self._chunks or self._paused:
            self._awaited_s = None
            return self._wait_for_end(reply_id)
        now = self._clock.now()
        sent_s = _seconds(self._sent_bytes)
        if self._origin_s is None:
            self._origin_s = now
            self._post(PlayoutStarted(reply_id))
        elif now > self._origin_s + sent_s:
            self._origin_s = now - sent_s
        due_s = self._origin_s + sent_s - self._lead_s
        if due_s - now > _GRAIN_S:
            self._awaited_s = due_s
            return due_s - now
        chunk = self._chunks[0]
        if not self._door.send_audio(chunk):
            self._awaited_s = None
            return _RETRY_S
        if self._awaited_s is not None:
            self._lateness.record(now - self._awaited_s)
            self._awaited_s = None
        self._chunks.popleft()
        self._queued_bytes -= len(chunk)
        self._sent_bytes += len(chunk)
        self._spent.append(chunk)
        if self._played is not None:
            self._played(self._origin_s + sent_s, chunk)
        self._room.set()
        return 0.0

    def _wait_for_end(self, reply_id: ReplyId) -> float | None:
        if self._paused or self._chunks:
            return None
        total_s = _seconds(self._sent_bytes)
        left_s = 0.0 if self._origin_s is None else total_s - (self._clock.now() - self._origin_s - self._lag_s)
        if left_s > _GRAIN_S:
            self._running_dry = not self._complete
            return min(left_s, REPORT_S)
        self._silent.set()
        if not self._complete:
            if self._origin_s is not None and not self._starved:
                self._starved = True
                self._post(PlayoutStarved(reply_id))
            return None
        self._reply_id = None
        self._post(ReplyFinished(reply_id, round(total_s, 4)))
        return None

    def _report(self, reply_id: ReplyId) -> None:
        heard_s = self.heard_s()
        if heard_s >= self._reported_s + REPORT_S:
            self._reported_s = heard_s
            self._post(PlayoutAdvanced(reply_id, round(heard_s, 4)))
