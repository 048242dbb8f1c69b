"""The log of one call: gives every entry its number and hands it to every fold.

A log line is one JSON object: ``seq``, ``t``, ``kind``, ``name``, then the entry's own fields. Every text in it is
masked once more on its way out. The call masks before an event exists, so this changes nothing for a well-behaved call;
because ``mask`` is idempotent, and because a replay masks what it compares, it never makes a replay differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import orjson
import structlog

from voice_agent.conversation.codec import decode, encode, encode_record, kind_of
from voice_agent.conversation.commands import Command
from voice_agent.conversation.events import Event
from voice_agent.models import CallId
from voice_agent.observability.pii import mask, mask_any
from voice_agent.observability.record import LogRecord, RecordSink

LOG_SCHEMA = 1
"""Raised when a line's shape changes so that older logs can no longer be read."""

UNMASKED_FIELDS = frozenset({"call_id", "wall", "reference"})
"""Fields that this program fills with its own identifiers and times."""

_UNTOUCHED_BY_THE_CALL = UNMASKED_FIELDS | {"caller_id"}

EntryT = TypeVar("EntryT", bound=Event | Command)


class MaskEntry(Protocol):
    """``mask_entry`` with a call's own masking."""

    def __call__(self, entry: EntryT, /) -> EntryT: ...


_log = structlog.get_logger("voice_agent.event_log")


class EventLog:
    """Numbers the entries of one call and passes each to every sink, in order, on the caller's thread.

    A sink that raises is a bug, but not one that ends a call: it is logged once and gets no more records.
    """

    def __init__(self, call_id: CallId, sinks: Sequence[RecordSink]) -> None:
        self._call_id = call_id
        self._sinks = list(sinks)
        self._next_seq = 0

    def append(self, now: float, entry: Event | Command) -> LogRecord:
        """Logs ``entry`` at ``now``, in call seconds: for an event the very ``now`` that the machine gets with it, for
        a command that of the event which caused it. Never raises."""
        record = LogRecord(self._call_id, self._next_seq, now, entry)
        self._next_seq += 1
        for sink in tuple(self._sinks):
            try:
                sink(record)
            except Exception:
                self._sinks.remove(sink)
                _log.exception("event log sink failed and is left out", call_id=self._call_id, sink=repr(sink))
        return record


def record_line(record: LogRecord) -> bytes:
    """The record's line in an event file, without the line break."""
    return entry_line(record.seq, record.t_s, record.entry)


def entry_line(seq: int, t_s: float, entry: Event | Command) -> bytes:
    """As ``record_line``. ``t`` keeps every bit of ``t_s``: the shortest text that reads back as the same float."""
    payload = mask_any(encode(entry), skip=UNMASKED_FIELDS)
    return to_json({"seq": seq, "t": float(t_s), "kind": kind_of(entry).value, "name": entry.name, **payload})


def header_line(header: Mapping[str, Any]) -> bytes:
    """The first line of an event file. Settings are no caller's words and stay as they are."""
    return to_json({"kind": "header", "schema": LOG_SCHEMA, **header})


def call_header(version: str, machine_settings: object, **more: Any) -> dict[str, Any]:
    """What a replay needs to know: the program's version and the machine's settings (a frozen dataclass)."""
    return {"version": version, "machine": encode_record(machine_settings), **more}


def mask_entry(entry: EntryT, mask: Callable[[str], str] = mask) -> EntryT:
    """The entry with personal data replaced in every text but the caller's id; the same object where there is none.
    ``mask`` is the call's (see ``Masker``).

    The call's choke point: an event that passed here before the machine saw it is the event that the log holds.
    """
    payload = encode(entry)
    masked = mask_any(payload, skip=_UNTOUCHED_BY_THE_CALL, mask=mask)
    if masked == payload:
        return entry
    return decode(kind_of(entry).value, entry.name, masked)  # type: ignore[return-value]


def to_json(value: Mapping[str, Any]) -> bytes:
    """One line of JSON. Lone surrogates, which UTF-8 cannot hold, become question marks."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_without_surrogates(value))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value
