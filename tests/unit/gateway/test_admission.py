"""Places are counted by tickets, and a server that takes no calls says why."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from voice_agent.conversation.commands import EndCall, Escalate
from voice_agent.conversation.events import CallStarted
from voice_agent.gateway.admission import HANDSHAKE_S, RECENT_CALLS, Admission, CallPhase, ServerStatus, Ticket
from voice_agent.gateway.overload import OverloadGuard, OverloadSettings
from voice_agent.models import CallId, CallOutcome, ContextPacket, PolicyReason, Refusal
from voice_agent.observability.record import LogRecord


class SetClock:
    def __init__(self) -> None:
        self.seconds = 50.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


def admission(capacity: int = 2, **options: object) -> Admission:
    made = Admission(capacity=capacity, clock=SetClock(), **options)  # type: ignore[arg-type]
    made.open()
    return made


def admitted(register: Admission) -> Ticket:
    ticket = register.try_admit()
    assert isinstance(ticket, Ticket), ticket
    return ticket


async def test_places_are_limited_and_given_back_whatever_happens() -> None:
    register = admission(capacity=1)

    def failing_call() -> None:
        with admitted(register):
            assert register.try_admit() == "all 1 places are taken"
            assert register.status().status is ServerStatus.OVERLOADED
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing_call()
    assert register.status().active == 0
    assert isinstance(register.try_admit(), Ticket)


async def test_giving_a_place_back_twice_counts_once() -> None:
    register = admission()
    first, _ = admitted(register), admitted(register)
    assert register.status().active == 2
    first.release()
    first.release()
    assert register.status().active == 1


async def test_a_server_that_is_not_warm_or_drains_admits_nobody() -> None:
    register = Admission(capacity=1, clock=SetClock())
    assert register.try_admit() == "the server is still starting"
    assert register.status().status is ServerStatus.STARTING
    register.open()
    assert register.status().reason == ""
    register.drain()
    assert register.try_admit() == "the server is shutting down"
    assert register.status().status is ServerStatus.DRAINING


async def test_a_probe_can_object() -> None:
    objection = "the models are overloaded"
    register = admission(probes=[lambda: "", lambda: objection])
    assert register.try_admit() == objection
    assert (register.status().status, register.status().reason) == (ServerStatus.OVERLOADED, objection)
    objection = ""
    assert isinstance(register.try_admit(), Ticket)


async def test_draining_waits_for_the_last_call() -> None:
    register = admission()
    ticket = admitted(register)
    register.drain()
    assert not await register.drained(0.0)
    waiting = asyncio.create_task(register.drained(10.0))
    await asyncio.sleep(0)
    ticket.release()
    assert await waiting


async def test_the_list_follows_the_log_and_keeps_recent_calls() -> None:
    clock = SetClock()
    register = Admission(capacity=1000, clock=clock)
    register.open()
    ticket = admitted(register)
    packet = ContextPacket(CallId("c9"), "", False, "en-GB", PolicyReason.HUMAN_REQUESTED, "", (), ())
    phases = []
    for seq, entry in enumerate(
        (
            CallStarted(CallId("c9"), "+15550100", "en-GB", "en-GB", ""),
            Escalate(packet),
            EndCall(CallOutcome.ESCALATED, "human_requested"),
        )
    ):
        ticket.observe(LogRecord(CallId("c9"), seq, 0.0, entry))
        phases.append(register.calls()[0].phase)
    clock.seconds = 80.0
    ticket.release()
    entry = register.calls()[0]
    assert phases == [CallPhase.ACTIVE, CallPhase.TRANSFERRING, CallPhase.TRANSFERRING]
    assert (entry.call_id, entry.locale, entry.phase) == ("c9", "en-GB", CallPhase.ENDED)
    assert (entry.outcome, entry.reason) == ("escalated", "human_requested")
    assert entry.ended is not None
    assert (entry.ended - entry.since).total_seconds() == 30.0
    for _ in range(RECENT_CALLS + 5):
        admitted(register).release()
    assert len(register.calls()) == RECENT_CALLS


class Guarded:
    """A register with an overload guard, on a clock of the test's own."""

    def __init__(self, capacity: int = 100, ramp_per_s: float = 5.0) -> None:
        self.clock = SetClock()
        self.refused: list[Refusal] = []
        self.guard = OverloadGuard(OverloadSettings(ramp_per_s=ramp_per_s, calm_s=1.0), self.clock.now())
        self.register = Admission(capacity=capacity, clock=self.clock, guard=self.guard, on_refused=self.refused.append)
        self.register.open()

    def sample(self, late_s: float, *, after_s: float = 0.05) -> None:
        self.clock.seconds += after_s
        self.guard.sample(self.clock.now(), loop_lag_s=0.0, lateness_s=late_s)


async def test_a_burst_is_refused_by_the_ramp_while_the_server_stays_ready() -> None:
    guarded = Guarded(ramp_per_s=5)
    results = [guarded.register.try_admit() for _ in range(300)]
    assert sum(isinstance(result, Ticket) for result in results) == 10
    assert results[-1] == "too many calls began just now"
    assert guarded.refused == [Refusal.RAMP] * 290
    assert guarded.register.status().status is ServerStatus.READY


async def test_overload_refuses_and_shows_in_readiness_until_it_is_calm() -> None:
    guarded = Guarded()
    admitted(guarded.register)
    guarded.sample(0.5)
    assert guarded.register.try_admit() == "overloaded: audio leaves 500 ms late"
    assert guarded.register.status().status is ServerStatus.OVERLOADED
    assert guarded.refused == [Refusal.OVERLOAD]
    guarded.sample(0.0, after_s=1.5)
    assert guarded.register.status().status is ServerStatus.READY
    admitted(guarded.register)


async def test_a_late_server_without_calls_takes_one() -> None:
    guarded = Guarded()
    guarded.sample(0.5)
    with admitted(guarded.register):
        assert isinstance(guarded.register.try_admit(), str)
    admitted(guarded.register)


async def test_handshakes_on_their_way_take_places_until_they_are_done() -> None:
    guarded = Guarded(capacity=2)
    assert guarded.register.begin_handshake() == ""
    assert guarded.register.begin_handshake() == ""
    assert guarded.register.begin_handshake() == "all 2 places are taken"
    assert guarded.refused == [Refusal.FULL]
    assert guarded.register.status().status is ServerStatus.READY
    guarded.register.end_handshake()
    admitted(guarded.register)
    assert guarded.register.begin_handshake() == "all 2 places are taken"
    guarded.clock.seconds += HANDSHAKE_S  # the other one never became a call
    assert guarded.register.begin_handshake() == ""


async def test_every_change_of_an_entry_is_told() -> None:
    guarded = Guarded()
    told: list[tuple[str, CallPhase]] = []
    guarded.register.on_change = lambda entry: told.append((entry.call_id, entry.phase))
    with admitted(guarded.register) as ticket:
        started = CallStarted(CallId("c1"), "+15550100", "en-US", "en-US", "")
        ticket.observe(LogRecord(CallId("c1"), 0, 0.0, started))
    assert told == [("", CallPhase.CONNECTING), ("c1", CallPhase.ACTIVE), ("c1", CallPhase.ENDED)]
