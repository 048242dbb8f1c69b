"""The process log through its real pipeline: masking, routing, bound fields, exceptions, a full queue."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator

import orjson
import pytest
import structlog

from voice_agent.observability import logging as process_log
from voice_agent.observability.logging import LogPipeline, bound_log_fields, configure_logging, mask_values

Configure = Callable[..., tuple[LogPipeline, io.StringIO]]


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Starts a pipeline into a text buffer; everything global is put back afterwards."""
    pipelines: list[LogPipeline] = []

    def start(
        level: str = "INFO", fmt: str = "json", out: io.StringIO | None = None
    ) -> tuple[LogPipeline, io.StringIO]:
        stream = out if out is not None else io.StringIO()
        pipelines.append(configure_logging(level, fmt, stream))
        return pipelines[-1], stream

    yield start
    for pipeline in reversed(pipelines):
        pipeline.stop()
    structlog.reset_defaults()


def written(pipeline: LogPipeline, stream: io.StringIO) -> list[dict[str, object]]:
    assert pipeline.stop()
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_fields(configure: Configure) -> None:
    pipeline, stream = configure()
    structlog.get_logger("voice_agent.test").info("tool_result", tool="order_status", duration_ms=12.5)
    [line] = written(pipeline, stream)
    assert line.pop("time").startswith("20")  # type: ignore[attr-defined]
    assert line == {
        "event": "tool_result",
        "tool": "order_status",
        "duration_ms": 12.5,
        "logger": "voice_agent.test",
        "level": "info",
    }


def test_every_value_is_masked(configure: Configure) -> None:
    pipeline, stream = configure()
    log = structlog.get_logger("t")
    log.info("call +1 415 555 2671", mail=["jane@example.com"], deep={"a": {"b": "my pin is 4271"}}, n=4111111111111111)
    log.info("odd", thing=ValueError("jane@example.com"), order="83102", count=12345678)
    first, second = written(pipeline, stream)
    assert first["event"] == "call [PHONE]"
    assert first["mail"] == ["[EMAIL]"]
    assert first["deep"] == {"a": {"b": "my pin is [PIN]"}}
    assert first["n"] == "[CARD]"
    assert second["thing"] == "ValueError('[EMAIL]')"
    assert (second["order"], second["count"]) == ("83102", 12345678)


def test_the_standard_library_goes_the_same_way(configure: Configure) -> None:
    for name in ("uvicorn", "uvicorn.access"):
        logging.getLogger(name).addHandler(logging.StreamHandler(io.StringIO()))
    # What other tests run in this process sets them, for good.
    for name in ("uvicorn", "uvicorn.access", "chromadb", "chromadb.segment"):
        logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger(name).disabled = False
    pipeline, stream = configure()
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s" %d', "127.0.0.1:9", "GET", "/ws/call?caller_id=%2B14155552671&token=abc123&locale=en-US", 101
    )
    logging.getLogger("chromadb.segment").warning("slow query of %s", "jane@example.com")
    access, chroma = written(pipeline, stream)
    assert access["event"] == '127.0.0.1:9 - "GET /ws/call?caller_id=[PHONE]&token=[CREDENTIAL]&locale=en-US" 101'
    assert (access["logger"], access["level"]) == ("uvicorn.access", "info")
    assert (chroma["event"], chroma["logger"], chroma["level"]) == (
        "slow query of [EMAIL]",
        "chromadb.segment",
        "warning",
    )
    assert logging.getLogger("uvicorn").handlers == []


def test_a_bearer_token_is_no_reading_matter(configure: Configure) -> None:
    pipeline, stream = configure()
    logging.getLogger("x").info("sent Authorization: Bearer s3cr3t-token")
    [line] = written(pipeline, stream)
    assert line["event"] == "sent Authorization: Bearer [CREDENTIAL]"


@pytest.mark.parametrize("name", ["httpx2", "httpcore2.http11", "websockets.client", "aiosqlite", "uvicorn.error"])
def test_libraries_do_not_write_headers_frames_and_statements_at_debug_level(configure: Configure, name: str) -> None:
    pipeline, stream = configure("DEBUG")
    logging.getLogger(name).debug("> Authorization: Token secret-key-of-the-vendor")
    logging.getLogger(name).error("a line that matters")
    assert [line["event"] for line in written(pipeline, stream)] == ["a line that matters"]


def test_arguments_that_do_not_fit_lose_no_line(configure: Configure) -> None:
    pipeline, stream = configure()
    logging.getLogger("x").info("%d of %s", "one")  # noqa: PLE1206 - the mistake of some library
    [line] = written(pipeline, stream)
    assert line["event"] == "%d of %s (arguments do not fit)"


def test_fields_bound_to_a_task_are_on_its_lines_and_on_no_other(configure: Configure) -> None:
    pipeline, stream = configure()

    async def call(name: str) -> None:
        with bound_log_fields(call_id=name):
            await asyncio.sleep(0)
            with bound_log_fields(turn_id=1):
                structlog.get_logger("t").info("ours")
            logging.getLogger("lib").info("theirs")

    async def both() -> None:
        await asyncio.gather(call("a"), call("b"))

    asyncio.run(both())
    structlog.get_logger("t").info("outside")
    lines = [(line["event"], line.get("call_id"), line.get("turn_id")) for line in written(pipeline, stream)]
    assert sorted(lines[:-1]) == [("ours", "a", 1), ("ours", "b", 1), ("theirs", "a", None), ("theirs", "b", None)]
    assert lines[-1] == ("outside", None, None)


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_an_exception_is_written_whole_and_masked(configure: Configure, fmt: str) -> None:
    pipeline, stream = configure(fmt=fmt)
    try:
        int("jane@example.com")
    except ValueError:
        structlog.get_logger("t").exception("failed")
        logging.getLogger("lib").exception("failed there")
    assert pipeline.stop()
    text = stream.getvalue()
    assert "jane" not in text
    assert text.count("invalid literal for int() with base 10: '[EMAIL]'") == 2
    assert text.count("Traceback") == 2


def test_console_lines_are_for_people(configure: Configure) -> None:
    pipeline, stream = configure(fmt="console")
    structlog.get_logger("t").warning("reply_failed", stage="tts")
    assert pipeline.stop()
    [line] = stream.getvalue().splitlines()
    assert "reply_failed" in line
    assert "stage=tts" in line
    assert "\x1b" not in line  # no colours into a file


def test_levels_below_the_setting_are_not_written(configure: Configure) -> None:
    pipeline, stream = configure("WARNING")
    structlog.get_logger("t").info("quiet")
    logging.getLogger("lib").info("quiet")
    structlog.get_logger("t").warning("loud")
    assert [line["event"] for line in written(pipeline, stream)] == ["loud"]


def test_a_slow_output_never_blocks_a_log_call_and_lost_lines_are_told(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            release.wait(10)
            return super().write(text)

    monkeypatch.setattr(process_log, "QUEUE_LINES", 10)
    pipeline, stream = configure(out=Slow())
    log = structlog.get_logger("t")
    started = time.monotonic()
    for number in range(50):
        log.info("line", number=number)
    assert time.monotonic() - started < 5
    assert pipeline.dropped_lines in (39, 40)  # ten wait, one may be in the writer's hand
    release.set()
    lines = written(pipeline, stream)
    dropped = [line for line in lines if line["event"] == "log lines were dropped"]
    assert sum(int(str(line["lines"])) for line in dropped) == pipeline.dropped_lines
    assert len(lines) - len(dropped) == 50 - pipeline.dropped_lines


def test_a_closed_output_does_not_stop_the_process(configure: Configure) -> None:
    pipeline, stream = configure()
    stream.close()
    structlog.get_logger("t").info("nobody reads this")
    assert pipeline.stop()
    assert pipeline.dropped_lines >= 1


def test_stopping_puts_the_root_logger_back(configure: Configure) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    pipeline, _ = configure("ERROR")
    assert root.level == logging.ERROR
    pipeline.stop()
    assert (root.handlers[:], root.level) == before


def test_identifiers_of_ours_are_not_masked() -> None:
    event = {"call_id": "4155552671", "time": "2026-11-22T18:00:00.000+00:00", "event": "x", "other": "4155552671"}
    assert mask_values(None, "info", dict(event)) == {**event, "other": "[PHONE]"}
