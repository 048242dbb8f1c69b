"""Prometheus metrics, as one fold per call over the event log.

Names, buckets and labels of the contract are fixed; what goes beyond it has names of its own. Histograms are in
milliseconds. Labels come from closed sets only: an unknown tool is "other", whatever the model called it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from voice_agent.conversation.commands import (
    CancelReason,
    CancelReply,
    EndCall,
    Escalate,
    ReleaseReply,
    StartReply,
    StopForBargeIn,
)
from voice_agent.conversation.events import (
    CallStarted,
    FillerSpoken,
    LlmAnswered,
    LlmFinished,
    LlmStarted,
    ProviderSwitched,
    ReplyFailed,
    SegmentWithheld,
    Stage,
    StageFailed,
    ToolReturned,
)
from voice_agent.conversation.grounding import ClaimKind
from voice_agent.models import CALL_ENDED, CallOutcome, PolicyReason, Refusal, ReplyId, ToolStatus
from voice_agent.observability.metrics_sharing import all_workers
from voice_agent.observability.record import LogRecord
from voice_agent.observability.turn_latency import TurnLatencies, TurnLatencyFold

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER_TOOL = "other"
_DRAFT_RESULTS = ("used", "wasted", "failed")
_TOKEN_DIRECTIONS = ("input", "output")

GaugeMode = Literal["livesum", "livemax"]
# How the gauges of several workers become one; those of a worker that has died no longer count.
_SUM: GaugeMode = "livesum"
_WORST: GaugeMode = "livemax"

_LAG_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_TURN_BUCKETS = (200, 500, 800, 1200, 1800, 2500, 4000, 8000)
_ASR_BUCKETS = (100, 200, 400, 600, 1000, 2000)
_LLM_BUCKETS = (200, 400, 800, 1200, 2000, 4000)
_TTS_BUCKETS = (100, 200, 400, 600, 1000, 2000)
# Fine enough to tell 450 ms from 550 ms, which the contract's buckets cannot.
_FINE_BUCKETS = (
    100,
    200,
    250,
    300,
    350,
    400,
    450,
    500,
    550,
    600,
    650,
    700,
    750,
    800,
    900,
    1000,
    1250,
    1500,
    2000,
    3000,
)


class CallMetrics:
    """All metrics of one process, in their own registry. Every method may be called from any thread.

    ``tool_names`` are the registered tools: the only values of the ``tool_name`` label besides "other".
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, tool_names: Collection[str] = ()) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._tool_names = frozenset(tool_names)
        self._make_contract_metrics()
        self._make_further_metrics()
        self._show_zeros()

    def _make_contract_metrics(self) -> None:
        self.turn_latency = self._histogram(
            "voice_turn_latency_ms", "caller stops speaking to first sample of the answer", _TURN_BUCKETS
        )
        self.asr_latency = self._histogram(
            "voice_asr_latency_ms", "last voiced sample to final transcript", _ASR_BUCKETS
        )
        self.llm_latency = self._histogram("voice_llm_latency_ms", "request to first usable sentence", _LLM_BUCKETS)
        self.tts_first_chunk = self._histogram(
            "voice_tts_first_chunk_ms", "text handed over to first audio", _TTS_BUCKETS
        )
        self.tool_failures = self._counter(
            "voice_tool_failures_total", "tool calls that failed (errors, time-outs, open breakers)", "tool_name"
        )
        self.escalations = self._counter("voice_escalations_total", "calls handed over to a human", "reason")
        self.barge_ins = self._counter("voice_barge_ins_total", "replies the caller interrupted")
        self.sessions = self._counter("voice_sessions_total", "calls that ended", "outcome")
        self.active_sessions = self._gauge("voice_active_sessions", "calls in progress", _SUM)

    def _make_further_metrics(self) -> None:
        self.turn_latency_fine = self._histogram(
            "voice_turn_latency_fine_ms", "as voice_turn_latency_ms, in finer buckets", _FINE_BUCKETS
        )
        self.endpointing = self._histogram(
            "voice_endpointing_ms", "last voiced sample to the decision that the turn is over", _FINE_BUCKETS
        )
        self.tool_calls = self._counter("voice_tool_calls_total", "tool calls with a result", "tool_name")
        self.stage_failures = self._counter("voice_stage_failures_total", "stages of a call that failed", "stage")
        self.drafts = self._counter(
            "voice_drafts_total",
            "answers begun before their turn was certain: used, wasted, or failed by themselves",
            "result",
        )
        self.failovers = self._counter(
            "voice_provider_failovers_total",
            "changes of the provider that serves a stage; provider: the one that served before",
            "stage",
            "provider",
            "reason",
        )
        self.fillers = self._counter("voice_fillers_total", "phrases that bridged the wait for a late answer")
        self.withheld = self._counter(
            "voice_withheld_segments_total", "claims of the model that nothing known supports, by kind", "kind"
        )
        self.llm_first_token = self._histogram(
            "voice_llm_first_token_ms", "request to the model's first words or tool call", _FINE_BUCKETS
        )
        self.llm_tokens = self._counter(
            "voice_llm_tokens_total", "tokens that language models read and wrote, where they tell", "direction"
        )
        self.loop_lag = self._gauge("voice_loop_lag_ms", "how late the event loop woke last", _WORST)
        self.loop_lags = self._histogram(
            "voice_loop_lag_distribution_ms", "how late the event loop woke, 20 times a second", _LAG_BUCKETS
        )
        self.playout_lateness = self._gauge(
            "voice_playout_lateness_ms", "99th percentile of how late audio left over the last 3 s", _WORST
        )
        self.refused_calls = self._counter("voice_refused_calls_total", "calls that were not admitted", "reason")
        self.capacity = self._gauge("voice_session_capacity", "calls admitted at once", _SUM)
        self.target_turn_latency = self._gauge(
            "voice_target_turn_latency_ms", "what a turn should take (a setting)", _WORST
        )
        self.target_first_token = self._gauge(
            "voice_target_first_token_ms", "what a first token should take (a setting)", _WORST
        )
        self.event_log_dropped = self._counter(
            "voice_event_log_dropped_total", "event log lines lost (full queue, full disk)"
        )

    def _histogram(self, name: str, text: str, buckets: tuple[int, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, over_workers: GaugeMode) -> Gauge:
        return Gauge(name, text, registry=self.registry, multiprocess_mode=over_workers)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _show_zeros(self) -> None:
        """A counter that appears with its first increment hides that increment from ``rate``: so all start at 0."""
        for tool in sorted(self._tool_names | {OTHER_TOOL}):
            self.tool_failures.labels(tool)
            self.tool_calls.labels(tool)
        for reason in PolicyReason:
            self.escalations.labels(reason.value)
        for outcome in CallOutcome:
            self.sessions.labels(outcome.value)
        for refusal in Refusal:
            self.refused_calls.labels(refusal.value)
        for stage in Stage:
            self.stage_failures.labels(stage.value)
        for result in _DRAFT_RESULTS:
            self.drafts.labels(result)
        for kind in ClaimKind:
            self.withheld.labels(kind.value)
        for direction in _TOKEN_DIRECTIONS:
            self.llm_tokens.labels(direction)

    def count_refusal(self, reason: Refusal) -> None:
        """A call was not admitted."""
        self.refused_calls.labels(reason.value).inc()

    def observe_load(self, *, loop_lag_s: float, lateness_s: float | None) -> None:
        """``lateness_s`` is None where too little audio was sent to judge by."""
        self.loop_lag.set(loop_lag_s * 1000)
        self.loop_lags.observe(loop_lag_s * 1000)
        self.playout_lateness.set((lateness_s or 0.0) * 1000)

    def fold(self) -> CallMetricsFold:
        """The sink for one new call."""
        return CallMetricsFold(self)

    def tool_label(self, name: str) -> str:
        return name if name in self._tool_names else OTHER_TOOL

    def observe_turn(self, latencies: TurnLatencies) -> None:
        self.turn_latency.observe(latencies.turn_ms)
        self.turn_latency_fine.observe(latencies.turn_ms)
        self.endpointing.observe(latencies.endpointing_ms)
        for histogram, value in (
            (self.asr_latency, latencies.stage_asr_ms),
            (self.llm_latency, latencies.stage_llm_ms),
            (self.tts_first_chunk, latencies.stage_tts_ms),
        ):
            if value is not None:
                histogram.observe(value)

    def render(self) -> bytes:
        """The exposition (``CONTENT_TYPE``) of the whole server. Takes tens of ms: call it in a thread."""
        return generate_latest(all_workers() or self.registry)


class CallMetricsFold:
    """A ``RecordSink`` for one call. ``close`` in the call's ``finally``: a call that never logged its end is counted as
    an error, and leaves the number of active ones. May be called more than once."""

    def __init__(self, metrics: CallMetrics) -> None:
        self._metrics = metrics
        self._latencies = TurnLatencyFold()
        self._asked_at: dict[ReplyId, float] = {}
        self._drafts: set[ReplyId] = set()
        self._active = False

    def __call__(self, record: LogRecord) -> None:
        metrics, entry = self._metrics, record.entry
        latencies = self._latencies(record)
        if latencies is not None:
            metrics.observe_turn(latencies)
        match entry:
            case CallStarted():
                if not self._active:
                    self._active = True
                    metrics.active_sessions.inc()
            case ToolReturned(result=result):
                tool = metrics.tool_label(result.name)
                metrics.tool_calls.labels(tool).inc()
                if result.status is ToolStatus.FAILED and result.reason != CALL_ENDED:
                    metrics.tool_failures.labels(tool).inc()
            case Escalate(packet=packet):
                metrics.escalations.labels(packet.reason.value).inc()
            case StopForBargeIn():
                metrics.barge_ins.inc()
            case StartReply(draft=True):
                self._drafts.add(entry.reply_id)
            case ReleaseReply():
                self._drafts.discard(entry.reply_id)
                metrics.drafts.labels("used").inc()
            case CancelReply(reason=CancelReason.SPECULATION):
                self._drafts.discard(entry.reply_id)
                metrics.drafts.labels("wasted").inc()
            case ProviderSwitched():
                metrics.failovers.labels(entry.stage.value, entry.previous, entry.reason).inc()
            case FillerSpoken():
                metrics.fillers.inc()
            case SegmentWithheld():
                for kind in entry.kinds:
                    metrics.withheld.labels(kind.value).inc()
            case LlmStarted():
                self._asked_at[entry.reply_id] = record.t_s
            case LlmAnswered():
                metrics.llm_first_token.observe((record.t_s - self._asked_at.pop(entry.reply_id, record.t_s)) * 1000)
            case LlmFinished():
                metrics.llm_tokens.labels("input").inc(entry.input_tokens)
                metrics.llm_tokens.labels("output").inc(entry.output_tokens)
            case ReplyFailed() | StageFailed():
                metrics.stage_failures.labels(entry.stage.value).inc()
                if isinstance(entry, ReplyFailed) and entry.reply_id in self._drafts:
                    self._drafts.discard(entry.reply_id)
                    metrics.drafts.labels("failed").inc()
            case EndCall():
                self._end(entry.outcome)
            case _:
                pass

    def close(self) -> None:
        self._end(CallOutcome.ERROR)

    def _end(self, outcome: CallOutcome) -> None:
        if self._active:
            self._active = False
            self._metrics.active_sessions.dec()
            self._metrics.sessions.labels(outcome.value).inc()
