"""The caller's side of a turn: speech, words and keys, until the turn is committed, merged or dropped.

Speech over the agent is ``contest``'s matter; here it ends in a turn, or is let pass.
"""

from __future__ import annotations

from collections.abc import Callable

from voice_agent.conversation.barge_in import Verdict
from voice_agent.conversation.commands import (
    CommitTurn,
    DropTurn,
    FinaliseTranscript,
    OpenTurn,
    ScoreTurn,
)
from voice_agent.conversation.endpointing import goes_on, words_of
from voice_agent.conversation.events import (
    DtmfReceived,
    SpeechStarted,
    SpeechStopped,
    TranscriptFinal,
    TranscriptPartial,
    TurnScored,
)
from voice_agent.conversation.machine.contest import Contest
from voice_agent.conversation.machine.context import NEVER, CallContext, CallerTurn
from voice_agent.conversation.machine.speculation import Speculation
from voice_agent.conversation.machine.timers import TURN_TIMERS, Timer
from voice_agent.conversation.machine.turn_end import TurnEnd
from voice_agent.conversation.states import AgentState, CallerState, CallerTrigger, CallState
from voice_agent.models import OpenQuestion

OnCommit = Callable[[CallerTurn, float], None]
OnUnheard = Callable[[float], None]

# Speech this long that gives no words was probably meant for us.
_UNHEARD_SPEECH_S = 0.8
# How soon a turn that must wait (a PIN is being checked, a tool changes something) is looked at again.
_RECHECK_S = 0.1


class CallerSide:
    """Handlers of the caller's events; ``on_commit`` receives each finished turn, ``on_unheard`` speech without words."""

    def __init__(
        self,
        context: CallContext,
        contest: Contest,
        speculation: Speculation,
        on_commit: OnCommit,
        on_unheard: OnUnheard,
    ) -> None:
        self._ctx = context
        self._contest = contest
        self._speculation = speculation
        self._turn_end = TurnEnd(context)
        self._on_commit = on_commit
        self._on_unheard = on_unheard

    # Speech

    def speech_started(self, event: SpeechStarted, now: float) -> None:
        ctx = self._ctx
        if ctx.call is not CallState.ACTIVE:
            return
        ctx.timers.clear(Timer.END_OF_TURN, Timer.FINAL_LATE, Timer.IDLE, Timer.SECRET, Timer.ACKNOWLEDGE)
        ctx.end_acknowledgement()
        turn = ctx.turn or self._open_turn(now)
        turn.after_prompt = turn.after_prompt or ctx.idle_prompts > 0
        ctx.idle_prompts = 0
        if ctx.caller is CallerState.PAUSED:
            self._turn_end.went_on(turn, now - event.voiced_s)
        ctx.move_caller(CallerTrigger.ONSET)
        turn.onset_at = now - event.voiced_s
        turn.has_final = False
        turn.unasked_final_at = NEVER
        turn.ends = False
        turn.score = None
        self._contest.begin(turn, event, now)

    def speech_stopped(self, event: SpeechStopped, now: float) -> None:
        ctx = self._ctx
        turn = ctx.turn
        if turn is None or ctx.caller is not CallerState.SPEAKING:
            return
        ctx.move_caller(CallerTrigger.PAUSE)
        turn.last_voiced_at = now - event.silence_s
        ctx.timers.clear(Timer.BARGE_PAUSE, Timer.BARGE_COMMIT)
        self._contest.hears(turn, event, now)
        self._contest.ease(turn, now)
        ctx.emit(ScoreTurn(turn.utterance_id))
        if turn.unasked_final_at >= turn.last_voiced_at:  # the recogniser has heard the end already
            turn.has_final = True
            self._settle(turn, now)
            return
        turn.final_asked = True
        ctx.timers.set(Timer.FINAL_LATE, now + ctx.settings.final_deadline_s)
        ctx.emit(FinaliseTranscript(turn.utterance_id))

    def partial(self, event: TranscriptPartial, now: float) -> None:
        turn = self._current(event.utterance_id)
        if turn is not None and event.resumed:
            self._resumed(turn, now)
        if turn is not None and turn.has_final and goes_on(turn.text, event.text):
            self._went_on(turn, event, now)
        elif turn is not None and event.text and not turn.has_final:
            turn.text = self._contest.own_words(turn, event.text)
            turn.secret_digits = event.secret_digits
            turn.unasked_final_at = NEVER
            turn.ends = False
            self._contest.hears(turn, event, now)
            self._ctx.draft_for(turn)
            if turn.contest:
                self._contest.weigh(turn, now)

    def _resumed(self, turn: CallerTurn, now: float) -> None:
        """The recogniser had thought the turn over and takes that back."""
        turn.ends = False
        turn.grew_at = now
        self._ctx.drop_draft()

    def _went_on(self, turn: CallerTurn, event: TranscriptPartial, now: float) -> None:
        """The recogniser hears more after its final, too soft for the voice detector: the turn is not over."""
        turn.text = event.text
        turn.secret_digits = event.secret_digits
        turn.grew_at = now
        turn.ends = False
        self._settle(turn, now)

    def final(self, event: TranscriptFinal, now: float) -> None:
        turn = self._current(event.utterance_id)
        if turn is None:
            return
        turn.text = self._contest.own_words(turn, event.text)
        turn.confidence = event.confidence
        turn.secret_digits = event.secret_digits
        turn.ends = event.ends_turn
        asked, turn.final_asked = turn.final_asked, False
        if self._ctx.caller is not CallerState.PAUSED:
            if not asked:  # the recogniser knows of an end before the silence is long enough to be one
                turn.unasked_final_at = now
                self._speculation.consider(turn, self._turn_end.needed(turn).wait_s)
            return
        turn.has_final = True
        self._ctx.timers.clear(Timer.FINAL_LATE)
        self._settle(turn, now)

    def scored(self, event: TurnScored, now: float) -> None:
        turn = self._current(event.utterance_id)
        if turn is not None and self._ctx.caller is CallerState.PAUSED:
            turn.score = event.probability
            if turn.has_final:
                self._settle(turn, now)

    def final_late(self, now: float) -> None:
        """The recogniser's final is overdue: the newest partial stands in for it."""
        turn = self._ctx.turn
        if turn is not None:
            turn.has_final = True
            self._settle(turn, now)

    # Keys

    def key(self, event: DtmfReceived, now: float) -> None:
        """A key outside of a secret: digits gather into a turn, ``#`` ends it, ``*`` starts the number again. A number
        that has all its digits ends shortly after the last; a ``#`` or ``*`` without digits before it means nothing."""
        ctx = self._ctx
        if ctx.call is not CallState.ACTIVE or ctx.checking_secret:
            return
        if ctx.reply is not None and not ctx.reply.interruptible:
            return
        ctx.idle_prompts = 0
        ctx.on_hold = False
        if event.key in ("#", "*") and (ctx.turn is None or not ctx.turn.keys):
            ctx.arm_idle(now)
            return
        ctx.timers.clear(Timer.IDLE)
        turn = ctx.turn or self._open_turn(now)
        if ctx.agent is not AgentState.IDLE and not self._contest.must_wait(now):
            self._contest.interrupt(turn, "keypad", now)
        ctx.drop_draft()
        if event.key == "*":
            turn.keys = ""
        elif event.key != "#":
            turn.keys += event.key
        if event.key == "#":
            self.keys_done(now)
        else:
            ctx.timers.set(Timer.KEYS, now + self._key_wait_s(turn))

    def _key_wait_s(self, turn: CallerTurn) -> float:
        settings = self._ctx.settings
        expected = settings.endpointing.order_digits if self._ctx.waiting_for is OpenQuestion.ORDER_NUMBER else 0
        return settings.key_complete_s if len(turn.keys) == expected else settings.key_gap_s

    def keys_done(self, now: float) -> None:
        ctx = self._ctx
        ctx.timers.clear(Timer.KEYS)
        if ctx.turn is not None and ctx.caller is CallerState.PAUSED and ctx.turn.has_final:
            self._settle(ctx.turn, now)
        elif ctx.turn is not None and ctx.caller is CallerState.SILENT:
            if ctx.turn.full_text():
                self._commit(ctx.turn, "keypad", 0.0, now)
            else:
                self._drop(ctx.turn, "no_keys", now)

    # Timers

    def end_of_turn_due(self, now: float) -> None:
        if self._ctx.turn is not None:
            self._settle(self._ctx.turn, now)

    def monologue_due(self, now: float) -> None:
        """Nobody speaks this long into a telephone: take what there is."""
        turn = self._ctx.turn
        if turn is not None:
            if turn.full_text():
                self._commit(turn, "monologue", 0.0, now)
            else:
                self._drop(turn, "monologue", now)

    def acknowledge_due(self, now: float) -> None:
        if self._ctx.turn is not None and self._turn_end.acknowledge(now):
            self._settle(self._ctx.turn, now)

    # Decisions

    def _open_turn(self, now: float) -> CallerTurn:
        ctx = self._ctx
        turn = ctx.new_turn(now)
        ctx.timers.set(Timer.MONOLOGUE, now + ctx.settings.max_utterance_s)
        ctx.emit(OpenTurn(turn.turn_id, turn.utterance_id))
        return turn

    def _current(self, utterance_id: int) -> CallerTurn | None:
        turn = self._ctx.turn
        return turn if turn is not None and turn.utterance_id == utterance_id else None

    def _settle(self, turn: CallerTurn, now: float) -> None:
        """The caller is silent and a final exists: interruption or not, finished or not."""
        ctx = self._ctx
        if not_meant := self._contest.not_meant(turn, now):
            self._drop(turn, not_meant, now)
            return
        if ctx.reply is not None and ctx.reply.transfer_to is not None and self._goes_along(turn, now):
            return
        if self._contest.is_writing():
            ctx.timers.set(Timer.END_OF_TURN, now + _RECHECK_S)
            return
        if turn.contest or turn.over_agent:
            decision = self._contest.judge(turn, now, final=True)
            more = turn.secret_digits or turn.carried_text or turn.keys  # a sound beside these takes nothing back
            if decision.verdict is Verdict.NOT_INTERRUPTION and not more:
                self._let_pass(turn, decision.rule, now)
                return
            if turn.contest:
                self._contest.interrupt(turn, decision.rule, now)
        if not turn.full_text():
            voiced_s = turn.last_voiced_at - turn.onset_at
            echoed = turn.echo_dbfs is not None  # what is left of an echo without the agent's words asks for no answer
            self._drop(turn, "echo" if echoed else "no_words", now)
            if voiced_s >= _UNHEARD_SPEECH_S and ctx.agent is AgentState.IDLE and not echoed:
                self._on_unheard(now)
            return
        needed = self._turn_end.needed(turn)
        due = max(self._turn_end.due(turn, needed, now), ctx.timers.at(Timer.KEYS))
        if due <= now:
            self._commit(turn, needed.rule, needed.wait_s, now)
        else:
            ctx.timers.set(Timer.END_OF_TURN, due)
            self._speculation.consider(turn, needed.wait_s)

    def _goes_along(self, turn: CallerTurn, now: float) -> bool:
        """Words over "I'm putting you through": kept for the colleague, unless they take the handover back."""
        ctx = self._ctx
        if ctx.locale.turn_words.takes_back.search(" ".join(words_of(turn.full_text()))):
            self._contest.interrupt(turn, "transfer_taken_back", now)
            return False
        if turn.full_text():
            ctx.history.add_caller(turn.full_text())
        self._drop(turn, "over_transfer", now)
        return True

    def _let_pass(self, turn: CallerTurn, rule: str, now: float) -> None:
        """No interruption, as it seems. Words that nobody is sure of may be the first of several ("Actually, …"), so the
        agent goes on a little later than after a cough."""
        may_go_on_at = turn.last_voiced_at + self._ctx.settings.barge_in.grace_s
        if rule == "mumble" and now < may_go_on_at:
            self._ctx.timers.set(Timer.END_OF_TURN, may_go_on_at)
        else:
            self._drop(turn, rule, now)

    def _commit(self, turn: CallerTurn, rule: str, waited_s: float, now: float) -> None:
        ctx = self._ctx
        if turn.contest:
            self._contest.interrupt(turn, rule, now)
        if ctx.checking_secret:  # what is said meanwhile is weighed once the check is done
            ctx.timers.set(Timer.END_OF_TURN, now + _RECHECK_S)
            return
        if self._contest.must_wait(now):  # said over a passage that must be heard: it counts after that
            ctx.timers.set(Timer.END_OF_TURN, now + _RECHECK_S)
            return
        if ctx.reply is not None and ctx.reply.may_be_interrupted(now):
            self._contest.interrupt(turn, "after_passage", now)
        if ctx.agent is not AgentState.IDLE:  # said over the words with which the call ends
            self._drop(turn, "not_interruptible", now)
            return
        self._turn_end.committed(turn, rule)
        self._contest.committed(turn)
        self._close(turn)
        ctx.turns_taken += 1
        ctx.emit(CommitTurn(turn.turn_id, turn.full_text(), rule, waited_s))
        self._on_commit(turn, now)

    def _drop(self, turn: CallerTurn, rule: str, now: float) -> None:
        ctx = self._ctx
        self._close(turn)
        ctx.drop_draft()
        ctx.emit(DropTurn(turn.turn_id, rule))
        self._contest.resume(now)
        reply = ctx.reply
        if ctx.agent is AgentState.THINKING and not ctx.checking_secret and (reply is None or not reply.playing):
            ctx.timers.set(Timer.TURN_TIMEOUT, now + ctx.settings.turn_timeout_s)
            ctx.arm_filler(now)
        if ctx.secret.collecting and ctx.secret.digits:
            ctx.timers.set(Timer.SECRET, now + ctx.settings.secret_patience_s)
        ctx.arm_idle(now)

    def _close(self, turn: CallerTurn) -> None:
        ctx = self._ctx
        turn.contest = False
        ctx.turn = None
        ctx.move_caller(CallerTrigger.SETTLE)
        ctx.timers.clear(*TURN_TIMERS)
