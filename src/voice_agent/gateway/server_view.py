"""What one of several workers knows of the whole server, so that a request may land on any of them.

Every worker tells the others of its load and of its calls (``cli/supervisor.py`` passes it on). What a worker says of
itself is always fresh; what it says of the others is as old as their last message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from voice_agent.clock import Clock
from voice_agent.gateway.admission import RECENT_CALLS, Admission, AdmissionStatus, CallEntry, CallPhase, ServerStatus
from voice_agent.models import CallOutcome


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """``received`` counts the connections that were ever handed to the worker, ``connections`` those that are open and are
    calls or may become some."""

    slot: int
    status: ServerStatus
    reason: str
    active: int
    capacity: int
    connections: int = 0
    received: int = 0


@dataclass(slots=True)
class CallBook:
    """The calls of one worker, kept up to date by its entries as they change."""

    active: dict[int, CallEntry] = field(default_factory=dict)
    recent: deque[CallEntry] = field(default_factory=lambda: deque(maxlen=RECENT_CALLS))

    def note(self, entry: CallEntry) -> None:
        if entry.phase is CallPhase.ENDED:
            self.active.pop(entry.number, None)
            self.recent.append(entry)
        else:
            self.active[entry.number] = entry

    def give_up(self, now: datetime) -> list[CallEntry]:
        """The worker has died: its calls ended with it. Gives their entries."""
        lost = [
            replace(entry, phase=CallPhase.ENDED, ended=now, outcome=CallOutcome.ERROR.value, reason="worker_died")
            for entry in self.active.values()
        ]
        for entry in lost:
            self.note(entry)
        return lost

    def entries(self) -> Iterable[CallEntry]:
        return [*self.active.values(), *self.recent]


class ServerView:
    """Readiness and the list of calls, as one server's. ``began_s`` is when the server started, on ``clock``."""

    def __init__(self, own: Admission, clock: Clock, *, began_s: float) -> None:
        self._own = own
        self._clock = clock
        self._began_s = began_s
        self._loads: dict[int, WorkerLoad] = {}
        self._books: dict[int, CallBook] = {}

    def note_load(self, load: WorkerLoad) -> None:
        self._loads[load.slot] = load

    def note_call(self, slot: int, entry: CallEntry) -> None:
        self._books.setdefault(slot, CallBook()).note(entry)

    def note_gone(self, slot: int) -> None:
        """A worker has died. What became of its calls comes as entries."""
        self._loads.pop(slot, None)

    def status(self) -> AdmissionStatus:
        """Ready where any worker is: new calls go to one that takes them."""
        own, others = self._own.status(), tuple(self._loads.values())
        active = own.active + sum(load.active for load in others)
        capacity = own.capacity + sum(load.capacity for load in others)
        status, reason = own.status, own.reason
        if any(load.status is ServerStatus.READY for load in others):
            status, reason = ServerStatus.READY, ""
        elif status is not ServerStatus.READY and active >= capacity:
            reason = f"all {capacity} places are taken"
        return AdmissionStatus(status, reason, active, capacity, self._clock.now() - self._began_s)

    def calls(self) -> list[CallEntry]:
        """Active calls, oldest first, then ended ones, newest first."""
        entries = [*self._own.calls()]
        for book in self._books.values():
            entries.extend(book.entries())
        active = sorted((entry for entry in entries if entry.ended is None), key=lambda entry: entry.since)
        ended = sorted((e for e in entries if e.ended is not None), key=lambda entry: str(entry.ended), reverse=True)
        return active + ended
