"""What a client says, on its way into the call: whole samples, 16 kHz, and never much faster than real time.

Theory of operation. A client may fall behind (its network stalled) and then deliver what it owes at once, or send a
recording in one burst. The first must be let through, or the call would lag for ever; the second must not flood the call,
whose queues would drop most of it. So input has a budget in seconds of audio: it may run ``AHEAD_S`` ahead of real time,
time that passed without audio earns at most ``CATCH_UP_S``, and beyond that audio is taken ``SPEED`` times as fast as it
plays. What is over the budget waits here, up to ``BACKLOG_BYTES``; then the socket is not read until there is room, and
TCP makes the client wait. Nothing is dropped.

A client that sends in real time never meets any of this: its frames go straight into the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voice_agent.audio.resample import Resampler
from voice_agent.call.door import HEAR_RATE_HZ
from voice_agent.clock import Clock

AHEAD_S = 1.0
CATCH_UP_S = 2.0
SPEED = 1.25
SLICE_S = 0.1  # audio handed over in one go: converting it takes well under a millisecond
BACKLOG_BYTES = 1_048_576


class InputBudget:
    """How far the input is ahead of real time; a leaky bucket in seconds. Pure: ``now`` is an argument."""

    def __init__(self, now: float) -> None:
        self._ahead_s = 0.0
        self._at = now

    def wait_s(self, now: float) -> float:
        """Seconds until more audio may be taken; 0 where it may be taken now."""
        self._ahead_s = max(-CATCH_UP_S, self._ahead_s - SPEED * (now - self._at))
        self._at = now
        return max(0.0, (self._ahead_s - AHEAD_S) / SPEED)

    def take(self, seconds: float) -> None:
        self._ahead_s += seconds


class Intake:
    """One call's input. ``run`` hands over what had to wait; it belongs into the call's task group."""

    def __init__(self, hear: Callable[[bytes], None], *, in_rate_hz: int, clock: Clock) -> None:
        self._hear = hear
        self._clock = clock
        self._resampler = Resampler(in_rate_hz, HEAR_RATE_HZ)
        self._bytes_per_s = 2 * in_rate_hz
        self._slice_bytes = 2 * int(in_rate_hz * SLICE_S)
        self._budget = InputBudget(clock.now())
        self._odd = b""
        self._backlog = bytearray()
        self._waiting = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def push(self, frame: bytes) -> None:
        """Takes one binary frame of any size; an odd last byte waits for the next frame."""
        if self._odd:
            frame = self._odd + frame
            self._odd = b""
        if len(frame) % 2:
            self._odd = frame[-1:]
            frame = frame[:-1]
        if not frame:
            return
        if not self._backlog and len(frame) <= self._slice_bytes and self._budget.wait_s(self._clock.now()) == 0.0:
            self._hand_over(frame)
            return
        self._backlog += frame
        self._waiting.set()
        if len(self._backlog) >= BACKLOG_BYTES:
            self._room.clear()

    def offer(self, frame: bytes) -> bool:
        """As ``push``, but refuses by False where the client must wait."""
        if not self._room.is_set():
            return False
        self.push(frame)
        return True

    async def room(self) -> None:
        """Waits while too much is waiting. Safe to cancel."""
        if not self._room.is_set():
            await self._room.wait()

    async def run(self) -> None:
        """Never returns; cancel it at the call's end."""
        while True:
            await self._waiting.wait()
            # At least one turn of the loop between slices: a burst must not hold up other calls.
            await asyncio.sleep(self._budget.wait_s(self._clock.now()))
            piece = bytes(self._backlog[: self._slice_bytes])
            del self._backlog[: self._slice_bytes]
            if not self._backlog:
                self._waiting.clear()
            if len(self._backlog) < BACKLOG_BYTES:
                self._room.set()
            self._hand_over(piece)

    def _hand_over(self, pcm: bytes) -> None:
        self._budget.take(len(pcm) / self._bytes_per_s)
        converted = self._resampler.process(pcm)
        if converted:
            self._hear(converted)
