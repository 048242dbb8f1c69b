"""Number words of English, Spanish, French and Arabic, and what each adds to a run of digits."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from enum import Enum


class Sort(Enum):
    """How a word takes part in a number that is read out."""

    WRITTEN = "written"
    UNIT = "unit"  # one digit
    TEEN = "teen"  # two digits
    TENS = "tens"  # two digits, the second of which the next unit may replace
    SCORE = "score"  # French 60 and 80: what follows is added up to nineteen
    ADDED_TENS = "added tens"  # Arabic: "five and-twenty"
    ADDED_TEN = "added ten"  # Arabic: "five ten" is fifteen
    REPEAT = "repeat"  # "double", "triple": repeats the next unit
    HUNDRED = "hundred"  # "eight hundred" in a phone number: two zeros
    HUNDREDS = "hundreds"  # Spanish "seiscientos": three digits, the last of which the next words replace
    ELEVEN_OR_ONCE = "once"  # eleven in Spanish, an everyday word in English: counts beside Spanish words only


def spellings(word: str) -> Iterator[str]:
    """``word`` as it is, and as people and recognisers write it: without accents, hamza and dotted ta."""
    yield word
    yield word.translate(_ARABIC_PLAIN)
    yield "".join(sign for sign in unicodedata.normalize("NFD", word) if not unicodedata.combining(sign))


_ARABIC_PLAIN = str.maketrans("أإآةى", "اااهي")

_UNITS = (
    "zero oh o nought naught cero zéro صفر",
    "one uno una un une واحد واحدة",
    "two dos deux اثنان اثنين اثنا اثني اتنين",
    "three tres trois ثلاثة ثلاث تلاتة",
    "four cuatro quatre أربعة أربع",
    "five cinco cinq خمسة خمس",
    "six seis ستة ست",
    "seven siete sept سبعة سبع",
    "eight ocho huit ثمانية ثمان ثماني تمانية",
    "nine niner nueve neuf تسعة تسع",
)
_TEENS = (
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
    "",
    "veintiuno veintiún",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
)
_TENS = (
    "twenty veinte vingt vingts",
    "thirty treinta trente",
    "forty fourty cuarenta quarante",
    "fifty cincuenta cinquante",
    "sixty sesenta",
    "seventy setenta septante",
    "eighty ochenta huitante",
    "ninety noventa nonante",
)
_ARABIC_TENS = (
    "عشرون عشرين",
    "ثلاثون ثلاثين",
    "أربعون أربعين",
    "خمسون خمسين",
    "ستون ستين",
    "سبعون سبعين",
    "ثمانون ثمانين",
    "تسعون تسعين",
)
_HUNDREDS = (
    "cien ciento",
    "doscientos",
    "trescientos",
    "cuatrocientos",
    "quinientos",
    "seiscientos",
    "setecientos",
    "ochocientos",
    "novecientos",
)
_AND = "و"  # is written with the word that it precedes


def _rows(rows: Iterable[str], first: int, step: int = 1) -> Iterator[tuple[str, str]]:
    for place, row in enumerate(rows):
        for word in row.split():
            for spelling in spellings(word):
                yield spelling, str(first + place * step)


def _number_words() -> dict[str, tuple[Sort, str]]:
    words: dict[str, tuple[Sort, str]] = {}
    for word, value in _rows(_ARABIC_TENS, 20, 10):
        words[word] = (Sort.TENS, value)
        words[_AND + word] = (Sort.ADDED_TENS, value)
    for sort, rows, first, step in (
        (Sort.HUNDREDS, _HUNDREDS, 100, 100),
        (Sort.TENS, _TENS, 20, 10),
        (Sort.TEEN, _TEENS, 10, 1),
        (Sort.UNIT, _UNITS, 0, 1),
    ):
        words.update((word, (sort, value)) for word, value in _rows(rows, first, step))
    for word, value in _rows(_UNITS, 0):
        if word[0] > "\u0600":
            words.setdefault(_AND + word, (Sort.UNIT, value))
    words.update(dict.fromkeys(("عشر", "عشرة", "عشره"), (Sort.ADDED_TEN, "10")))
    words.update(dict.fromkeys(("double", "doble"), (Sort.REPEAT, "2")))
    words.update(dict.fromkeys(("triple", "treble"), (Sort.REPEAT, "3")))
    words["hundred"] = (Sort.HUNDRED, "00")
    words["soixante"] = (Sort.SCORE, "60")
    words["once"] = (Sort.ELEVEN_OR_ONCE, "11")
    return words


NUMBER_WORDS = _number_words()
NUMBER_WORD_SET = frozenset(NUMBER_WORDS)
SPANISH_ONLY = frozenset(
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez doce trece catorce quince veinte treinta cuarenta "
    "cincuenta sesenta setenta ochenta noventa".split()
)
"""Beside one of these "once" is eleven."""
DIGITS_PER_WORD_MAX = 3  # "hundred"
