"""Whether a voice that is a language model reads a text as it stands, by the transcript it gives of itself.

Compared are words: case, punctuation and spelling variants do not count, nor how numbers are written ("83102" or "eight
three one oh two"), but their digits do, and every "not", weekday and month. A transcript grows while the audio plays, so
that a reader who strays is noticed some words later (``strays``), and the whole is judged at the end (``is_read``).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from voice_agent.conversation.spoken_forms.english import ENGLISH, MONTHS, WEEKDAYS
from voice_agent.conversation.spoken_forms.numbers import read_number
from voice_agent.conversation.spoken_forms.speakable import speakable
from voice_agent.conversation.spoken_forms.tokens import Token, tokens_of

_NUMBERS: Final = ENGLISH.numbers
# Words that come and go with the way a number, an amount, a time or an address is written.
_WITH_NUMBERS: Final = frozenset(
    "and a the of at dot dash hyphen point comma hash number hundred percent dollar dollars cent cents pound pounds pence "
    "euro euros oclock am pm".split()
)
_VITAL: Final = frozenset("not no never none nor without yes".split()) | set(MONTHS) | set(WEEKDAYS)
_SAME: Final = {"okay": "ok", "alright": "right", "mister": "mr", "missus": "mrs", "doctor": "dr"}
_NO_SPACES: Final = frozenset({"zh", "ja", "th", "lo", "km", "my"})  # languages whose words are not set apart

_SETTLING_WORDS: Final = 2  # the last ones of an unfinished transcript may still change
_TRUSTED_WORDS: Final = 3  # fewer are no evidence
_SIMILAR: Final = 0.6  # colour and color: 0.91; yes and sure: 0.29
# What a difference counts: a word of content, a short one ("so", "the"), another spelling of the same word.
_CONTENT, _SHORT, _VARIANT = 2.0, 1.0, 0.5
_SHORT_CHARS: Final = 3
_WORDS_A_POINT: Final = 8  # so many words may have a difference that counts 1; one of spelling always may be


@dataclass(frozen=True, slots=True)
class _Reading:
    """``digits`` of all numbers, one after another; the ``words`` besides; of these the ones on which the sense hangs."""

    words: tuple[str, ...]
    digits: str
    vital: tuple[str, ...]


class VerbatimCheck:
    """For one text, as the reader was given it."""

    def __init__(self, text: str, *, locale: str) -> None:
        self._locale = locale
        self._english = locale.lower().startswith("en")
        self._asked = self._reading(text)
        self._settled: list[str] = []  # the words that ``_row`` counts
        self._row = _first_row(self._asked.words)

    def strays(self, transcript: str) -> bool:
        """The transcript so far, which may end in the middle of a word, cannot become a reading any more. One that goes on
        from the last is compared from there on."""
        words = _without_numbers(self._tokens(transcript), english=self._english)[:-_SETTLING_WORDS]
        if len(words) < _TRUSTED_WORDS:
            return False
        if words[: len(self._settled)] != self._settled:
            self._settled, self._row = [], _first_row(self._asked.words)
        for word in words[len(self._settled) :]:
            self._row = _next_row(self._row, word, self._asked.words)
        self._settled = words
        return min(self._row) > max(_CONTENT, len(words) / 2)

    def is_read(self, transcript: str) -> bool:
        """The whole transcript is a reading of the text."""
        heard = self._reading(transcript)
        if self._english and (heard.digits, heard.vital) != (self._asked.digits, self._asked.vital):
            return False
        allowed = max(_VARIANT, len(self._asked.words) // _WORDS_A_POINT)
        if not self._english and self._asked.digits:
            allowed += 3 * len(self._asked.digits)  # its number words are not known here
        return _distances(heard.words, self._asked.words)[-1] <= allowed

    def _reading(self, text: str) -> _Reading:
        tokens = self._tokens(speakable(text, locale=self._locale))
        words = tuple(_without_numbers(tokens, english=self._english))
        vital = tuple(word for word in words if word in _VITAL)
        return _Reading(words, _digits(tokens, english=self._english), vital)

    def _tokens(self, text: str) -> list[Token]:
        if self._locale.partition("-")[0].lower() in _NO_SPACES:
            text = " ".join(text)
        return tokens_of(_plain(text))


def _plain(text: str) -> str:
    """Without accents and other marks on letters."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(char for char in parts if not unicodedata.combining(char))


def _digits(tokens: list[Token], *, english: bool) -> str:
    found: list[str] = []
    at = 0
    while at < len(tokens):
        reading = read_number(tokens, at, _NUMBERS) if english else None
        if reading is not None:
            found.append(reading.digits)
            at = reading.after
            continue
        word = tokens[at].word
        if word in _NUMBERS.ordinals and english:
            found.append(str(_NUMBERS.ordinals[word]))
        elif word.isdecimal():
            found.append(word)
        at += 1
    return "".join(found)


def _without_numbers(tokens: list[Token], *, english: bool) -> list[str]:
    """The words that are no numbers and do not belong to any. Letters said one by one are one word."""
    words: list[str] = []
    letters: list[str] = []
    for token in tokens:
        word = token.word.replace("n't", " not").replace("'", "") if english else token.word
        if token.is_mark:
            continue
        if len(word) == 1 and word.isalpha() and english:
            letters.append(word)
            continue
        if letters:
            words.append("".join(letters))
            letters = []
        words += word.split()
    if letters:
        words.append("".join(letters))
    kept = (_SAME.get(word, word) for word in words)
    if not english:
        return [word for word in kept if not word.isdecimal()]
    return [word for word in kept if word not in _WITH_NUMBERS and not _is_number_word(word)]


def _is_number_word(word: str) -> bool:
    return (
        word.isdecimal()
        or word in _NUMBERS.digits
        or word in _NUMBERS.teens
        or word in _NUMBERS.tens
        or word in _NUMBERS.scales
        or word in _NUMBERS.ordinals
        or word in ("st", "nd", "rd", "th")
    )


def _distances(heard: tuple[str, ...], asked: tuple[str, ...]) -> list[float]:
    """The edit distance between ``heard`` and each beginning of ``asked``, shortest first; in points."""
    row = _first_row(asked)
    for word in heard:
        row = _next_row(row, word, asked)
    return row


def _first_row(asked: tuple[str, ...]) -> list[float]:
    row = [0.0]
    for word in asked:
        row.append(row[-1] + _weight(word))
    return row


def _next_row(above: list[float], word: str, asked: tuple[str, ...]) -> list[float]:
    row = [above[0] + _weight(word)]
    for at, other in enumerate(asked):
        replaced = above[at] + (0.0 if word == other else _replacing(word, other))
        row.append(min(replaced, above[at + 1] + _weight(word), row[at] + _weight(other)))
    return row


def _weight(word: str) -> float:
    return _SHORT if len(word) <= _SHORT_CHARS else _CONTENT


def _replacing(word: str, other: str) -> float:
    """What one word for another counts. Only words that begin alike can be spellings of one word."""
    alike = word[0] == other[0] and abs(len(word) - len(other)) <= 2
    if alike and SequenceMatcher(None, word, other, autojunk=False).ratio() > _SIMILAR:
        return _VARIANT
    return max(_weight(word), _weight(other))
