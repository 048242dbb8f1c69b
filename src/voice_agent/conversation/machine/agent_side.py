"""The agent's side of a turn: the reply is written, spoken, played, finished or failed."""

from __future__ import annotations

from voice_agent.conversation.commands import CancelReason, Fill, Purpose
from voice_agent.conversation.events import (
    FillerSpoken,
    LlmAnswered,
    LlmFinished,
    LlmStarted,
    PlayoutAdvanced,
    PlayoutStarted,
    PlayoutStarved,
    ReplyFailed,
    ReplyFinished,
    SegmentWritten,
    Stage,
    SynthesisBegan,
    SynthesisFinished,
    SynthesisStarted,
    ToolReturned,
    ToolStarted,
)
from voice_agent.conversation.machine.context import CallContext
from voice_agent.conversation.machine.decisions import Decisions
from voice_agent.conversation.machine.reply import AgentReply
from voice_agent.conversation.machine.timers import Timer
from voice_agent.conversation.states import AgentState, AgentTrigger, CallerState, CallState
from voice_agent.models import CONFIRMATION_REQUIRED, CallOutcome, PolicyReason, ToolCall, ToolStatus

ReplyEvent = (
    LlmStarted
    | LlmAnswered
    | SegmentWritten
    | LlmFinished
    | ToolStarted
    | ToolReturned
    | SynthesisStarted
    | SynthesisBegan
    | SynthesisFinished
    | FillerSpoken
    | PlayoutStarted
    | PlayoutStarved
    | PlayoutAdvanced
    | ReplyFinished
    | ReplyFailed
)

# More than this would sound like a machine that is stuck; the turn's timeout ends the wait.
_FILLERS_AT_MOST = 3
_FILLER_RETRY_S = 0.2


class AgentSide:
    """Handlers of a reply's events. Events of a reply that is no longer current are dropped here, and only here; a
    finished tool call keeps its result all the same."""

    def __init__(self, context: CallContext, decisions: Decisions) -> None:
        self._ctx = context
        self._decisions = decisions

    def handle(self, event: ReplyEvent, now: float) -> None:
        ctx = self._ctx
        asked = self._keep_result(event) if isinstance(event, ToolReturned) else None
        reply = ctx.reply
        if event.reply_id == ctx.acknowledging and isinstance(event, ReplyFinished | ReplyFailed):
            ctx.acknowledging = None
        if reply is None or reply.reply_id != event.reply_id:
            self._note_for_draft(event)
            return
        match event:
            case SegmentWritten():
                reply.write(event.index, event.text, interruptible=event.interruptible)
            case SynthesisFinished():
                reply.measured(event.index, event.duration_s)
            case ToolStarted():
                ctx.open_calls[event.tool_call.call_id] = event.tool_call
                reply.calling.add(event.tool_call.call_id)
                if event.writes:
                    reply.writing.add(event.tool_call.call_id)
            case ToolReturned():
                self._tool_returned(event, asked, reply, now)
            case SynthesisBegan():
                self._began(reply)
            case FillerSpoken():
                self._filled(event, reply, now)
            case PlayoutStarted():
                reply.playing = True
                reply.advance(0.0, now)
                if not reply.only_filled:
                    ctx.timers.clear(Timer.TURN_TIMEOUT, Timer.FILLER)
                ctx.move_agent(AgentTrigger.SPEAK)
            case PlayoutStarved():
                ctx.arm_filler(now)
            case PlayoutAdvanced():
                reply.advance(event.heard_s, now, acknowledged=event.acknowledged)
            case ReplyFinished():
                self._finished(event, reply, now)
            case ReplyFailed():
                self._failed(event, reply, now)
            case LlmStarted() | LlmAnswered() | LlmFinished() | SynthesisStarted():
                pass  # facts for the log; nothing is decided on them

    def _note_for_draft(self, event: ReplyEvent) -> None:
        draft = self._ctx.draft
        if draft is None or draft.reply is None or draft.reply.reply_id != event.reply_id:
            return
        match event:
            case SegmentWritten():
                draft.reply.write(event.index, event.text, interruptible=event.interruptible)
            case SynthesisBegan():
                draft.reply.began = True
            case SynthesisFinished():
                draft.reply.measured(event.index, event.duration_s)
            case ToolStarted() | ToolReturned():
                draft.tool_events.append(event)
            case ReplyFailed():
                draft.reply = None  # the committed turn will be answered anew
            case _:
                pass

    def _began(self, reply: AgentReply) -> None:
        reply.began = True
        self._ctx.timers.clear(Timer.FILLER)
        if reply.playing:  # a filler plays; the answer follows it
            self._ctx.timers.clear(Timer.TURN_TIMEOUT)

    def _filled(self, event: FillerSpoken, reply: AgentReply, now: float) -> None:
        reply.fill(event.before_index, event.text, event.duration_s)
        self._ctx.fillers += 1
        self._ctx.arm_filler(now + event.duration_s)

    def filler_due(self, now: float) -> None:
        """The caller has heard nothing for a while and waits: bridge the silence, in other words than the last time."""
        ctx = self._ctx
        reply = ctx.reply
        if ctx.call is not CallState.ACTIVE or ctx.agent is AgentState.IDLE:
            return
        if (
            reply is None or reply.paused or ctx.caller is not CallerState.SILENT
        ):  # not understood yet, or the caller speaks
            ctx.arm_filler(now - ctx.settings.filler_after_s, not_before=now + _FILLER_RETRY_S)
            return
        if reply.fillers >= _FILLERS_AT_MOST:
            return
        prompts = ctx.locale.prompts
        phrases = prompts.fillers_looking if reply.calling else prompts.fillers
        ctx.emit(Fill(reply.reply_id, phrases[ctx.fillers % len(phrases)]))
        ctx.arm_filler(now)

    def turn_timeout(self, now: float) -> None:
        """The turn has produced no audio in time, or nothing but fillers."""
        ctx = self._ctx
        if ctx.agent is AgentState.THINKING or (ctx.reply is not None and ctx.reply.only_filled):
            ctx.drop_reply(CancelReason.TIMEOUT)
            self._decisions.failed(ctx.locale.prompts.timeout, now)

    def _keep_result(self, event: ToolReturned) -> ToolCall | None:
        """The call that the result belongs to."""
        call = self._ctx.open_calls.pop(event.result.call_id, None)
        if call is not None:
            self._ctx.history.add_tool(call, event.result)
        return call

    def _tool_returned(self, event: ToolReturned, asked: ToolCall | None, reply: AgentReply, now: float) -> None:
        ctx = self._ctx
        result = event.result
        reply.writing.discard(result.call_id)
        reply.calling.discard(result.call_id)
        if result.status is ToolStatus.DENIED and result.reason == "identity_required" and not ctx.verified:
            self._decisions.identity.ask(reply.turn_id)
        elif result.status is ToolStatus.DENIED and result.reason == CONFIRMATION_REQUIRED and asked is not None:
            self._decisions.ask_agreement(reply.turn_id, asked, result.spoken)
        elif result.status is ToolStatus.FAILED:
            ctx.failures += 1
            reply.tool_failed = True
            if ctx.failures >= ctx.settings.max_failures:
                preface = (result.spoken,) if result.spoken else ()  # above all that a change may have been made
                self._decisions.escalate(PolicyReason.REPEATED_FAILURES, now, preface=preface)
        elif result.status is ToolStatus.OK and result.name == "transfer_to_human":
            target = str(result.data.get("target", ""))
            if reply.segments:  # "I'm putting you through": let the words be heard first
                reply.transfer_to = target
                reply.interruptible = False  # what is said meanwhile goes along with the caller: see CallerSide
            else:
                self._decisions.escalate(PolicyReason.MODEL_REQUESTED, now, target=target)
        elif result.status is ToolStatus.OK and result.name == "end_call":
            reply.then_end = (CallOutcome.COMPLETED, "goodbye")

    def _finished(self, event: ReplyFinished, reply: AgentReply, now: float) -> None:
        ctx = self._ctx
        ctx.timers.clear(Timer.TURN_TIMEOUT)
        text = reply.full_text()
        if not text and reply.then_end is None:
            ctx.reply = None
            ctx.move_agent(AgentTrigger.STOP)
            self._decisions.failed(ctx.locale.prompts.failure, now)
            return
        ctx.remember(reply, text, interrupted=False)
        if reply.turn_id is not None:
            ctx.answered += 1
        if reply.purpose is Purpose.ANSWER and not reply.tool_failed:
            ctx.failures = 0
        if ctx.turn is not None:
            ctx.turn.contest = False
        ctx.settle_agent(now, reply, text)
        if reply.then_end is not None:
            ctx.end(*reply.then_end)
        elif ctx.call is CallState.TRANSFERRING:
            self._decisions.preface_heard(now)
        elif reply.transfer_to is not None:
            self._decisions.escalate(PolicyReason.MODEL_REQUESTED, now, target=reply.transfer_to)

    def _failed(self, event: ReplyFailed, reply: AgentReply, now: float) -> None:
        ctx = self._ctx
        ctx.remember(reply, reply.heard_text(event.heard_s), interrupted=True)
        ctx.reply = None
        ctx.timers.clear(Timer.TURN_TIMEOUT)
        ctx.move_agent(AgentTrigger.STOP)
        if reply.then_end is not None:
            if reply.purpose is Purpose.HANDOVER and event.stage is Stage.TTS and not ctx.voice_lost:
                self._decisions.outcome_unheard(now)
            else:
                ctx.end(*reply.then_end)
        elif event.exhausted:
            self._decisions.out_of_service(event.stage, now)
        elif ctx.call is CallState.ACTIVE:
            self._decisions.failed(ctx.locale.prompts.failure, now)
