"""Event files on a real disk: shape, permissions, trouble, shutdown, sudden death."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import structlog

from voice_agent.conversation.commands import CommitTurn, EndCall
from voice_agent.conversation.events import CallStarted, SpeechStarted, TimerFired
from voice_agent.models import CallId, CallOutcome, TurnId
from voice_agent.observability.event_file import EventFileWriter
from voice_agent.observability.event_log import EventLog

HEADER = {"version": "1", "machine": {}}
STARTED = CallStarted(CallId("c1"), "caller", "en-US", "en-US", "2026-01-01T00:00:00Z")
ENDED = EndCall(CallOutcome.COMPLETED, "hangup")


class FixedClock:
    """A wall clock that stands still."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> datetime:
        return datetime(2026, 11, 22, 23, 59, tzinfo=UTC)


@pytest.fixture
def make_writer(tmp_path: Path) -> Iterator[Callable[..., EventFileWriter]]:
    writers: list[EventFileWriter] = []

    def make(directory: Path | None = None, **options: object) -> EventFileWriter:
        writer = EventFileWriter(
            directory or tmp_path / "calls",
            clock=FixedClock(),
            **{"gather_s": 0.01, **options},  # type: ignore[arg-type]
        )
        writers.append(writer)
        return writer

    yield make
    for writer in writers:
        assert writer.close()


def lines(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for the writer's thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.005)


def test_one_file_per_call_with_a_header_and_a_line_per_record(
    make_writer: Callable[..., EventFileWriter], tmp_path: Path
) -> None:
    writer = make_writer()
    one, two = writer.open(CallId("c1"), HEADER), writer.open(CallId("c2"), HEADER)
    for name, file in (("c1", one), ("c2", two)):
        log = EventLog(CallId(name), [file])
        log.append(0.0, STARTED)
        log.append(0.1 + 0.2, CommitTurn(TurnId(1), "call +1 415 555 2671", "complete", 0.2))
    assert writer.close()
    assert one.path == tmp_path / "calls" / "2026-11-22" / "c1.jsonl"
    for file in (one, two):
        header, started, committed = lines(file.path)
        assert header == {"kind": "header", "schema": 1, **HEADER}
        assert (started["seq"], started["t"], started["kind"], started["name"]) == (0, 0.0, "event", "call_start")
        assert (committed["t"], committed["kind"], committed["text"]) == (
            0.30000000000000004,
            "command",
            "call [PHONE]",
        )
    assert writer.dropped_lines == 0


def test_only_the_owner_may_read_them(make_writer: Callable[..., EventFileWriter]) -> None:
    writer = make_writer()
    file = writer.open(CallId("c1"), HEADER)
    EventLog(CallId("c1"), [file]).append(0.0, STARTED)
    assert writer.close()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.path.parent.parent.stat().st_mode) == 0o700


def test_a_call_id_cannot_leave_the_directory(make_writer: Callable[..., EventFileWriter], tmp_path: Path) -> None:
    writer = make_writer()
    assert writer.path_of(CallId("../../etc/passwd")).parent == tmp_path / "calls" / "2026-11-22"
    assert writer.path_of(CallId("")).name == "_.jsonl"


def test_the_end_of_the_call_closes_the_file_and_a_late_record_is_still_written(
    make_writer: Callable[..., EventFileWriter],
) -> None:
    writer = make_writer()
    file = writer.open(CallId("c1"), HEADER)
    log = EventLog(CallId("c1"), [file])
    log.append(0.0, STARTED)
    log.append(1.0, ENDED)
    until(lambda: file.path.exists() and len(lines(file.path)) == 3 and file.fd is None, "the closed file")
    log.append(1.1, TimerFired())
    file.close()
    file.close()
    until(lambda: len(lines(file.path)) == 4 and file.fd is None, "the late record")


def test_a_directory_that_cannot_be_written_costs_lines_not_the_call(
    make_writer: Callable[..., EventFileWriter], tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    counted: list[int] = []
    writer = make_writer(blocked, on_dropped=counted.append)
    with structlog.testing.capture_logs() as logs:
        log = EventLog(CallId("c1"), [writer.open(CallId("c1"), HEADER)])
        for step in range(5):
            log.append(float(step), TimerFired())
            until(lambda step=step: writer.dropped_lines == step + 2, "the count")  # type: ignore[misc]
    assert sum(counted) == writer.dropped_lines == 6  # the header and five records
    assert [entry["event"] for entry in logs] == ["event file given up"]
    assert logs[0]["log_level"] == "error"


def test_a_full_disk_leaves_whole_lines_and_other_calls_go_on(
    make_writer: Callable[..., EventFileWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_writer()
    file, other = writer.open(CallId("c1"), HEADER), writer.open(CallId("c2"), HEADER)
    log, other_log = EventLog(CallId("c1"), [file]), EventLog(CallId("c2"), [other])
    log.append(0.0, STARTED)
    until(lambda: file.path.exists() and len(lines(file.path)) == 2, "the first lines")
    full = file.fd
    write = os.write

    def write_until_full(fd: int, data: bytes) -> int:
        """A disk with room for ten more bytes."""
        if fd != full:
            return write(fd, data)
        if os.fstat(fd).st_size > size:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, bytes(data[:10]))

    size = file.path.stat().st_size
    monkeypatch.setattr(os, "write", write_until_full)
    log.append(1.0, TimerFired())
    until(lambda: file.given_up and file.fd is None, "giving up")
    log.append(2.0, TimerFired())
    other_log.append(0.0, STARTED)
    assert writer.close()
    assert len(lines(file.path)) == 2
    assert len(lines(other.path)) == 2
    assert writer.dropped_lines == 2


def test_a_full_queue_drops_and_counts_and_never_blocks(tmp_path: Path) -> None:
    counted: list[int] = []
    writer = EventFileWriter(tmp_path, clock=FixedClock(), queue_records=10, gather_s=5.0, on_dropped=counted.append)
    file = writer.open(CallId("c1"), HEADER)
    log = EventLog(CallId("c1"), [file])
    started = time.monotonic()
    for step in range(50):
        log.append(float(step), SpeechStarted(0.1))
    assert time.monotonic() - started < 2.0
    assert writer.close()
    written = [line["seq"] for line in lines(file.path)[1:]]
    assert written == list(range(len(written)))  # the oldest stay, in order
    assert 10 <= len(written) <= 11  # one may have left the queue for the thread's hand
    assert writer.dropped_lines == sum(counted) == 50 - len(written)


def test_after_the_shutdown_records_are_counted_as_lost(make_writer: Callable[..., EventFileWriter]) -> None:
    writer = make_writer()
    log = EventLog(CallId("c1"), [writer.open(CallId("c1"), HEADER)])
    assert writer.close()
    log.append(0.0, TimerFired())
    assert writer.dropped_lines == 1


def test_the_shutdown_keeps_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs (a network file system) must not hang the process."""
    release = threading.Event()
    write = os.write

    def hang(fd: int, data: bytes) -> int:
        release.wait(30)
        return write(fd, data)

    monkeypatch.setattr(os, "write", hang)
    writer = EventFileWriter(tmp_path, clock=FixedClock(), gather_s=0.01)
    EventLog(CallId("c1"), [writer.open(CallId("c1"), HEADER)]).append(0.0, TimerFired())
    started = time.monotonic()
    assert writer.close(deadline_s=0.2) is False
    assert time.monotonic() - started < 5
    release.set()
    assert writer.close(deadline_s=10)


def test_a_killed_process_loses_at_most_the_last_half_second(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from voice_agent.conversation.events import SpeechStarted
        from voice_agent.models import CallId
        from voice_agent.observability.event_file import EventFileWriter
        from voice_agent.observability.event_log import EventLog
        writer = EventFileWriter(Path(sys.argv[1]))
        log = EventLog(CallId("c1"), [writer.open(CallId("c1"), {"version": "1", "machine": {}})])
        while True:
            log.append(time.time(), SpeechStarted(0.1))
            time.sleep(0.02)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as process:
        try:
            until(lambda: any(path.stat().st_size > 4000 for path in tmp_path.glob("*/c1.jsonl")), "a log")
            killed_at = time.time()
        finally:
            process.send_signal(signal.SIGKILL)
    [path] = tmp_path.glob("*/c1.jsonl")
    *whole, rest = path.read_bytes().split(b"\n")
    assert rest == b""
    entries = [orjson.loads(line) for line in whole[1:]]
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    assert killed_at - entries[-1]["t"] < 1.0  # half a second, and as much again for a busy machine
