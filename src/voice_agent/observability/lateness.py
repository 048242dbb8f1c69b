"""How late outgoing audio leaves, over the last few seconds, for all calls of a process.

Media time has a due time for every chunk; what leaves after it eats into what the far side has buffered, and beyond that
is heard as a gap. So this is the overload that a caller hears, measured where it arises.

Theory of operation: lateness is counted in 1 ms buckets, in ``SLOTS`` slots of ``SLOT_S``; ``turn`` drops the oldest
slot. Recording reads no clock and allocates nothing: it happens 50 times a second for every call that is speaking.
"""

from __future__ import annotations

import math

SLOTS = 6
SLOT_S = 0.5
# Lateness of a quarter of a second and more is all the same: gaps.
_LAST_MS = 255


class LatenessWindow:
    """All methods run on the event loop."""

    def __init__(self) -> None:
        self._slots = [[0] * (_LAST_MS + 1) for _ in range(SLOTS)]
        self._newest = 0
        self._counts = self._slots[0]

    def record(self, late_s: float) -> None:
        """A chunk left ``late_s`` after it was due; negative where it was early."""
        late_ms = int(late_s * 1000)
        self._counts[0 if late_ms < 0 else _LAST_MS if late_ms > _LAST_MS else late_ms] += 1

    def turn(self) -> None:
        """``SLOT_S`` have passed: what is older than ``SLOTS`` slots is forgotten."""
        self._newest = (self._newest + 1) % SLOTS
        self._counts = self._slots[self._newest] = [0] * (_LAST_MS + 1)

    def percentile_s(self, share: float, *, at_least: int = 1) -> float | None:
        """The lateness that ``share`` (0 to 1) of the chunks stay within, rounded up to a whole millisecond; None where
        fewer than ``at_least`` left."""
        counts = [sum(bucket) for bucket in zip(*self._slots, strict=True)]
        total = sum(counts)
        if total < max(1, at_least):
            return None
        wanted = math.ceil(share * total)
        seen = 0
        for late_ms, count in enumerate(counts):
            seen += count
            if seen >= wanted:
                # Bucket 0 is "less than a millisecond": in time, as far as timers can tell.
                return (late_ms + 1 if late_ms else 0) / 1000
        raise AssertionError("unreachable: the counts add up to their total")
