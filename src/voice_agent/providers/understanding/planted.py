"""Finds instructions planted in text that is only data: documents, tool results, names that others have chosen.

The model is told that such text is data, and the tool router grants rights to callers only, whatever any text says. This
is the third line: who reads such text can flag it in the log, mark it for the model, or leave it out.

Theory of operation: each sentence (and each line) is held against hard rules: the ``injection`` rules of all policy
files, because documents change language, and those of ``policy.planted.yaml``, for what only documents do: speaking to
"the assistant", posing as a system message, ordering tools, claiming rights for the caller.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from voice_agent.models import Meaning
from voice_agent.providers.understanding.rules import Rule, plain_words
from voice_agent.providers.understanding.semantic import LANGUAGES, load_policy

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
    parts: list[str] = []
    end = 0
    for planted in find_planted(text):
        parts += [text[end : planted.start], _MARK.format(text[planted.start : planted.end])]
        end = planted.end
    return "".join([*parts, text[end:]])


def planted_rules(data: Any) -> tuple[str, ...]:
    """The names of the rules that find planted text anywhere in JSON-able ``data``, keys included, each once. Holds no
    text of the data, so it may be logged."""
    found: dict[str, None] = {}
    left = _MOST_CHARACTERS
    for text in _texts(data, 0):
        if text is None or left <= 0:
            found[UNREAD] = None
            break
        for planted in find_planted(text[:left]):
            found[planted.rule] = None
        if len(text) > left:
            found[UNREAD] = None
        left -= len(text)
    return tuple(found)


def _texts(data: Any, depth: int) -> Iterator[str | None]:
    """Every text in ``data``; ``None`` where it is nested too deep to be read."""
    if isinstance(data, str):
        yield data
    elif depth >= _MOST_DEPTH:
        yield None
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield str(key)
            yield from _texts(value, depth + 1)
    elif isinstance(data, list | tuple | set | frozenset):
        for value in data:
            yield from _texts(value, depth + 1)


def _visible(text: str) -> str:
    """Without the characters that show nothing (zero-width ones, direction marks, tags), which hide words from rules."""
    if text.isascii():
        return text
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


@cache
def _rules() -> tuple[Rule, ...]:
    """Raises ``ConfigError`` if a shipped file is damaged."""
    files = [load_policy(name) for name in ("planted", *LANGUAGES)]
    return tuple(rule for file in files for rule in file.rule_set().meaning if rule.meaning is Meaning.INJECTION)
