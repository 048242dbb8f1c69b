"""The caller's audio since the last final: what a new connection must hear again. Positions are bytes of the call."""

from __future__ import annotations

from typing import Final

from voice_agent.providers.asr.base import SAMPLE_RATE_HZ

BYTES_PER_S: Final = SAMPLE_RATE_HZ * 2
_LET_GO_BYTES: Final = BYTES_PER_S  # moving the rest forward costs a copy: once a second is often enough


class AudioRing:
    """At most ``seconds`` of audio; beyond it the oldest is dropped, whether it was sent or not.

    ``start`` and ``end`` are the positions of the first byte kept and after the last one.
    """

    def __init__(self, seconds: float) -> None:
        self._limit = int(seconds * SAMPLE_RATE_HZ) * 2
        self._pcm = bytearray()
        self._dropped = 0  # bytes of _pcm that are let go of, but not moved out of the way yet
        self.start = 0
        self.end = 0

    def append(self, pcm: bytes) -> None:
        self._pcm += pcm
        self.end += len(pcm)
        if self.end - self.start > self._limit:
            self.release(self.end - self._limit)

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``position``, which must not lie before ``start``."""
        at = position - self.start + self._dropped
        return bytes(self._pcm[at : at + size])

    def release(self, position: int) -> None:
        """What lies before ``position`` is not needed any more."""
        gone = min(position, self.end) - self.start
        if gone <= 0:
            return
        self.start += gone
        self._dropped += gone
        if self._dropped >= _LET_GO_BYTES:
            del self._pcm[: self._dropped]
            self._dropped = 0
