"""Ids and plain records that cross rooms. Frozen, slotted, no behaviour beyond small derivations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

CallId = NewType("CallId", str)
TurnId = NewType("TurnId", int)
ReplyId = NewType("ReplyId", int)
UtteranceId = NewType("UtteranceId", int)


class Role(StrEnum):
    SYSTEM = "system"
    CALLER = "user"
    AGENT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as a language model asks for it. ``arguments`` is the model's JSON text, unvalidated."""

    call_id: str
    name: str
    arguments: str


class ToolStatus(StrEnum):
    OK = "ok"
    BUSINESS_ERROR = "business_error"  # "no such order": an answer, not a failure
    DENIED = "denied"  # the router refused: identity, unknown tool, not callable by the model
    INVALID = "invalid"  # the arguments do not match the schema
    FAILED = "failed"  # error, timeout or open breaker


# The ``reason`` of a denied call that waits for the caller's agreement.
CONFIRMATION_REQUIRED = "confirmation_required"

# The ``reason`` of a failed call that may have changed what it was to change.
OUTCOME_UNKNOWN = "outcome_unknown"

# The ``reason`` of a failed call that only reads and was given up because the call was over: no fault of the tool.
CALL_ENDED = "call_ended"


@dataclass(frozen=True, slots=True)
class ToolScope:
    """Which tools an agent has, by name: ``only`` these (None: all there are), ``without`` those."""

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return name not in self.without and (self.only is None or name in self.only)


ALL_TOOLS = ToolScope()


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One terminal result per tool call.

    ``data`` is what the model sees (JSON-able); ``reason`` is a short code from the tool ("not_found",
    "identity_required", "timeout", …); ``spoken`` is a ready sentence where the tool has one (fallbacks do); ``planted``
    names the rules that found instructions in ``data``, where they stand in brackets now.
    """

    call_id: str
    name: str
    status: ToolStatus
    data: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    spoken: str = ""
    duration_ms: float = 0.0
    planted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the dialogue as a language model sees it.

    ``interrupted`` marks an agent message that was cut where the caller stopped hearing it; ``heard_confidence``, in
    [0, 1], is how likely the cut is at the right word.
    """

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_result: ToolResult | None = None
    interrupted: bool = False
    heard_confidence: float = 1.0


class HeardBasis(StrEnum):
    """How it is known what the caller has heard."""

    ACKNOWLEDGED = "acknowledged"  # the client says what it has played
    PACED = "paced"  # sent audio is taken as heard when its time has come
    WHOLE = "whole"  # the reply was played to its end


class OpenQuestion(StrEnum):
    """What the agent's last words ask of the caller; read by endpointing and by the language model."""

    NONE = "none"
    YES_NO = "yes_no"
    ORDER_NUMBER = "order_number"
    PIN = "pin"
    EMAIL = "email"
    DATE = "date"
    PHONE = "phone"
    ADDRESS = "address"  # a postal one
    OPEN = "open"  # a question without a fixed shape ("how can I help?")


class Meaning(StrEnum):
    """Semantic classes of a caller turn that policy acts on. A closed set; examples live in data."""

    INJECTION = "injection"
    ABUSE = "abuse"
    HUMAN_WANTED = "human_wanted"
    EMERGENCY = "emergency"
    LEGAL_THREAT = "legal_threat"
    FRAUD_REPORT = "fraud_report"
    CARD_DETAILS = "card_details"  # the caller offers or tells a card number, its expiry or its security code
    NEEDS_IDENTITY = "needs_identity"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MeaningScore:
    """How well one class fits a caller turn. ``score`` is about 1 for the class's own examples and about 0 for texts
    unlike them; ``margin`` is its lead over the best other class (negative behind it); ``accepted`` says that threshold
    and margin are met; ``example`` is the nearest one. ``rule`` names the hard rule that accepted the class (score and
    margin are 1 then) or forbade it; it is empty where examples alone decided. Never holds caller text."""

    meaning: Meaning
    score: float
    accepted: bool
    example: str = ""
    margin: float = 0.0
    rule: str = ""


class PolicyAction(StrEnum):
    BLOCK = "block"
    ESCALATE = "escalate"
    AUTHENTICATE = "authenticate"
    CONTINUE = "continue"


class PolicyReason(StrEnum):
    """Closed set: safe as a metric label, never caller words."""

    PROMPT_INJECTION = "prompt_injection"
    ABUSE = "abuse"
    HUMAN_REQUESTED = "human_requested"
    REPEATED_FAILURES = "repeated_failures"
    EMERGENCY = "emergency"
    LEGAL_THREAT = "legal_threat"
    FRAUD_REPORT = "fraud_report"
    CARD_DETAILS = "card_details"
    IDENTITY_LOCKED = "identity_locked"
    IDENTITY_REQUIRED = "identity_required"
    MAX_TURNS = "max_turns"
    PROVIDER_DOWN = "provider_down"  # recognition, the language model or synthesis, and every fallback of it
    MODEL_REQUESTED = "model_requested"  # the language model called transfer_to_human
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """What policy decided for one caller turn, and why: ``evidence`` is the nearest of our own examples, or empty where
    the hard rule ``rule`` decided, with the ``score`` and ``margin`` that the class reached. Never holds caller text."""

    action: PolicyAction
    reason: PolicyReason
    confidence: float
    evidence: str = ""
    rule: str = ""
    score: float = 0.0
    margin: float = 0.0


class SecretOutcome(StrEnum):
    """Result of checking a secret against the store, or a code by a second factor."""

    VERIFIED = "verified"
    WRONG = "wrong"
    LOCKED = "locked"
    UNKNOWN_CALLER = "unknown_caller"
    UNAVAILABLE = "unavailable"  # the store could not be asked
    REFUSED = "refused"  # a second factor is required, and this caller has none: not to be verified by telephone
    INCOMPLETE = "incomplete"  # not the number of digits a secret has: nothing was checked


class Refusal(StrEnum):
    """Why a call was not admitted."""

    DRAINING = "draining"
    STARTING = "starting"
    FULL = "full"
    PROBE = "probe"
    OVERLOAD = "overload"
    RAMP = "ramp"


class CallOutcome(StrEnum):
    """Label of ``voice_sessions_total``."""

    COMPLETED = "completed"
    ESCALATED = "escalated"
    ERROR = "error"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class TransferTarget:
    """Somewhere a call can be handed over to. ``address`` is what the channel dials (``sip:…``, ``tel:…``), or empty where
    only a callback is recorded."""

    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class ContextPacket:
    """What a human agent receives at a transfer. Texts are PII-masked before it leaves the call.

    ``tool_results`` are the results' names, statuses and data; ``transcript`` is (speaker, text) in order; ``agent`` names
    the agent that took the call, ``target`` is where it sends the caller, if it has a choice.
    """

    call_id: CallId
    caller_id: str
    verified: bool
    locale: str
    reason: PolicyReason
    summary: str
    transcript: tuple[tuple[str, str], ...]
    tool_results: tuple[ToolResult, ...]
    agent: str = ""
    target: TransferTarget | None = None


@dataclass(frozen=True, slots=True)
class TransferReceipt:
    """What became of a transfer: ``reference`` names the record an operator can look up."""

    reference: str
    connected: bool  # true: the channel moved the call; false: a callback was recorded


@dataclass(frozen=True, slots=True)
class Passage:
    """One piece of evidence. ``source`` names the document; ``score`` in [0, 1] orders passages of one search."""

    title: str
    text: str
    source: str
    score: float


@dataclass(frozen=True, slots=True)
class KnowledgeAnswer:
    """What the knowledge base found, best first. ``confidence`` in [0, 1] is the calibrated probability that the first
    passages answer the question; ``answerable`` says that it reaches the configured threshold."""

    answerable: bool
    confidence: float
    passages: tuple[Passage, ...]
