"""When the caller's turn ends: the silence it needs, at the caller's own pace, and "okay" in the pauses of a long one.

1. ``endpointing`` says how much silence the words need; here it meets what only the call knows: the open question, the
   digits collected, how this caller pauses.
2. A pause after which the caller went on, and an answer begun too soon, make the agent more patient with this caller;
   turns said in one go make it quicker (``CallerRhythm``).
3. A recogniser that judges turns itself ends one at once, unless the caller asked for time or a number is incomplete.
4. In a turn longer than ``acknowledge_after_s`` a pause in doubt is answered by "okay", once in as long. It is no reply:
   the turn stays the caller's, whose next word cuts it, and who gets time anew to go on.
"""

from __future__ import annotations

from dataclasses import replace

from voice_agent.conversation.endpointing import EndpointDecision, needed_silence, words_of
from voice_agent.conversation.machine.context import CallContext, CallerTurn
from voice_agent.conversation.machine.timers import Timer
from voice_agent.conversation.states import AgentState, CallerState, CallState

# "Okay" comes after this much silence: later than a breath, sooner than a turn in doubt ends.
_ACKNOWLEDGE_PAUSE_S = 0.35
# How long "okay" lasts; the caller's time to go on counts from its end.
_ACKNOWLEDGE_LASTS_S = 0.5
# A turn with fewer words had no room for a pause.
_FLUENT_WORDS = 4


class TurnEnd:
    """Reads and keeps what the end of a turn depends on; it commits nothing itself."""

    def __init__(self, context: CallContext) -> None:
        self._ctx = context

    def needed(self, turn: CallerTurn) -> EndpointDecision:
        ctx = self._ctx
        settings = ctx.settings.endpointing
        needed = needed_silence(
            turn.full_text(),
            probability=turn.score,
            question=ctx.waiting_for,
            secret_digits=turn.secret_digits + ctx.secret.digits if ctx.secret.collecting else None,
            locale=ctx.locale,
            settings=replace(settings, secret_digits=ctx.secret_digits) if ctx.secret.code_digits else settings,
            patience=ctx.rhythm.patience(settings.patience_least, settings.patience_most),
        )
        if turn.ends and needed.wait_s > settings.min_s and not _asks_for_time(needed.rule):
            return EndpointDecision(settings.min_s, "recogniser")
        return needed

    def due(self, turn: CallerTurn, needed: EndpointDecision, now: float) -> float:
        """When the turn ends if nothing more happens; an acknowledgement that fits in before is planned."""
        settings = self._ctx.settings.endpointing
        due = max(turn.last_voiced_at + needed.wait_s, turn.grew_at + settings.min_s)
        if turn.acknowledged_at > turn.last_voiced_at:
            due = max(due, turn.acknowledged_at + _ACKNOWLEDGE_LASTS_S + settings.unsure_s)
        self._plan_acknowledgement(turn, due, now)
        return due

    # The caller's pace

    def went_on(self, turn: CallerTurn, onset_at: float) -> None:
        """The caller speaks again in ``turn``, at ``onset_at``."""
        turn.paused = True
        self._ctx.rhythm = self._ctx.rhythm.went_on_after(onset_at - turn.last_voiced_at)

    def committed(self, turn: CallerTurn, rule: str) -> None:
        ctx = self._ctx
        ctx.on_hold = rule == "hold"
        if turn.carried_text:  # the earlier part was committed too soon: that silence was a pause
            ctx.rhythm = ctx.rhythm.went_on_after(turn.opened_at - ctx.committed_voiced_at)
        elif not turn.paused and not turn.keys and len(words_of(turn.text)) >= _FLUENT_WORDS:
            ctx.rhythm = ctx.rhythm.said_without_pause()
        ctx.committed_voiced_at = turn.last_voiced_at

    # Long turns

    def acknowledge(self, now: float) -> bool:
        """Says "okay" in the pause, if that is still one; True if so."""
        turn = self._ctx.turn
        if turn is None or not self._may_acknowledge():
            return False
        turn.acknowledged_at = now
        self._ctx.acknowledge()
        return True

    def _may_acknowledge(self) -> bool:
        ctx = self._ctx
        listening = ctx.call is CallState.ACTIVE and ctx.agent is AgentState.IDLE
        return listening and ctx.caller is CallerState.PAUSED and not ctx.secret.collecting

    def _plan_acknowledgement(self, turn: CallerTurn, due: float, now: float) -> None:
        ctx = self._ctx
        after_s = ctx.settings.acknowledge_after_s
        at = max(turn.last_voiced_at + _ACKNOWLEDGE_PAUSE_S, now)
        long = after_s > 0 and now - max(turn.opened_at, turn.acknowledged_at) >= after_s
        if long and at < due and self._may_acknowledge():
            ctx.timers.set(Timer.ACKNOWLEDGE, at)


def _asks_for_time(rule: str) -> bool:
    """The words themselves say that more is to come, which no recogniser's opinion outweighs."""
    return rule == "hold" or rule.endswith("_incomplete")
