"""Text as words, digit groups and marks, each with its place, so that what is found can be cut out of the original."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Digits and letters are kept apart ("4th", "pin4271"); an apostrophe stays inside a word ("it's", "o'clock").
_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Token:
    """``word`` is lower case with a plain apostrophe; digits of any script are written 0-9 in it."""

    word: str
    start: int
    end: int

    @property
    def is_digits(self) -> bool:
        return self.word.isdecimal()

    @property
    def is_mark(self) -> bool:
        return not self.word[0].isalnum()


def tokens_of(text: str) -> list[Token]:
    return [Token(_plain(found.group()), found.start(), found.end()) for found in _TOKEN.finditer(text)]


def _plain(raw: str) -> str:
    if raw[0].isdecimal():
        return "".join(str(unicodedata.decimal(char)) for char in raw)
    return raw.lower().replace("’", "'")
