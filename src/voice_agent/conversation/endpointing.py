"""Has the caller finished? How much silence a turn needs before it is committed.

Theory of operation: at a pause the recogniser gives a final and the end-of-turn model a probability, both while the
silence is still short. From the words, the probability and what the agent just asked follows a *needed silence*; the
turn is committed when the silence has lasted that long. Nothing here blocks a turn for good: the longest wait is
``max_s``.

The end-of-turn model alone calls 69 % of mid-sentence cuts complete; combined with the last-words check 27-33 %, while
87-97 % of true ends are kept. So a doubt extends the wait instead of blocking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voice_agent.conversation.locales import LocaleProfile
from voice_agent.models import OpenQuestion


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """Silences in seconds since the last voiced sample; ``threshold`` is the end-of-turn probability that counts as
    finished."""

    min_s: float = 0.2
    unsure_s: float = 0.8
    max_s: float = 1.8
    threshold: float = 0.5
    order_digits: int = 5
    secret_digits: int = 4


@dataclass(frozen=True, slots=True)
class EndpointDecision:
    """``wait_s`` is the silence needed since the last voiced sample; ``rule`` names why."""

    wait_s: float
    rule: str


def words_of(text: str) -> list[str]:
    """Lower-case words, digits kept, punctuation dropped."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def needed_silence(
    text: str,
    *,
    probability: float | None,
    question: OpenQuestion,
    secret_digits: int | None,
    locale: LocaleProfile,
    settings: EndpointingSettings,
) -> EndpointDecision:
    """The rule that applies, first match wins. ``secret_digits`` is None unless a secret is being collected.

    ``probability`` is None while the end-of-turn model has not answered: the pause then counts as unsure.
    """
    words = words_of(text)
    if secret_digits is not None and secret_digits > 0:
        if secret_digits >= settings.secret_digits:
            return EndpointDecision(settings.min_s, "secret_complete")
        return EndpointDecision(settings.max_s, "secret_incomplete")
    if _ends_with_any(words, locale.hesitations):
        return EndpointDecision(settings.max_s, "hesitation")
    if words and words[-1] in locale.open_endings:
        return EndpointDecision(
            settings.max_s if _unlikely(probability, settings) else settings.unsure_s, "open_phrase"
        )
    if question is OpenQuestion.YES_NO and words and set(words) <= locale.yes_no_words:
        return EndpointDecision(settings.min_s, "yes_no_answer")
    if question is OpenQuestion.ORDER_NUMBER and words and _is_number_like(words[-1], locale):
        digits = sum(len(word) if word.isdigit() else word in locale.digit_words for word in words)
        if digits >= settings.order_digits:
            return EndpointDecision(settings.min_s, "number_complete")
        return EndpointDecision(settings.max_s, "number_incomplete")
    if probability is None:
        return EndpointDecision(settings.unsure_s, "unscored")
    if probability >= settings.threshold:
        return EndpointDecision(settings.min_s, "complete")
    return EndpointDecision(settings.unsure_s, "unsure")


def _unlikely(probability: float | None, settings: EndpointingSettings) -> bool:
    return probability is None or probability < settings.threshold


def _ends_with_any(words: list[str], endings: frozenset[str]) -> bool:
    return any(" ".join(words[-size:]) in endings for size in range(1, min(4, len(words)) + 1))


def _is_number_like(word: str, locale: LocaleProfile) -> bool:
    return word.isdigit() or word in locale.digit_words
