"""What happened. Past tense, frozen, free of audio and of clocks.

Every event enters the machine through the call's inbox, is stamped there with the time, and is written to the event
log under its ``name`` (the life-cycle names of the product contract where one exists). Caller text in an event is
already masked: secrets and personal data are placeholders by the time an event exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from voice_agent.conversation.grounding import ClaimKind
from voice_agent.models import (
    CallId,
    MeaningScore,
    ReplyId,
    SecretOutcome,
    ToolCall,
    ToolResult,
    TransferReceipt,
    TurnId,
    UtteranceId,
)


class Stage(StrEnum):
    """The part of a call that failed; a closed set, safe as a metric label."""

    ASR = "asr"
    LLM = "llm"
    TTS = "tts"
    TOOL = "tool"
    UNDERSTANDING = "understanding"
    IDENTITY = "identity"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The door admitted a call. ``wall`` is ISO 8601 UTC, for people; ``locale`` is the resolved one; ``agent`` names who
    takes it."""

    name: ClassVar[str] = "call_start"
    call_id: CallId
    caller_id: str
    locale: str
    requested_locale: str
    wall: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The voice detector is sure of an onset; speech has lasted ``voiced_s`` already.

    ``level_dbfs`` is the speech's level so far, None where it was not measured; ``echo`` the share of its power, in
    [0, 1], that is the agent's own audio coming back, None where the agent has not been heard lately. So in the two
    events below.
    """

    name: ClassVar[str] = "speech_started"
    voiced_s: float
    level_dbfs: float | None = None
    echo: float | None = None


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller paused: the last voiced sample lies ``silence_s`` back; the speech had lasted ``voiced_s``."""

    name: ClassVar[str] = "speech_stopped"
    silence_s: float
    voiced_s: float
    level_dbfs: float | None = None
    echo: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptPartial:
    """A hypothesis for the utterance so far; ``confidence`` and ``secret_digits`` as in a final. ``resumed``: the recogniser
    takes back an end of the turn that it had thought likely."""

    name: ClassVar[str] = "asr_partial"
    utterance_id: UtteranceId
    text: str
    secret_digits: int = 0
    confidence: float = 1.0
    level_dbfs: float | None = None
    echo: float | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class TranscriptFinal:
    """The whole utterance so far, replacing earlier finals of it.

    ``secret_digits`` counts the digits of the last complete run that was taken out of ``text`` while a secret was
    being collected; the digits themselves never enter an event. ``ends_turn``: the recogniser judges turns itself and is
    sure that this one is over.
    """

    name: ClassVar[str] = "asr_final"
    utterance_id: UtteranceId
    text: str
    confidence: float = 1.0
    secret_digits: int = 0
    ends_turn: bool = False


@dataclass(frozen=True, slots=True)
class TurnScored:
    """The end-of-turn model's opinion: probability in [0, 1] that the caller has finished."""

    name: ClassVar[str] = "turn_scored"
    utterance_id: UtteranceId
    probability: float


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """A key was pressed. ``key`` is 0-9, * or #, or empty where the digit was taken as part of a secret."""

    name: ClassVar[str] = "dtmf"
    key: str


@dataclass(frozen=True, slots=True)
class TurnUnderstood:
    """The policy-relevant meanings of a turn, best first. ``request`` is that of the ``Understand`` it answers."""

    name: ClassVar[str] = "turn_understood"
    turn_id: TurnId
    meanings: tuple[MeaningScore, ...]
    request: int = 1


@dataclass(frozen=True, slots=True)
class SecretChecked:
    """The store compared the collected PIN; ``VERIFIED`` where nothing more is needed. ``attempts_left`` counts tries before
    lock-out."""

    name: ClassVar[str] = "secret_checked"
    outcome: SecretOutcome
    attempts_left: int


@dataclass(frozen=True, slots=True)
class SecondFactorAsked:
    """The collected PIN was right, and does not do: a second factor wants a code of ``digits`` digits too. ``sentence`` is
    what it says about where the code is found, in the call's language; empty where it says nothing."""

    name: ClassVar[str] = "second_factor_asked"
    digits: int
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class CodeChecked:
    """The second factor compared the collected code, or could not ask for one (``UNAVAILABLE``, ``REFUSED``).
    ``attempts_left`` counts tries before lock-out."""

    name: ClassVar[str] = "code_checked"
    outcome: SecretOutcome
    attempts_left: int


@dataclass(frozen=True, slots=True)
class LlmStarted:
    """A request went to the language model; ``round`` counts from 1 within a reply."""

    name: ClassVar[str] = "llm_start"
    reply_id: ReplyId
    round: int


@dataclass(frozen=True, slots=True)
class LlmAnswered:
    """The language model's first words or tool call of a round."""

    name: ClassVar[str] = "llm_first_token"
    reply_id: ReplyId
    round: int


@dataclass(frozen=True, slots=True)
class SegmentWritten:
    """A speakable segment (about a sentence) is ready for synthesis; ``index`` counts from 0 within a reply. One that is
    not ``interruptible`` is spoken to its end whatever the caller says."""

    name: ClassVar[str] = "llm_sentence"
    reply_id: ReplyId
    index: int
    text: str
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class SegmentWithheld:
    """The model wrote a segment whose claims of these kinds nothing known supports; it was not spoken. ``again``: the model
    was asked anew, else a fixed sentence took its place."""

    name: ClassVar[str] = "llm_withheld"
    reply_id: ReplyId
    kinds: tuple[ClaimKind, ...]
    again: bool


@dataclass(frozen=True, slots=True)
class LlmFinished:
    """One round of the language model ended; it asked for ``tool_calls`` (none: the text is complete). Token counts are 0
    where the provider does not tell them."""

    name: ClassVar[str] = "llm_done"
    reply_id: ReplyId
    round: int
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The router took a tool call; one that ``writes`` changes something outside of the call."""

    name: ClassVar[str] = "tool_call"
    reply_id: ReplyId
    tool_call: ToolCall
    writes: bool = False


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """The one terminal result of a tool call."""

    name: ClassVar[str] = "tool_result"
    reply_id: ReplyId
    result: ToolResult


@dataclass(frozen=True, slots=True)
class SynthesisStarted:
    """A segment's text was handed to the synthesiser."""

    name: ClassVar[str] = "tts_start"
    reply_id: ReplyId
    index: int


@dataclass(frozen=True, slots=True)
class SynthesisBegan:
    """The synthesiser gave the segment's first audio."""

    name: ClassVar[str] = "tts_first_audio"
    reply_id: ReplyId
    index: int


@dataclass(frozen=True, slots=True)
class SynthesisFinished:
    """All audio of the segment exists; it lasts ``duration_s``."""

    name: ClassVar[str] = "tts_done"
    reply_id: ReplyId
    index: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class FillerSpoken:
    """A prepared phrase of ``duration_s`` was put before the segment ``before_index``, whose audio is late."""

    name: ClassVar[str] = "filler"
    reply_id: ReplyId
    before_index: int
    text: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The first sample of the reply left the server."""

    name: ClassVar[str] = "playout_started"
    reply_id: ReplyId


@dataclass(frozen=True, slots=True)
class PlayoutStarved:
    """All audio that there is of the reply has been heard, and more is to come."""

    name: ClassVar[str] = "playout_starved"
    reply_id: ReplyId


@dataclass(frozen=True, slots=True)
class PlayoutAdvanced:
    """``heard_s`` seconds of the reply have reached the ear: acknowledged by the client (``acknowledged``), or by the
    paced clock."""

    name: ClassVar[str] = "playout"
    reply_id: ReplyId
    heard_s: float
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """Everything the reply had to say was generated, sent and played."""

    name: ClassVar[str] = "reply_finished"
    reply_id: ReplyId
    heard_s: float


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The reply ended before its time. ``category`` is a ``ProviderFault`` value. ``exhausted``: no provider of the stage
    gave a result, so asking again would be in vain."""

    name: ClassVar[str] = "reply_failed"
    reply_id: ReplyId
    stage: Stage
    category: str
    heard_s: float = 0.0
    exhausted: bool = False


@dataclass(frozen=True, slots=True)
class StageFailed:
    """A stage outside of replies failed: recognition was lost, the turn ``turn_id`` was not understood in time
    (``request``: which asking about it; see ``Understand``)."""

    name: ClassVar[str] = "stage_failed"
    stage: Stage
    category: str
    turn_id: TurnId | None = None
    request: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderSwitched:
    """From now on ``provider`` serves the stage (empty: none is left), instead of ``previous``. ``reason`` is a
    ``ProviderFault`` value, "hedge" (the other was quicker) or "recovered" (back to the preferred one)."""

    name: ClassVar[str] = "failover"
    stage: Stage
    previous: str
    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """The handover was made or recorded; ``receipt`` is None where even recording it failed."""

    name: ClassVar[str] = "transfer"
    receipt: TransferReceipt | None


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    """The caller's side ended the call, or the server must (``reason`` is a short code, e.g. "hangup", "lost",
    "shutdown", "protocol", "overflow")."""

    name: ClassVar[str] = "hung_up"
    reason: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The machine's own deadline passed. Logged so that a replay sees the same ticks."""

    name: ClassVar[str] = "timer"


Event = (
    CallStarted
    | SpeechStarted
    | SpeechStopped
    | TranscriptPartial
    | TranscriptFinal
    | TurnScored
    | DtmfReceived
    | TurnUnderstood
    | SecretChecked
    | SecondFactorAsked
    | CodeChecked
    | LlmStarted
    | LlmAnswered
    | SegmentWritten
    | SegmentWithheld
    | LlmFinished
    | ToolStarted
    | ToolReturned
    | SynthesisStarted
    | SynthesisBegan
    | SynthesisFinished
    | FillerSpoken
    | PlayoutStarted
    | PlayoutStarved
    | PlayoutAdvanced
    | ReplyFinished
    | ReplyFailed
    | StageFailed
    | ProviderSwitched
    | TransferFinished
    | CallerHungUp
    | TimerFired
)
