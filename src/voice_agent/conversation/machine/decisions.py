"""What to do with a finished turn: policy, answers, handovers and the ends of calls; secrets are ``identity``'s."""

from __future__ import annotations

from voice_agent.conversation import policy
from voice_agent.conversation.commands import CancelReason, Decide, Escalate, Purpose, Understand
from voice_agent.conversation.confirmation import Agreement, agreement
from voice_agent.conversation.events import Stage, StageFailed, TransferFinished, TurnUnderstood
from voice_agent.conversation.machine.context import CallContext, CallerTurn
from voice_agent.conversation.machine.identity import Identity
from voice_agent.conversation.machine.timers import Timer
from voice_agent.conversation.states import AgentState, AgentTrigger, CallState, CallTrigger
from voice_agent.models import (
    CallOutcome,
    ContextPacket,
    PolicyAction,
    PolicyDecision,
    PolicyReason,
    ToolCall,
    TurnId,
)

# A turn that took long to end is not answered by a filler at once: the answer mostly comes sooner than that.
_FILLER_NOT_BEFORE_S = 0.5
# A handover that is neither heard nor failed by then is stuck.
_HANDOVER_LIMIT_S = 60.0


class Decisions:
    """Handlers from a committed turn to the command that answers it."""

    def __init__(self, context: CallContext) -> None:
        self._ctx = context
        self.identity = Identity(context, self.escalate)

    # Turns

    def turn_committed(self, turn: CallerTurn, now: float) -> None:
        ctx = self._ctx
        if ctx.secret.collecting and turn.secret_digits:
            self.identity.digits_said(turn, now)
            return
        draft = ctx.draft_for(turn)
        ctx.history.add_caller(turn.full_text())
        ctx.move_agent(AgentTrigger.THINK)
        ctx.timers.set(Timer.TURN_TIMEOUT, now + ctx.settings.turn_timeout_s)
        ctx.arm_filler(turn.last_voiced_at, not_before=now + _FILLER_NOT_BEFORE_S)
        if ctx.turns_taken > ctx.settings.max_turns:
            self.escalate(PolicyReason.MAX_TURNS, now)
            return
        ctx.deciding = turn.turn_id
        if draft is None:
            ctx.emit(Understand(turn.turn_id, turn.full_text(), ctx.next_understanding()))
        elif draft.decision is not None:
            self._decided(turn.turn_id, draft.decision, now)

    def turn_understood(self, event: TurnUnderstood, now: float) -> None:
        ctx = self._ctx
        if event.request != ctx.newest_understanding:
            return
        decision = policy.decide(
            event.meanings,
            verified=ctx.verified,
            failures=ctx.failures,
            max_failures=ctx.settings.max_failures,
            agent=ctx.settings.agent,
        )
        self._decided(event.turn_id, decision, now)

    def not_understood(self, event: StageFailed, now: float) -> None:
        """The meanings of the turn could not be found: treat it as plain, the tool router still guards identity."""
        newest = event.request in (None, self._ctx.newest_understanding)
        if event.turn_id is not None and newest:
            decision = PolicyDecision(PolicyAction.CONTINUE, PolicyReason.NONE, 0.0, "unclassified")
            self._decided(event.turn_id, decision, now)

    def _decided(self, turn_id: TurnId, decision: PolicyDecision, now: float) -> None:
        """Acts on the committed turn; for one that is only drafted the decision is kept until it is committed."""
        ctx = self._ctx
        if ctx.deciding == turn_id:
            ctx.deciding = None
            ctx.emit(Decide(turn_id, decision))
            self._act(turn_id, decision, now)
        elif ctx.draft is not None and ctx.draft.turn_id == turn_id:
            ctx.draft.decision = decision
            if decision.action is not PolicyAction.CONTINUE:
                ctx.give_up_draft()

    def unheard(self, now: float) -> None:
        self._ctx.say(self._ctx.locale.prompts.not_heard, Purpose.FALLBACK)

    def _act(self, turn_id: TurnId, decision: PolicyDecision, now: float) -> None:
        ctx = self._ctx
        prompts = ctx.locale.prompts
        if decision.action is not PolicyAction.CONTINUE:
            ctx.confirming = None
        if decision.action is PolicyAction.BLOCK:
            refusals = {PolicyReason.ABUSE: prompts.abuse, PolicyReason.CARD_DETAILS: prompts.card_details}
            text = refusals.get(decision.reason, prompts.blocked)
            ctx.say(text, Purpose.REFUSAL, turn_id=turn_id)
        elif decision.action is PolicyAction.ESCALATE:
            self.escalate(decision.reason, now)
        elif decision.action is PolicyAction.AUTHENTICATE:
            self.identity.ask(turn_id)
        elif not self.identity.remark(turn_id):
            ctx.start_reply(turn_id, confirmed=self._agreed())

    # Agreement

    def ask_agreement(self, turn_id: TurnId | None, call: ToolCall, question: str) -> None:
        """A tool changes something: read back what, and run exactly that call once the caller says yes."""
        self._ctx.say((question,), Purpose.CONFIRM, turn_id=turn_id)
        self._ctx.confirming = call

    def _agreed(self) -> ToolCall | None:
        """The call that the caller's newest words agree to. Whatever they say, the question is settled by it."""
        ctx = self._ctx
        asked, ctx.confirming = ctx.confirming, None
        newest = ctx.history.requests()[-1:]
        if asked is None or not newest or agreement(newest[0], ctx.locale) is not Agreement.YES:
            return None
        return ToolCall(f"{asked.call_id}-agreed", asked.name, asked.arguments)

    # Failures and ends

    def failed(self, text: tuple[str, ...], now: float) -> None:
        """A turn or tool failed: say so, or after too many in a row hand over."""
        ctx = self._ctx
        ctx.failures += 1
        if ctx.call is CallState.TRANSFERRING:
            ctx.end(CallOutcome.ESCALATED, ctx.handover_reason.value)
        elif ctx.failures >= ctx.settings.max_failures:
            self.escalate(PolicyReason.REPEATED_FAILURES, now)
        else:
            ctx.say(text, Purpose.FALLBACK)

    def out_of_service(self, stage: Stage, now: float) -> None:
        """No provider of a stage works, so that asking the caller to try again would be in vain."""
        ctx = self._ctx
        ctx.failures += 1
        ctx.voice_lost = ctx.voice_lost or stage is Stage.TTS
        if ctx.call is CallState.TRANSFERRING:
            ctx.end(CallOutcome.ESCALATED, ctx.handover_reason.value)
        else:
            self.escalate(PolicyReason.PROVIDER_DOWN, now, preface=ctx.locale.prompts.unavailable)

    def escalate(self, reason: PolicyReason, now: float, *, preface: tuple[str, ...] = (), target: str = "") -> None:
        """Hands the call over, unless it ends already; ``target`` is where the language model would have it go."""
        ctx = self._ctx
        if ctx.call is not CallState.ACTIVE:
            return
        if ctx.turn is not None and ctx.turn.full_text():  # the colleague reads what the caller was just saying
            ctx.history.add_caller(ctx.turn.full_text())
        ctx.abandon_turn("handover")
        if ctx.reply is not None:
            ctx.drop_reply(CancelReason.SUPERSEDED)
        ctx.deciding = None
        ctx.timers.clear_all()
        ctx.timers.set(Timer.TRANSFER, now + ctx.settings.transfer_deadline_s)
        ctx.timers.set(Timer.TTL, now + _HANDOVER_LIMIT_S)
        ctx.handover_reason = reason
        ctx.move_call(CallTrigger.TRANSFER)
        if ctx.agent is AgentState.IDLE:
            ctx.move_agent(AgentTrigger.THINK)
        ctx.emit(Escalate(self._packet(reason, target)))
        if preface:  # heard while the handover is made
            ctx.say(preface, Purpose.HANDOVER, interruptible=False)

    def preface_heard(self, now: float) -> None:
        """What is said before a handover's outcome has been heard; the outcome may be known by now."""
        if self._ctx.handed_over is not None:
            self.transfer_finished(self._ctx.handed_over, now)

    def outcome_unheard(self, now: float) -> None:
        """The voice was lost over the handover's outcome: say that in prepared words."""
        self._ctx.voice_lost = True
        self.preface_heard(now)

    def transfer_finished(self, event: TransferFinished, now: float) -> None:
        ctx = self._ctx
        if ctx.call is not CallState.TRANSFERRING or (ctx.reply is not None and ctx.reply.then_end is not None):
            return
        ctx.timers.clear(Timer.TRANSFER)
        ctx.handed_over = event
        if ctx.reply is not None:  # what is said before it is still being heard
            return
        prompts = ctx.locale.prompts
        outcome = CallOutcome.ESCALATED
        if event.receipt is None:
            text, outcome = prompts.handover_failed, CallOutcome.ERROR
        elif event.receipt.connected:
            text = prompts.handover_connected
        elif ctx.voice_lost:  # only what is prepared can be said
            text = prompts.handover_later
        else:
            text = tuple(s.format(reference=event.receipt.reference) for s in prompts.handover_callback)
        then_end = (outcome, ctx.handover_reason.value)
        ctx.say(text, Purpose.HANDOVER, interruptible=False, then_end=then_end)

    def _packet(self, reason: PolicyReason, target: str) -> ContextPacket:
        ctx = self._ctx
        requests = ctx.history.requests()
        tools = ctx.history.tool_results()
        parts = [
            f"Caller {self.identity.proof()}.",
            f"First asked: {requests[0]}" if requests else "The caller has not asked anything yet.",
        ]
        if len(requests) > 1:
            parts.append(f"Last said: {requests[-1]}")
        if tools:
            parts.append("Tools used: " + ", ".join(f"{r.name} ({r.status.value})" for r in tools) + ".")
        return ContextPacket(
            call_id=ctx.call_id,
            caller_id=ctx.caller_id,
            verified=ctx.verified,
            locale=ctx.locale.tag,
            reason=reason,
            summary=" ".join(parts),
            transcript=ctx.history.transcript(),
            tool_results=tools,
            agent=ctx.settings.agent.name,
            target=ctx.settings.agent.target_for(reason, target),
        )
