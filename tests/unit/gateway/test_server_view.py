"""Several workers seen as one server, and what they say to each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from voice_agent.cli.worker_link import CallChanged, Failed, Gone, Message, Ready, Stop, decode, encode
from voice_agent.clock import LoopClock
from voice_agent.gateway.admission import Admission, CallEntry, CallPhase, ServerStatus, Ticket
from voice_agent.gateway.server_view import CallBook, ServerView, WorkerLoad

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def entry(number: int, phase: CallPhase = CallPhase.ACTIVE, ended: datetime | None = None) -> CallEntry:
    return CallEntry(number, NOON + timedelta(minutes=number), f"c{number}", "en-US", phase, ended)


def load(slot: int, status: ServerStatus = ServerStatus.READY, active: int = 0, reason: str = "") -> WorkerLoad:
    return WorkerLoad(slot, status, reason, active, capacity=1)


@pytest.mark.parametrize(
    "message",
    [
        Ready(1),
        Failed(0, "no such model"),
        load(2, ServerStatus.OVERLOADED, 1, "all 1 places are taken"),
        CallChanged(3, entry(1)),
        CallChanged(3, entry(1, CallPhase.ENDED, NOON)),
        Gone(4),
        Stop(),
    ],
)
def test_a_message_survives_its_line(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


async def test_the_server_is_ready_while_any_worker_is() -> None:
    own = Admission(capacity=1, clock=LoopClock())
    own.open()
    view = ServerView(own, LoopClock(), began_s=LoopClock().now() - 60)
    assert isinstance(own.try_admit(), Ticket)
    view.note_load(load(1))
    status = view.status()
    assert (status.status, status.reason, status.active, status.capacity) == (ServerStatus.READY, "", 1, 2)
    assert status.uptime_s >= 60
    view.note_load(load(1, ServerStatus.OVERLOADED, 1))
    assert view.status().reason == "all 2 places are taken"
    view.note_gone(1)
    assert (view.status().status, view.status().capacity) == (ServerStatus.OVERLOADED, 1)


async def test_a_worker_that_drains_says_ready_for_the_others() -> None:
    own = Admission(capacity=1, clock=LoopClock())
    own.drain()
    view = ServerView(own, LoopClock(), began_s=0.0)
    assert view.status().status is ServerStatus.DRAINING
    view.note_load(load(1))
    assert view.status().status is ServerStatus.READY


async def test_calls_of_all_workers_are_one_list() -> None:
    own = Admission(capacity=1, clock=LoopClock())
    view = ServerView(own, LoopClock(), began_s=0.0)
    view.note_call(2, entry(3))
    view.note_call(1, entry(1))
    view.note_call(1, entry(2))
    view.note_call(1, entry(2, CallPhase.ENDED, NOON))
    view.note_call(2, entry(1, CallPhase.ENDED, NOON + timedelta(hours=1)))
    assert [call.number for call in view.calls()] == [1, 3, 1, 2]


def test_the_calls_of_a_dead_worker_end_with_it() -> None:
    book = CallBook()
    book.note(entry(1))
    book.note(entry(2, CallPhase.ENDED, NOON))
    (lost,) = book.give_up(NOON)
    assert (lost.phase, lost.outcome, lost.reason, lost.ended) == (CallPhase.ENDED, "error", "worker_died", NOON)
    assert not book.active
    assert len(list(book.entries())) == 2
