"""Reads number words at a place in a token list, and writes numbers as English words.

Reading yields *digits as a caller means them when reading out an identifier*: "forty two" is "42", "oh" is "0",
"double four" is "44", "ten thousand two hundred and thirty-four" is "10234". Two numbers side by side are two readings,
whose digits follow each other: "forty two seventy one" is "42" and "71".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice_agent.conversation.spoken_forms.english import ORDINAL_TEENS, ORDINAL_UNITS, TEENS, TENS, UNITS
from voice_agent.conversation.spoken_forms.language import NumberWords
from voice_agent.conversation.spoken_forms.tokens import Token


@dataclass(frozen=True, slots=True)
class Reading:
    """One number: its digits, the index after its last token, and how sure its words are to be a number.

    ``single`` says that it is one digit word; ``doubtful`` that the word mostly means something else ("oh", "to").
    """

    digits: str
    after: int
    single: bool = False
    doubtful: bool = False
    homophone: bool = False


def read_number(tokens: Sequence[Token], at: int, words: NumberWords) -> Reading | None:
    """The number that starts at ``tokens[at]``, or ``None``. Homophones are not read: see ``read_homophone``."""
    return (
        _repeated(tokens, at, words)
        or _plural(tokens, at, words)
        or _with_scales(tokens, at, words)
        or _digit_word(tokens, at, words)
    )


def read_homophone(tokens: Sequence[Token], at: int, words: NumberWords) -> Reading | None:
    """A word that a recogniser may have written for a digit ("for")."""
    value = words.homophones.get(tokens[at].word)
    return None if value is None else Reading(str(value), at + 1, single=True, doubtful=True, homophone=True)


def _next_word(tokens: Sequence[Token], at: int) -> int:
    """Skips the hyphen inside "forty-two"."""
    if at + 1 < len(tokens) and tokens[at].word in "-‐‑–" and tokens[at].start == tokens[at - 1].end:
        return at + 1
    return at


def _repeated(tokens: Sequence[Token], at: int, words: NumberWords) -> Reading | None:
    """ "double four", "triple 7"; of "double 42" (heard "double four two") the first digit is doubled."""
    times = words.repeats.get(tokens[at].word)
    following = _next_word(tokens, at + 1)
    if times is None or following >= len(tokens):
        return None
    token = tokens[following]
    if token.is_digits:
        return Reading(token.word[0] * (times - 1) + token.word, following + 1)
    value = words.digits.get(token.word, words.homophones.get(token.word, words.plural_digits.get(token.word)))
    return None if value is None else Reading(str(value) * times, following + 1)


def _plural(tokens: Sequence[Token], at: int, words: NumberWords) -> Reading | None:
    """ "two fours" is 44; "fours" alone, after something else, is 4."""
    if at + 1 < len(tokens) and tokens[at + 1].word in words.plural_digits:
        times = _count(tokens[at], words)
        if times is not None and 2 <= times <= 5:
            return Reading(str(words.plural_digits[tokens[at + 1].word]) * times, at + 2)
    value = words.plural_digits.get(tokens[at].word)
    return Reading(str(value), at + 1, single=True, doubtful=True) if value is not None else None


def _count(token: Token, words: NumberWords) -> int | None:
    if token.is_digits:
        return int(token.word) if len(token.word) == 1 else None
    return None if token.word in words.zero_letters else words.digits.get(token.word)


def _digit_word(tokens: Sequence[Token], at: int, words: NumberWords) -> Reading | None:
    value = words.digits.get(tokens[at].word)
    if value is None:
        return None
    return Reading(str(value), at + 1, single=True, doubtful=tokens[at].word in words.zero_letters)


def _with_scales(tokens: Sequence[Token], at: int, words: NumberWords) -> Reading | None:
    """Digit groups, and cardinals from ten up: [below a hundred] hundred [and below a hundred], thousand, …"""
    token = tokens[at]
    part = _below_hundred(tokens, at, words, literals=True)
    if part is None:
        return Reading(token.word, at + 1) if token.is_digits else None
    value, after, plain = part
    scaled = _hundreds(tokens, value, after, words)
    total, last_scale = 0, 0
    value, after = scaled
    while True:
        scale = words.scales.get(tokens[after].word, 0) if after < len(tokens) else 0
        if not scale or (last_scale and scale >= last_scale) or value == 0 or value >= 1_000:
            break
        total, last_scale, after = total + value * scale, scale, after + 1
        tail = _tail(tokens, after, words)
        if tail is None:
            return Reading(str(total), after)
        value, after = tail
    if total:
        return Reading(str(total + value), after)
    if after > scaled[1] or scaled[1] > part[1]:
        return Reading(str(value), after)
    if token.is_digits:
        return Reading(token.word, at + 1, single=len(token.word) == 1)
    return None if plain else Reading(str(value), after)


def _tail(tokens: Sequence[Token], at: int, words: NumberWords) -> tuple[int, int] | None:
    """What follows a scale word: up to three digits, after "and" or not."""
    start = at + 1 if at < len(tokens) and tokens[at].word in words.joiner else at
    part = _below_hundred(tokens, start, words, literals=True) if start < len(tokens) else None
    if part is None or part[0] >= 1_000:
        return None
    return _hundreds(tokens, part[0], part[1], words)


def _hundreds(tokens: Sequence[Token], value: int, after: int, words: NumberWords) -> tuple[int, int]:
    if not (0 < value < 100 and after < len(tokens) and tokens[after].word in words.hundred):
        return value, after
    value, after = value * 100, after + 1
    start = after + 1 if after < len(tokens) and tokens[after].word in words.joiner else after
    part = _below_hundred(tokens, start, words, literals=False) if start < len(tokens) else None
    if part is not None and part[0] > 0:
        return value + part[0], part[1]
    return value, after


def _below_hundred(
    tokens: Sequence[Token], at: int, words: NumberWords, *, literals: bool
) -> tuple[int, int, bool] | None:
    """(value, index after it, is it a bare digit word). Literal digit groups count if ``literals``."""
    word = tokens[at].word
    if literals and tokens[at].is_digits and len(word) <= 3:
        return int(word), at + 1, False
    if word in words.tens:
        following = _next_word(tokens, at + 1)
        if following < len(tokens):
            unit = words.digits.get(tokens[following].word, 0)
            if unit:
                return words.tens[word] + unit, following + 1, False
        return words.tens[word], at + 1, False
    if word in words.teens:
        return words.teens[word], at + 1, False
    if word in words.digits and word not in words.zero_letters:
        return words.digits[word], at + 1, True
    for tens_word, tens in words.tens.items():  # "fortytwo"
        unit = words.digits.get(word[len(tens_word) :], 0) if word.startswith(tens_word) else 0
        if unit:
            return tens + unit, at + 1, False
    return None


# --- writing -----------------------------------------------------------------------------------------------------


def cardinal_words(value: int, *, joined: bool = False) -> str:
    """1249 is "one thousand two hundred forty-nine"; with ``joined`` (British) "... hundred and forty-nine"."""
    if value < 0:
        return f"minus {cardinal_words(-value, joined=joined)}"
    if value < 100:
        return _below_hundred_words(value)
    if value < 1_000:
        hundreds, rest = divmod(value, 100)
        link = " and " if joined else " "
        return f"{UNITS[hundreds]} hundred" + (f"{link}{_below_hundred_words(rest)}" if rest else "")
    for scale, name in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1_000, "thousand")):
        if value >= scale:
            high, rest = divmod(value, scale)
            link = " and " if joined and 0 < rest < 100 else " "
            tail = f"{link}{cardinal_words(rest, joined=joined)}" if rest else ""
            return f"{cardinal_words(high, joined=joined)} {name}{tail}"
    raise AssertionError("unreachable: every value of a thousand or more has a scale")


def _below_hundred_words(value: int) -> str:
    if value < 10:
        return UNITS[value]
    if value < 20:
        return TEENS[value - 10]
    tens, unit = divmod(value, 10)
    return TENS[tens - 2] + (f"-{UNITS[unit]}" if unit else "")


def ordinal_words(value: int, *, joined: bool = False) -> str:
    """24 is "twenty-fourth"."""
    cardinal = cardinal_words(value, joined=joined)
    cut = max(cardinal.rfind(" "), cardinal.rfind("-")) + 1
    last = cardinal[cut:]
    if last in UNITS:
        ordinal = ORDINAL_UNITS[UNITS.index(last)]
    elif last in TEENS:
        ordinal = ORDINAL_TEENS[TEENS.index(last)]
    else:
        ordinal = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return cardinal[:cut] + ordinal


def year_words(year: int) -> str:
    """2026 is "twenty twenty-six", 2005 "two thousand five", 1900 "nineteen hundred", 1905 "nineteen oh five"."""
    century, rest = divmod(year, 100)
    if not 1_000 <= year <= 2_999 or 2_000 <= year <= 2_009 or (rest == 0 and century % 10 == 0):
        return cardinal_words(year)
    if rest == 0:
        return f"{cardinal_words(century)} hundred"
    return f"{cardinal_words(century)} " + (f"oh {UNITS[rest]}" if rest < 10 else cardinal_words(rest))


def digit_words(digits: str) -> str:
    """ "83102" digit by digit, a comma after every third: "eight three one, zero two"."""
    groups = [digits] if len(digits) <= 4 else [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return ", ".join(" ".join(UNITS[int(digit)] for digit in group) for group in groups)
