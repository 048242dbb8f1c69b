"""What a language says its numbers with: the shape of a table; ``english.py`` is one, others join ``LANGUAGES``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberWords:
    """The words from which spoken numbers are built. Keys are lower case, without accents or hyphens removed."""

    digits: Mapping[str, int]  # zero to nine, as digits are read out
    zero_letters: frozenset[str]  # words for zero that mean something else elsewhere ("oh")
    teens: Mapping[str, int]  # ten to nineteen
    tens: Mapping[str, int]  # twenty to ninety
    hundred: frozenset[str]
    scales: Mapping[str, int]  # thousand and above
    joiner: frozenset[str]  # "and" inside a number
    repeats: Mapping[str, int]  # "double" = 2
    plural_digits: Mapping[str, int]  # "fours" = 4, as in "two fours"
    homophones: Mapping[str, int]  # words a recogniser writes for digits
    ordinals: Mapping[str, int]  # "third" = 3; up to "thirtieth", tens included


@dataclass(frozen=True, slots=True)
class SecretWords:
    """The words around digits when a caller reads out a number."""

    fillers: frozenset[str]  # may stand inside a run of digits without breaking it
    introductions: frozenset[str]  # stand before a run and break it: "my pin is"
    corrections: frozenset[str]  # what follows replaces what was said
    retractions: frozenset[str]  # corrections that also withdraw when nothing follows
    counted: frozenset[str]  # nouns that make the number before them a quantity, not digits
    ranges: frozenset[str]  # between the two ends of a range: "five to seven days"
    not_digit_after: frozenset[str]  # words after which a lone "one" is a pronoun
    small_quantity: frozenset[str]  # number words which alone are seldom digits ("one", "two")


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    numbers: NumberWords
    secrets: SecretWords
