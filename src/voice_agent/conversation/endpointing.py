"""Has the caller finished? How much silence a turn needs before it is committed.

Theory of operation: at a pause the recogniser gives a final and the end-of-turn model a probability, both while the
silence is still short. From the words, the probability and what the agent just asked follows a *needed silence*; the
turn is committed when the silence has lasted that long. Nothing here blocks a turn for good. The rules, first match wins:

1. *Shape*: the agent asked for a thing with a shape. A whole one ends the turn at once, a begun one is waited for; so is
   one that the caller begins unasked ("where is my order eight three one").
2. *Hold*: "hold on, let me get it" leaves the caller time to look (``hold_s``).
3. *Hesitation*: "um", "let me see" at the end: the caller goes on (``max_s``).
4. *Answer* to a yes/no question: at once.
5. *Opener*: "Hey,", "So," and a bare greeting or name rarely are all of a turn (``opener_s``).
6. Everything else is graded: the model's probability and what the words say (``turn_evidence``) are added as log-odds, and
   the belief that follows gives the wait on a continuous curve: ``min_s`` from ``sure`` on, ``unsure_s`` at ``threshold``,
   and towards ``max_s`` when nothing speaks for an end.

Waits in doubt grow and shrink with the caller's own pauses (``patience``), within bounds. The end-of-turn model alone calls
69 % of mid-sentence cuts complete; so it is never believed alone, and a doubt extends the wait instead of blocking.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from voice_agent.conversation import answer_shapes
from voice_agent.conversation.answer_shapes import Lengths, Progress
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.conversation.turn_evidence import evidence
from voice_agent.models import OpenQuestion


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """Silences in seconds since the last voiced sample. ``threshold`` is the belief in an end at which the wait is
    ``unsure_s``, ``sure`` the one from which it is ``min_s``; ``patience_least`` and ``patience_most`` bound the factor by
    which a caller's own pauses change the waits in doubt."""

    min_s: float = 0.2
    unsure_s: float = 0.8
    max_s: float = 1.8
    threshold: float = 0.5
    sure: float = 0.85
    shape_s: float = 0.5
    opener_s: float = 0.8
    hold_s: float = 5.0
    patience_least: float = 0.8
    patience_most: float = 1.8
    order_digits: int = 5
    secret_digits: int = 4


@dataclass(frozen=True, slots=True)
class EndpointDecision:
    """``wait_s`` is the silence needed since the last voiced sample; ``rule`` names why."""

    wait_s: float
    rule: str


_APOSTROPHES = str.maketrans({"’": "'", "‘": "'"})


def words_of(text: str) -> list[str]:
    """Lower-case words, digits kept, punctuation dropped."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().translate(_APOSTROPHES))


def needed_silence(
    text: str,
    *,
    probability: float | None,
    question: OpenQuestion,
    secret_digits: int | None,
    locale: LocaleProfile,
    settings: EndpointingSettings,
    patience: float = 1.0,
) -> EndpointDecision:
    """The rule that applies. ``secret_digits`` is None unless a secret is being collected; ``patience`` is the caller's
    factor on waits in doubt.

    ``probability`` is None while the end-of-turn model has not answered: the words then decide, starting from a doubt.
    """
    words = words_of(text)
    shaped = _by_shape(text, words, question, secret_digits, locale, settings, patience)
    if shaped is not None:
        return shaped
    if asks_to_hold(text, locale):
        return EndpointDecision(settings.hold_s, "hold")
    if _ends_with_any(words, locale.hesitations):
        return EndpointDecision(settings.max_s, "hesitation")
    begun = answer_shapes.begun_unasked(text, locale, _lengths(settings))
    if begun is not None:
        return EndpointDecision(settings.max_s, f"{begun.value}_incomplete")
    plain = " ".join(words)
    if question is OpenQuestion.YES_NO and words and _is_short_answer(words, plain, locale):
        return EndpointDecision(settings.min_s, "yes_no_answer")
    if _is_opener(words, question, locale):
        # A bare "yes" or "no" is an answer more often than a beginning, whatever the question was taken for.
        opener_s = settings.shape_s if set(words) <= locale.yes_no_words else settings.opener_s
        return EndpointDecision(_patient(opener_s, patience, settings), "opener")
    return _graded(text, words, probability, question, locale, settings, patience)


def asks_to_hold(text: str, locale: LocaleProfile) -> bool:
    """Whether the last thing said is a wish that the agent wait: "hold on", "one second, let me get it"."""
    holds, reason = locale.turn_words.holds, locale.turn_words.hold_reason
    words = words_of(text)
    while len(words) > 1 and words[-1] in locale.turn_words.closers:
        words.pop()  # "one moment please"
    if _ends_with_any(words, holds):
        return True
    sentences = [" ".join(words_of(part)) for part in re.split(r"[.!?…؟]+\s", text)]
    last, before = sentences[-1], sentences[-2] if len(sentences) > 1 else ""
    if len(last.split()) > _HOLD_WORDS:
        return False
    if reason.search(last) and before and _ends_with_any(before.split(), holds):
        return True
    return any(last.startswith(f"{hold} ") and reason.search(last[len(hold) + 1 :]) for hold in holds)


# "wait a moment while I look for it": a wish to wait is short.
_HOLD_WORDS = 10


def goes_on(final: str, partial: str) -> bool:
    """Whether ``partial`` has all words of ``final`` and further ones."""
    before, after = words_of(final), words_of(partial)
    return bool(before) and len(after) > len(before) and after[: len(before)] == before


def wait_for(belief: float, settings: EndpointingSettings) -> float:
    """The wait for a belief in an end, from 0 to 1: continuous, and falling as the belief grows."""
    if belief >= settings.sure:
        return settings.min_s
    if belief >= settings.threshold:
        share = (settings.sure - belief) / max(settings.sure - settings.threshold, 1e-9)
        return settings.min_s + share * (settings.unsure_s - settings.min_s)
    share = (settings.threshold - belief) / max(settings.threshold, 1e-9)
    return settings.unsure_s + share * share * (settings.max_s - settings.unsure_s)


def believed(probability: float | None, words_evidence: float) -> float:
    """The belief in an end from both sources, as the sum of their log-odds."""
    if probability is None:
        model = 0.0
    else:
        clipped = min(1 - _LEAST_ODDS, max(_LEAST_ODDS, probability))
        model = _MODEL_WEIGHT * math.log(clipped / (1 - clipped))
    return 1 / (1 + math.exp(-(model + words_evidence)))


# The end-of-turn model is surer than it is right: its log-odds count in part (fitted to pauses and ends of test callers).
_MODEL_WEIGHT = 0.45
_LEAST_ODDS = 0.01


def _graded(
    text: str,
    words: list[str],
    probability: float | None,
    question: OpenQuestion,
    locale: LocaleProfile,
    settings: EndpointingSettings,
    patience: float,
) -> EndpointDecision:
    found = evidence(text, words, question, locale)
    wait_s = wait_for(believed(probability, found.log_odds), settings)
    if answer_shapes.ends_in_order_number(text, locale, _lengths(settings)):
        wait_s = min(wait_s, settings.shape_s)  # it is over more often than not, in whatever tone
    if found.open_ending:
        least_s = (settings.unsure_s + settings.max_s) / 2  # only a recogniser's mistake makes such an ending an end
        return EndpointDecision(_patient(max(wait_s, least_s), patience, settings), "open_phrase")
    doubt = "unscored" if probability is None else "unsure"
    rule = "complete" if wait_s <= settings.min_s else doubt
    return EndpointDecision(_patient(wait_s, patience, settings), rule)


def _patient(wait_s: float, patience: float, settings: EndpointingSettings) -> float:
    return min(settings.max_s, max(settings.min_s, wait_s * patience))


def _by_shape(
    text: str,
    words: list[str],
    question: OpenQuestion,
    secret_digits: int | None,
    locale: LocaleProfile,
    settings: EndpointingSettings,
    patience: float,
) -> EndpointDecision | None:
    if secret_digits:
        if secret_digits >= settings.secret_digits:
            return EndpointDecision(settings.min_s, "secret_complete")
        return EndpointDecision(settings.max_s, "secret_incomplete")
    if _ends_with_any(words, locale.hesitations) or asks_to_hold(text, locale):
        return None
    match answer_shapes.progress(text, question, locale, _lengths(settings)):
        case Progress.WHOLE:
            return EndpointDecision(settings.min_s, f"{question.value}_complete")
        case Progress.LONGER:
            return EndpointDecision(_patient(settings.shape_s, patience, settings), f"{question.value}_complete")
        case Progress.HIDDEN:
            return EndpointDecision(_patient(settings.unsure_s, patience, settings), f"{question.value}_complete")
        case Progress.BEGUN:
            return EndpointDecision(settings.max_s, f"{question.value}_incomplete")
        case Progress.NONE:
            return None


def _lengths(settings: EndpointingSettings) -> Lengths:
    return Lengths(settings.order_digits, settings.secret_digits)


def _is_short_answer(words: list[str], plain: str, locale: LocaleProfile) -> bool:
    return set(words) <= locale.yes_no_words or plain in locale.turn_words.short_answers


def _is_opener(words: list[str], question: OpenQuestion, locale: LocaleProfile) -> bool:
    """Nothing but openers ("oh, one more thing"), or openers and a name."""
    rest = _without_openers(words, locale.turn_words.openers)
    if not rest:  # "yes, and" is more than an opener: it cannot end there
        return len(words) == 1 or (bool(words) and words[-1] not in locale.open_endings)
    return question is not OpenQuestion.YES_NO and locale.turn_words.introduces.search(" ".join(rest)) is not None


def _without_openers(words: list[str], openers: frozenset[str]) -> list[str]:
    rest = words
    while rest:
        sizes = (size for size in range(min(_OPENER_WORDS, len(rest)), 0, -1) if " ".join(rest[:size]) in openers)
        size = next(sizes, 0)
        if not size:
            return rest
        rest = rest[size:]
    return rest


_OPENER_WORDS = 4


def _ends_with_any(words: list[str], endings: frozenset[str]) -> bool:
    return any(" ".join(words[-size:]) in endings for size in range(1, min(6, len(words)) + 1))
