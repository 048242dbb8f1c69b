"""The process log: structlog and the standard library's loggers through one queue and one thread.

A log call costs its caller the building of a dict and a ``put_nowait``; masking, rendering and writing happen on the
thread. The queue is bounded: when it is full the newest lines are lost and counted, and the count is said once the
thread has caught up.

Every value of every line passes the mask, exception texts and access-log URLs included.
"""

from __future__ import annotations

import logging
import queue
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO
from urllib.parse import unquote

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from voice_agent.observability.pii import mask

QUEUE_LINES = 10_000

# Libraries that bring handlers of their own; theirs are taken away so that every line comes out once, masked.
_FOREIGN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "chromadb", "asyncio", "py.warnings")
# At debug level these write headers, frames and statements with what is in them: credentials, words, numbers.
_LEAST_LEVEL = {
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "websockets": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "uvicorn.error": logging.INFO,
    "mcp": logging.CRITICAL,  # its errors quote what servers sent; ours say what happened
}
_UNMASKED_KEYS = frozenset({"time", "level", "logger", "call_id"})
_CREDENTIAL = re.compile(r"((?:[?&]|\b)(?:token|api_key)=|\bBearer\s+)[^&\s\"']+", re.IGNORECASE)
_PERCENT_CODE = re.compile(r"%[0-9a-fA-F]{2}")
_CARD_SIZED = 10**12  # integers from here on may be card numbers; smaller ones are counts and sizes


class LogPipeline:
    """What ``configure_logging`` started. ``stop`` puts the standard library's root logger back as it was."""

    def __init__(self, handler: _QueueHandler, writer: _Writer, previous: tuple[list[logging.Handler], int]) -> None:
        self._handler = handler
        self._writer = writer
        self._previous = previous

    @property
    def dropped_lines(self) -> int:
        return self._handler.dropped_lines

    def stop(self, deadline_s: float = 2.0) -> bool:
        """Writes what is queued; blocks for at most ``deadline_s``. False where that was not enough."""
        root = logging.getLogger()
        root.removeHandler(self._handler)
        handlers, level = self._previous
        for handler in handlers:
            root.addHandler(handler)
        root.setLevel(level)
        return self._writer.stop(deadline_s)


def configure_logging(level: str = "INFO", fmt: str = "console", stream: TextIO | None = None) -> LogPipeline:
    """Sends every log line of the process to ``stream`` (stderr), as ``console`` lines or as ``json`` objects.

    Call once, early, in the composition root; ``stop`` what it gives at the end.
    """
    out = stream if stream is not None else sys.stderr
    lines: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUE_LINES)
    handler = _QueueHandler(lines)
    writer = _Writer(lines, _formatter(fmt, colors=fmt == "console" and out.isatty()), out, handler)

    root = logging.getLogger()
    previous = (root.handlers[:], root.level)
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _FOREIGN_LOGGERS:
        foreign = logging.getLogger(name)
        foreign.handlers.clear()
        foreign.propagate = True

    for name, least in _LEAST_LEVEL.items():
        logging.getLogger(name).setLevel(max(least, root.level))

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            _pin_exception,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return LogPipeline(handler, writer, previous)


@contextmanager
def bound_log_fields(**fields: object) -> Iterator[None]:
    """Binds ``call_id``, ``turn_id``, ``reply_id`` (or others) to every line logged inside, in this task and in tasks
    started from it."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


class _QueueHandler(logging.Handler):
    """Settles what only the calling thread knows (bound fields, the current exception), then queues the record."""

    def __init__(self, lines: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__()
        self._lines = lines
        self.dropped_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(record.msg, dict):
            try:
                record.msg, record.args = record.getMessage(), None
            except Exception:
                record.msg, record.args = f"{record.msg} (arguments do not fit)", None
            record.bound_fields = structlog.contextvars.get_contextvars()
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped_lines += 1


class _Writer:
    """The thread that renders and writes."""

    def __init__(
        self,
        lines: queue.Queue[logging.LogRecord | None],
        formatter: logging.Formatter,
        out: TextIO,
        handler: _QueueHandler,
    ) -> None:
        self._lines = lines
        self._formatter = formatter
        self._out = out
        self._handler = handler
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def stop(self, deadline_s: float) -> bool:
        try:
            self._lines.put(None, timeout=deadline_s)
        except queue.Full:
            return False
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (record := self._lines.get()) is not None:
            self._write(record)
            if self._lines.empty():
                self._report_dropped()
        self._report_dropped()

    def _write(self, record: logging.LogRecord) -> None:
        try:
            text = self._formatter.format(record)
        except Exception as error:  # a value whose repr raises: say so, without the value
            text = f"log line of {record.name} could not be rendered: {type(error).__name__}"
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):
            # Nobody is left to tell: the log's own output is gone (a closed pipe, a full disk).
            self._handler.dropped_lines += 1

    def _report_dropped(self) -> None:
        dropped = self._handler.dropped_lines - self._reported
        if dropped:
            self._reported += dropped
            record = logging.LogRecord(__name__, logging.WARNING, "", 0, "log lines were dropped", None, None)
            record.bound_fields = {"lines": dropped}
            self._write(record)


def _formatter(fmt: str, *, colors: bool) -> logging.Formatter:
    renderer: structlog.typing.Processor
    if fmt == "json":
        renderer = _render_json
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, timestamp_key="time"
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_add_bound_fields, structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level],
        processors=[
            _add_time,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            mask_values,
            renderer,
        ],
    )


def mask_values(_logger: WrappedLogger | None, _method: str, event_dict: EventDict) -> EventDict:
    """The structlog processor that masks every value, at any depth; objects are turned into their masked ``repr``."""
    return {key: value if key in _UNMASKED_KEYS else _masked(value) for key, value in event_dict.items()}


def _masked(value: object) -> object:
    if isinstance(value, str):
        return _masked_text(value)
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return _masked_text(str(value)) if abs(value) >= _CARD_SIZED else value
    if isinstance(value, dict):
        return {_masked_text(str(key)): _masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_masked(item) for item in value]
    return _masked_text(repr(value))


def _masked_text(text: str) -> str:
    if "%" in text and _PERCENT_CODE.search(text):
        plain = unquote(text)
        if mask(plain) != plain:
            text = plain
    return mask(_CREDENTIAL.sub(r"\1[CREDENTIAL]", text))


def _pin_exception(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    if event_dict.get("exc_info") is True:
        event_dict["exc_info"] = sys.exc_info()
    return event_dict


def _add_bound_fields(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    return {**getattr(event_dict["_record"], "bound_fields", {}), **event_dict}


def _add_time(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    created = datetime.fromtimestamp(event_dict["_record"].created, UTC)
    return {"time": created.isoformat(timespec="milliseconds"), **event_dict}


def _render_json(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> str:
    return orjson.dumps(event_dict, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
