"""The event log as a client sees it: a fold from log records to the text frames of docs/protocol.md.

Rules:
1. Pure: the same records give the same frames; nothing here waits, sends or reads a clock.
2. The states are the call's own: the fold runs a second machine over the logged events, which by the replay rule takes
   the same states as the one that decided.
3. ``clear`` is not among these frames: it must stand at its place between audio frames, so the door writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voice_agent.conversation.codec import Kind, kind_of
from voice_agent.conversation.commands import (
    CancelReply,
    Command,
    CommitTurn,
    DropTurn,
    EndCall,
    Escalate,
    OpenTurn,
    PausePlayout,
    Purpose,
    ResumePlayout,
    Say,
    StartReply,
    StopForBargeIn,
)
from voice_agent.conversation.events import (
    CallStarted,
    Event,
    FillerSpoken,
    PlayoutAdvanced,
    PlayoutStarted,
    ProviderSwitched,
    ReplyFailed,
    ReplyFinished,
    SegmentWritten,
    SynthesisBegan,
    SynthesisFinished,
    ToolReturned,
    ToolStarted,
    TranscriptFinal,
    TranscriptPartial,
    TransferFinished,
)
from voice_agent.conversation.heard_ledger import Heard
from voice_agent.conversation.machine import CallMachine
from voice_agent.conversation.machine.reply import AgentReply
from voice_agent.models import ReplyId, TurnId, UtteranceId
from voice_agent.observability.record import LogRecord
from voice_agent.observability.turn_latency import TurnLatencies, TurnLatencyFold

Frame = dict[str, Any]

# The log tells of progress about four times a second and audio is sent ahead of the ear: announcing a segment this long
# before its start is reported puts its text, on average, where its sound is.
_ANNOUNCE_AHEAD_S = 0.2


@dataclass(slots=True)
class _Reply:
    """One reply on its way: its words and lengths, how many segments were announced, and how much was heard."""

    spoken: AgentReply
    announced: int = 0

    def due(self) -> list[tuple[int, str]]:
        """Segments whose audio has begun and that were not announced yet."""
        spoken = self.spoken
        out: list[tuple[int, str]] = []
        while spoken.playing and self.announced < len(spoken.segments) and self._begun():
            out.append((self.announced, spoken.segments[self.announced].text))
            self.announced += 1
        return out

    def _begun(self) -> bool:
        following = self.spoken.segments[self.announced]
        if not following.began and following.duration_s is None:
            return False  # a filler may come before it
        before_s = 0.0
        for segment in self.spoken.segments[: self.announced]:
            if segment.duration_s is None:
                return False
            before_s += segment.duration_s
        return self.spoken.heard_s + _ANNOUNCE_AHEAD_S >= before_s


class WireFold:
    """``frames(record)`` gives the frames that follow from the next record of one call, in order."""

    def __init__(self, *, machine: CallMachine, in_rate_hz: int, out_rate_hz: int) -> None:
        self._machine = machine
        self._latencies = TurnLatencyFold()
        self._rates = {"in_rate": in_rate_hz, "out_rate": out_rate_hz}
        self._state: Frame = {}
        self._turn_of: dict[UtteranceId, TurnId] = {}
        self._shown: dict[TurnId, str] = {}
        self._unanswered: tuple[TurnId, str] | None = None
        self._replies: dict[ReplyId, _Reply] = {}
        self._escalation = ""
        self.ended = False

    def frames(self, record: LogRecord) -> list[Frame]:
        entry = record.entry
        out: list[Frame] = []
        if kind_of(entry) is Kind.EVENT:
            out += self._event(entry)  # type: ignore[arg-type]  # the kind was asked for just above
            self._machine.handle(entry, record.t_s)  # type: ignore[arg-type]
            out += self._moved()
        else:
            out += self._command(entry)  # type: ignore[arg-type]
        latencies = self._latencies(record)
        if latencies is not None:
            out.append(_metrics(latencies))
        t = round(record.t_s, 3)
        return [{"type": frame["type"], "t": t, **frame} for frame in out]

    def _moved(self) -> list[Frame]:
        machine = self._machine
        state: Frame = {
            "type": "state",
            "call": machine.call.value,
            "caller": machine.caller.value,
            "agent": machine.agent.value,
            "waiting_for": machine.waiting_for.value,
            "verified": machine.verified,
        }
        if state == self._state:
            return []
        self._state = state
        return [state]

    # What happened

    def _event(self, event: Event) -> list[Frame]:
        match event:
            case CallStarted():
                who = {"call_id": event.call_id, "caller_id": event.caller_id, "locale": event.locale}
                return [{"type": "session", **who, "agent": event.agent, **self._rates}]
            case TranscriptPartial() | TranscriptFinal():
                return self._transcript(event)
            case ToolStarted():
                return [{"type": "tool", "name": event.tool_call.name, "status": "started"}]
            case ToolReturned():
                return [{"type": "tool", "name": event.result.name, "status": event.result.status.value}]
            case ProviderSwitched():
                switch = {"previous": event.previous, "provider": event.provider, "reason": event.reason}
                return [{"type": "provider", "stage": event.stage.value, **switch}]
            case TransferFinished():
                reference = event.receipt.reference if event.receipt is not None else ""
                return [{"type": "escalation", "reason": self._escalation, "reference": reference}]
            case (
                SegmentWritten()
                | SynthesisBegan()
                | SynthesisFinished()
                | FillerSpoken()
                | PlayoutStarted()
                | PlayoutAdvanced()
                | ReplyFinished()
                | ReplyFailed()
            ):
                return self._reply_event(event)
            case _:
                return []

    def _transcript(self, event: TranscriptPartial | TranscriptFinal) -> list[Frame]:
        turn_id = self._turn_of.get(event.utterance_id)
        if turn_id is None:  # its turn is over: the words in the log came too late to count
            return []
        return self._show(turn_id, event.text, final=isinstance(event, TranscriptFinal))

    def _show(self, turn_id: TurnId, text: str, *, final: bool) -> list[Frame]:
        self._shown[turn_id] = text
        return [{"type": "transcript", "turn_id": turn_id, "text": text, "final": final}]

    def _reply_event(
        self,
        event: SegmentWritten
        | SynthesisBegan
        | SynthesisFinished
        | FillerSpoken
        | PlayoutStarted
        | PlayoutAdvanced
        | ReplyFinished
        | ReplyFailed,
    ) -> list[Frame]:
        reply = self._replies.get(event.reply_id)
        if reply is None:
            return []
        spoken = reply.spoken
        match event:
            case SegmentWritten():
                spoken.write(event.index, event.text)
            case SynthesisBegan():
                spoken.ledger.begun(event.index)
            case SynthesisFinished():
                spoken.measured(event.index, event.duration_s)
            case FillerSpoken():
                spoken.fill(event.before_index, event.text, event.duration_s)
            case PlayoutStarted():
                spoken.playing = True
                self._unanswered = None
            case PlayoutAdvanced():
                spoken.advance(event.heard_s, now=0.0, acknowledged=event.acknowledged)
            case ReplyFinished() | ReplyFailed():
                return self._reply_over(event, reply)
        return _announced(reply)

    def _reply_over(self, event: ReplyFinished | ReplyFailed, reply: _Reply) -> list[Frame]:
        spoken = reply.spoken
        spoken.advance(event.heard_s, now=0.0)
        del self._replies[event.reply_id]
        if not spoken.playing:
            return []
        finished = isinstance(event, ReplyFinished)
        heard = spoken.ledger.whole() if finished else spoken.heard(now=0.0)
        return [*_announced(reply), _heard(event.reply_id, heard, interrupted=not finished)]

    # What was decided

    def _command(self, command: Command) -> list[Frame]:
        match command:
            case OpenTurn():
                self._turn_of = {command.utterance_id: command.turn_id}
            case CommitTurn():
                return self._committed(command)
            case DropTurn():
                self._turn_of = {}
                if self._shown.pop(command.turn_id, ""):
                    return [{"type": "transcript", "turn_id": command.turn_id, "text": "", "final": True}]
            case Say():
                self._replies[command.reply_id] = _Reply(AgentReply(command.reply_id, command.purpose))
            case StartReply():
                self._replies[command.reply_id] = _Reply(AgentReply(command.reply_id, Purpose.ANSWER))
            case PausePlayout():
                return [_interruption(command.reply_id, "pause")]
            case ResumePlayout():
                return [_interruption(command.reply_id, "resume")]
            case StopForBargeIn():
                self._replies.pop(command.reply_id, None)
                heard = Heard(
                    command.heard_text, command.heard_words, command.written_words, command.confidence, command.basis
                )
                return [
                    _interruption(command.reply_id, "stop"),
                    _heard(command.reply_id, heard, interrupted=True),
                ]
            case CancelReply():
                reply = self._replies.pop(command.reply_id, None)
                if reply is not None and reply.spoken.playing:
                    return [_heard(command.reply_id, reply.spoken.heard(now=0.0), interrupted=True)]
            case Escalate():
                self._escalation = command.packet.reason.value
            case EndCall():
                self.ended = True
                return [{"type": "end", "outcome": command.outcome.value, "reason": command.reason}]
            case _:
                pass
        return []

    def _committed(self, command: CommitTurn) -> list[Frame]:
        """The turn's whole text; an earlier turn that it carries on is withdrawn, so that no word is shown twice."""
        out: list[Frame] = []
        if self._unanswered is not None:
            turn_id, text = self._unanswered
            if command.text.startswith(text):
                out.append({"type": "transcript", "turn_id": turn_id, "text": "", "final": True})
        self._turn_of = {}
        self._shown.pop(command.turn_id, None)
        self._unanswered = (command.turn_id, command.text)
        out.append({"type": "transcript", "turn_id": command.turn_id, "text": command.text, "final": True})
        return out


def _announced(reply: _Reply) -> list[Frame]:
    reply_id, purpose = reply.spoken.reply_id, reply.spoken.purpose.value
    return [
        {"type": "agent_text", "reply_id": reply_id, "index": index, "text": text, "purpose": purpose}
        for index, text in reply.due()
    ]


def _metrics(latencies: TurnLatencies) -> Frame:
    parts = ("turn_ms", "asr_ms", "llm_ms", "tts_ms", "remainder_ms")
    figures = {part: round(getattr(latencies, part), 1) for part in parts}
    return {"type": "metrics", "turn_id": latencies.turn_id, **figures}


def _heard(reply_id: ReplyId, heard: Heard, *, interrupted: bool) -> Frame:
    return {
        "type": "agent_heard",
        "reply_id": reply_id,
        "text": heard.text,
        "interrupted": interrupted,
        "words": heard.words,
        "of_words": heard.written,
        "confidence": heard.confidence,
        "basis": heard.basis.value,
    }


def _interruption(reply_id: ReplyId, action: str) -> Frame:
    return {"type": "interruption", "reply_id": reply_id, "action": action}
