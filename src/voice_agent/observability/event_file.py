"""Event files: ``<directory>/YYYY-MM-DD/<call_id>.jsonl``, one per call, written by one background thread.

Theory of operation. A call's sink puts the record into a bounded queue and returns; encoding, masking and writing
happen on the writer's thread. The thread gathers what arrives within ``GATHER_S`` and hands it to the kernel in one
unbuffered write per file, so a killed process loses at most that much (a power cut may lose more: nothing is fsynced).

Trouble never reaches the call. A full queue loses the newest records (the gap shows in ``seq``); a file that cannot be
written is given up for the rest of that call, cut back to its last whole line, and said once in the log. Every lost
line is counted.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from voice_agent.clock import Clock, LoopClock
from voice_agent.conversation.commands import EndCall
from voice_agent.models import CallId
from voice_agent.observability.event_log import header_line, record_line
from voice_agent.observability.record import LogRecord

GATHER_S = 0.2
QUEUE_RECORDS = (
    20_000  # a busy call makes about 30 records a second: ten minutes of one call, or a stall of 60 s for ten
)

_log = structlog.get_logger("voice_agent.event_file")


class CallEventFile:
    """The event file of one call; a ``RecordSink``. ``close`` may be called more than once; ``EndCall`` closes it too,
    and a record after that opens it again for as long as it takes."""

    def __init__(self, writer: EventFileWriter, path: Path, call_id: CallId, header: Mapping[str, Any]) -> None:
        self.path = path
        self.call_id = call_id
        self._writer = writer
        self.pending = [header_line(header)]  # from here on everything belongs to the writer's thread
        self.fd: int | None = None
        self.length_bytes = 0
        self.given_up = False

    def __call__(self, record: LogRecord) -> None:
        self._writer.put(self, record)

    def close(self) -> None:
        self._writer.put(self, None)


class EventFileWriter:
    """Process-wide. Starts its thread at once; ``close`` ends it.

    ``on_dropped`` is told of lost lines as they are lost, on whichever thread notices.
    """

    def __init__(
        self,
        directory: Path,
        *,
        on_dropped: Callable[[int], None] = lambda lines: None,
        clock: Clock | None = None,
        queue_records: int = QUEUE_RECORDS,
        gather_s: float = GATHER_S,
    ) -> None:
        self._directory = directory
        self._on_dropped = on_dropped
        self._wall = (clock or LoopClock()).wall
        self._gather_s = gather_s
        self._queue: queue.Queue[tuple[CallEventFile, LogRecord | None]] = queue.Queue(queue_records)
        self._open: set[CallEventFile] = set()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._lock = threading.Lock()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="event-files", daemon=True)
        self._thread.start()

    @property
    def dropped_lines(self) -> int:
        return self._dropped

    def open(self, call_id: CallId, header: Mapping[str, Any]) -> CallEventFile:
        """The sink for a new call. Touches no disk; ``header`` (see ``call_header``) is the file's first line."""
        return CallEventFile(self, self.path_of(call_id), call_id, header)

    def path_of(self, call_id: CallId) -> Path:
        """Where a call that starts now is written."""
        name = re.sub(r"[^A-Za-z0-9_-]", "_", call_id)[:128] or "_"
        return self._directory / self._wall().strftime("%Y-%m-%d") / f"{name}.jsonl"

    def put(self, file: CallEventFile, record: LogRecord | None) -> None:
        """Queues a record, or the file's end. Never blocks, never raises."""
        if self._stopping.is_set():
            self._count_dropped(0 if record is None else 1)
            return
        try:
            self._queue.put_nowait((file, record))
        except queue.Full:
            self._count_dropped(0 if record is None else 1)

    def close(self, deadline_s: float = 5.0) -> bool:
        """Writes what is queued, closes every file and ends the thread; blocks for at most ``deadline_s``. False where
        that was not enough: the thread goes on as a daemon. Later records are counted as dropped."""
        self._stopping.set()
        self._hurry.set()
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._queue.empty()):
            try:
                first = self._queue.get(timeout=self._gather_s)
            except queue.Empty:
                continue
            self._hurry.wait(self._gather_s)
            self._write_batch(first)
        for file in tuple(self._open):
            self._shut(file)

    def _write_batch(self, first: tuple[CallEventFile, LogRecord | None]) -> None:
        batch = [first]
        with contextlib.suppress(queue.Empty):
            while len(batch) < self._queue.maxsize:
                batch.append(self._queue.get_nowait())
        ended: dict[CallEventFile, bool] = {}
        for file, record in batch:
            ends = record is None or isinstance(record.entry, EndCall)
            ended[file] = ended.get(file, False) or ends
            if record is not None:
                self._encode(file, record)
        for file, ends in ended.items():
            self._flush(file)
            if ends:
                self._shut(file)

    def _encode(self, file: CallEventFile, record: LogRecord) -> None:
        if file.given_up:
            self._count_dropped(1)
            return
        try:
            file.pending.append(record_line(record))
        except Exception:
            # One odd record must not take the others with it; its number is missing from the file.
            self._count_dropped(1)
            _log.exception("event could not be written", call_id=file.call_id, seq=record.seq, entry=record.entry.name)

    def _flush(self, file: CallEventFile) -> None:
        lines, file.pending = file.pending, []
        if not lines:
            return
        try:
            fd = self._descriptor(file)
            data = memoryview(b"\n".join(lines) + b"\n")
            while data:
                data = data[os.write(fd, data) :]
            file.length_bytes = os.fstat(fd).st_size
        except OSError as error:
            file.given_up = True
            self._count_dropped(len(lines))
            _log.error("event file given up", call_id=file.call_id, path=str(file.path), error=str(error))
            if file.fd is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fd, file.length_bytes)
            self._shut(file)

    def _descriptor(self, file: CallEventFile) -> int:
        if file.fd is None:
            for folder in (self._directory, file.path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.fd = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            file.length_bytes = os.fstat(file.fd).st_size
            self._open.add(file)
        return file.fd

    def _shut(self, file: CallEventFile) -> None:
        self._open.discard(file)
        if file.fd is not None:
            with contextlib.suppress(OSError):
                os.close(file.fd)
            file.fd = None

    def _count_dropped(self, lines: int) -> None:
        if lines:
            with self._lock:
                self._dropped += lines
            self._on_dropped(lines)
