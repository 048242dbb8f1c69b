"""Digit runs in text, written or spoken: what a card, phone or PIN number looks like before one knows which it is.

A run is a chain of number tokens ("415", "555", "four", "double seven", "forty-two") with only separators between them.
Dates, times, amounts, addresses of machines and identifiers are taken out beforehand, so that they neither are runs nor
join others. Number words of English, Spanish, French and Arabic are known; \\d covers the digits of every script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class DigitRun:
    """``digits`` in ASCII; ``groups`` are the lengths of the written groups, empty where any part was spoken."""

    start: int
    end: int
    digits: str
    groups: tuple[int, ...]
    has_plus: bool


class _Sort(Enum):
    WRITTEN = "written"
    UNIT = "unit"  # one digit
    TEEN = "teen"  # two digits
    TENS = "tens"  # two digits, the second of which the next unit may replace
    REPEAT = "repeat"  # "double", "triple": repeats the next unit
    HUNDRED = "hundred"  # "eight hundred" in a phone number: two zeros


@dataclass(frozen=True, slots=True)
class _Token:
    sort: _Sort
    digits: str
    start: int
    end: int


def _number_words() -> dict[str, tuple[_Sort, str]]:
    units = (
        "zero oh o nought naught cero zéro صفر",
        "one uno una un une واحد",
        "two dos deux اثنان اثنين",
        "three tres trois ثلاثة ثلاث",
        "four cuatro quatre أربعة اربعة أربع",
        "five cinco cinq خمسة خمس",
        "six seis ستة ست",
        "seven siete sept سبعة سبع",
        "eight ocho huit ثمانية ثمان",
        "nine niner nueve neuf تسعة تسع",
    )
    # Spanish "once" (11) is left out: in English it is an everyday word.
    teens = (
        "ten diez dix",
        "eleven onze",
        "twelve doce douze",
        "thirteen trece treize",
        "fourteen catorce quatorze",
        "fifteen quince quinze",
        "sixteen dieciséis seize",
        "seventeen diecisiete",
        "eighteen dieciocho",
        "nineteen diecinueve",
    )
    tens = (
        "twenty veinte vingt",
        "thirty treinta trente",
        "forty fourty cuarenta quarante",
        "fifty cincuenta cinquante",
        "sixty sesenta soixante",
        "seventy setenta septante",
        "eighty ochenta huitante vingts",
        "ninety noventa nonante",
    )
    words: dict[str, tuple[_Sort, str]] = {}
    for sort, rows, first in ((_Sort.UNIT, units, 0), (_Sort.TEEN, teens, 10), (_Sort.TENS, tens, 20)):
        step = 10 if sort is _Sort.TENS else 1
        for place, row in enumerate(rows):
            words.update((word, (sort, str(first + place * step))) for word in row.split())
    words.update({"double": (_Sort.REPEAT, "2"), "doble": (_Sort.REPEAT, "2"), "triple": (_Sort.REPEAT, "3")})
    words["treble"] = (_Sort.REPEAT, "3")
    words["hundred"] = (_Sort.HUNDRED, "00")
    return words


_WORDS = _number_words()
_WORD_SET = frozenset(_WORDS)

_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")
_DIGITS_PER_WORD_MAX = 3  # "hundred"

_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]{0,6}"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_CURRENCY_WORD = r"(?:dollars?|euros?|pounds?|cents?|pence|riyals?|usd|eur|gbp|aud|sar|percent|per\s+cent)\b"
# Not inside a longer number: neither may another group of digits stand right before or behind.
_ALONE, _ENDS = r"(?<!\d)(?<!\d[-./ ,'])(?<!\d, )", r"(?![-./ ]?\d)"
# Written numbers that are something else.
_NOT_RUNS = re.compile(
    r"(?<![\w-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\w-])"  # UUID
    rf"|{_ALONE}{_YEAR}[-/]{_MONTH}[-/]{_DAY}"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![-./]?\d)"
    rf"|{_ALONE}(?:{_DAY}([-/.]){_MONTH}|{_MONTH}([-/.]){_DAY})(?:\1|\2)(?:{_YEAR}|\d\d){_ENDS}"
    rf"|{_ALONE}(?:{_DAY} {_MONTH}|{_MONTH} {_DAY}) {_YEAR}{_ENDS}"
    rf"|\b{_MONTHS}\.?[ ]{{1,3}}{_DAY}(?:st|nd|rd|th)?(?:,?[ ]{{1,3}}{_YEAR})?{_ENDS}"
    r"|(?<![\d:])\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?![\d:])"  # times
    rf"|{_ALONE}\d{{1,3}}(?:[,. ']\d{{3}}){{0,3}}(?:[.,]\d{{1,2}})?\s?(?:[$€£¥%]|{_CURRENCY_WORD})"  # amounts
    rf"|[$€£¥]\s?\d{{1,9}}(?:[.,]\d{{1,3}}){{0,3}}{_ENDS}"
    rf"|(?<!,){_ALONE}\d{{1,3}}(?:,\d{{3}}){{1,3}}(?:\.\d{{1,2}})?(?!,){_ENDS}"  # 1,234,567
    r"|(?<![\d.])\d\.\d+(?![\d.-])"  # a measurement
    r"|(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"  # IPv4
    rf"|{_ALONE}{_YEAR}(?:(?:,? ){_YEAR})+{_ENDS}",  # several years
    re.IGNORECASE,
)

_GAP = re.compile(
    r"[\s,.\-–—()/]{0,4}(?:(?:uh|um|er|erm|eh|euh|dash|hyphen|space|then|tiret|guion|extension|ext|x)\b\.?[\s,.\-]{1,3}){0,2}",
    re.IGNORECASE,
)
_AFTER_TENS = re.compile(r"\s(?:y|et)\s|[\s-]{0,2}", re.IGNORECASE)
_ENCODED_PLUS = "%2b"
_PLUS = re.compile(r"(?:\+|%2b|\bplus\b)[\s(]{0,2}\Z", re.IGNORECASE)
_SPACED_GROUP_DIGITS = 4  # "4. 2. 7. 1." is one number; "83102. 83103." are two


def may_hold_digits(text: str, count: int) -> bool:
    """Whether there can be a run of ``count`` digits at all; quick, for the many lines without."""
    possible = len(_DIGIT.findall(text))
    if possible >= count:
        return True
    for word in _LETTERS.findall(text.lower()):
        if word in _WORD_SET:
            possible += _DIGITS_PER_WORD_MAX
            if possible >= count:
                return True
    return False


def digit_runs(text: str) -> Iterator[DigitRun]:
    """Every maximal run in ``text``, from left to right."""
    chain: list[_Token] = []
    for token in _tokens(text):
        if chain and not _joins(text, chain[-1], token):
            yield from _run(text, chain)
            chain = []
        chain.append(token)
    if chain:
        yield from _run(text, chain)


def _tokens(text: str) -> Iterator[_Token]:
    taken = [match.span() for match in _NOT_RUNS.finditer(text)]
    at = 0
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        while at < len(taken) and taken[at][1] <= start:
            at += 1
        if at < len(taken) and taken[at][0] < end:
            continue
        word = match.group()
        if word[0].isdigit():
            # Letters at either end make it part of an identifier; an extension ("x12") may follow.
            before = text[max(0, start - 3) : start]
            after = text[end : end + 1]
            glued = (before[-1:].isalpha() and before.lower() != _ENCODED_PLUS) or after.isalpha()
            if not glued or after.lower() == "x":
                yield _Token(_Sort.WRITTEN, "".join(str(int(sign)) for sign in word), start, end)
        elif (known := _WORDS.get(word.lower())) is not None:
            yield _Token(known[0], known[1], start, end)


def _joins(text: str, left: _Token, right: _Token) -> bool:
    gap = text[left.end : right.start]
    if left.sort is _Sort.TENS and _AFTER_TENS.fullmatch(gap):
        return True
    if not _GAP.fullmatch(gap):
        return False
    if left.sort is not _Sort.WRITTEN or right.sort is not _Sort.WRITTEN:
        return True
    sizes = {len(left.digits), len(right.digits)}
    if "," in gap:
        return sizes == {1} or sizes <= {3, 4}
    if ". " in gap or "\n" in gap:
        return max(sizes) <= _SPACED_GROUP_DIGITS
    return True


def _run(text: str, chain: list[_Token]) -> Iterator[DigitRun]:
    digits = _spell_out(chain)
    if not digits:
        return
    start = chain[0].start
    if start and text[start - 1] == "(":
        start -= 1
    plus = _PLUS.search(text[max(0, start - 8) : start])
    if plus is not None:
        start -= len(plus.group())
    groups = () if any(token.sort is not _Sort.WRITTEN for token in chain) else tuple(len(t.digits) for t in chain)
    yield DigitRun(start, chain[-1].end, digits, groups, plus is not None)


def _spell_out(chain: list[_Token]) -> str:
    """The digits that were meant: "forty two" is 42, "double four" 44, "eight hundred" 800."""
    out: list[str] = []
    before: _Token | None = None
    for token in chain:
        if token.sort is _Sort.REPEAT:
            pass
        elif token.sort is _Sort.HUNDRED:
            out.append("00" if before is not None and before.sort is _Sort.UNIT else "100")
        elif before is not None and before.sort is _Sort.REPEAT and len(token.digits) == 1:
            out.append(token.digits * int(before.digits))
        elif before is not None and before.sort is _Sort.TENS and token.sort is _Sort.UNIT and token.digits != "0":
            out[-1] = out[-1][:-1] + token.digits
        else:
            out.append(token.digits)
        before = token
    return "".join(out)
