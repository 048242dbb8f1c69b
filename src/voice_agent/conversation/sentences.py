"""Cuts a stream of text into segments that are worth synthesising, as early as possible.

Rules:

1. A segment ends after ``. ! ? : ;`` or ``…`` (with closing quotes or brackets) where white space or the end of the text
   follows, and after a line break. A colon or semicolon ends a segment only once it has ``MIN_CLAUSE_CHARS``.
2. A full stop ends nothing after an abbreviation ("Dr. Smith", "e.g. this"), an initial ("J. Smith"), a list number at
   the start of a line ("1. Open it"), or inside a word ("example.com", "$3.50", "3 p.m. tomorrow"). An ellipsis ends
   nothing where a lower-case word goes on.
3. The first segment of a reply is what the caller waits for: once it has ``first_clause_chars``, a comma or dash ends it
   too. Any segment of ``max_chars`` is cut at its last comma, else at its last space.
4. Nothing is decided on text that has not come: a mark at the very end of the text so far waits for the next character
   (or ``flush``), because "3." may become "3.5".
5. Except in the first segment, which the caller waits for: a sentence of ``MIN_CLAUSE_CHARS`` that ends in an ordinary
   word is out with its mark, a token earlier. Models write ".com" as one piece, so the mark is the end nearly always;
   where it was not, the word is only spoken in two breaths. So any chunking of a text gives the same words, and the same
   segments but for the first.
"""

from __future__ import annotations

import re
from typing import Final

MIN_CLAUSE_CHARS: Final = 12  # below it a colon or semicolon ("Note: …") is no pause worth a segment of its own

_CLOSERS: Final = "\"'”’»)]*_`"
_ENDERS: Final = ".!?…。！？؟"
_SURE_ENDERS: Final = ".!?。！？؟"
_CLAUSE_ENDERS: Final = ":;؛"
_PAUSES: Final = ",،、—–"
# Written with a full stop inside a sentence. Lower case; the dots inside ("e.g") are kept.
_ABBREVIATIONS: Final = frozenset(
    "dr mr mrs ms mx prof sr jr st mt ft rev hon gen col sgt capt lt gov sen rep pres messrs no nos nr art sec fig vol "
    "pp pg approx est dept div apt ave blvd rd ste bldg ext tel max min avg incl excl vs etc cf al ca e.g i.e viz "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun inc ltd co corp "
    "sra srta dra ud uds av avda núm pág mme mlle env".split()
)
# These also end sentences: their full stop counts unless the next word is in lower case.
_MAY_END: Final = frozenset("etc inc ltd co corp jr sr a.m p.m ave blvd rd al est max min".split())
_LAST_WORD: Final = re.compile(r"[^\s(\[\"'“‘]*$")
_ORDINARY_WORD: Final = re.compile(r"[^\W\d_]{2,}(?:['’][^\W\d_]+)?")
_INITIALS: Final = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")


class SentenceSegmenter:
    """``push`` text as it comes, take the finished segments; ``flush`` at the end. One per reply.

    Segments are stripped and never empty; joined by spaces they are the text.
    """

    def __init__(self, *, first_clause_chars: int = 28, max_chars: int = 260) -> None:
        self._first_clause_chars = first_clause_chars
        self._max_chars = max_chars
        self._text = ""
        self._looked = 0  # boundaries before this place have been considered and refused
        self._first = True

    def push(self, delta: str) -> list[str]:
        """The segments that ``delta`` completes, in order."""
        self._text += delta
        return self._cut(at_end=False)

    def flush(self) -> list[str]:
        """The end of the text: what is left. The segmenter then starts a new reply."""
        segments = self._cut(at_end=True)
        rest = self._text.strip()
        self._text = ""
        self._looked = 0
        self._first = True
        return [*segments, rest] if rest else segments

    def _cut(self, *, at_end: bool) -> list[str]:
        segments: list[str] = []
        while (end := self._boundary(at_end=at_end)) is not None:
            segment = self._text[:end].strip()
            self._text = self._text[end:]
            self._looked = 0
            if segment:
                segments.append(segment)
                self._first = False
        return segments

    def _boundary(self, *, at_end: bool) -> int | None:
        """Where the next segment ends, if the text so far tells."""
        text = self._text
        start = len(text) - len(text.lstrip())
        at = max(self._looked, start)
        while at < len(text):
            if text[at] == "\n":
                return at + 1
            if at - start >= self._max_chars:
                return self._forced(start, at)
            decided = self._end_at(start, at, at_end=at_end)
            if decided is None:
                self._looked = at
                return None
            if decided:
                return decided
            at += 1
        self._looked = at
        return None

    def _end_at(self, start: int, at: int, *, at_end: bool) -> int | None:
        """The end of a segment whose last mark is at ``at``; 0 if there is none; ``None`` if later text decides."""
        text = self._text
        char = text[at]
        if char not in _ENDERS and char not in _CLAUSE_ENDERS and char not in _PAUSES:
            return 0
        after = at + 1
        while after < len(text) and text[after] in _CLOSERS:
            after += 1
        if after >= len(text):
            if at_end:
                return 0  # the rest is flushed as it is
            return after if self._first and self._surely_ends(start, at) else None
        if not text[after].isspace():
            return 0
        if char == "…" or (char == "." and text[start:at].endswith(".")):
            return self._starts_sentence(after, at_end=at_end)
        if char == ".":
            return self._full_stop(start, at, after, at_end=at_end)
        if char in _ENDERS:
            return after
        length = after - start
        if char in _CLAUSE_ENDERS:
            return after if length >= MIN_CLAUSE_CHARS else 0
        return after if self._first and length >= self._first_clause_chars else 0

    def _surely_ends(self, start: int, at: int) -> bool:
        """Whether the mark at the end of the text is a sentence's, as far as the words before it can tell."""
        if self._text[at] not in _SURE_ENDERS or at - start < MIN_CLAUSE_CHARS:
            return False
        found = _LAST_WORD.search(self._text[start:at])
        word = found.group().lower() if found else ""
        return bool(_ORDINARY_WORD.fullmatch(word)) and word not in _ABBREVIATIONS

    def _full_stop(self, start: int, at: int, after: int, *, at_end: bool) -> int | None:
        text = self._text
        found = _LAST_WORD.search(text[start:at])
        word = found.group().lower() if found else ""
        if word.isdecimal() and len(word) <= 2 and at - len(word) == start:
            return 0  # a list number
        if text[after] == "\n":
            return after
        initials = bool(_INITIALS.fullmatch(word)) and word != "i"
        if not (initials or word in _ABBREVIATIONS):
            return after
        return self._starts_sentence(after, at_end=at_end) if word in _MAY_END else 0

    def _starts_sentence(self, after: int, *, at_end: bool) -> int | None:
        """``after`` unless a lower-case word follows the white space there ("Well... let me see")."""
        text = self._text
        following = after
        while following < len(text) and (text[following].isspace() or text[following] in "\"'“‘(["):
            following += 1
        if following >= len(text):
            return 0 if at_end else None
        return 0 if text[following].islower() else after

    def _forced(self, start: int, at: int) -> int:
        """Too long without an end: after the last pause, else after the last space, else here."""
        part = self._text[start:at]
        for marks in (_PAUSES + _CLAUSE_ENDERS, " "):
            cut = max((found.end() for found in re.finditer(f"[{re.escape(marks)}](?=\\s|$)", part)), default=0)
            if marks == " ":
                cut = part.rfind(" ") + 1
            if cut >= len(part) // 3:
                return start + cut
        return at
