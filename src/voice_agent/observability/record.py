"""One line of the event log: the record every fold (metrics, console, file, trace) reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voice_agent.conversation.commands import Command
from voice_agent.conversation.events import Event
from voice_agent.models import CallId


@dataclass(frozen=True, slots=True)
class LogRecord:
    """``seq`` counts from 0 within a call; ``t_s`` is seconds since the call's first record, on the loop's monotonic
    clock. ``entry`` is an event that went into the machine or a command that came out of it."""

    call_id: CallId
    seq: int
    t_s: float
    entry: Event | Command


RecordSink = Callable[[LogRecord], None]
"""Gets every record in order, on the event loop: must be quick and must not raise."""
