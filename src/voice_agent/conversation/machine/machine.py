"""The call's brain.

Theory of operation: ``handle(event, now)`` changes the state and gives the commands that follow; it is deterministic,
total (any event in any state is legal) and does no I/O. ``deadline()`` is the earliest moment at which the machine wants
a ``TimerFired``. After ``EndCall`` every event gives nothing. ``now`` is seconds since the call began.
"""

from __future__ import annotations

from typing import assert_never

from voice_agent.conversation.commands import Command, Purpose
from voice_agent.conversation.events import (
    CallerHungUp,
    CallStarted,
    CodeChecked,
    DtmfReceived,
    Event,
    FillerSpoken,
    LlmAnswered,
    LlmFinished,
    LlmStarted,
    PlayoutAdvanced,
    PlayoutStarted,
    PlayoutStarved,
    ProviderSwitched,
    ReplyFailed,
    ReplyFinished,
    SecondFactorAsked,
    SecretChecked,
    SegmentWithheld,
    SegmentWritten,
    SpeechStarted,
    SpeechStopped,
    Stage,
    StageFailed,
    SynthesisBegan,
    SynthesisFinished,
    SynthesisStarted,
    TimerFired,
    ToolReturned,
    ToolStarted,
    TranscriptFinal,
    TranscriptPartial,
    TransferFinished,
    TurnScored,
    TurnUnderstood,
)
from voice_agent.conversation.locales import resolve_locale
from voice_agent.conversation.machine.agent_side import AgentSide
from voice_agent.conversation.machine.caller_side import CallerSide
from voice_agent.conversation.machine.contest import Contest
from voice_agent.conversation.machine.context import CallContext
from voice_agent.conversation.machine.decisions import Decisions
from voice_agent.conversation.machine.settings import MachineSettings
from voice_agent.conversation.machine.speculation import Speculation
from voice_agent.conversation.machine.timers import Timer
from voice_agent.conversation.states import AgentState, CallerState, CallState, CallTrigger
from voice_agent.models import CallOutcome, Message, OpenQuestion

# Ends that are the server's or the protocol's doing, not the caller's wish.
_ERROR_ENDS = frozenset({"shutdown", "protocol", "overflow", "error"})


# Asked for by the agent, and no secret.
_NUMBERS = frozenset({OpenQuestion.ORDER_NUMBER, OpenQuestion.PHONE})


class CallMachine:
    def __init__(self, settings: MachineSettings | None = None) -> None:
        self._ctx = CallContext(settings or MachineSettings())
        self._decisions = Decisions(self._ctx)
        self._contest = Contest(self._ctx)
        self._caller = CallerSide(
            self._ctx, self._contest, Speculation(self._ctx), self._decisions.turn_committed, self._decisions.unheard
        )
        self._agent = AgentSide(self._ctx, self._decisions)

    # What others may read

    @property
    def call(self) -> CallState:
        return self._ctx.call

    @property
    def caller(self) -> CallerState:
        return self._ctx.caller

    @property
    def agent(self) -> AgentState:
        return self._ctx.agent

    @property
    def waiting_for(self) -> OpenQuestion:
        return OpenQuestion.PIN if self._ctx.secret.collecting else self._ctx.waiting_for

    @property
    def verified(self) -> bool:
        return self._ctx.verified

    @property
    def collecting_secret(self) -> bool:
        """Spoken digits are to be taken out of the transcript and counted as a secret."""
        return self._ctx.secret.collecting

    @property
    def keys_are_secret(self) -> bool:
        """Pressed digits are a secret unless another number was asked for; so a PIN that is keyed again stays one."""
        return self._ctx.secret.collecting or self._ctx.waiting_for not in _NUMBERS

    @property
    def checking_secret(self) -> bool:
        """The secret is complete and being compared: further digits do not belong to it."""
        return self._ctx.checking_secret

    def messages(self) -> tuple[Message, ...]:
        """The dialogue for a language model, without the system prompt."""
        return self._ctx.messages()

    def transcript(self) -> tuple[tuple[str, str], ...]:
        return self._ctx.history.transcript()

    def deadline(self) -> float | None:
        return self._ctx.timers.next()

    # Events

    def handle(self, event: Event, now: float) -> list[Command]:
        """The commands that follow from ``event`` at ``now``, in order."""
        ctx = self._ctx
        ctx.out = []
        ctx.now = now
        if ctx.call is not CallState.ENDED:
            self._dispatch(event, now)
            while ctx.held_events:  # a draft was taken up: what its tools brought counts from now on
                self._agent.handle(ctx.held_events.pop(0), now)
        return ctx.out

    def _dispatch(self, event: Event, now: float) -> None:
        match event:
            case CallStarted():
                self._started(event, now)
            case CallerHungUp():
                self._hung_up(event)
            case TimerFired():
                self._timers(now)
            case SpeechStarted():
                self._caller.speech_started(event, now)
            case SpeechStopped():
                self._caller.speech_stopped(event, now)
            case TranscriptPartial():
                self._caller.partial(event, now)
            case TranscriptFinal():
                self._caller.final(event, now)
            case TurnScored():
                self._caller.scored(event, now)
            case DtmfReceived():
                self._key(event, now)
            case TurnUnderstood():
                self._decisions.turn_understood(event, now)
            case SecretChecked():
                self._decisions.identity.pin_checked(event, now)
            case SecondFactorAsked():
                self._decisions.identity.code_asked(event, now)
            case CodeChecked():
                self._decisions.identity.code_checked(event, now)
            case TransferFinished():
                self._decisions.transfer_finished(event, now)
            case StageFailed():
                self._stage_failed(event, now)
            case ProviderSwitched() | SegmentWithheld():
                pass  # a fact for the log; nothing is decided on it
            case (
                LlmStarted()
                | LlmAnswered()
                | SegmentWritten()
                | LlmFinished()
                | ToolStarted()
                | ToolReturned()
                | SynthesisStarted()
                | SynthesisBegan()
                | SynthesisFinished()
                | FillerSpoken()
                | PlayoutStarted()
                | PlayoutStarved()
                | PlayoutAdvanced()
                | ReplyFinished()
                | ReplyFailed()
            ):
                self._agent.handle(event, now)
            case _:
                assert_never(event)

    def _started(self, event: CallStarted, now: float) -> None:
        ctx = self._ctx
        if ctx.call is not CallState.CONNECTING:
            return
        ctx.call_id = event.call_id
        ctx.caller_id = event.caller_id
        ctx.locale = ctx.settings.agent.in_own_words(resolve_locale(event.locale))
        ctx.move_call(CallTrigger.ADMIT)
        ctx.timers.set(Timer.TTL, now + ctx.settings.session_ttl_s)
        ctx.say(ctx.locale.prompts.greeting, Purpose.GREETING)

    def _hung_up(self, event: CallerHungUp) -> None:
        ctx = self._ctx
        if event.reason in _ERROR_ENDS:
            outcome = CallOutcome.ERROR
        elif ctx.call is CallState.TRANSFERRING:
            outcome = CallOutcome.ESCALATED
        else:
            outcome = CallOutcome.COMPLETED if ctx.answered else CallOutcome.ABANDONED
        ctx.end(outcome, event.reason)

    def _key(self, event: DtmfReceived, now: float) -> None:
        if event.key == "":
            self._decisions.identity.key(now)
        elif self._ctx.secret.collecting:
            self._decisions.identity.overdue(now)  # "#" or "*" ends the secret before it is complete
        else:
            self._caller.key(event, now)

    def _stage_failed(self, event: StageFailed, now: float) -> None:
        if event.stage is Stage.UNDERSTANDING:
            self._decisions.not_understood(event, now)
        elif event.stage is Stage.ASR and self._ctx.call is CallState.ACTIVE:
            self._decisions.out_of_service(event.stage, now)  # a call that cannot hear goes to a human

    def _timers(self, now: float) -> None:
        while self._ctx.call is not CallState.ENDED:
            timer = self._ctx.timers.take_due(now)
            if timer is None:
                return
            self._due(timer, now)

    def _due(self, timer: Timer, now: float) -> None:
        match timer:
            case Timer.END_OF_TURN:
                self._caller.end_of_turn_due(now)
            case Timer.FINAL_LATE:
                self._caller.final_late(now)
            case Timer.BARGE_PAUSE:
                self._contest.pause_due(now)
            case Timer.BARGE_COMMIT:
                self._contest.verdict_due(now)
            case Timer.MONOLOGUE:
                self._caller.monologue_due(now)
            case Timer.ACKNOWLEDGE:
                self._caller.acknowledge_due(now)
            case Timer.KEYS:
                self._caller.keys_done(now)
            case Timer.SECRET:
                self._decisions.identity.overdue(now)
            case Timer.TURN_TIMEOUT:
                self._agent.turn_timeout(now)
            case Timer.FILLER:
                self._agent.filler_due(now)
            case Timer.TRANSFER:
                self._decisions.transfer_finished(TransferFinished(None), now)
            case Timer.IDLE:
                self._idle(now)
            case Timer.TTL:
                self._session_over()
            case _:
                assert_never(timer)

    def _idle(self, now: float) -> None:
        ctx = self._ctx
        ctx.idle_prompts += 1
        if ctx.idle_prompts == 1:
            ctx.say(ctx.locale.prompts.still_there, Purpose.IDLE)
        else:
            outcome = CallOutcome.COMPLETED if ctx.answered else CallOutcome.ABANDONED
            ctx.say(ctx.locale.prompts.idle_goodbye, Purpose.GOODBYE, then_end=(outcome, "idle"))

    def _session_over(self) -> None:
        ctx = self._ctx
        if ctx.call is CallState.ACTIVE:
            ctx.abandon_turn("session_ttl")
            text = ctx.locale.prompts.session_over
            ctx.say(text, Purpose.GOODBYE, interruptible=False, then_end=(CallOutcome.COMPLETED, "session_ttl"))
        else:
            ctx.end(CallOutcome.ESCALATED, ctx.handover_reason.value)
