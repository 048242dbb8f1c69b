"""What to do. Imperative, frozen. The session carries them out in order; the event log keeps them beside the events.

``OpenTurn`` is the contract's turn_start, ``StopForBargeIn`` its barge_in, ``Escalate`` its escalation, ``EndCall`` its
call_end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from voice_agent.models import (
    CallOutcome,
    ContextPacket,
    HeardBasis,
    OpenQuestion,
    PolicyDecision,
    ReplyId,
    ToolCall,
    TurnId,
    UtteranceId,
)


class Purpose(StrEnum):
    """Why the agent speaks."""

    GREETING = "greeting"
    ANSWER = "answer"
    CONFIRM = "confirm"  # what is about to be changed is read back
    ASK_SECRET = "ask_secret"  # noqa: S105 - a purpose, not a password
    REFUSAL = "refusal"
    FALLBACK = "fallback"
    IDLE = "idle"
    ACKNOWLEDGE = "acknowledge"  # "okay", at a pause in a long turn of the caller: no reply of its own
    HANDOVER = "handover"
    GOODBYE = "goodbye"


class CancelReason(StrEnum):
    BARGE_IN = "barge_in"
    MERGED = "merged"  # the caller went on before the answer began
    SUPERSEDED = "superseded"
    TIMEOUT = "timeout"
    SPECULATION = "speculation"  # begun before its turn was certain, and then not wanted
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """The caller began something new: recognition starts a new utterance."""

    name: ClassVar[str] = "turn_start"
    turn_id: TurnId
    utterance_id: UtteranceId


@dataclass(frozen=True, slots=True)
class FinaliseTranscript:
    """Ask the recogniser for a final of the utterance so far."""

    name: ClassVar[str] = "finalise_transcript"
    utterance_id: UtteranceId


@dataclass(frozen=True, slots=True)
class ScoreTurn:
    """Ask the end-of-turn model about the utterance so far."""

    name: ClassVar[str] = "score_turn"
    utterance_id: UtteranceId


@dataclass(frozen=True, slots=True)
class CommitTurn:
    """The caller has finished: ``text`` is the turn; ``rule`` names the endpointing rule that ended it, ``waited_s`` the
    silence it asked for."""

    name: ClassVar[str] = "turn_committed"
    turn_id: TurnId
    text: str
    rule: str
    waited_s: float


@dataclass(frozen=True, slots=True)
class DropTurn:
    """What was heard is not a turn (noise, a backchannel): recognition forgets it."""

    name: ClassVar[str] = "turn_dropped"
    turn_id: TurnId
    rule: str


@dataclass(frozen=True, slots=True)
class Understand:
    """Find the policy-relevant meanings of a turn. ``request`` tells apart the askings about one turn, whose text may
    still have grown in between."""

    name: ClassVar[str] = "understand"
    turn_id: TurnId
    text: str
    request: int = 1


@dataclass(frozen=True, slots=True)
class Decide:
    """The policy decision for a turn, for the record."""

    name: ClassVar[str] = "policy_decision"
    turn_id: TurnId
    decision: PolicyDecision


@dataclass(frozen=True, slots=True)
class Say:
    """Speak fixed text, segment by segment."""

    name: ClassVar[str] = "say"
    reply_id: ReplyId
    segments: tuple[str, ...]
    purpose: Purpose
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class StartReply:
    """Ask the language model for an answer to the dialogue so far; speak ``lead_in`` at once, before its words.

    A ``draft`` answers a turn that is not yet certain: it is written and synthesised, but nothing of it is played and no
    tool that changes anything runs for it until ``ReleaseReply``. ``confirmed`` is a tool call that the caller has just
    agreed to: it runs first, and the answer is about its result.
    """

    name: ClassVar[str] = "start_reply"
    reply_id: ReplyId
    turn_id: TurnId
    open_question: OpenQuestion
    verified: bool
    lead_in: str = ""
    draft: bool = False
    confirmed: ToolCall | None = None


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """The turn that a draft answers is certain: let it be heard, and let its tools run."""

    name: ClassVar[str] = "release_reply"
    reply_id: ReplyId


@dataclass(frozen=True, slots=True)
class Fill:
    """The reply is late: say ``text``, which is prepared, unless its own audio is there by now."""

    name: ClassVar[str] = "fill"
    reply_id: ReplyId
    text: str


@dataclass(frozen=True, slots=True)
class PausePlayout:
    """Hold the agent's audio back: somebody may be interrupting."""

    name: ClassVar[str] = "pause_playout"
    reply_id: ReplyId


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """It was no interruption: go on where the audio paused, or up to ``rewind_s`` before, at the beginning of a sound."""

    name: ClassVar[str] = "resume_playout"
    reply_id: ReplyId
    rewind_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StopForBargeIn:
    """The caller interrupted: cancel the reply. ``heard_text`` is what the caller heard of it: ``heard_words`` of
    ``written_words``; ``confidence``, in [0, 1], says how likely it was cut at the right word, ``basis`` by which clock
    (see ``HeardBasis``)."""

    name: ClassVar[str] = "barge_in"
    reply_id: ReplyId
    heard_text: str
    rule: str
    heard_words: int = 0
    written_words: int = 0
    confidence: float = 1.0
    basis: HeardBasis = HeardBasis.PACED


@dataclass(frozen=True, slots=True)
class CancelReply:
    """End a reply for another reason than an interruption."""

    name: ClassVar[str] = "cancel_reply"
    reply_id: ReplyId
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class CheckSecret:
    """Compare the digits collected so far, a PIN, with the store."""

    name: ClassVar[str] = "check_secret"
    digits: int


@dataclass(frozen=True, slots=True)
class CheckCode:
    """Let the second factor compare the digits collected so far."""

    name: ClassVar[str] = "check_code"
    digits: int


@dataclass(frozen=True, slots=True)
class ExpectSecret:
    """From now on the secret to collect has this many digits."""

    name: ClassVar[str] = "expect_secret"
    digits: int


@dataclass(frozen=True, slots=True)
class DiscardSecret:
    """Forget the digits collected so far."""

    name: ClassVar[str] = "discard_secret"


@dataclass(frozen=True, slots=True)
class Escalate:
    """Hand the call over to a human, with everything that human needs."""

    name: ClassVar[str] = "escalation"
    packet: ContextPacket


@dataclass(frozen=True, slots=True)
class EndCall:
    """Close the call. ``reason`` is a short code from a closed set."""

    name: ClassVar[str] = "call_end"
    outcome: CallOutcome
    reason: str


Command = (
    OpenTurn
    | FinaliseTranscript
    | ScoreTurn
    | CommitTurn
    | DropTurn
    | Understand
    | Decide
    | Say
    | StartReply
    | ReleaseReply
    | Fill
    | PausePlayout
    | ResumePlayout
    | StopForBargeIn
    | CancelReply
    | CheckSecret
    | CheckCode
    | ExpectSecret
    | DiscardSecret
    | Escalate
    | EndCall
)
