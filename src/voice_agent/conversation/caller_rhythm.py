"""How long this caller pauses inside a turn: a running estimate, from pauses after which the caller went on.

A pause longer than expected moves the estimate up at once by a good part of the difference, so that two long pauses are
enough to be waited for; turns without any bring it down slowly, since a caller who did not pause once may still do so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# The pause that the settings' waits are made for, in seconds: the middle of pauses inside a turn on the telephone.
TYPICAL_PAUSE_S = 0.45
# Gaps shorter than this are closures and breaths between words; longer than this the caller was away.
_SHORTEST_S = 0.2
_LONGEST_S = 3.0
_UP = 0.5
_DOWN = 0.2
# A turn without a pause tells of a caller who makes them this short.
_FLUENT_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class CallerRhythm:
    """``pause_s`` is the estimate; ``pauses`` counts what it rests on."""

    pause_s: float = TYPICAL_PAUSE_S
    pauses: int = 0

    def went_on_after(self, pause_s: float) -> CallerRhythm:
        """The caller went on with the same turn after ``pause_s`` of silence."""
        if not _SHORTEST_S <= pause_s <= _LONGEST_S:
            return self
        rate = _UP if pause_s > self.pause_s else _DOWN
        return CallerRhythm(self.pause_s + rate * (pause_s - self.pause_s), self.pauses + 1)

    def said_without_pause(self) -> CallerRhythm:
        """A turn of several words was said in one go."""
        return replace(self, pause_s=self.pause_s + _DOWN * (_FLUENT_PAUSE_S - self.pause_s))

    def patience(self, least: float, most: float) -> float:
        """The factor on waits in doubt, 1 for a caller of whom nothing is known, within the bounds."""
        return min(most, max(least, self.pause_s / TYPICAL_PAUSE_S))
