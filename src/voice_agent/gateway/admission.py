"""Which calls exist: admission, readiness, draining, and the list an operator sees.

Rules: a call is admitted while the process is warm, not draining, no probe objects and a place is free. Each admitted
call holds one ``Ticket``; leaving the ticket's ``with`` block gives the place back, whatever happened inside. So the
number of active calls is the number of tickets that are out, and nothing else counts it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType

from voice_agent.clock import Clock
from voice_agent.conversation.commands import EndCall, Escalate
from voice_agent.conversation.events import CallStarted
from voice_agent.observability.record import LogRecord

RECENT_CALLS = 200  # ended calls kept for the operator's list

ReadinessProbe = Callable[[], str]
"""Gives "" where new calls are welcome, otherwise the reason why not. Asked often: must be quick and must not raise."""


class ServerStatus(StrEnum):
    READY = "ready"
    STARTING = "starting"
    DRAINING = "draining"
    OVERLOADED = "overloaded"


class CallPhase(StrEnum):
    """Where a call stands, as an operator sees it."""

    CONNECTING = "connecting"
    ACTIVE = "active"
    TRANSFERRING = "transferring"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class AdmissionStatus:
    """``reason`` is empty exactly where ``status`` is READY."""

    status: ServerStatus
    reason: str
    active: int
    capacity: int
    uptime_s: float


@dataclass(slots=True)
class CallEntry:
    """One call in the operator's list: no caller id, no caller text. ``ended`` and ``outcome`` are set at its end."""

    number: int
    since: datetime
    call_id: str = ""
    locale: str = ""
    phase: CallPhase = CallPhase.CONNECTING
    ended: datetime | None = None
    outcome: str = ""
    reason: str = ""


class Ticket:
    """A call's place, as a context manager. ``observe`` is a record sink that keeps the operator's entry current."""

    def __init__(self, entry: CallEntry, give_back: Callable[[CallEntry], None]) -> None:
        self.entry = entry
        self._give_back = give_back

    def observe(self, record: LogRecord) -> None:
        entry = self.entry
        match record.entry:
            case CallStarted(call_id=call_id, locale=locale):
                entry.call_id, entry.locale, entry.phase = str(call_id), locale, CallPhase.ACTIVE
            case Escalate():
                entry.phase = CallPhase.TRANSFERRING
            case EndCall(outcome=outcome, reason=reason):
                entry.outcome, entry.reason = outcome.value, reason
            case _:
                pass

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Gives the place back; once only, however often it is called."""
        self._give_back(self.entry)


class Admission:
    """The one register of this process's calls. All methods run on the event loop."""

    def __init__(self, *, capacity: int, clock: Clock, probes: Sequence[ReadinessProbe] = ()) -> None:
        self._capacity = capacity
        self._clock = clock
        self._probes = tuple(probes)
        self._started_at = clock.now()
        self._warm = False
        self._draining = False
        self._count = 0
        self._active: dict[int, CallEntry] = {}
        self._recent: deque[CallEntry] = deque(maxlen=RECENT_CALLS)
        self._empty = asyncio.Event()
        self._empty.set()

    def open(self) -> None:
        """The models are warm and the stores are there: calls may come."""
        self._warm = True

    def drain(self) -> None:
        """Admits no further call; those that are running go on."""
        self._draining = True

    async def drained(self, timeout_s: float) -> bool:
        """Waits until no call is active; False where ``timeout_s`` passed first. Safe to cancel."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def try_admit(self) -> Ticket | None:
        """A place for one more call, or None: ``status()`` then says why."""
        if self._objection()[1]:
            return None
        self._count += 1
        entry = CallEntry(number=self._count, since=self._clock.wall())
        self._active[entry.number] = entry
        self._empty.clear()
        return Ticket(entry, self._give_back)

    def status(self) -> AdmissionStatus:
        status, reason = self._objection()
        uptime_s = self._clock.now() - self._started_at
        return AdmissionStatus(status, reason, len(self._active), self._capacity, uptime_s)

    def calls(self) -> list[CallEntry]:
        """Active calls, oldest first, then ended ones, newest first."""
        return [*self._active.values(), *reversed(self._recent)]

    def _objection(self) -> tuple[ServerStatus, str]:
        if self._draining:
            return ServerStatus.DRAINING, "the server is shutting down"
        if not self._warm:
            return ServerStatus.STARTING, "the server is still starting"
        if len(self._active) >= self._capacity:
            return ServerStatus.OVERLOADED, f"all {self._capacity} places are taken"
        for probe in self._probes:
            if reason := probe():
                return ServerStatus.OVERLOADED, reason
        return ServerStatus.READY, ""

    def _give_back(self, entry: CallEntry) -> None:
        if self._active.pop(entry.number, None) is None:
            return
        entry.phase, entry.ended = CallPhase.ENDED, self._clock.wall()
        self._recent.append(entry)
        if not self._active:
            self._empty.set()
