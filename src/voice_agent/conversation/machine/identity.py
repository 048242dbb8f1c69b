"""Proving who calls: the PIN, then the code of a second factor where the caller needs one.

Rules:

1. What was asked before the PIN is kept, and answered once the last factor has been proved, without asking again.
2. A right PIN verifies nobody while a code is due: ``SecondFactorAsked`` then takes the place of ``SecretChecked``, and only
   ``CodeChecked`` ends the proof. Digits are collected for one secret at a time, in words or keys, by the same rules.
3. Whatever is not a yes leaves the caller unverified: a check that failed, a lock, a caller who has no second factor where
   one is required. The latter two end with a human.
4. The digits themselves are in the call's vault; here they are counted.
"""

from __future__ import annotations

from typing import Protocol

from voice_agent.conversation.commands import (
    CancelReason,
    CheckCode,
    CheckSecret,
    DiscardSecret,
    ExpectSecret,
    Purpose,
)
from voice_agent.conversation.endpointing import words_of
from voice_agent.conversation.events import CodeChecked, SecondFactorAsked, SecretChecked
from voice_agent.conversation.machine.context import CallContext, CallerTurn
from voice_agent.conversation.machine.timers import Timer
from voice_agent.conversation.spoken_forms.digits import PLACEHOLDER
from voice_agent.conversation.states import AgentState, AgentTrigger, CallerState, CallState
from voice_agent.models import OpenQuestion, PolicyReason, SecretOutcome, TurnId

# A remark this short while a secret is awaited ("hello?", "what?") gets the question again, not an answer.
_SHORT_REMARK_WORDS = 3
_ASKS_TO_REPEAT_AT_MOST = 2


class Escalates(Protocol):
    def __call__(self, reason: PolicyReason, now: float, *, preface: tuple[str, ...]) -> None: ...


class Identity:
    """Handlers of everything about secrets. ``escalate`` hands the call over to a human."""

    def __init__(self, context: CallContext, escalate: Escalates) -> None:
        self._ctx = context
        self._escalate = escalate

    def proof(self) -> str:
        """What is proved, for the human who takes the call over."""
        ctx = self._ctx
        if ctx.verified:
            return "verified by PIN and a second factor" if ctx.secret.by_code else "verified by PIN"
        return "not verified (the PIN was right, the code is missing)" if ctx.secret.code_digits else "not verified"

    # Asking

    def ask(self, turn_id: TurnId | None) -> None:
        """Ask for the secret that is due and keep the newest request for afterwards."""
        ctx = self._ctx
        asked_before = ctx.secret.collecting
        requests = ctx.history.requests()
        ctx.secret.request = requests[-1] if requests else None
        ctx.secret.collecting = True
        ctx.secret.digits = 0
        ctx.emit(DiscardSecret())
        ctx.waiting_for = OpenQuestion.PIN
        self._say_question(self._question_again() if asked_before else ctx.locale.prompts.ask_pin, turn_id)

    def remark(self, turn_id: TurnId) -> bool:
        """Whether the newest words were a short remark beside the secret, which gets the question again. After anything
        else the caller is answered, and so is every remark after that: the digits may still come."""
        ctx = self._ctx
        if not ctx.secret.collecting:
            return False
        newest = ctx.history.requests()[-1:]
        short = bool(newest) and len(words_of(newest[0])) <= _SHORT_REMARK_WORDS
        if not short or ctx.secret.misses >= _ASKS_TO_REPEAT_AT_MOST:
            ctx.secret.misses = _ASKS_TO_REPEAT_AT_MOST
            return False
        ctx.secret.misses += 1
        ctx.history.set_aside_newest_caller()
        ctx.say(self._question_again(), Purpose.ASK_SECRET, turn_id=turn_id)
        return True

    def _say_question(self, text: tuple[str, ...], turn_id: TurnId | None = None) -> None:
        """Ask for the secret anew: short remarks get the question again as often as before."""
        self._ctx.secret.misses = 0
        self._ctx.say(text, Purpose.ASK_SECRET, turn_id=turn_id)

    def _question_again(self) -> tuple[str, ...]:
        prompts = self._ctx.locale.prompts
        return self._filled(prompts.ask_code_again) if self._ctx.secret.code_digits else prompts.ask_pin_again

    def _filled(self, text: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(segment.format(expected=self._ctx.secret_digits) for segment in text)

    # Collecting

    def digits_said(self, turn: CallerTurn, now: float) -> None:
        """A turn with digits of the secret was committed."""
        if turn.carried_text:  # the request whose answer was about to be "your PIN, please"
            self._ctx.history.add_caller(turn.carried_text)
            self._ctx.secret.request = turn.carried_text
        self._collect(turn.turn_id, now, spoken=turn.secret_digits)

    def key(self, now: float) -> None:
        """A key of the secret was pressed; the vault holds it. Unasked digits of an unknown caller count as a PIN too.

        The key ends the turn that is open; digits heard in it count, for the vault holds them."""
        ctx = self._ctx
        if ctx.call is not CallState.ACTIVE or ctx.checking_secret or ctx.verified:
            return
        if ctx.reply is not None and not ctx.reply.interruptible:
            return
        if not ctx.secret.collecting:
            requests = ctx.history.requests()
            ctx.secret.request = requests[-1] if requests and self._unanswered() else None
            ctx.secret.collecting = True
            ctx.secret.digits = 0
        if ctx.agent is not AgentState.IDLE:
            ctx.drop_reply(CancelReason.SUPERSEDED)
        if ctx.turn is not None and ctx.turn.carried_text:
            ctx.history.add_caller(ctx.turn.carried_text)
            ctx.secret.request = ctx.turn.carried_text
        spoken = ctx.turn.secret_digits if ctx.turn is not None else 0
        ctx.abandon_turn("keypad")
        ctx.timers.clear(Timer.TURN_TIMEOUT)
        self._collect(ctx.latest_turn(), now, spoken=spoken, keyed=1)

    def _unanswered(self) -> bool:
        """The caller's newest words have no answer yet."""
        ctx = self._ctx
        return ctx.deciding is not None or (ctx.reply is not None and ctx.reply.turn_id is not None)

    def overdue(self, now: float) -> None:
        """Some digits came and no more followed."""
        if self._ctx.secret.collecting and self._ctx.secret.digits and not self._ctx.checking_secret:
            self._ask_for_all_digits()

    def _collect(self, turn_id: TurnId, now: float, *, spoken: int = 0, keyed: int = 0) -> None:
        """Counts as the vault does: a whole secret in one utterance stands for itself, other parts are joined."""
        ctx = self._ctx
        expected = ctx.secret_digits
        ctx.timers.clear(Timer.IDLE)
        total = spoken if spoken == expected else ctx.secret.digits + spoken + keyed
        if total > expected:
            self._ask_for_all_digits()
        elif total < expected:
            ctx.secret.digits = total
            ctx.timers.set(Timer.SECRET, now + ctx.settings.secret_patience_s)
        else:
            ctx.timers.clear(Timer.SECRET)
            ctx.secret.digits = 0
            ctx.secret.turn_id = turn_id
            ctx.history.add_caller(PLACEHOLDER, aside=True)
            ctx.checking_secret = True
            ctx.move_agent(AgentTrigger.THINK)
            ctx.emit(CheckCode(expected) if ctx.secret.code_digits else CheckSecret(expected))

    def _ask_for_all_digits(self) -> None:
        ctx = self._ctx
        prompts = ctx.locale.prompts
        ctx.secret.digits = 0
        ctx.timers.clear(Timer.SECRET)
        ctx.emit(DiscardSecret())
        text = prompts.code_incomplete if ctx.secret.code_digits else prompts.pin_incomplete
        self._say_question(self._filled(text))

    # Checked

    def pin_checked(self, event: SecretChecked, now: float) -> None:
        if self._is_awaited() and not self._ctx.secret.code_digits:
            prompts = self._ctx.locale.prompts
            self._checked(event.outcome, prompts.pin_wrong, prompts.pin_unavailable, now)

    def code_checked(self, event: CodeChecked, now: float) -> None:
        """Also tells, while the PIN is being checked, that no code can be asked for: whoever has given none is not
        verified by one."""
        given = self._ctx.secret.code_digits > 0
        if self._is_awaited() and (given or event.outcome in (SecretOutcome.UNAVAILABLE, SecretOutcome.REFUSED)):
            prompts = self._ctx.locale.prompts
            self._checked(event.outcome, prompts.code_wrong, prompts.code_unavailable, now)

    def code_asked(self, event: SecondFactorAsked, now: float) -> None:
        """The PIN was right, and a code of a second factor must prove the caller too."""
        ctx = self._ctx
        if not self._is_awaited() or ctx.secret.code_digits:
            return
        self._answered(now)
        ctx.secret.code_digits = event.digits
        ctx.emit(ExpectSecret(event.digits))
        *before, question = self._filled(ctx.locale.prompts.ask_code)
        ctx.waiting_for = OpenQuestion.PIN
        self._say_question(tuple(text for text in (*before, event.sentence, question) if text))

    def _is_awaited(self) -> bool:
        return self._ctx.checking_secret and self._ctx.call is CallState.ACTIVE

    def _answered(self, now: float) -> None:
        ctx = self._ctx
        ctx.checking_secret = False
        ctx.secret.digits = 0
        ctx.emit(DiscardSecret())
        self._contest_what_began_meanwhile(now)

    def _checked(
        self, outcome: SecretOutcome, wrong: tuple[str, ...], unavailable: tuple[str, ...], now: float
    ) -> None:
        ctx = self._ctx
        self._answered(now)
        prompts = ctx.locale.prompts
        if outcome is SecretOutcome.VERIFIED:
            self._verified()
        elif outcome is SecretOutcome.LOCKED:
            self._stop_collecting()
            self._escalate(PolicyReason.IDENTITY_LOCKED, now, preface=prompts.pin_locked)
        elif outcome is SecretOutcome.REFUSED:
            self._stop_collecting()
            self._escalate(PolicyReason.IDENTITY_REQUIRED, now, preface=prompts.code_missing)
        elif outcome is SecretOutcome.INCOMPLETE:
            self._ask_for_all_digits()
        elif outcome is SecretOutcome.UNAVAILABLE:
            self._stop_collecting()
            ctx.failures += 1
            ctx.say(unavailable, Purpose.FALLBACK)
        else:  # a wrong PIN and an unknown caller sound the same, so that caller ids cannot be probed
            self._say_question(wrong)

    def _contest_what_began_meanwhile(self, now: float) -> None:
        """The caller began to speak while the secret was checked: the agent's next words wait for the verdict on it."""
        ctx = self._ctx
        if ctx.turn is not None and ctx.caller is not CallerState.SILENT:
            ctx.turn.contest = True
            ctx.timers.set(Timer.BARGE_COMMIT, now + ctx.settings.barge_in.speaking.commit_s)

    def _verified(self) -> None:
        ctx = self._ctx
        ctx.verified = True
        request = ctx.secret.request
        turn_id = ctx.secret.turn_id or ctx.latest_turn()
        ctx.secret.by_code = ctx.secret.code_digits > 0
        self._stop_collecting()
        ctx.waiting_for = OpenQuestion.NONE
        accepted = ctx.locale.prompts.pin_accepted
        if request is None:
            ctx.say((accepted, ctx.locale.prompts.greeting[-1]), Purpose.ANSWER)
        else:
            ctx.history.repeat_request(request)
            ctx.start_reply(turn_id, lead_in=accepted)

    def _stop_collecting(self) -> None:
        ctx = self._ctx
        if ctx.secret.collecting:
            ctx.emit(DiscardSecret())
        ctx.secret.collecting = False
        ctx.secret.request = None
        ctx.secret.digits = 0
        ctx.secret.misses = 0
        if ctx.secret.code_digits:  # the next proof begins with the PIN
            ctx.secret.code_digits = 0
            ctx.emit(ExpectSecret(ctx.secret_digits))
        ctx.timers.clear(Timer.SECRET)
