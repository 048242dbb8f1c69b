"""Digit runs in text, written or spoken: what a card, phone or PIN number looks like before one knows which it is.

A run is a chain of number tokens ("415", "555", "four", "double seven", "forty-two") with only separators between them.
What ``exempt`` knows by its form neither is a run nor joins others. \\d covers the digits of every script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from voice_agent.observability.pii.exempt import exempt_spans
from voice_agent.observability.pii.number_words import (
    DIGITS_PER_WORD_MAX,
    NUMBER_WORDS,
    SPANISH_ONLY,
    Sort,
)


@dataclass(frozen=True, slots=True)
class DigitRun:
    """``digits`` in ASCII; ``groups`` are the lengths of the written groups, empty where any part was spoken; ``ends``
    counts the digits up to the end of each token."""

    start: int
    end: int
    digits: str
    groups: tuple[int, ...]
    ends: tuple[int, ...]
    has_plus: bool


class _Token(NamedTuple):  # several times quicker to make than a frozen dataclass, and most lines' time goes there
    sort: Sort
    digits: str
    start: int
    end: int
    word: str


_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_FILLERS = (
    "uh um er erm eh euh dash hyphen space then tiret guion guión espacio espace luego puis extension ext x ثم شرطة"
)
_GAP = re.compile(
    rf"[\s,.\-–—()/،]{{0,4}}(?:(?:{'|'.join(_FILLERS.split())})\b\.?[\s,.\-]{{1,3}}){{0,2}}",
    re.IGNORECASE,
)
_GAP_WORDS = frozenset(_FILLERS.split()) | {"y", "et"}
# How many digits a word can stand for; none where it may stand between digits.
_DIGITS_MAX = {
    **dict.fromkeys(_GAP_WORDS, 0),
    **{word: 1 if sort is Sort.UNIT else DIGITS_PER_WORD_MAX for word, (sort, _) in NUMBER_WORDS.items()},
}
_UNITS = {word: digit for word, (sort, digit) in NUMBER_WORDS.items() if sort is Sort.UNIT}
_AFTER_TENS = re.compile(r"\s(?:y|et)\s|[\s-]{0,2}", re.IGNORECASE)
_CLOSE = re.compile(r"[\s-]{1,2}|\s(?:y|et)\s", re.IGNORECASE)
_PLAIN_GAPS = (" ", "-")
_ENCODED_PLUS = "%2b"
_PLUS = re.compile(r"(?:\+|%2b|\bplus\b|\bmás\b|زائد)[\s(]{0,2}\Z", re.IGNORECASE)
_SPACED_GROUP_DIGITS = 4  # "4. 2. 7. 1." is one number; "83102. 83103." are two
_FRENCH_17_TO_19 = frozenset({"sept", "huit", "neuf"})


# For ``bytes.translate``: a blank for each ASCII sign that is neither letter nor digit. Of UTF-8, nothing else changes.
_BLANKS = bytes(code if code > 127 or chr(code).isalnum() else ord(" ") for code in range(256))
_OTHER_MARKS = "’،؟¿¡…–—“”«»"


def lowered(text: str) -> str:
    """``text`` in lower case, each letter in its place: a few have longer small ones, and stay."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)


def tokens_of(small: str) -> list[str]:
    """The words and digit groups of a text in lower case: what ``_TOKEN`` finds, in a fraction of its time."""
    if not small.isascii():
        for mark in _OTHER_MARKS:
            if mark in small:
                small = small.replace(mark, " ")
    pieces = small.encode("utf-8", "surrogatepass").translate(_BLANKS).decode("utf-8", "surrogatepass").split()
    if "".join(pieces).isalpha():
        return pieces
    tokens: list[str] = []
    for piece in pieces:
        if piece.isalpha() or piece.isdecimal():
            tokens.append(piece)
        else:
            tokens += _TOKEN.findall(piece)
    return tokens


def number_stretches(tokens: Sequence[str], least: int, *, written: bool) -> list[tuple[int, int]]:
    """First and after of each stretch of ``tokens`` (words and digit groups of a text, in lower case) in which there can be
    a run of ``least`` digits; quick, for the many lines without. ``written``: there are digit groups among them. It reads
    over separators, so it may give stretches in which ``digit_runs`` finds none, never the other way round."""
    found: list[tuple[int, int]] = []
    first = last = possible = 0
    after = -1
    for place in [place for place, word in enumerate(tokens) if word in _DIGITS_MAX or (written and word.isdecimal())]:
        if place != after:
            if possible >= least:
                found.append((first, last))
            possible = 0
        word, after = tokens[place], place + 1
        digits = _DIGITS_MAX.get(word, len(word))
        if digits:
            first, last = first if possible else place, after
            possible += digits
    if possible >= least:
        found.append((first, last))
    return found


def digit_runs(
    text: str,
    small: str,
    tokens: Sequence[str],
    stretches: Sequence[tuple[int, int]],
    groups: Sequence[tuple[int, int]],
    least: int,
) -> Iterator[DigitRun]:
    """Every maximal run in the ``stretches`` of ``tokens`` that may have ``least`` digits, from left to right.
    ``small`` is ``text`` in lower case, ``groups`` are start and end of each group of written digits in it."""
    exempt: Sequence[tuple[int, int]] | None = None if groups else ()
    at = place = 0
    for first, after in stretches:
        for word in tokens[place:first]:
            at = small.index(word, at) + len(word)
        place = after
        words = tokens[first:after]
        start = small.index(words[0], at)  # only separators stand before it, so nothing is found in a longer word
        said = " ".join(words)
        at = start
        if _UNITS.keys() >= set(words) and small.startswith(said, start):  # digit by digit, as most are said
            at += len(said)
            start, plus = _with_sign(text, start)
            yield DigitRun(
                start, at, "".join([_UNITS[word] for word in words]), (), tuple(range(1, len(words) + 1)), plus
            )
            continue
        found: list[tuple[str, int]] = []
        for word in words:
            start = small.index(word, at)
            at = start + len(word)
            found.append((word, start))
        if exempt is None:
            exempt = exempt_spans(text, small, groups)
        yield from _runs_of_stretch(text, found, exempt, least)


def _runs_of_stretch(
    text: str, words: Iterable[tuple[str, int]], exempt: Sequence[tuple[int, int]], least: int
) -> Iterator[DigitRun]:
    chain: list[_Token] = []
    for token in _tokens(text, words, exempt):
        if chain and not _joins(text, chain[-1], token):
            if _may_have(chain, least):
                yield from _run(text, chain)
            chain = []
        chain.append(token)
    if _may_have(chain, least):
        yield from _run(text, chain)


def _may_have(chain: list[_Token], least: int) -> bool:
    digits = 0
    for token in chain:
        digits += _DIGITS_MAX[token.word] if token.word else len(token.digits)
        if digits >= least:
            return True
    return False


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(sign)) for sign in digits)


def _tokens(text: str, words: Iterable[tuple[str, int]], exempt: Sequence[tuple[int, int]]) -> Iterator[_Token]:
    at = 0
    for word, start in words:
        known = NUMBER_WORDS.get(word)
        if known is None and not word.isdecimal():
            continue
        end = start + len(word)
        while at < len(exempt) and exempt[at][1] <= start:
            at += 1
        if at < len(exempt) and exempt[at][0] < end:
            continue
        if known is not None:
            yield _Token(known[0], known[1], start, end, word)
            continue
        # Letters at either end make it part of an identifier; an extension ("x12") may follow.
        before = text[max(0, start - 3) : start]
        after = text[end : end + 1]
        glued = (before[-1:].isalpha() and before.lower() != _ENCODED_PLUS) or after.isalpha()
        if not glued or after.lower() == "x":
            yield _Token(Sort.WRITTEN, _ascii(word), start, end, "")


def _joins(text: str, left: _Token, right: _Token) -> bool:
    gap = text[left.end : right.start]
    plain = gap in _PLAIN_GAPS
    if (left.sort is Sort.TENS or left.sort is Sort.SCORE) and (plain or _AFTER_TENS.fullmatch(gap)):
        return True
    if not plain and not _GAP.fullmatch(gap):
        return False
    if left.sort is Sort.ELEVEN_OR_ONCE or right.sort is Sort.ELEVEN_OR_ONCE:
        for one, other in ((left, right), (right, left)):
            if one.sort is Sort.ELEVEN_OR_ONCE and other.sort is not one.sort and other.word not in SPANISH_ONLY:
                return False
    if plain or left.sort is not Sort.WRITTEN or right.sort is not Sort.WRITTEN:
        return True
    sizes = {len(left.digits), len(right.digits)}
    if "," in gap or "،" in gap:
        return sizes == {1} or sizes <= {3, 4}
    if ". " in gap or "\n" in gap:
        return max(sizes) <= _SPACED_GROUP_DIGITS
    return True


def _run(text: str, chain: list[_Token]) -> Iterator[DigitRun]:
    if len(chain) == 1 and chain[0].sort is Sort.ELEVEN_OR_ONCE:
        return
    parts = _spell_out(text, chain)
    digits = "".join(parts)
    if not digits:
        return
    start, plus = _with_sign(text, chain[0].start)
    groups = () if any(token.sort is not Sort.WRITTEN for token in chain) else tuple(len(t.digits) for t in chain)
    ends, total = [], 0
    for part in parts:
        total += len(part)
        ends.append(total)
    yield DigitRun(start, chain[-1].end, digits, groups, tuple(ends), plus)


def _with_sign(text: str, start: int) -> tuple[int, bool]:
    """Where a run begins whose first digit stands at ``start``, with its bracket and its plus; whether it has a plus."""
    if start and text[start - 1] == "(":
        start -= 1
    plus = _PLUS.search(text[max(0, start - 8) : start])
    return (start, False) if plus is None else (start - len(plus.group()), True)


def _spell_out(text: str, chain: list[_Token]) -> list[str]:
    """The digits that were meant, in parts: "forty two" is 42, "double four" 44, "eight hundred" 800, "soixante-dix-huit"
    78, "quatre-vingt-onze" 91, "seiscientos doce" 612, "خمسة وعشرون" 25."""
    out: list[str] = []
    before: _Token | None = None
    sort: Sort | None = None  # of what stands last in ``out``, once words were put together
    for token in chain:
        if token.sort is sort and (sort is Sort.UNIT or sort is Sort.WRITTEN):  # nothing to put together
            out.append(token.digits)
            before = token
            continue
        gap = text[before.end : token.start] if before is not None else ""
        close = gap in _PLAIN_GAPS or _CLOSE.fullmatch(gap) is not None
        last = out[-1] if out else ""
        if before is None or not last:
            sort = _first(out, token, before)
        elif token.sort is Sort.REPEAT:
            sort = Sort.REPEAT
        elif sort is Sort.REPEAT and len(token.digits) == 1 and before.sort is Sort.REPEAT:
            out.append(token.digits * int(before.digits))
            sort = Sort.UNIT
        elif token.sort is Sort.HUNDRED:
            out.append("00" if before.sort is Sort.UNIT else "100")
            sort = Sort.HUNDRED
        elif close and (together := _together(last, sort, before, token)) is not None:
            out[-1], sort = together
        else:
            out.append(token.digits)
            sort = token.sort
        before = token
    return out


def _first(out: list[str], token: _Token, before: _Token | None) -> Sort:
    if token.sort is Sort.REPEAT:
        return Sort.REPEAT
    if before is not None and before.sort is Sort.REPEAT and len(token.digits) == 1:
        out.append(token.digits * int(before.digits))
        return Sort.UNIT
    out.append("100" if token.sort is Sort.HUNDRED else token.digits)
    return token.sort


def _together(last: str, sort: Sort | None, before: _Token, token: _Token) -> tuple[str, Sort] | None:
    """What ``token`` makes of the part before it, if they are one number; and what may be added to that."""
    value = int(token.digits)
    if sort is Sort.TENS and token.sort is Sort.UNIT and value:
        return f"{last[:-1]}{value}", Sort.UNIT
    if sort is Sort.SCORE and token.sort in (Sort.UNIT, Sort.TEEN) and value:
        return str(int(last) + value), Sort.TEEN if value == 10 else Sort.UNIT
    if sort is Sort.TEEN and before.word == "dix" and token.word in _FRENCH_17_TO_19:
        return str(int(last) + value), Sort.UNIT
    if sort is Sort.UNIT and before.word == "quatre" and token.word in ("vingt", "vingts"):
        return "80", Sort.SCORE
    if sort is Sort.HUNDREDS and token.sort in (Sort.UNIT, Sort.TEEN, Sort.TENS) and value:
        return str(int(last) + value), Sort.TENS if token.sort is Sort.TENS else Sort.UNIT
    if sort is Sort.UNIT and token.sort is Sort.ADDED_TENS and len(last) == 1:
        return str(int(last) + value), Sort.TEEN
    if sort is Sort.UNIT and token.sort is Sort.ADDED_TEN and len(last) == 1 and int(last):
        return f"1{last}", Sort.TEEN
    return None
