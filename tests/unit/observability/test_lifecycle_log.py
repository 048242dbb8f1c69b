"""One call, as a person reads it in the log."""

from __future__ import annotations

import pytest
import structlog

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.codec import Kind, entry_types
from voice_agent.models import (
    CALL_ENDED,
    CallId,
    CallOutcome,
    ContextPacket,
    OpenQuestion,
    PolicyAction,
    PolicyDecision,
    PolicyReason,
    ReplyId,
    SecretOutcome,
    ToolResult,
    ToolStatus,
    TransferReceipt,
    TurnId,
    UtteranceId,
)
from voice_agent.observability.lifecycle_log import log_sink
from voice_agent.observability.record import LogRecord

R1, T1 = ReplyId(1), TurnId(1)


def logged(*entries: e.Event | c.Command) -> list[tuple[str, str, dict[str, object]]]:
    """(level, message, fields) of the lines that these entries give."""
    with structlog.testing.capture_logs() as lines:
        for seq, entry in enumerate(entries):
            log_sink(LogRecord(CallId("c1"), seq, seq / 4, entry))
    found = []
    for line in lines:
        assert line.pop("call_id") == "c1"
        line.pop("t_s")
        found.append((line.pop("log_level"), line.pop("event"), dict(line)))
    return found


def test_a_call_reads_from_start_to_end() -> None:
    packet = ContextPacket(CallId("c1"), "caller", True, "en-US", PolicyReason.HUMAN_REQUESTED, "", (), ())
    decision = PolicyDecision(
        PolicyAction.ESCALATE, PolicyReason.HUMAN_REQUESTED, 0.91234, "operator", "", 0.91234, 0.4
    )
    assert logged(
        e.CallStarted(CallId("c1"), "caller", "en-US", "en-US", "2026-01-01T00:00:00Z"),
        c.OpenTurn(T1, UtteranceId(1)),
        e.TranscriptPartial(UtteranceId(1), "a human"),
        c.CommitTurn(T1, "a human please", "complete", 0.2),
        c.Decide(T1, decision),
        c.StopForBargeIn(R1, "Hello", "words"),
        e.SecretChecked(SecretOutcome.WRONG, 2),
        c.Escalate(packet),
        e.TransferFinished(TransferReceipt("CB-1", connected=False)),
        c.EndCall(CallOutcome.ESCALATED, "human_requested"),
    ) == [
        ("info", "call_start", {"locale": "en-US", "requested_locale": "en-US", "caller_id": "caller"}),
        ("debug", "turn_start", {"turn_id": 1}),
        ("debug", "turn_committed", {"turn_id": 1, "rule": "complete", "waited_s": 0.2, "text": "a human please"}),
        (
            "info",
            "policy_decision",
            {
                "turn_id": 1,
                "action": "escalate",
                "reason": "human_requested",
                "confidence": 0.912,
                "rule": "",
                "example": "operator",
                "score": 0.912,
                "margin": 0.4,
            },
        ),
        ("info", "barge_in", {"reply_id": 1, "rule": "words"}),
        ("info", "secret_checked", {"outcome": "wrong", "attempts_left": 2}),
        ("info", "escalation", {"reason": "human_requested", "verified": True}),
        ("info", "transfer", {"reference": "CB-1", "connected": False}),
        ("info", "call_end", {"outcome": "escalated", "reason": "human_requested"}),
    ]


@pytest.mark.parametrize(
    ("entry", "level", "message"),
    [
        (e.ReplyFailed(R1, e.Stage.TTS, "timeout"), "warning", "reply_failed"),
        (e.StageFailed(e.Stage.ASR, "network"), "warning", "stage_failed"),
        (e.TransferFinished(None), "warning", "transfer failed"),
        (e.ToolReturned(R1, ToolResult("t", "order_status", ToolStatus.FAILED)), "warning", "tool_result"),
        (e.ToolReturned(R1, ToolResult("t", "order_status", ToolStatus.OK)), "info", "tool_result"),
        (
            e.ToolReturned(R1, ToolResult("t", "order_status", ToolStatus.FAILED, reason=CALL_ENDED)),
            "info",
            "tool_result",
        ),
        (c.EndCall(CallOutcome.ERROR, "overflow"), "error", "call_end"),
        (c.DropTurn(T1, "backchannel"), "debug", "turn_dropped"),
        (c.StartReply(R1, T1, OpenQuestion.NONE, False), "debug", "start_reply"),
        (c.Say(R1, ("Hello.",), c.Purpose.GREETING), "debug", "say"),
        (c.CancelReply(R1, c.CancelReason.MERGED), "debug", "cancel_reply"),
        (e.PlayoutStarted(R1), "debug", "playout_started"),
        (e.ReplyFinished(R1, 1.0), "debug", "reply_finished"),
        (e.CallerHungUp("hangup"), "debug", "hung_up"),
    ],
)
def test_the_level_says_how_bad_it_is(entry: e.Event | c.Command, level: str, message: str) -> None:
    assert [line[:2] for line in logged(entry)] == [(level, message)]


@pytest.mark.parametrize("entry", [e.TimerFired(), e.PlayoutAdvanced(R1, 1.0), e.SpeechStarted(0.1), c.DiscardSecret()])
def test_what_happens_many_times_a_second_is_left_to_the_event_file(entry: e.Event | c.Command) -> None:
    assert logged(entry) == []


def test_names_are_those_of_the_event_log_where_both_have_one() -> None:
    names = {record.name for kind in Kind for record in entry_types(kind)}
    for entry in (
        c.EndCall(CallOutcome.COMPLETED, "x"),
        c.StopForBargeIn(R1, "", "x"),
        e.StageFailed(e.Stage.ASR, "x"),
    ):
        [(_, message, _)] = logged(entry)
        assert message in names
