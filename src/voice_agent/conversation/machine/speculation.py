"""Beginning the answer before the turn is certain.

Theory of operation: a final transcript is there long before the silence that ends a turn. In between, the answer may be
drafted: the language model writes and the synthesiser speaks into a playout that is held back. The turn's commit releases
the draft, if the turn still has the words that were drafted for; otherwise the draft is thrown away. So a right guess
saves the model's and the synthesiser's time, and a wrong one costs a request. Rules:

1. Before the commit nothing of a draft is heard, and only tools that read run for it; what they bring takes effect at
   the commit.
2. The meanings of the turn are looked for at the same time; a policy that wants something else than an answer wins.
3. No draft is made while a secret is collected or an agreement is waited for, over the agent's own words ("okay"
   included: there is one playout), or for a turn that waits for more words.
4. At most ``drafts_per_turn``: a caller who keeps going on costs no more than that.
"""

from __future__ import annotations

from voice_agent.conversation.commands import Purpose, StartReply, Understand
from voice_agent.conversation.machine.context import CallContext, CallerTurn, Draft
from voice_agent.conversation.machine.reply import AgentReply
from voice_agent.conversation.states import AgentState, CallState


class Speculation:
    """Makes and takes drafts; the context holds the one there is."""

    def __init__(self, context: CallContext) -> None:
        self._ctx = context

    def consider(self, turn: CallerTurn, wait_s: float) -> None:
        """``turn`` has a final transcript and needs ``wait_s`` of silence to end: draft its answer if that is likely
        to be wanted."""
        ctx = self._ctx
        settings = ctx.settings.speculation
        if ctx.draft_for(turn) is not None or not settings.enabled or not self._may_draft(turn):
            return
        if turn.drafts >= settings.drafts_per_turn or wait_s > settings.max_wait_s:
            return
        turn.drafts += 1
        reply = AgentReply(ctx.next_reply_id(), Purpose.ANSWER, turn.turn_id)
        ctx.draft = Draft(turn.turn_id, turn.full_text(), reply)
        ctx.emit(StartReply(reply.reply_id, turn.turn_id, ctx.waiting_for, ctx.verified, draft=True))
        ctx.emit(Understand(turn.turn_id, turn.full_text(), ctx.next_understanding()))

    def _may_draft(self, turn: CallerTurn) -> bool:
        ctx = self._ctx
        listening = ctx.call is CallState.ACTIVE and ctx.agent is AgentState.IDLE and ctx.reply is None
        listening = listening and ctx.acknowledging is None
        secret = ctx.secret.collecting or ctx.checking_secret or turn.secret_digits > 0
        turns_left = ctx.turns_taken < ctx.settings.max_turns
        free = listening and turns_left and ctx.confirming is None
        return free and not secret and not turn.contest and not turn.keys and bool(turn.full_text())
