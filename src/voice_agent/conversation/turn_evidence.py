"""What the words alone say about the end of a turn, as log-odds that are added to those of the end-of-turn model.

Each weight is how much more often (natural logarithm) a text with that feature is a whole turn than part of one, rounded
from counts over test callers' pauses and ends; so 2 is "seven times as often".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voice_agent.conversation.locale_data.profile import LocaleProfile
from voice_agent.conversation.locale_data.turn_words import TurnWords
from voice_agent.models import OpenQuestion

# Ends are more frequent than pauses that a model is asked about.
_PRIOR = 0.5
_OPEN_ENDING = -2.0
_BROKEN_CLAUSE = -2.5
_TRAILING_COMMA = -1.0
_STORY = -1.8
_STATEMENT = -1.0
_ASKS = 1.6
_ASKS_BRIEFLY = 0.8
_LONG_QUESTION = 5
_LONG_STORY = 9
_CLOSER = 2.0
_FEW_WORDS = -1.0
_FEW = 2
# A first clause is short; a longer text has its main clause in it.
_CLAUSE_WORDS = 9
_SECOND_CLAUSE = 3
_SENTENCES = re.compile(r"[.!?…؟]+\s+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """``open_ending``: the last words cannot be the last of a sentence."""

    log_odds: float
    open_ending: bool


def evidence(text: str, words: list[str], question: OpenQuestion, locale: LocaleProfile) -> Evidence:
    """``words`` are those of ``text`` in lower case, without punctuation."""
    if not words:
        return Evidence(0.0, open_ending=False)
    turn_words = locale.turn_words
    stripped = text.strip()
    plain = " ".join(words)
    left_open = words[-1] in locale.open_endings or _ends_with(words, turn_words.open_phrases)
    if left_open and not turn_words.closed_endings.search(plain):
        return Evidence(_OPEN_ENDING, open_ending=True)
    sentence = _SENTENCES.split(stripped)[-1]
    last = _plain(sentence)
    asks = turn_words.asks.search(last) is not None
    total = _PRIOR
    if not asks and _is_broken(sentence, last, turn_words.broken_clause):
        total += _BROKEN_CLAUSE
    if stripped.endswith((",", "،", "-")):
        total += _TRAILING_COMMA
    if _ends_with(words, turn_words.closers):
        total += _CLOSER
    elif asks:
        total += _ASKS if len(last.split()) >= _LONG_QUESTION else _ASKS_BRIEFLY
    elif question in (OpenQuestion.OPEN, OpenQuestion.NONE):
        total += _statement(words, plain, turn_words)
    return Evidence(total, open_ending=False)


def _statement(words: list[str], plain: str, turn_words: TurnWords) -> float:
    """Callers with a free choice of words tell first and ask afterwards."""
    if len(words) <= _FEW:
        return _FEW_WORDS
    if turn_words.tells.search(plain):
        return _STORY if len(words) < _LONG_STORY else _STORY / 2
    if turn_words.states.search(plain):
        return _STATEMENT
    return 0.0


def _is_broken(sentence: str, plain: str, broken_clause: re.Pattern[str]) -> bool:
    """Only the first clause of a sentence: nothing of weight follows a comma in it."""
    rest = re.split(r"[,،]\s", sentence)[-1] if re.search(r"[,،]\s", sentence) else ""
    return (
        broken_clause.search(plain) is not None
        and len(plain.split()) <= _CLAUSE_WORDS
        and len(rest.split()) < _SECOND_CLAUSE
    )


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", sentence.lower().replace("’", "'")))


def _ends_with(words: list[str], endings: frozenset[str]) -> bool:
    return any(" ".join(words[-size:]) in endings for size in range(1, min(6, len(words)) + 1))
