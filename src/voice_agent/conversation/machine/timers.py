"""Named deadlines; the session arms one real timer for the earliest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Timer(StrEnum):
    END_OF_TURN = "end_of_turn"
    FINAL_LATE = "final_late"
    BARGE_PAUSE = "barge_pause"
    BARGE_COMMIT = "barge_commit"
    TURN_TIMEOUT = "turn_timeout"
    FILLER = "filler"
    MONOLOGUE = "monologue"
    ACKNOWLEDGE = "acknowledge"
    KEYS = "keys"
    SECRET = "secret"  # noqa: S105 - a timer, not a password
    IDLE = "idle"
    TRANSFER = "transfer"
    TTL = "ttl"


# What is armed for the turn that the caller is in.
TURN_TIMERS = (
    Timer.END_OF_TURN,
    Timer.FINAL_LATE,
    Timer.BARGE_PAUSE,
    Timer.BARGE_COMMIT,
    Timer.MONOLOGUE,
    Timer.ACKNOWLEDGE,
    Timer.KEYS,
)


@dataclass(slots=True)
class Timers:
    _due: dict[Timer, float] = field(default_factory=dict)

    def set(self, timer: Timer, at: float) -> None:
        self._due[timer] = at

    def clear(self, *timers: Timer) -> None:
        for timer in timers:
            self._due.pop(timer, None)

    def clear_all(self) -> None:
        self._due.clear()

    def at(self, timer: Timer) -> float:
        """When it is due; minus infinity where it is not set."""
        return self._due.get(timer, float("-inf"))

    def next(self) -> float | None:
        return min(self._due.values(), default=None)

    def take_due(self, now: float) -> Timer | None:
        """Removes and gives the earliest timer that is due; ties go by name, so that a replay agrees."""
        due = [(at, timer) for timer, at in self._due.items() if at <= now]
        if not due:
            return None
        timer = min(due)[1]
        del self._due[timer]
        return timer
