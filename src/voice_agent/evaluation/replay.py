"""Replay: a recorded call run through the machine again; the same version must decide the same, byte for byte.

The log holds each event followed by the commands it caused. A replay builds a machine from the header's settings, gives
it the recorded events at their recorded times, and compares each command's log line with the recorded one. Texts are
masked on the way into a line, here as at recording.

What is not compared: the tail of a log whose process was killed (a cut last line), and everything behind a gap in the
numbering (lines were lost, so the machine lacks events). Both are said in ``notes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from voice_agent.conversation.codec import CodecError, Kind, decode, decode_record
from voice_agent.conversation.commands import Command, EndCall
from voice_agent.conversation.events import Event
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.errors import VoiceAgentError
from voice_agent.observability.event_log import LOG_SCHEMA, entry_line

_CONTEXT_LINES = 6  # what stands before a difference in its report


class ReplayError(VoiceAgentError):
    """The file is no event log that this version can read; the text says where and why."""


class Machine(Protocol):
    """What a replay needs of a machine."""

    def handle(self, event: Event, now: float) -> list[Command]: ...


BuildMachine = Callable[[Mapping[str, Any]], Machine]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first command that came out otherwise. ``recorded`` or ``replayed`` is None where only one side has a line;
    ``line_number`` counts from 1; ``context`` are the recorded lines before it."""

    line_number: int
    recorded: str | None
    replayed: str | None
    context: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """``same`` is true where every compared command is the recorded one."""

    path: Path
    version: str
    events: int
    commands: int
    difference: Difference | None
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        return self.difference is None

    def text(self) -> str:
        """The report for people, several lines."""
        verdict = "the same commands" if self.same else "a DIFFERENCE"
        lines = [f"{self.path}: {verdict} ({self.events} events, {self.commands} commands, version {self.version})"]
        lines += [f"  note: {note}" for note in self.notes]
        if self.difference is not None:
            lines.append(f"  at line {self.difference.line_number}:")
            lines += [f"      {line}" for line in self.difference.context]
            lines.append(f"    - {self.difference.recorded or '(nothing recorded)'}")
            lines.append(f"    + {self.difference.replayed or '(nothing replayed)'}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    raw: str
    seq: int
    t_s: float
    entry: Event | Command
    is_event: bool


@dataclass(slots=True)
class _Recording:
    header: Mapping[str, Any]
    lines: list[_Line]
    notes: list[str] = field(default_factory=list)


def replay(path: Path, build: BuildMachine | None = None) -> ReplayReport:
    """Replays one event file. ``build`` makes the machine from the header's settings (default: ``CallMachine``).

    Raises ``ReplayError`` where the file cannot be read as an event log, naming the line.
    """
    recording = _read(path)
    try:
        machine = (build or _call_machine)(recording.header["machine"])
    except CodecError as error:
        raise ReplayError(f"{path}, line 1: the machine's settings are not those of this version: {error}") from error
    events = commands = 0
    difference: Difference | None = None
    for group in _groups(recording.lines):
        events += 1
        event_line, recorded = group[0], group[1:]
        replayed = machine.handle(event_line.entry, event_line.t_s)  # type: ignore[arg-type]  # a group begins with an event
        commands += len(replayed)
        difference = _compare(recording.lines, event_line, recorded, replayed)
        if difference is not None:
            break
    return ReplayReport(path, str(recording.header["version"]), events, commands, difference, tuple(recording.notes))


def _call_machine(settings: Mapping[str, Any]) -> Machine:
    return CallMachine(decode_record(MachineSettings, settings))


def _groups(lines: list[_Line]) -> Iterator[list[_Line]]:
    """Each event with the commands that follow it."""
    group: list[_Line] = []
    for line in lines:
        if line.is_event and group:
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _compare(
    lines: list[_Line], event_line: _Line, recorded: list[_Line], replayed: list[Command]
) -> Difference | None:
    is_last = (recorded[-1] if recorded else event_line) is lines[-1]
    may_be_cut = is_last and not isinstance(lines[-1].entry, EndCall)
    for place in range(max(len(recorded), len(replayed))):
        seq = event_line.seq + 1 + place
        old = recorded[place].raw if place < len(recorded) else None
        new = entry_line(seq, event_line.t_s, replayed[place]).decode() if place < len(replayed) else None
        if old == new:
            continue
        if old is None and may_be_cut:
            return None  # the process died between these lines
        number = event_line.number + 1 + place
        context = tuple(line.raw for line in lines if number - _CONTEXT_LINES <= line.number < number)
        return Difference(number, old, new, context)
    return None


def _read(path: Path) -> _Recording:
    try:
        rows = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror or error}") from error
    cut = rows.pop()  # what follows the last line break: nothing, unless the writer was killed
    if not rows:
        raise ReplayError(f"{path} is empty: an event log begins with a header line")
    recording = _Recording(_header(path, rows[0]), [])
    if cut:
        recording.notes.append(f"line {len(rows) + 1} is cut off: the process ended while writing it")
    for number, row in enumerate(rows[1:], start=2):
        line = _parse(path, number, row)
        if line.seq != len(recording.lines):
            recording.notes.append(
                f"lines were lost before line {number} (number {line.seq} follows {len(recording.lines) - 1}): "
                f"compared up to there"
            )
            break
        recording.lines.append(line)
    _check_shape(path, recording)
    return recording


def _check_shape(path: Path, recording: _Recording) -> None:
    if not recording.lines:
        recording.notes.append("the log holds no events")
        return
    if not recording.lines[0].is_event:
        raise ReplayError(f"{path}, line 2: a call begins with an event, not with the command {_name(recording)!r}")
    if not any(isinstance(line.entry, EndCall) for line in recording.lines):
        recording.notes.append("the log has no call_end: the process ended before the call did")


def _name(recording: _Recording) -> str:
    return recording.lines[0].entry.name


def _header(path: Path, row: bytes) -> Mapping[str, Any]:
    header = _json(path, 1, row)
    if header.get("kind") != "header":
        raise ReplayError(f"{path}, line 1: an event log begins with a header line, not with {_short(row)}")
    if header.get("schema") != LOG_SCHEMA:
        raise ReplayError(
            f"{path}, line 1: the log has schema {header.get('schema')!r}, this version reads {LOG_SCHEMA}"
        )
    if not isinstance(header.get("machine"), Mapping) or "version" not in header:
        raise ReplayError(f"{path}, line 1: the header lacks 'version' or 'machine'")
    return header


def _parse(path: Path, number: int, row: bytes) -> _Line:
    line = _json(path, number, row)
    try:
        seq, t_s, kind, name = (line.pop(key) for key in ("seq", "t", "kind", "name"))
    except KeyError as error:
        raise ReplayError(f"{path}, line {number}: {error.args[0]!r} is missing in {_short(row)}") from None
    if not isinstance(kind, str) or not isinstance(name, str):
        raise ReplayError(f"{path}, line {number}: 'kind' or 'name' is no text in {_short(row)}")
    if type(seq) is not int or not isinstance(t_s, (int, float)) or isinstance(t_s, bool):
        raise ReplayError(f"{path}, line {number}: 'seq' or 't' is no number in {_short(row)}")
    try:
        entry = decode(kind, name, line)
    except CodecError as error:
        raise ReplayError(f"{path}, line {number}: {error}") from error
    return _Line(number, row.decode(), seq, float(t_s), entry, kind == Kind.EVENT.value)


def _json(path: Path, number: int, row: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(row)
    except orjson.JSONDecodeError as error:
        raise ReplayError(f"{path}, line {number} is not JSON ({error}): {_short(row)}") from None
    if not isinstance(value, dict):
        raise ReplayError(f"{path}, line {number} is not a JSON object: {_short(row)}")
    return value


def _short(row: bytes) -> str:
    text = row.decode("utf-8", "replace")
    return repr(text if len(text) <= 80 else text[:80] + "…")
