"""Is this an interruption? The verdict on speech heard while the agent thinks or speaks.

Theory of operation: the first evidence of speech pauses the agent (cheap and reversible); this verdict then decides
whether it stops for good or goes on where it paused. Words decide where there are any; duration decides where there
are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voice_agent.conversation.endpointing import words_of
from voice_agent.conversation.locales import LocaleProfile


class Verdict(StrEnum):
    INTERRUPTION = "interruption"
    NOT_INTERRUPTION = "not_interruption"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class BargeInDecision:
    verdict: Verdict
    rule: str


@dataclass(frozen=True, slots=True)
class BargeInSettings:
    """``pause_s`` of speech pauses the agent, ``commit_s`` stops it unless it sounds like a backchannel, and nothing
    is held undecided longer than ``patience_s``.

    Speech no longer than ``mumble_s`` that the recogniser is not sure of (below ``mumble_confidence``) is a mumble:
    recognisers make words of "mm-hmm", with confidences of 0.5 to 0.8. The agent goes on ``grace_s`` after one.
    """

    pause_s: float = 0.096
    commit_s: float = 0.6
    patience_s: float = 2.0
    mumble_s: float = 0.6
    mumble_confidence: float = 0.8
    grace_s: float = 0.5


def judge(
    text: str,
    *,
    final: bool,
    voiced_s: float,
    confidence: float,
    answers_question: bool,
    locale: LocaleProfile,
    settings: BargeInSettings,
) -> BargeInDecision:
    """``text`` is the newest hypothesis (``final``: speech ended and this is all of it), ``confidence`` a final's, in
    [0, 1]; ``voiced_s`` is how long the speech lasts; ``answers_question`` says that the agent has just asked something
    which "yes" would answer."""
    words = words_of(text)
    backchannel = bool(words) and (
        " ".join(words) in locale.backchannels or all(w in locale.backchannels for w in words)
    )
    if backchannel and answers_question and any(word in locale.yes_no_words for word in words):
        return BargeInDecision(Verdict.INTERRUPTION, "answer")
    if any(word in locale.stop_words for word in words):
        return BargeInDecision(Verdict.INTERRUPTION, "stop_word")
    if final and voiced_s <= settings.mumble_s and confidence < settings.mumble_confidence:
        return BargeInDecision(Verdict.NOT_INTERRUPTION, "mumble" if words else "noise")
    if words and not backchannel and (final or len(words) >= 2):
        return BargeInDecision(Verdict.INTERRUPTION, "words")
    if final:
        return BargeInDecision(Verdict.NOT_INTERRUPTION, "backchannel" if backchannel else "noise")
    if voiced_s >= settings.patience_s:
        return BargeInDecision(Verdict.INTERRUPTION, "duration")
    if words and not backchannel and voiced_s >= settings.commit_s:
        return BargeInDecision(Verdict.INTERRUPTION, "words")
    return BargeInDecision(Verdict.UNDECIDED, "backchannel" if backchannel else "no_words")
