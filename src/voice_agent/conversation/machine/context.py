"""The machine's state and the few primitive moves that every part of it uses."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.conversation import states
from voice_agent.conversation.caller_rhythm import CallerRhythm
from voice_agent.conversation.commands import (
    CancelReason,
    CancelReply,
    Command,
    DropTurn,
    EndCall,
    PausePlayout,
    Purpose,
    ReleaseReply,
    Say,
    StartReply,
)
from voice_agent.conversation.endpointing import words_of
from voice_agent.conversation.events import ToolReturned, ToolStarted, TransferFinished
from voice_agent.conversation.history import DialogueHistory
from voice_agent.conversation.locales import LocaleProfile, resolve_locale
from voice_agent.conversation.machine.reply import AgentReply
from voice_agent.conversation.machine.settings import MachineSettings
from voice_agent.conversation.machine.timers import TURN_TIMERS, Timer, Timers
from voice_agent.conversation.questions import open_question
from voice_agent.conversation.states import (
    AgentState,
    AgentTrigger,
    CallerState,
    CallerTrigger,
    CallState,
    CallTrigger,
)
from voice_agent.models import (
    CallId,
    CallOutcome,
    Message,
    OpenQuestion,
    PolicyDecision,
    PolicyReason,
    ReplyId,
    Role,
    ToolCall,
    TurnId,
    UtteranceId,
)

_NO_CALL = CallId("")
NEVER = float("-inf")
# Of a question's words: people answer one before its last word, having heard what matters.
_MOSTLY = 0.8


@dataclass(slots=True)
class CallerTurn:
    """What the caller is saying now. Times are call seconds.

    ``carried_text`` is an earlier turn that this one continues; ``onset_at`` belongs to the newest burst of speech;
    ``contest`` is true while it is undecided whether this speech interrupts the agent; ``over_agent`` stays true once
    the turn began while the agent spoke. ``drafts`` counts the answers begun for it before it was certain.
    ``final_asked``: a final is on its way; ``unasked_final_at`` is when the recogniser gave one of its own accord,
    ``NEVER`` once anything followed it; ``ends``: the recogniser, which judges turns itself, is sure that it is over.
    ``text_voiced_s`` is how long the burst had lasted when the newest partial came; ``level_dbfs`` and ``echo`` are the
    newest measurements of it; ``echoed`` says that it was held for an echo and paused nothing, ``echo_dbfs`` how loud
    the echo in this turn was, ``echo_doubted`` that one measurement spoke against it, ``after_prompt`` that the caller
    had just been asked whether they are still there. ``grew_at`` is when a partial last went beyond the final;
    ``acknowledged_at`` when the agent last said "okay" in it; ``paused``: the caller went on after a pause.
    """

    turn_id: TurnId
    utterance_id: UtteranceId
    opened_at: float
    carried_text: str = ""
    text: str = ""
    keys: str = ""
    has_final: bool = False
    score: float | None = None
    confidence: float = 1.0
    secret_digits: int = 0
    onset_at: float = 0.0
    last_voiced_at: float = 0.0
    contest: bool = False
    over_agent: bool = False
    drafts: int = 0
    final_asked: bool = False
    unasked_final_at: float = NEVER
    ends: bool = False
    text_voiced_s: float = 0.0
    level_dbfs: float | None = None
    echo: float | None = None
    echoed: bool = False
    echo_dbfs: float | None = None
    echo_doubted: bool = False
    after_prompt: bool = False
    grew_at: float = NEVER
    acknowledged_at: float = NEVER
    paused: bool = False

    def full_text(self) -> str:
        return " ".join(part for part in (self.carried_text, self.text, self.keys) if part).strip()


@dataclass(slots=True)
class SecretCapture:
    """Collecting a PIN, or a code: ``digits`` counts what the call's vault holds; ``request`` is what was asked before;
    ``turn_id`` is the turn that completed the digits. ``code_digits`` is 0 until the PIN was right and the code of a second
    factor is due; ``by_code``: the caller was verified by one."""

    collecting: bool = False
    digits: int = 0
    request: str | None = None
    misses: int = 0
    turn_id: TurnId | None = None
    code_digits: int = 0
    by_code: bool = False


@dataclass(slots=True)
class Draft:
    """An answer begun before its turn is certain. ``text`` is what it answers; ``reply`` is None once the draft is of no
    use (it failed, or policy wants something else); ``decision`` is None until the meanings are known; ``tool_events``
    take effect once the draft is taken up."""

    turn_id: TurnId
    text: str
    reply: AgentReply | None
    decision: PolicyDecision | None = None
    tool_events: list[ToolStarted | ToolReturned] = field(default_factory=list)

    def answers(self, turn: CallerTurn) -> bool:
        return self.turn_id == turn.turn_id and words_of(self.text) == words_of(turn.full_text())


@dataclass(slots=True)
class CallContext:
    settings: MachineSettings
    locale: LocaleProfile = field(default_factory=lambda: resolve_locale(""))
    call_id: CallId = _NO_CALL
    caller_id: str = ""
    verified: bool = False
    call: CallState = CallState.CONNECTING
    caller: CallerState = CallerState.SILENT
    agent: AgentState = AgentState.IDLE
    waiting_for: OpenQuestion = OpenQuestion.NONE
    said: str = ""
    said_at: float = NEVER
    history: DialogueHistory = field(default_factory=DialogueHistory)
    timers: Timers = field(default_factory=Timers)
    secret: SecretCapture = field(default_factory=SecretCapture)
    turn: CallerTurn | None = None
    draft: Draft | None = None
    held_events: list[ToolStarted | ToolReturned] = field(default_factory=list)
    deciding: TurnId | None = None
    checking_secret: bool = False
    confirming: ToolCall | None = None
    reply: AgentReply | None = None
    failures: int = 0
    turns_taken: int = 0
    answered: int = 0
    idle_prompts: int = 0
    on_hold: bool = False
    rhythm: CallerRhythm = field(default_factory=CallerRhythm)
    committed_voiced_at: float = NEVER
    acknowledging: ReplyId | None = None
    open_calls: dict[str, ToolCall] = field(default_factory=dict)
    fillers: int = 0
    voice_lost: bool = False
    handover_reason: PolicyReason = PolicyReason.NONE
    handed_over: TransferFinished | None = None
    out: list[Command] = field(default_factory=list)
    now: float = 0.0
    _last_turn: int = 0
    _last_reply: int = 0
    _last_understanding: int = 0

    @property
    def secret_digits(self) -> int:
        """How many digits the secret has that is or would be collected."""
        return self.secret.code_digits or self.settings.secret_digits

    def emit(self, command: Command) -> None:
        self.out.append(command)

    def move_caller(self, trigger: CallerTrigger) -> None:
        self.caller = states.advance(states.CALLER_TABLE, self.caller, trigger)

    def move_agent(self, trigger: AgentTrigger) -> None:
        self.agent = states.advance(states.AGENT_TABLE, self.agent, trigger)

    def move_call(self, trigger: CallTrigger) -> None:
        self.call = states.advance(states.CALL_TABLE, self.call, trigger)

    def new_turn(self, now: float) -> CallerTurn:
        self._last_turn += 1
        self.turn = CallerTurn(TurnId(self._last_turn), UtteranceId(self._last_turn), opened_at=now, last_voiced_at=now)
        return self.turn

    def next_reply_id(self) -> ReplyId:
        self._last_reply += 1
        return ReplyId(self._last_reply)

    def next_understanding(self) -> int:
        self._last_understanding += 1
        return self._last_understanding

    @property
    def newest_understanding(self) -> int:
        return self._last_understanding

    def messages(self) -> tuple[Message, ...]:
        """The dialogue for a language model; what a draft answers stands at its end as if it were certain."""
        window = self.history.window()
        return (*window, Message(Role.CALLER, self.draft.text)) if self.draft is not None else window

    def latest_turn(self) -> TurnId:
        return TurnId(self._last_turn)

    def abandon_turn(self, rule: str) -> None:
        """Something else takes the place of what the caller was saying."""
        if self.turn is not None:
            self.emit(DropTurn(self.turn.turn_id, rule))
        self.turn = None
        self.drop_draft()
        self.move_caller(CallerTrigger.SETTLE)
        self.timers.clear(*TURN_TIMERS)

    def say(
        self,
        segments: tuple[str, ...],
        purpose: Purpose,
        *,
        turn_id: TurnId | None = None,
        interruptible: bool = True,
        then_end: tuple[CallOutcome, str] | None = None,
    ) -> None:
        """Speak fixed text in place of whatever reply there is."""
        reply = self._begin_reply(purpose, turn_id, interruptible=interruptible, then_end=then_end)
        self.emit(Say(reply.reply_id, segments, purpose, interruptible))
        self._hold_if_contested(reply)

    def start_reply(self, turn_id: TurnId, *, lead_in: str = "", confirmed: ToolCall | None = None) -> None:
        """Let the language model answer the dialogue so far; a draft of that answer is taken up. ``confirmed`` runs
        first."""
        draft = self.draft
        if draft is not None and draft.turn_id == turn_id and draft.reply is not None and not lead_in and not confirmed:
            self.draft = None
            self.held_events = draft.tool_events
            self._take_up(draft.reply)
            return
        reply = self._begin_reply(Purpose.ANSWER, turn_id, interruptible=True, then_end=None)
        self.emit(StartReply(reply.reply_id, turn_id, self.waiting_for, self.verified, lead_in, confirmed=confirmed))
        self._hold_if_contested(reply)

    def _take_up(self, reply: AgentReply) -> None:
        self.drop_reply(CancelReason.SUPERSEDED)
        self.timers.clear(Timer.IDLE)
        self.reply = reply
        self.move_agent(AgentTrigger.THINK)
        self.emit(ReleaseReply(reply.reply_id))
        self._hold_if_contested(reply)

    def drop_draft(self) -> None:
        """The draft, if there is one, is not wanted."""
        self.give_up_draft()
        self.draft = None

    def give_up_draft(self) -> None:
        """The draft's words are of no use; what is known of its turn is kept."""
        if self.draft is not None and self.draft.reply is not None:
            self.emit(CancelReply(self.draft.reply.reply_id, CancelReason.SPECULATION))
            self.draft.reply = None

    def draft_for(self, turn: CallerTurn) -> Draft | None:
        """The draft that answers ``turn`` as it stands; one for other words is dropped."""
        if self.draft is not None and not self.draft.answers(turn):
            self.drop_draft()
        return self.draft

    def _hold_if_contested(self, reply: AgentReply) -> None:
        if self.turn is not None and self.turn.contest and reply.interruptible:
            self.pause_reply(reply)

    def pause_reply(self, reply: AgentReply) -> None:
        if not reply.paused:
            reply.paused = True
            self.emit(PausePlayout(reply.reply_id))

    def _begin_reply(
        self,
        purpose: Purpose,
        turn_id: TurnId | None,
        *,
        interruptible: bool,
        then_end: tuple[CallOutcome, str] | None,
    ) -> AgentReply:
        if then_end is None and self.reply is not None:
            then_end = self.reply.then_end  # a call that was about to end still ends
        self.drop_reply(CancelReason.SUPERSEDED)
        self.confirming = None  # a yes to something else said since ("are you still there?") agrees to nothing
        self.timers.clear(Timer.IDLE)
        self.reply = AgentReply(self.next_reply_id(), purpose, turn_id, interruptible, then_end)
        self.move_agent(AgentTrigger.THINK)
        return self.reply

    def drop_reply(self, reason: CancelReason) -> None:
        """Cancel the reply, if there is one, for another reason than an interruption; what was heard of it stays."""
        reply = self.reply
        self.deciding = None
        self.drop_draft()
        self.end_acknowledgement()
        if reply is not None:
            self.emit(CancelReply(reply.reply_id, reason))
            heard = reply.heard(self.now)
            self.remember(reply, heard.text, interrupted=True, confidence=heard.confidence)
        self.reply = None
        self.move_agent(AgentTrigger.STOP)

    def remember(self, reply: AgentReply, heard_text: str, *, interrupted: bool, confidence: float = 1.0) -> None:
        if reply.purpose is Purpose.CONFIRM and interrupted and not _mostly_heard(heard_text, reply.full_text()):
            self.confirming = None  # nobody agrees to what they have not heard
        aside = reply.purpose is Purpose.ASK_SECRET
        self.history.add_agent(heard_text, interrupted=interrupted, confidence=confidence, aside=aside)
        self.said, self.said_at = heard_text or self.said, self.now

    def arm_filler(self, from_s: float, *, not_before: float = NEVER) -> None:
        """The caller waits for an answer, in silence since ``from_s``."""
        if self.settings.filler_after_s > 0:
            self.timers.set(Timer.FILLER, max(from_s + self.settings.filler_after_s, not_before))

    def settle_agent(self, now: float, reply: AgentReply, heard_text: str) -> None:
        """The agent has stopped talking: note what its words ask and wait for the caller."""
        self.reply = None
        self.move_agent(AgentTrigger.STOP)
        self.note_question(reply, heard_text)
        self.arm_idle(now)

    def acknowledge(self) -> None:
        """Says "okay" while the turn stays the caller's: no reply, nothing for the history, and cut by the next word."""
        self.drop_draft()
        self.acknowledging = self.next_reply_id()
        self.emit(Say(self.acknowledging, self.locale.prompts.go_on, Purpose.ACKNOWLEDGE))

    def end_acknowledgement(self) -> None:
        if self.acknowledging is not None:
            self.emit(CancelReply(self.acknowledging, CancelReason.SUPERSEDED))
            self.acknowledging = None

    def note_question(self, reply: AgentReply, heard_text: str) -> None:
        """What the agent waits for follows from its words; a remark on the side ("are you still there?") changes nothing."""
        if heard_text and reply.purpose not in (Purpose.IDLE, Purpose.FALLBACK):
            self.waiting_for = open_question(heard_text, self.locale.tag)

    def arm_idle(self, now: float) -> None:
        if self.call is CallState.ACTIVE and self.agent is AgentState.IDLE and self.caller is CallerState.SILENT:
            first_s = self.settings.hold_patience_s if self.on_hold else self.settings.idle_prompt_s
            wait_s = self.settings.idle_hangup_s if self.idle_prompts else first_s
            self.timers.set(Timer.IDLE, now + wait_s)

    def end(self, outcome: CallOutcome, reason: str) -> None:
        if self.call is CallState.ENDED:
            return
        self.drop_draft()
        self.end_acknowledgement()
        if self.reply is not None:
            self.drop_reply(CancelReason.ENDED)
        self.timers.clear_all()
        self.turn = None
        self.move_call(CallTrigger.END)
        self.emit(EndCall(outcome, reason))


def _mostly_heard(heard: str, whole: str) -> bool:
    return len(heard.split()) >= _MOSTLY * len(whole.split())
