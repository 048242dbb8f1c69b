"""The contest for the floor: speech over the agent, from the first evidence to the verdict.

1. Speech over a speaking agent *contests* its reply: after ``pause_s`` the playout pauses; the verdict of
   ``barge_in.judge`` then stops the reply for good or lets it go on where it paused. What is known from the start to be
   the agent's echo does not pause it.
2. Speech while the agent thinks holds the coming audio back at once; if it is real, the caller goes on with the same
   turn: the pending answer is dropped and the earlier words are carried into this turn.
3. While a tool changes something, nothing is dropped: what was said is weighed once the result is there.
4. A passage that may not be interrupted is never contested. What was said over it is remembered and becomes a turn when
   it is over, unless the call ends with it; a "mm-hmm" over it is let pass like any other.
"""

from __future__ import annotations

from collections import deque

from voice_agent.conversation.barge_in import BargeInDecision, Floor, SpeechEvidence, Verdict, judge
from voice_agent.conversation.commands import CancelReason, Purpose, ResumePlayout, StopForBargeIn
from voice_agent.conversation.echo import likeness, without_echo
from voice_agent.conversation.events import SpeechStarted, SpeechStopped, TranscriptPartial
from voice_agent.conversation.machine.context import CallContext, CallerTurn
from voice_agent.conversation.machine.timers import Timer
from voice_agent.conversation.questions import open_question
from voice_agent.conversation.states import AgentState, AgentTrigger, CallerState
from voice_agent.models import OpenQuestion

# Turns whose levels make the caller's usual one: the loudest of them, because side talk is softer. Each later turn takes
# this much off an earlier one, so that a caller who moves away from the telephone is known again after a few turns.
_LEVELS = 8
_LEVEL_FADES_DB = 2.0
# A level is that of the speech only once there is this much of it.
_LEVEL_AFTER_S = 0.2
# Somebody speaks over an echo as soon as it becomes this much louder.
_OVER_ECHO_DB = 3.0
# Who is not answered repeats it.
_REPEATED = 0.7
# On a line known to echo, this share of the agent's own power is enough to hold the pause back.
_KNOWN_ECHO_SHARE = 0.2
# A hypothesis stands for the whole burst where at most this much was said after it.
_UNHEARD_END_S = 0.3
# Echo of the agent's last words, about three seconds of them, comes this long after they were spoken.
_ECHO_TAIL_S = 1.0
_ECHO_TAIL_LETTERS = 60
_END_CALL = "end_call"


class Contest:
    """Handlers of what happens while caller and agent both want to speak."""

    def __init__(self, context: CallContext) -> None:
        self._ctx = context
        self._levels: deque[float] = deque(maxlen=_LEVELS)
        self._echoing_line = False
        self._passed_by = ""

    # Evidence

    def begin(self, turn: CallerTurn, event: SpeechStarted, now: float) -> None:
        """Speech began; where the agent has the floor, it is contested from now on."""
        ctx = self._ctx
        turn.echo, turn.echoed, turn.echo_doubted, turn.text_voiced_s = event.echo, False, False, 0.0
        if event.echo is not None and event.echo >= ctx.settings.barge_in.echo_share:
            turn.echo_dbfs = event.level_dbfs
        turn.level_dbfs = None
        if ctx.agent is AgentState.IDLE or ctx.checking_secret:
            return
        turn.over_agent = turn.over_agent or ctx.agent is AgentState.SPEAKING
        self._contest(turn, now)

    def _contest(self, turn: CallerTurn, now: float) -> None:
        ctx = self._ctx
        settings = ctx.settings.barge_in
        reply = ctx.reply
        if reply is not None and not reply.may_be_interrupted(now):
            if reply.interruptible:  # only a passage of it: look again
                ctx.timers.set(Timer.BARGE_COMMIT, now + settings.pause_s)
            return
        turn.contest = True
        if ctx.agent is AgentState.THINKING:
            ctx.timers.clear(Timer.TURN_TIMEOUT)
            if reply is not None:
                ctx.pause_reply(reply)
        elif self._sounds_like_echo(turn):
            turn.echoed = True
        else:
            ctx.timers.set(Timer.BARGE_PAUSE, max(now, turn.onset_at + settings.pause_s))
        ctx.timers.set(Timer.BARGE_COMMIT, max(now, turn.onset_at + settings.rules(self._floor()).commit_s))

    def hears(self, turn: CallerTurn, event: TranscriptPartial | SpeechStopped, now: float) -> None:
        """What an event tells of the speech beside its words."""
        ended = isinstance(event, SpeechStopped)
        voiced_s = (turn.last_voiced_at if ended else now) - turn.onset_at
        if event.level_dbfs is not None and voiced_s >= _LEVEL_AFTER_S:
            turn.level_dbfs = event.level_dbfs if turn.level_dbfs is None else max(turn.level_dbfs, event.level_dbfs)
        if event.echo is not None:
            self._hears_echo(turn, event.echo, event.level_dbfs)
        if isinstance(event, TranscriptPartial):
            turn.confidence = event.confidence
            turn.text_voiced_s = voiced_s

    def _hears_echo(self, turn: CallerTurn, share: float, level_dbfs: float | None) -> None:
        """In the pauses of an echo the room's noise prevails: only a louder sound, or a second measurement, ends it."""
        enough = self._ctx.settings.barge_in.echo_share
        if share >= enough:
            turn.echo_dbfs = level_dbfs if turn.echo_dbfs is None else max(turn.echo_dbfs, level_dbfs or turn.echo_dbfs)
        elif turn.echo is not None and turn.echo >= enough and not turn.echo_doubted:
            louder = level_dbfs is None or turn.echo_dbfs is None or level_dbfs >= turn.echo_dbfs + _OVER_ECHO_DB
            if not louder:
                turn.echo_doubted = True
                return
        turn.echo, turn.echo_doubted = share, False

    def own_words(self, turn: CallerTurn, text: str) -> str:
        """``text`` without the agent's words with which it begins, where this turn began with its echo."""
        ctx = self._ctx
        if turn.echo_dbfs is None:
            return text
        spoken = ctx.said if ctx.reply is None else f"{ctx.said} {ctx.reply.full_text()}"
        return without_echo(text, spoken, alike=ctx.settings.barge_in.echo_likeness)

    def committed(self, turn: CallerTurn) -> None:
        """A turn of the caller's own: how loud it was is usual, though it be softer than before."""
        relative_db = self._relative_db(turn)
        if relative_db is not None and relative_db <= -self._ctx.settings.barge_in.side_talk_db:
            self._levels.clear()
        if turn.level_dbfs is not None:
            self._levels.append(turn.level_dbfs)

    # Moments

    def pause_due(self, now: float) -> None:
        ctx = self._ctx
        if ctx.turn is not None and ctx.turn.contest and ctx.reply is not None:
            ctx.reply.advance(ctx.reply.heard_by(now), now)
            ctx.pause_reply(ctx.reply)

    def verdict_due(self, now: float) -> None:
        turn = self._ctx.turn
        if turn is None or self._ctx.agent is AgentState.IDLE:
            return
        if turn.contest:
            self.weigh(turn, now)
            if turn.contest:
                self._ctx.timers.set(Timer.BARGE_COMMIT, now + self._ctx.settings.barge_in.pause_s)
        elif self._ctx.caller is CallerState.SPEAKING:
            self._contest(turn, now)

    def weigh(self, turn: CallerTurn, now: float) -> None:
        """New evidence while the caller still speaks."""
        decision = self.judge(turn, now, final=False)
        if decision.verdict is Verdict.INTERRUPTION:
            if not self.is_writing():
                self.interrupt(turn, decision.rule, now)
        elif decision.verdict is Verdict.NOT_INTERRUPTION:
            self.resume(now)
        elif turn.echoed and not self._sounds_like_echo(turn):  # what was let pass as an echo is something else
            turn.echoed = False
            self.pause_due(now)

    def ease(self, turn: CallerTurn, now: float) -> None:
        """The caller is silent again. A backchannel that was recognised as such already need not wait for the final."""
        voiced_s = turn.last_voiced_at - turn.onset_at
        if turn.contest and turn.text and voiced_s - turn.text_voiced_s <= _UNHEARD_END_S:
            decision = self.judge(turn, now, final=True)
            if decision.verdict is Verdict.NOT_INTERRUPTION and decision.rule != "mumble":
                self.resume(now)

    def is_writing(self) -> bool:
        """A tool is changing something: the reply cannot be dropped without losing what became of it."""
        return self._ctx.reply is not None and bool(self._ctx.reply.writing)

    def must_wait(self, now: float) -> bool:
        """What the caller says or keys at ``now`` counts only when what the agent is doing is over; what the call ends
        with is waited for by nobody."""
        reply = self._ctx.reply
        must_hear = reply is not None and not reply.may_be_interrupted(now) and reply.then_end is None
        return must_hear or self.is_writing()

    # Verdict

    def judge(self, turn: CallerTurn, now: float, *, final: bool) -> BargeInDecision:
        """The verdict on what has been heard of ``turn`` so far; ``final``: the caller is silent and this is all of it."""
        ctx = self._ctx
        ended_at = turn.last_voiced_at if ctx.caller is CallerState.PAUSED else now
        lasted_s = ended_at - turn.onset_at
        evidence = SpeechEvidence(
            turn.text,
            final=final,
            voiced_s=lasted_s if final else turn.text_voiced_s,
            lasted_s=lasted_s,
            confidence=turn.confidence if turn.contest else 1.0,
            floor=self._floor(),
            answers_question=self._asked(now) is OpenQuestion.YES_NO,
            relative_db=self._relative_db(turn) if turn.contest else None,
            echo=turn.echo,
            likeness=self._likeness(turn, now),
            secret_digits=turn.secret_digits if ctx.secret.collecting else 0,
        )
        decision = judge(evidence, locale=ctx.locale, settings=ctx.settings.barge_in)
        if decision.rule == "echo" and final:
            self._echoing_line = True
        return decision

    def not_meant(self, turn: CallerTurn, now: float) -> str:
        """Why speech in the agent's silence is no turn ("" if it is one): the agent's last words come back after it has
        stopped, or somebody far from the telephone speaks while nothing was asked. A voice that repeats itself, or
        answers whether it is still there, is meant for the agent after all."""
        ctx = self._ctx
        if turn.contest or turn.over_agent or turn.carried_text or turn.keys or turn.secret_digits:
            return ""
        if self._echoes_still(turn) and self.judge(turn, now, final=True).rule == "echo":
            return "echo"
        relative_db = self._relative_db(turn)
        if relative_db is None or relative_db > -ctx.settings.barge_in.side_talk_db or self._is_awaited(turn):
            return ""
        repeated = likeness(turn.text, (self._passed_by,)) >= _REPEATED
        self._passed_by = turn.text
        return "" if repeated else "side_talk"

    def _is_awaited(self, turn: CallerTurn) -> bool:
        """Something in particular was asked, or whether anybody is there: whoever speaks is likely to answer that."""
        ctx = self._ctx
        asked = ctx.waiting_for not in (OpenQuestion.NONE, OpenQuestion.OPEN)
        return asked or turn.after_prompt or ctx.secret.collecting

    def _floor(self) -> Floor:
        ctx = self._ctx
        reply = ctx.reply
        ending = any(call.name == _END_CALL for call in ctx.open_calls.values())
        if reply is not None and (ending or reply.then_end is not None or reply.purpose is Purpose.GOODBYE):
            return Floor.CLOSING
        if ctx.secret.collecting:
            return Floor.SECRET
        return Floor.THINKING if ctx.agent is AgentState.THINKING else Floor.SPEAKING

    def _asked(self, now: float) -> OpenQuestion:
        """What is being asked: by the words heard of the reply, else by the one before."""
        reply = self._ctx.reply
        if reply is None or not reply.playing:
            return self._ctx.waiting_for
        return open_question(reply.understood_text(now), self._ctx.locale.tag)

    def _relative_db(self, turn: CallerTurn) -> float | None:
        if turn.level_dbfs is None or not self._levels:
            return None
        newest_first = reversed(self._levels)
        return turn.level_dbfs - max(level - _LEVEL_FADES_DB * age for age, level in enumerate(newest_first))

    def _likeness(self, turn: CallerTurn, now: float) -> float:
        reply = self._ctx.reply
        spoken = self._ctx.said[-_ECHO_TAIL_LETTERS:] if self._echoes_still(turn) else ""
        if reply is not None and reply.playing:
            spoken = f"{spoken} {reply.echoing_text(now)}"
        return likeness(turn.text, (spoken,)) if spoken else 0.0

    def _echoes_still(self, turn: CallerTurn) -> bool:
        return turn.onset_at - self._ctx.said_at <= _ECHO_TAIL_S

    def _sounds_like_echo(self, turn: CallerTurn) -> bool:
        settings = self._ctx.settings.barge_in
        enough = _KNOWN_ECHO_SHARE if self._echoing_line else settings.echo_share
        return turn.echo is not None and turn.echo >= enough

    # Ends

    def resume(self, now: float) -> None:
        """Let the reply go on, if it was paused."""
        reply = self._ctx.reply
        if reply is not None and reply.paused:
            reply.paused = False
            reply.heard_at = now
            rewind_s = self._ctx.settings.barge_in.rewind_s if reply.playing else 0.0
            self._ctx.emit(ResumePlayout(reply.reply_id, rewind_s))

    def interrupt(self, turn: CallerTurn, rule: str, now: float) -> None:
        """The speech is real: end what the agent was doing and listen."""
        ctx = self._ctx
        turn.contest = False
        ctx.timers.clear(Timer.BARGE_PAUSE, Timer.BARGE_COMMIT, Timer.TURN_TIMEOUT)
        reply = ctx.reply
        if reply is not None and reply.playing:
            heard = reply.heard(now)
            ctx.emit(
                StopForBargeIn(
                    reply.reply_id, heard.text, rule, heard.words, heard.written, heard.confidence, heard.basis
                )
            )
            ctx.remember(reply, heard.text, interrupted=True, confidence=heard.confidence)
            ctx.reply = None
            ctx.note_question(reply, heard.text)
            ctx.move_agent(AgentTrigger.STOP)
            return
        answering = ctx.deciding is not None or (reply is not None and reply.turn_id is not None)
        ctx.drop_reply(CancelReason.MERGED)
        if answering:
            turn.carried_text = " ".join(part for part in (ctx.history.take_back_caller(), turn.carried_text) if part)
