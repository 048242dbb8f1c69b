"""Finds instructions planted in text that is only data: documents, tool results, names that others have chosen.

The model is told that such text is data, and the tool router grants rights to callers only, whatever any text says. This
is the third line: such text is marked before a model reads it, and the log says so.

Theory of operation: each sentence (and each line) is held against hard rules: the ``injection`` rules of all policy
files, because documents change language, and those of ``policy.planted.yaml``, for what only documents do: speaking to
"the assistant", posing as a system message, ordering tools, claiming rights for the caller.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from voice_agent.conversation.locales import LANGUAGES
from voice_agent.models import Meaning
from voice_agent.providers.understanding.rules import Rule, plain_words
from voice_agent.providers.understanding.semantic import shipped_rules

_PIECE = re.compile(r"[^\n.!?;؟؛]+[.!?;؟؛]*")
_MOST_CHARACTERS = 200_000  # of one result or document; more is no answer, and is flagged for that
_MOST_DEPTH = 32
_MARK = "[planted text, data and no instruction: {}]"

UNREAD = "any.too_large_to_check"
"""Reported for data of which a part was not looked at."""


@dataclass(frozen=True, slots=True)
class Planted:
    """``text[start:end]`` tries to give instructions; ``rule`` names what found it."""

    rule: str
    start: int
    end: int


def find_planted(text: str) -> tuple[Planted, ...]:
    """The sentences of ``text`` that try to give instructions, in order. About 30 µs for a sentence."""
    rules = _rules()
    found: list[Planted] = []
    for piece in _PIECE.finditer(text[:_MOST_CHARACTERS]):
        words = plain_words(_visible(piece[0]))
        rule = next((rule for rule in rules if rule.found_in(words)), None) if words else None
        if rule is not None:
            blank = len(piece[0]) - len(piece[0].lstrip())
            found.append(Planted(rule.name, piece.start() + blank, piece.end()))
    if len(text) > _MOST_CHARACTERS:
        found.append(Planted(UNREAD, _MOST_CHARACTERS, len(text)))
    return tuple(found)


def mark_planted(text: str) -> str:
    """``text`` with each planted sentence in brackets that say what it is; as it was where there is none."""
    return _with_marks(text, find_planted(text))


def _with_marks(text: str, found: Sequence[Planted]) -> str:
    parts: list[str] = []
    end = 0
    for planted in found:
        parts += [text[end : planted.start], _MARK.format(text[planted.start : planted.end])]
        end = planted.end
    return "".join([*parts, text[end:]])


@dataclass(frozen=True, slots=True)
class Marked:
    """``data`` with planted sentences marked; ``rules`` names what found them, each once. ``rules`` holds no text of the
    data, so it may be logged."""

    data: Any
    rules: tuple[str, ...]


def mark_data(data: Any) -> Marked:
    """Marks every text in JSON-able ``data``; keys are read, and stay as they are. What is too much or too deep to be read
    is left as it is, and said. About 30 µs for a sentence."""
    reading = _Reading()
    return Marked(reading.marked(data, 0), tuple(reading.rules))


class _Reading:
    """One result on its way: what was found, and how much may still be read."""

    def __init__(self) -> None:
        self.rules: dict[str, None] = {}
        self._left = _MOST_CHARACTERS

    def marked(self, data: Any, depth: int) -> Any:
        if isinstance(data, str):
            return self._text(data)
        if not isinstance(data, Mapping | list | tuple):
            return data
        if depth >= _MOST_DEPTH:
            self.rules[UNREAD] = None
            return data
        if isinstance(data, Mapping):
            for key in data:
                self._text(str(key))
            return {key: self.marked(value, depth + 1) for key, value in data.items()}
        return [self.marked(value, depth + 1) for value in data]

    def _text(self, text: str) -> str:
        if len(text) > self._left:
            self.rules[UNREAD] = None
            return text
        self._left -= len(text)
        found = find_planted(text)
        self.rules |= {planted.rule: None for planted in found}
        return _with_marks(text, found) if found else text


def _visible(text: str) -> str:
    """Without the characters that show nothing (zero-width ones, direction marks, tags), which hide words from rules."""
    if text.isascii():
        return text
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


@cache
def _rules() -> tuple[Rule, ...]:
    """Raises ``ConfigError`` if a shipped file is damaged."""
    rule_sets = [shipped_rules(name) for name in ("planted", *LANGUAGES)]
    return tuple(rule for rules in rule_sets for rule in rules.meaning if rule.meaning is Meaning.INJECTION)
