"""The contract's metrics, read back from the exposition."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.models import (
    CALL_ENDED,
    CallId,
    CallOutcome,
    ContextPacket,
    OpenQuestion,
    PolicyReason,
    ReplyId,
    ToolResult,
    ToolStatus,
    TurnId,
    UtteranceId,
)
from voice_agent.observability.metrics import CallMetrics
from voice_agent.observability.record import LogRecord, RecordSink

CONTRACT_BUCKETS = {
    "voice_turn_latency_ms": [200, 500, 800, 1200, 1800, 2500, 4000, 8000],
    "voice_asr_latency_ms": [100, 200, 400, 600, 1000, 2000],
    "voice_llm_latency_ms": [200, 400, 800, 1200, 2000, 4000],
    "voice_tts_first_chunk_ms": [100, 200, 400, 600, 1000, 2000],
}
R1 = ReplyId(1)
STARTED = e.CallStarted(CallId("c"), "caller", "en-US", "en-US", "2026-01-01T00:00:00Z")


def samples(metrics: CallMetrics) -> dict[str, float]:
    """``name{label="value"}`` of every sample."""
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def feed(sink: RecordSink, entries: Iterable[tuple[float, e.Event | c.Command]]) -> None:
    for seq, (t, entry) in enumerate(entries):
        sink(LogRecord(CallId("c"), seq, t, entry))


def tool_returned(name: str, status: ToolStatus) -> e.ToolReturned:
    return e.ToolReturned(R1, ToolResult("t1", name, status))


def escalated(reason: PolicyReason) -> c.Escalate:
    return c.Escalate(ContextPacket(CallId("c"), "caller", False, "en-US", reason, "", (), ()))


def test_names_and_buckets_are_those_of_the_contract() -> None:
    found = samples(CallMetrics())
    for name, buckets in CONTRACT_BUCKETS.items():
        bounds = [float(key.split('le="')[1][:-2]) for key in found if key.startswith(f"{name}_bucket")]
        assert bounds == [*map(float, buckets), float("inf")]
    for name in ("voice_barge_ins_total", "voice_active_sessions", 'voice_sessions_total{outcome="abandoned"}'):
        assert found[name] == 0


def test_one_turn_fills_each_histogram_once() -> None:
    metrics = CallMetrics()
    utterance = UtteranceId(1)
    feed(
        metrics.fold(),
        [
            (0.0, STARTED),
            (1.0, c.OpenTurn(TurnId(1), utterance)),
            (2.125, e.SpeechStopped(silence_s=0.125, voiced_s=1.0)),
            (2.25, e.TranscriptFinal(utterance, "hello")),
            (2.5, c.CommitTurn(TurnId(1), "hello", "complete", 0.5)),
            (2.5, c.StartReply(R1, TurnId(1), OpenQuestion.NONE, False)),
            (2.5, e.LlmStarted(R1, 1)),
            (2.75, e.SegmentWritten(R1, 0, "Hello.")),
            (2.75, e.SynthesisStarted(R1, 0)),
            (2.875, e.SynthesisBegan(R1, 0)),
            (2.875, e.PlayoutStarted(R1)),
        ],
    )
    found = samples(metrics)
    assert found["voice_turn_latency_ms_sum"] == 875
    assert found["voice_asr_latency_ms_sum"] == 250
    assert found["voice_llm_latency_ms_sum"] == 250
    assert found["voice_tts_first_chunk_ms_sum"] == 125
    assert found["voice_endpointing_ms_sum"] == 500
    for name in (*CONTRACT_BUCKETS, "voice_turn_latency_fine_ms"):
        assert found[f"{name}_count"] == 1
    assert found['voice_turn_latency_ms_bucket{le="800.0"}'] == 0
    assert found['voice_turn_latency_ms_bucket{le="1200.0"}'] == 1


def test_tool_names_come_from_the_registry_only() -> None:
    metrics = CallMetrics(tool_names=["order_status"])
    feed(
        metrics.fold(),
        [
            (0.0, STARTED),
            (1.0, tool_returned("order_status", ToolStatus.OK)),
            (1.0, tool_returned("order_status", ToolStatus.FAILED)),
            (1.0, tool_returned("order_status", ToolStatus.BUSINESS_ERROR)),
            (1.0, tool_returned("order_status", ToolStatus.DENIED)),
            (1.0, tool_returned("drop_tables", ToolStatus.FAILED)),
            # Who hangs up while something is looked up has not made the tool fail.
            (1.0, e.ToolReturned(R1, ToolResult("t", "order_status", ToolStatus.FAILED, reason=CALL_ENDED))),
        ],
    )
    found = samples(metrics)
    assert found['voice_tool_failures_total{tool_name="order_status"}'] == 1
    assert found['voice_tool_failures_total{tool_name="other"}'] == 1
    assert found['voice_tool_calls_total{tool_name="order_status"}'] == 5
    assert not any("drop_tables" in key for key in found)


def test_escalations_barge_ins_failures_and_outcomes_are_counted() -> None:
    metrics = CallMetrics()
    feed(
        metrics.fold(),
        [
            (0.0, STARTED),
            (1.0, c.StopForBargeIn(R1, "Hello", "words")),
            (2.0, e.StageFailed(e.Stage.ASR, "network")),
            (2.5, e.ReplyFailed(R1, e.Stage.TTS, "timeout")),
            (3.0, escalated(PolicyReason.HUMAN_REQUESTED)),
            (4.0, c.EndCall(CallOutcome.ESCALATED, "human_requested")),
        ],
    )
    found = samples(metrics)
    assert found["voice_barge_ins_total"] == 1
    assert found['voice_escalations_total{reason="human_requested"}'] == 1
    assert found['voice_escalations_total{reason="abuse"}'] == 0
    assert found['voice_sessions_total{outcome="escalated"}'] == 1
    assert found['voice_stage_failures_total{stage="asr"}'] == 1
    assert found['voice_stage_failures_total{stage="tts"}'] == 1


def test_drafts_are_counted_as_used_or_wasted() -> None:
    metrics = CallMetrics()
    assert samples(metrics)['voice_drafts_total{result="wasted"}'] == 0
    cancelled = [c.CancelReply(R1, reason) for reason in (c.CancelReason.SPECULATION, c.CancelReason.MERGED)]
    feed(metrics.fold(), [(1.0, c.ReleaseReply(R1)), *((2.0, entry) for entry in cancelled)])
    found = samples(metrics)
    assert found['voice_drafts_total{result="used"}'] == found['voice_drafts_total{result="wasted"}'] == 1


def test_a_draft_that_fails_by_itself_is_counted_apart() -> None:
    metrics = CallMetrics()
    draft = c.StartReply(R1, TurnId(1), OpenQuestion.NONE, False, draft=True)
    failed = e.ReplyFailed(R1, e.Stage.LLM, "network")
    feed(metrics.fold(), [(1.0, draft), (2.0, failed)])
    assert samples(metrics)['voice_drafts_total{result="failed"}'] == 1


def test_what_a_model_and_its_providers_did_is_counted() -> None:
    metrics = CallMetrics()
    feed(
        metrics.fold(),
        [
            (1.0, e.LlmStarted(R1, 1)),
            (1.3, e.LlmAnswered(R1, 1)),
            (1.5, e.LlmFinished(R1, 1, "Hello.", (), 120, 3)),
            (2.0, e.ProviderSwitched(e.Stage.LLM, "openai", "builtin", "timeout")),
            (2.5, e.FillerSpoken(R1, 0, "One moment.", 0.8)),
        ],
    )
    found = samples(metrics)
    assert found['voice_llm_tokens_total{direction="input"}'] == 120
    assert found['voice_llm_tokens_total{direction="output"}'] == 3
    assert found["voice_llm_first_token_ms_sum"] == pytest.approx(300)
    assert found['voice_provider_failovers_total{provider="openai",reason="timeout",stage="llm"}'] == 1
    assert found["voice_fillers_total"] == 1


def test_active_sessions_come_back_to_zero_whatever_happens() -> None:
    metrics = CallMetrics()
    ended, crashed, never_started = metrics.fold(), metrics.fold(), metrics.fold()
    feed(ended, [(0.0, STARTED)])
    feed(crashed, [(0.0, STARTED)])
    assert samples(metrics)["voice_active_sessions"] == 2
    feed(ended, [(1.0, c.EndCall(CallOutcome.COMPLETED, "hangup"))])
    for fold in (ended, crashed, crashed, never_started):
        fold.close()
    found = samples(metrics)
    assert found["voice_active_sessions"] == 0
    assert found['voice_sessions_total{outcome="completed"}'] == 1
    assert found['voice_sessions_total{outcome="error"}'] == 1


def test_two_processes_worth_of_metrics_do_not_share_anything() -> None:
    one, two = CallMetrics(), CallMetrics()
    one.barge_ins.inc()
    assert samples(one)["voice_barge_ins_total"] == 1
    assert samples(two)["voice_barge_ins_total"] == 0
