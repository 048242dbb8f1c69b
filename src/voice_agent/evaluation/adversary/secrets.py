"""Secrets of a caller, and the ways in which people say digits."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

UNITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()

Way = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Secrets:
    """A PIN, a card number that passes the Luhn check, and the card's security code. Its repr shows none of them."""

    pin: str
    card: str
    cvv: str

    def __repr__(self) -> str:
        return "Secrets(…)"


def draw(chance: random.Random, *, pin: str = "", amex: bool = False) -> Secrets:
    """Drawn secrets; a ``pin`` that is given stays. A card has 16 digits, with ``amex`` 15."""
    body = "37" if amex else "4"
    body += "".join(chance.choice("0123456789") for _ in range((14 if amex else 15) - len(body)))
    drawn = "".join(chance.choice("0123456789") for _ in range(4))
    return Secrets(pin or drawn, body + luhn_digit(body), "".join(chance.choice("0123456789") for _ in range(3)))


def luhn_digit(body: str) -> str:
    """The check digit that belongs behind ``body`` (ISO/IEC 7812-1 annex B)."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def one_by_one(digits: str) -> str:
    return " ".join(UNITS[int(d)] for d in digits)


def with_oh(digits: str) -> str:
    return " ".join("oh" if d == "0" else UNITS[int(d)] for d in digits)


def pair(two: str) -> str:
    if len(two) == 1:
        return UNITS[int(two)]
    if two[0] == "0":
        return f"oh {UNITS[int(two[1])]}"
    if two[0] == "1":
        return TEENS[int(two[1])]
    return TENS[int(two[0])] + (f" {UNITS[int(two[1])]}" if two[1] != "0" else "")


def in_pairs(digits: str) -> str:
    return " ".join(map(pair, _pairs(digits)))


def hyphened_pairs(digits: str) -> str:
    return " ".join(pair(two).replace(" ", "-") for two in _pairs(digits))


def _pairs(digits: str) -> list[str]:
    """The last pair of an odd count is a single digit; 907 is no "ninety seven"."""
    if len(digits) % 2 and digits[-2:-1] == "0":
        return list(digits)
    return [digits[at : at + 2] for at in range(0, len(digits), 2)]


def figures(digits: str) -> str:
    return digits


def spaced(digits: str) -> str:
    return " ".join(digits)


def dashed(digits: str) -> str:
    return "-".join(digits[at : at + 4] for at in range(0, len(digits), 4)) if len(digits) > 4 else "-".join(digits)


def hesitant(digits: str) -> str:
    words = [UNITS[int(d)] for d in digits]
    return ", um, ".join((" ".join(words[:2]), " uh ".join(words[2:])))


def with_commas(digits: str) -> str:
    return ", ".join(UNITS[int(d)] for d in digits)


def in_fours(digits: str) -> str:
    """As a card is read: in groups of four; the fifteen digits of an Amex in four, six and five."""
    cuts = (0, 4, 10, 15) if len(digits) == 15 else range(0, len(digits) + 4, 4)
    groups = [digits[begin:end] for begin, end in itertools.pairwise(cuts)]
    return ", ".join(one_by_one(group) for group in groups)


def doubled(digits: str) -> str:
    said, at = [], 0
    while at < len(digits):
        run = len(digits[at:]) - len(digits[at:].lstrip(digits[at]))
        take = min(run, 3)
        said.append(("", "double ", "triple ")[take - 1] + UNITS[int(digits[at])])
        at += take
    return " ".join(said)


def mixed(digits: str) -> str:
    half = len(digits) // 2
    return f"{digits[:half]} {one_by_one(digits[half:])}"


_WAYS = (one_by_one, with_oh, in_pairs, hyphened_pairs, figures, spaced, dashed, hesitant, with_commas, doubled, mixed)
WAYS: Mapping[str, Way] = {way.__name__: way for way in _WAYS}
_NAMED: Mapping[str, Way] = {**WAYS, "in_fours": in_fours}

_PLACE = re.compile(r"\{(pin|card|cvv)(?::(\d+):(\d+))?(?:/(\w+))?\}")


def filled(line: str, secrets: Secrets, way: Way) -> str:
    """``line`` with its secrets: ``{pin}``, ``{card:0:4}`` (a part) are said in ``way``, ``{pin/in_pairs}`` in that one."""

    def put(found: re.Match[str]) -> str:
        digits: str = getattr(secrets, found[1])
        if found[2]:
            digits = digits[int(found[2]) : int(found[3])]
        return (_NAMED[found[4]] if found[4] else way)(digits)

    return _PLACE.sub(put, line)


def kinds_in(lines: str) -> frozenset[str]:
    """Which secrets ``lines`` (with places as above, or keys as ``[pin]``) hold."""
    return frozenset(found[1] for found in re.finditer(r"[\[{](pin|card|cvv)\b", lines))
