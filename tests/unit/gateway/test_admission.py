"""Places are counted by tickets, and a server that takes no calls says why."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from voice_agent.conversation.commands import EndCall, Escalate
from voice_agent.conversation.events import CallStarted
from voice_agent.gateway.admission import RECENT_CALLS, Admission, CallPhase, ServerStatus
from voice_agent.models import CallId, CallOutcome, ContextPacket, PolicyReason
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


async def test_places_are_limited_and_given_back_whatever_happens() -> None:
    register = admission(capacity=1)

    def failing_call() -> None:
        with register.try_admit() or pytest.fail("there is a place"):
            assert register.try_admit() is None
            assert register.status().status is ServerStatus.OVERLOADED
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing_call()
    assert register.status().active == 0
    assert register.try_admit() is not None


async def test_giving_a_place_back_twice_counts_once() -> None:
    register = admission()
    first, second = register.try_admit(), register.try_admit()
    assert first is not None
    assert second is not None
    first.release()
    first.release()
    assert register.status().active == 1


async def test_a_server_that_is_not_warm_or_drains_admits_nobody() -> None:
    register = Admission(capacity=1, clock=SetClock())
    assert register.try_admit() is None
    assert register.status().status is ServerStatus.STARTING
    register.open()
    assert register.status().reason == ""
    register.drain()
    assert register.try_admit() is None
    assert register.status().status is ServerStatus.DRAINING


async def test_a_probe_can_object() -> None:
    objection = "the models are overloaded"
    register = admission(probes=[lambda: "", lambda: objection])
    assert register.try_admit() is None
    assert (register.status().status, register.status().reason) == (ServerStatus.OVERLOADED, objection)
    objection = ""
    assert register.try_admit() is not None


async def test_draining_waits_for_the_last_call() -> None:
    register = admission()
    ticket = register.try_admit()
    assert ticket is not None
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
    ticket = register.try_admit()
    assert ticket is not None
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
        (register.try_admit() or pytest.fail("there is a place")).release()
    assert len(register.calls()) == RECENT_CALLS
