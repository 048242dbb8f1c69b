"""Event logs of bench calls: found by call id, read into events.

Only whole lines of events are taken; a log of another version, or a call without a log, gives nothing, because the bench
can also measure a server whose logs it cannot read.
"""

from __future__ import annotations

import time
from pathlib import Path

import orjson

from voice_agent.conversation.codec import CodecError, Kind, decode, decode_record
from voice_agent.conversation.events import Event
from voice_agent.conversation.machine import MachineSettings
from voice_agent.evaluation.turn_taking.operating_curve import LoggedEvent

_WRITTEN_WITHIN_S = 3.0  # the server's writer gathers lines for a fraction of a second


def log_of(directory: Path, call_id: str, *, wait_s: float = _WRITTEN_WITHIN_S) -> Path | None:
    """The call's file below ``directory``, waiting (blocking) until it holds the call's end; None where there is none."""
    deadline_s = time.monotonic() + wait_s
    while call_id:
        path = next(iter(directory.rglob(f"{call_id}.jsonl")), None)
        if path is not None and b'"call_end"' in path.read_bytes():
            return path
        if time.monotonic() > deadline_s:
            return path
        time.sleep(0.05)
    return None


def read_log(path: Path) -> tuple[list[LoggedEvent], MachineSettings] | None:
    """The events with their times, and the machine's settings; None where this version cannot read them."""
    try:
        header, *rows = path.read_bytes().split(b"\n")
        settings = decode_record(MachineSettings, orjson.loads(header)["machine"])
        return [event for row in rows if (event := _event(row)) is not None], settings
    except (OSError, ValueError, KeyError, TypeError, CodecError):
        return None


def _event(row: bytes) -> LoggedEvent | None:
    if not row:
        return None
    try:
        line = orjson.loads(row)
    except orjson.JSONDecodeError:  # the last line of a log that is still being written
        return None
    _, t_s, kind, name = (line.pop(key) for key in ("seq", "t", "kind", "name"))
    if kind != Kind.EVENT.value:
        return None
    entry = decode(kind, name, line)
    assert isinstance(entry, Event)
    return float(t_s), entry
