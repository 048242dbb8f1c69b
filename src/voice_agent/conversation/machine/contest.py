"""The contest for the floor: speech over the agent, from the first evidence to the verdict.

1. Speech over a speaking agent *contests* its reply: after ``pause_s`` the playout pauses; the verdict of
   ``barge_in.judge`` then stops the reply for good or lets it go on where it paused.
2. Speech while the agent thinks holds the coming audio back at once; if it is real, the caller goes on with the same
   turn: the pending answer is dropped and the earlier words are carried into this turn.
3. A reply that is not interruptible is never contested; what was said over it is dropped.
"""

from __future__ import annotations

from voice_agent.conversation.barge_in import BargeInDecision, Verdict, judge
from voice_agent.conversation.commands import CancelReason, StopForBargeIn
from voice_agent.conversation.machine.context import CallContext, CallerTurn
from voice_agent.conversation.machine.timers import Timer
from voice_agent.conversation.questions import open_question
from voice_agent.conversation.states import AgentState, AgentTrigger, CallerState
from voice_agent.models import OpenQuestion


class Contest:
    """Handlers of what happens while caller and agent both want to speak."""

    def __init__(self, context: CallContext) -> None:
        self._ctx = context

    def begin(self, turn: CallerTurn, now: float) -> None:
        """Speech began; where the agent has the floor, it is contested from now on."""
        ctx = self._ctx
        if ctx.agent is AgentState.IDLE or ctx.checking_secret:
            return
        turn.over_agent = turn.over_agent or ctx.agent is AgentState.SPEAKING
        if ctx.reply is not None and not ctx.reply.interruptible:
            return
        turn.contest = True
        if ctx.agent is AgentState.THINKING:
            ctx.timers.clear(Timer.TURN_TIMEOUT)
            if ctx.reply is not None:
                ctx.pause_reply(ctx.reply)
        else:
            ctx.timers.set(Timer.BARGE_PAUSE, turn.onset_at + ctx.settings.barge_in.pause_s)
        ctx.timers.set(Timer.BARGE_COMMIT, turn.onset_at + ctx.settings.barge_in.commit_s)

    def pause_due(self, now: float) -> None:
        ctx = self._ctx
        if ctx.turn is not None and ctx.turn.contest and ctx.reply is not None:
            ctx.reply.advance(ctx.reply.heard_by(now), now)
            ctx.pause_reply(ctx.reply)

    def verdict_due(self, now: float) -> None:
        turn = self._ctx.turn
        if turn is not None and turn.contest:
            self.weigh(turn, now)
            if turn.contest:
                self._ctx.timers.set(Timer.BARGE_COMMIT, now + self._ctx.settings.barge_in.pause_s)

    def weigh(self, turn: CallerTurn, now: float) -> None:
        """New evidence while the caller still speaks."""
        decision = self.judge(turn, now, final=False)
        if decision.verdict is Verdict.INTERRUPTION:
            self.interrupt(turn, decision.rule, now)

    def judge(self, turn: CallerTurn, now: float, *, final: bool) -> BargeInDecision:
        """The verdict on what has been heard of ``turn`` so far; ``final``: the caller is silent and this is all of it."""
        ctx = self._ctx
        if ctx.reply is not None:
            asked = open_question(ctx.reply.heard_text(ctx.reply.heard_by(now)), ctx.locale.tag)
        else:
            asked = ctx.waiting_for
        return judge(
            turn.text,
            final=final,
            voiced_s=(turn.last_voiced_at if ctx.caller is CallerState.PAUSED else now) - turn.onset_at,
            confidence=turn.confidence if turn.contest else 1.0,
            answers_question=asked is OpenQuestion.YES_NO,
            locale=ctx.locale,
            settings=ctx.settings.barge_in,
        )

    def interrupt(self, turn: CallerTurn, rule: str, now: float) -> None:
        """The speech is real: end what the agent was doing and listen."""
        ctx = self._ctx
        turn.contest = False
        ctx.timers.clear(Timer.BARGE_PAUSE, Timer.BARGE_COMMIT, Timer.TURN_TIMEOUT)
        reply = ctx.reply
        if reply is not None and reply.playing:
            heard_text = reply.heard_text(reply.heard_by(now))
            ctx.emit(StopForBargeIn(reply.reply_id, heard_text, rule))
            ctx.remember(reply, heard_text, interrupted=True)
            ctx.reply = None
            ctx.note_question(reply, heard_text)
            ctx.move_agent(AgentTrigger.STOP)
            return
        answering = ctx.deciding is not None or (reply is not None and reply.turn_id is not None)
        ctx.drop_reply(CancelReason.MERGED)
        if answering:
            turn.carried_text = " ".join(part for part in (ctx.history.take_back_caller(), turn.carried_text) if part)
