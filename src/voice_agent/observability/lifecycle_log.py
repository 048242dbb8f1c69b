"""A call's life cycle as log lines, so that a person can read one call from start to end."""

from __future__ import annotations

from typing import Any

import structlog

from voice_agent.conversation.commands import (
    CancelReply,
    CommitTurn,
    Decide,
    DropTurn,
    EndCall,
    Escalate,
    OpenTurn,
    Say,
    StartReply,
    StopForBargeIn,
)
from voice_agent.conversation.events import (
    CallerHungUp,
    CallStarted,
    CodeChecked,
    FillerSpoken,
    PlayoutStarted,
    ProviderSwitched,
    ReplyFailed,
    ReplyFinished,
    SecondFactorAsked,
    SecretChecked,
    SegmentWithheld,
    StageFailed,
    ToolReturned,
    TransferFinished,
)
from voice_agent.models import CALL_ENDED, CallOutcome, ToolStatus
from voice_agent.observability.record import LogRecord

_log = structlog.get_logger("voice_agent.call")


def log_sink(record: LogRecord) -> None:
    """A ``RecordSink``: one constant message for each step that matters to a reader, with its facts as fields.

    Failures are warnings, a call that ended in an error is an error; turn-taking detail and what was said (masked, as
    everywhere) are at debug level.
    """
    level, message, fields = _line(record.entry)
    if message:
        _log.log(level, message, call_id=record.call_id, t_s=round(record.t_s, 3), **fields)


_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40
_NOTHING: tuple[int, str, dict[str, Any]] = (_DEBUG, "", {})


def _line(entry: object) -> tuple[int, str, dict[str, Any]]:
    """(level, message, fields); an empty message logs nothing."""
    fields: dict[str, Any]
    match entry:
        case CallStarted():
            fields = {"locale": entry.locale, "requested_locale": entry.requested_locale, "caller_id": entry.caller_id}
            return _INFO, "call_start", fields
        case Decide(turn_id=turn_id, decision=decision):
            fields = {
                "turn_id": turn_id,
                "action": decision.action.value,
                "reason": decision.reason.value,
                "confidence": round(decision.confidence, 3),
                "rule": decision.rule,
                "example": decision.evidence,
                "score": round(decision.score, 3),
                "margin": round(decision.margin, 3),
            }
            return _INFO, "policy_decision", fields
        case ToolReturned(reply_id=reply_id, result=result):
            failed = result.status is ToolStatus.FAILED and result.reason != CALL_ENDED
            level = _WARNING if failed else _INFO
            fields = {
                "reply_id": reply_id,
                "tool": result.name,
                "status": result.status.value,
                "reason": result.reason,
                "duration_ms": round(result.duration_ms, 1),
            }
            return level, "tool_result", fields
        case StopForBargeIn():
            return _INFO, "barge_in", {"reply_id": entry.reply_id, "rule": entry.rule}
        case Escalate(packet=packet):
            return _INFO, "escalation", {"reason": packet.reason.value, "verified": packet.verified}
        case TransferFinished(receipt=None):
            return _WARNING, "transfer failed", {}
        case TransferFinished(receipt=receipt) if receipt is not None:
            return _INFO, "transfer", {"reference": receipt.reference, "connected": receipt.connected}
        case ReplyFailed():
            fields = {"reply_id": entry.reply_id, "stage": entry.stage.value, "category": entry.category}
            return _WARNING, "reply_failed", fields
        case StageFailed():
            return _WARNING, "stage_failed", {"stage": entry.stage.value, "category": entry.category}
        case ProviderSwitched():
            fields = {
                "stage": entry.stage.value,
                "previous": entry.previous,
                "provider": entry.provider or "none",
                "reason": entry.reason,
            }
            return _INFO if entry.reason == "recovered" else _WARNING, "failover", fields
        case SegmentWithheld():
            fields = {"reply_id": entry.reply_id, "kinds": [kind.value for kind in entry.kinds], "again": entry.again}
            return _WARNING, "segment_withheld", fields
        case FillerSpoken():
            return _INFO, "filler", {"reply_id": entry.reply_id}
        case SecretChecked():
            fields = {"outcome": entry.outcome.value, "attempts_left": entry.attempts_left}
            return _INFO, "secret_checked", fields
        case SecondFactorAsked():
            return _INFO, "second_factor_asked", {"digits": entry.digits}
        case CodeChecked():
            fields = {"outcome": entry.outcome.value, "attempts_left": entry.attempts_left}
            return _INFO, "code_checked", fields
        case EndCall():
            level = _ERROR if entry.outcome is CallOutcome.ERROR else _INFO
            return level, "call_end", {"outcome": entry.outcome.value, "reason": entry.reason}
        case _:
            return _detail(entry)


def _detail(entry: object) -> tuple[int, str, dict[str, Any]]:
    fields: dict[str, Any]
    match entry:
        case OpenTurn():
            return _DEBUG, "turn_start", {"turn_id": entry.turn_id}
        case CommitTurn():
            fields = {"turn_id": entry.turn_id, "rule": entry.rule, "waited_s": entry.waited_s, "text": entry.text}
            return _DEBUG, "turn_committed", fields
        case DropTurn():
            return _DEBUG, "turn_dropped", {"turn_id": entry.turn_id, "rule": entry.rule}
        case Say():
            return _DEBUG, "say", {"reply_id": entry.reply_id, "purpose": entry.purpose.value}
        case StartReply():
            return _DEBUG, "start_reply", {"reply_id": entry.reply_id, "turn_id": entry.turn_id}
        case CancelReply():
            return _DEBUG, "cancel_reply", {"reply_id": entry.reply_id, "reason": entry.reason.value}
        case PlayoutStarted():
            return _DEBUG, "playout_started", {"reply_id": entry.reply_id}
        case ReplyFinished():
            return _DEBUG, "reply_finished", {"reply_id": entry.reply_id, "heard_s": round(entry.heard_s, 2)}
        case CallerHungUp():
            return _DEBUG, "hung_up", {"reason": entry.reason}
        case _:
            return _NOTHING
