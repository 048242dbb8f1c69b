"""Numbering, sinks, the shape of a line, and masking at the choke point."""

from __future__ import annotations

import orjson
import pytest

from voice_agent.conversation.codec import decode
from voice_agent.conversation.commands import CommitTurn, EndCall
from voice_agent.conversation.events import (
    CallStarted,
    Event,
    SegmentWritten,
    SpeechStarted,
    TimerFired,
    ToolReturned,
    TranscriptFinal,
    TransferFinished,
)
from voice_agent.conversation.machine import MachineSettings
from voice_agent.models import (
    CallId,
    CallOutcome,
    ReplyId,
    ToolResult,
    ToolStatus,
    TransferReceipt,
    TurnId,
    UtteranceId,
)
from voice_agent.observability.event_log import (
    EventLog,
    call_header,
    entry_line,
    header_line,
    mask_entry,
    record_line,
)
from voice_agent.observability.record import LogRecord

CALL = CallId("4155552671")  # looks like a phone number on purpose


def test_entries_are_numbered_and_reach_every_sink_in_order() -> None:
    one: list[LogRecord] = []
    two: list[LogRecord] = []
    log = EventLog(CALL, [one.append, two.append])
    first = log.append(0.0, TimerFired())
    second = log.append(0.25, EndCall(CallOutcome.COMPLETED, "hangup"))
    assert one == two == [first, second]
    assert [(record.call_id, record.seq, record.t_s) for record in one] == [(CALL, 0, 0.0), (CALL, 1, 0.25)]


def test_a_sink_that_raises_is_left_out_and_the_call_goes_on() -> None:
    seen: list[int] = []
    calls = 0

    def broken(record: LogRecord) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("broken sink")

    log = EventLog(CALL, [broken, lambda record: seen.append(record.seq)])
    log.append(0.0, TimerFired())
    log.append(0.1, TimerFired())
    assert seen == [0, 1]
    assert calls == 1


def test_the_shape_of_a_line() -> None:
    record = LogRecord(CALL, 7, 0.1 + 0.2, CommitTurn(TurnId(1), "hello", "complete", 0.2))
    assert record_line(record) == (
        b'{"seq":7,"t":0.30000000000000004,"kind":"command","name":"turn_committed",'
        b'"turn_id":1,"text":"hello","rule":"complete","waited_s":0.2}'
    )
    assert orjson.loads(record_line(record))["t"] == 0.1 + 0.2
    assert (
        entry_line(0, 0, SpeechStarted(1))
        == b'{"seq":0,"t":0.0,"kind":"event","name":"speech_started","voiced_s":1.0,"level_dbfs":null,"echo":null}'
    )


def test_a_line_is_masked_but_our_own_identifiers_are_not() -> None:
    line = entry_line(0, 0.0, CallStarted(CALL, "+14155552671", "en-US", "en-US", "2026-01-01T00:00:00Z"))
    started = orjson.loads(line)
    assert (started["call_id"], started["caller_id"], started["wall"]) == (CALL, "[PHONE]", "2026-01-01T00:00:00Z")
    receipt = orjson.loads(entry_line(0, 0.0, TransferFinished(TransferReceipt("20261122-0042", connected=False))))
    assert receipt["receipt"]["reference"] == "20261122-0042"


def test_text_that_utf8_cannot_hold_is_written_all_the_same() -> None:
    line = entry_line(0, 0.0, CommitTurn(TurnId(1), "caf\udce9 ok", "complete", 0.0))
    assert orjson.loads(line)["text"] == "caf? ok"


def test_the_header_carries_the_settings_unmasked() -> None:
    header = orjson.loads(header_line(call_header("1.2.3", MachineSettings(max_turns=3), node="a")))
    assert (header["kind"], header["schema"], header["version"], header["node"]) == ("header", 1, "1.2.3", "a")
    assert header["machine"]["max_turns"] == 3
    assert header["machine"]["endpointing"]["min_s"] == MachineSettings().endpointing.min_s


@pytest.mark.parametrize(
    "event",
    [TimerFired(), SegmentWritten(ReplyId(1), 0, "Order 83102 is on its way."), SpeechStarted(0.1)],
)
def test_an_entry_without_personal_data_is_the_same_object(event: Event) -> None:
    assert mask_entry(event) is event


def test_an_entry_is_masked_at_any_depth() -> None:
    result = ToolResult(
        "t1", "customer", ToolStatus.OK, {"mail": "jane@example.com", "order": "83102"}, spoken="+1 415 555 2671"
    )
    masked = mask_entry(ToolReturned(ReplyId(1), result))
    assert masked.result.data == {"mail": "[EMAIL]", "order": "83102"}
    assert masked.result.spoken == "[PHONE]"


def test_the_caller_id_reaches_the_machine_whole() -> None:
    started = CallStarted(CALL, "+14155552671", "en-US", "en-US", "2026-01-01T00:00:00Z")
    assert mask_entry(started) is started


def test_what_passed_the_choke_point_is_what_the_log_holds() -> None:
    heard = TranscriptFinal(UtteranceId(1), "my mail is jane at example dot com, card 4111 1111 1111 1111", 0.9)
    masked = mask_entry(heard)
    line = orjson.loads(entry_line(0, 0.0, masked))
    for key in ("seq", "t", "kind", "name"):
        del line[key]
    assert decode("event", "asr_final", line) == masked
    assert masked.text == "my mail is [EMAIL], card [CARD]"
