"""Which calls exist: admission, readiness, draining, and the list an operator sees.

Rules: a call is admitted while the process is warm, not draining, no probe objects, a place is free and the overload
guard lets it begin. Each admitted call holds one ``Ticket``; leaving the ticket's ``with`` block gives the place back,
whatever happened inside. So the number of active calls is the number of tickets that are out, and nothing else counts it.

A connection is judged twice: when its first bytes arrive (``begin_handshake``), so that refusing costs next to nothing,
and when the handshake is done (``try_admit``), which decides. Handshakes on their way count as calls for the first of
these, or a burst of connections would pass it before the first of them became a call.
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
from voice_agent.gateway.overload import OverloadGuard
from voice_agent.models import Refusal
from voice_agent.observability.record import LogRecord

RECENT_CALLS = 200  # ended calls kept for the operator's list

# A handshake that has not become a call by then never will: it was malformed, or its client is gone.
HANDSHAKE_S = 1.0

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
    agent: str = ""


class Ticket:
    """A call's place, as a context manager. ``observe`` is a record sink that keeps the operator's entry current."""

    def __init__(
        self, entry: CallEntry, give_back: Callable[[CallEntry], None], on_change: Callable[[CallEntry], None]
    ) -> None:
        self.entry = entry
        self._give_back = give_back
        self._on_change = on_change

    def observe(self, record: LogRecord) -> None:
        entry = self.entry
        match record.entry:
            case CallStarted(call_id=call_id, locale=locale, agent=agent):
                entry.call_id, entry.locale, entry.agent = str(call_id), locale, agent
                entry.phase = CallPhase.ACTIVE
            case Escalate():
                entry.phase = CallPhase.TRANSFERRING
            case EndCall(outcome=outcome, reason=reason):
                entry.outcome, entry.reason = outcome.value, reason
            case _:
                return
        self._on_change(entry)

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Gives the place back; once only, however often it is called."""
        self._give_back(self.entry)


@dataclass(frozen=True, slots=True)
class _Objection:
    """``temporary`` objections concern this very moment: they refuse a call, but the server still counts as ready."""

    why: Refusal
    status: ServerStatus
    reason: str
    temporary: bool = False


class Admission:
    """The one register of this process's calls. All methods run on the event loop.

    ``on_change`` is told of every entry that was added or has changed, ``on_refused`` of every call that was refused.
    """

    def __init__(
        self,
        *,
        capacity: int,
        clock: Clock,
        probes: Sequence[ReadinessProbe] = (),
        guard: OverloadGuard | None = None,
        on_change: Callable[[CallEntry], None] = lambda entry: None,
        on_refused: Callable[[Refusal], None] = lambda why: None,
    ) -> None:
        self._capacity = capacity
        self._clock = clock
        self._probes = tuple(probes)
        self._guard = guard
        self.on_change = on_change
        self._on_refused = on_refused
        self._started_at = clock.now()
        self._warm = False
        self._draining = False
        self._count = 0
        self._handshakes: deque[float] = deque()
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

    def begin_handshake(self, *, final: bool = True) -> str:
        """A client's first bytes are there: "" lets it go on, anything else is why it is refused. Counts refusals, unless
        they are not ``final``: then ``try_admit`` will be asked all the same."""
        now = self._clock.now()
        while self._handshakes and self._handshakes[0] <= now - HANDSHAKE_S:
            self._handshakes.popleft()
        objection = self._objection(len(self._handshakes))
        if objection is None:
            self._handshakes.append(now)
            return ""
        if final:
            self._on_refused(objection.why)
        return objection.reason

    def end_handshake(self) -> None:
        """A handshake is done, whatever becomes of it. Calling it without ``begin_handshake`` does no harm."""
        if self._handshakes:
            self._handshakes.popleft()

    def try_admit(self) -> Ticket | str:
        """A place for one more call, or why there is none. Counts refusals."""
        objection = self._objection(0)
        if objection is not None:
            self._on_refused(objection.why)
            return objection.reason
        if self._guard is not None:
            self._guard.take(self._clock.now())
        self._count += 1
        entry = CallEntry(number=self._count, since=self._clock.wall())
        self._active[entry.number] = entry
        self._empty.clear()
        self.on_change(entry)
        return Ticket(entry, self._give_back, self.on_change)

    def status(self) -> AdmissionStatus:
        objection = self._objection(0)
        uptime_s = self._clock.now() - self._started_at
        counts = (len(self._active), self._capacity, uptime_s)
        if objection is None or objection.temporary:
            return AdmissionStatus(ServerStatus.READY, "", *counts)
        return AdmissionStatus(objection.status, objection.reason, *counts)

    def calls(self) -> list[CallEntry]:
        """Active calls, oldest first, then ended ones, newest first."""
        return [*self._active.values(), *reversed(self._recent)]

    def _objection(self, beginning: int) -> _Objection | None:
        """Why a call that comes after ``beginning`` others, which are about to be taken, may not come."""
        if self._draining:
            return _Objection(Refusal.DRAINING, ServerStatus.DRAINING, "the server is shutting down")
        if not self._warm:
            return _Objection(Refusal.STARTING, ServerStatus.STARTING, "the server is still starting")
        taken = len(self._active) + beginning
        if taken >= self._capacity:
            full = f"all {self._capacity} places are taken"
            return _Objection(Refusal.FULL, ServerStatus.OVERLOADED, full, temporary=len(self._active) < self._capacity)
        for probe in self._probes:
            if reason := probe():
                return _Objection(Refusal.PROBE, ServerStatus.OVERLOADED, reason)
        if self._guard is not None and taken > 0:
            if reason := self._guard.objection():
                return _Objection(Refusal.OVERLOAD, ServerStatus.OVERLOADED, reason)
            if not self._guard.may_begin(self._clock.now(), beginning):
                reason = "too many calls began just now"
                return _Objection(Refusal.RAMP, ServerStatus.OVERLOADED, reason, temporary=True)
        return None

    def _give_back(self, entry: CallEntry) -> None:
        if self._active.pop(entry.number, None) is None:
            return
        entry.phase, entry.ended = CallPhase.ENDED, self._clock.wall()
        self._recent.append(entry)
        if not self._active:
            self._empty.set()
        self.on_change(entry)
