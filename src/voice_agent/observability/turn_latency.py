"""How long each answered turn took, and where the time went. One computation for metrics, wire, console, benchmarks.

Per turn, on the log's clock:

- **turn**: last voiced sample (the last ``SpeechStopped`` before ``CommitTurn``, less its silence) → ``PlayoutStarted``
  of the first reply to that turn that is heard;
- **asr**: last voiced sample → the ``TranscriptFinal`` used: the last one between that sample and ``CommitTurn`` (none
  where the recogniser was late and its partial stood in);
- **llm**: the reply's first ``LlmStarted`` → its first ``SegmentWritten`` that the model wrote (a lead-in is none);
- **tts**: ``SynthesisStarted`` → ``SynthesisBegan`` of the reply's segment 0;
  A filler that is heard first answers nothing: then the turn ends where the answer's own audio begins, which is when
  there is some and the filler is over.
- **endpointing**: last voiced sample → ``CommitTurn``, for information: it overlaps asr.

Those are the *stage* figures, and stages may overlap: behind a lead-in the model writes while the lead-in is heard, and
a model that starts before the turn is certain may write before the final is there. The *waterfall* (``asr_ms``,
``llm_ms``, ``tts_ms``, ``remainder_ms``) follows the critical path to the first sample of audio instead: walking asr,
llm, tts in that order, each counts only from where the one before ended, and never past the first sample; the model is
on the path only where it wrote segment 0. What no stage explains is the remainder (endpointing, policy, pacing). So the
four add up to ``turn_ms``, and where nothing overlaps they equal the stage figures.

A turn typed on the keypad has no last voiced sample, hence no latency; neither has a turn that was dropped, merged into
the next, interrupted before its answer was heard, or never answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voice_agent.conversation.commands import (
    CancelReason,
    CancelReply,
    CheckSecret,
    CommitTurn,
    DropTurn,
    EndCall,
    OpenTurn,
    Purpose,
    Say,
    StartReply,
    StopForBargeIn,
    Understand,
)
from voice_agent.conversation.events import (
    DtmfReceived,
    FillerSpoken,
    LlmStarted,
    PlayoutStarted,
    ReplyFailed,
    ReplyFinished,
    SegmentWritten,
    SpeechStopped,
    SynthesisBegan,
    SynthesisStarted,
    TimerFired,
    TranscriptFinal,
)
from voice_agent.models import ReplyId, TurnId
from voice_agent.observability.record import LogRecord

# What the agent says of its own accord answers no turn.
_UNASKED = frozenset({Purpose.GREETING, Purpose.IDLE, Purpose.ACKNOWLEDGE})


@dataclass(frozen=True, slots=True)
class TurnLatencies:
    """One answered turn, in milliseconds. ``asr_ms + llm_ms + tts_ms + remainder_ms == turn_ms``; the ``stage_`` figures
    are whole, may overlap, and are None where the stage had no part in the turn."""

    turn_id: TurnId
    reply_id: ReplyId
    turn_ms: float
    asr_ms: float
    llm_ms: float
    tts_ms: float
    remainder_ms: float
    endpointing_ms: float
    stage_asr_ms: float | None
    stage_llm_ms: float | None
    stage_tts_ms: float | None


@dataclass(slots=True)
class _Turn:
    """Times in call seconds. ``taken_up``: something was done about the turn; one that only waits for more (the rest of a
    PIN) is not answered by what a timer brings."""

    turn_id: TurnId
    voiced_end: float
    final: float | None
    committed: float
    taken_up: bool = False


@dataclass(slots=True)
class _Reply:
    """Times in call seconds. ``turn_id`` is None for fixed text that answers whatever turn is waiting."""

    reply_id: ReplyId
    turn_id: TurnId | None
    model_index: int | None  # the first segment the model writes; None: it writes none
    llm_started: float | None = None
    llm_wrote: float | None = None
    wrote_index: int | None = None
    tts_started: float | None = None
    tts_began: float | None = None
    filled_until: float | None = None  # nothing but fillers was heard or queued so far, which end then


class TurnLatencyFold:
    """Feed it every record of one call, in order; it gives a turn's figures at the record that completes them.

    That record is ``PlayoutStarted``, except behind a lead-in: there the model's first own segment (or the reply's end)
    comes later and completes them.
    """

    def __init__(self) -> None:
        self._voiced_end: float | None = None
        self._final: float | None = None
        self._waiting: _Turn | None = None
        self._understood: TurnId | None = None  # what was looked at, before the commit or after it
        self._replies: dict[ReplyId, _Reply] = {}
        self._heard: dict[ReplyId, tuple[_Turn, float]] = {}

    def __call__(self, record: LogRecord) -> TurnLatencies | None:
        entry, t = record.entry, record.t_s
        match entry:
            case OpenTurn() | DropTurn():
                self._forget_utterance(entry.turn_id if isinstance(entry, DropTurn) else None)
            case SpeechStopped():
                self._voiced_end = t - entry.silence_s
                if self._final is not None and self._final < self._voiced_end:
                    self._final = None  # that was an earlier pause's
            case DtmfReceived():
                self._waiting = None  # what follows answers the keys
            case TranscriptFinal():
                self._final = t
            case CommitTurn():
                self._commit(entry.turn_id, t)
            case Understand():
                self._understood = entry.turn_id
                self._take_up()
            case CheckSecret():
                self._take_up()
            case TimerFired():
                if self._waiting is not None and not self._waiting.taken_up:
                    self._waiting = None
            case StartReply():
                first = 1 if entry.lead_in else 0
                self._replies[entry.reply_id] = _Reply(entry.reply_id, entry.turn_id, model_index=first)
            case Say():
                if entry.purpose not in _UNASKED:
                    self._replies[entry.reply_id] = _Reply(entry.reply_id, None, model_index=None)
            case FillerSpoken():
                self._fill(entry, t)
            case PlayoutStarted():
                reply = self._replies.get(entry.reply_id)
                return self._play(entry.reply_id, t) if reply is None or reply.filled_until is None else None
            case SegmentWritten():
                return self._write(entry, t)
            case LlmStarted() | SynthesisStarted() | SynthesisBegan():
                self._note(entry, t)
                return self._after_filler(entry, t)
            case StopForBargeIn() | CancelReply() | ReplyFailed() | ReplyFinished():
                return self._end_reply(entry)
            case EndCall():
                self._waiting = None
            case _:
                pass
        return None

    def _forget_utterance(self, dropped: TurnId | None) -> None:
        self._voiced_end = self._final = None
        if self._waiting is not None and self._waiting.turn_id == dropped:
            self._waiting = None

    def _commit(self, turn_id: TurnId, t: float) -> None:
        voiced_end, final = self._voiced_end, self._final
        self._voiced_end = self._final = None
        # A keypad turn takes the place of a waiting spoken one, too: the answer is to the newest turn.
        self._waiting = None if voiced_end is None else _Turn(turn_id, voiced_end, final, committed=t)
        if self._understood == turn_id:
            self._take_up()

    def _take_up(self) -> None:
        if self._waiting is not None:
            self._waiting.taken_up = True

    def _note(self, entry: LlmStarted | SynthesisStarted | SynthesisBegan, t: float) -> None:
        reply = self._replies.get(entry.reply_id)
        if reply is None:
            return
        match entry:
            case LlmStarted():
                reply.llm_started = t if reply.llm_started is None else reply.llm_started
            case SynthesisStarted(index=0):
                reply.tts_started = t if reply.tts_started is None else reply.tts_started
            case SynthesisBegan(index=0):
                reply.tts_began = t if reply.tts_began is None else reply.tts_began
            case _:
                pass

    def _fill(self, entry: FillerSpoken, t: float) -> None:
        reply = self._replies.get(entry.reply_id)
        if reply is not None and reply.tts_began is None:
            reply.filled_until = max(t, reply.filled_until or 0.0) + entry.duration_s

    def _after_filler(self, entry: LlmStarted | SynthesisStarted | SynthesisBegan, t: float) -> TurnLatencies | None:
        reply = self._replies.get(entry.reply_id)
        if not isinstance(entry, SynthesisBegan) or reply is None or reply.filled_until is None:
            return None
        heard, reply.filled_until = max(t, reply.filled_until), None
        return self._play(entry.reply_id, heard)

    def _write(self, entry: SegmentWritten, t: float) -> TurnLatencies | None:
        reply = self._replies.get(entry.reply_id)
        if reply is None or reply.model_index is None or entry.index < reply.model_index:
            return None
        if reply.llm_started is None or reply.llm_wrote is not None:
            return None
        reply.llm_wrote, reply.wrote_index = t, entry.index
        return self._complete(reply)

    def _play(self, reply_id: ReplyId, t: float) -> TurnLatencies | None:
        reply, turn = self._replies.get(reply_id), self._waiting
        if reply is None or turn is None or reply.turn_id not in (None, turn.turn_id):
            return None
        self._waiting = None
        self._heard[reply_id] = (turn, t)
        still_writing = reply.model_index == 1 and reply.llm_wrote is None
        return None if still_writing else self._complete(reply)

    def _end_reply(self, entry: StopForBargeIn | CancelReply | ReplyFailed | ReplyFinished) -> TurnLatencies | None:
        reply = self._replies.get(entry.reply_id)
        done = self._complete(reply) if reply is not None else None
        self._replies.pop(entry.reply_id, None)
        # Another reply may still answer the turn after a time-out or a failure; nobody waits any more after these:
        merged = isinstance(entry, CancelReply) and entry.reason in (CancelReason.MERGED, CancelReason.BARGE_IN)
        if reply is not None and done is None and (merged or isinstance(entry, StopForBargeIn)):
            self._waiting = None
        return done

    def _complete(self, reply: _Reply) -> TurnLatencies | None:
        heard = self._heard.pop(reply.reply_id, None)
        return None if heard is None else _latencies(heard[0], reply, heard[1])


def _latencies(turn: _Turn, reply: _Reply, first_sample: float) -> TurnLatencies:
    at = turn.voiced_end

    def on_path(start: float | None, end: float | None) -> float:
        nonlocal at
        if start is None or end is None:
            return 0.0
        begin, finish = max(start, at), min(end, first_sample)
        at = max(at, finish)
        return max(0.0, finish - begin)

    asr_s = on_path(turn.voiced_end, turn.final)
    llm_s = on_path(reply.llm_started, reply.llm_wrote) if reply.wrote_index == 0 else 0.0
    tts_s = on_path(reply.tts_started, reply.tts_began)
    turn_s = max(0.0, first_sample - turn.voiced_end)
    return TurnLatencies(
        turn_id=turn.turn_id,
        reply_id=reply.reply_id,
        turn_ms=turn_s * 1e3,
        asr_ms=asr_s * 1e3,
        llm_ms=llm_s * 1e3,
        tts_ms=tts_s * 1e3,
        remainder_ms=max(0.0, turn_s - asr_s - llm_s - tts_s) * 1e3,
        endpointing_ms=max(0.0, turn.committed - turn.voiced_end) * 1e3,
        stage_asr_ms=_span_ms(turn.voiced_end, turn.final),
        stage_llm_ms=_span_ms(reply.llm_started, reply.llm_wrote),
        stage_tts_ms=_span_ms(reply.tts_started, reply.tts_began),
    )


def _span_ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start) * 1e3


def latency_sink(report: Callable[[TurnLatencies], None]) -> Callable[[LogRecord], None]:
    """A ``RecordSink`` for one call that hands each answered turn's figures to ``report``."""
    fold = TurnLatencyFold()

    def sink(record: LogRecord) -> None:
        latencies = fold(record)
        if latencies is not None:
            report(latencies)

    return sink
