"""How far the caller's words have come towards what was asked for: an order number, a PIN, a telephone number, an e-mail
address, a date, a postal address, in whatever words surround it.

A shape tells when to wait (digits are missing, an address has no domain yet) and when not to (nothing is missing). It never
reads the value: that is ``spoken_forms``' part. Texts come from the recogniser after personal data was masked, so
``[EMAIL]`` and ``[PHONE]`` stand for whole ones, and ``[PIN]`` for as many digits as a PIN has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from voice_agent.conversation.locale_data.profile import LocaleProfile
from voice_agent.models import OpenQuestion


class Progress(StrEnum):
    NONE = "none"  # the words are about something else: the shape says nothing
    BEGUN = "begun"  # something is missing
    WHOLE = "whole"  # nothing is missing and nothing more can follow
    HIDDEN = "hidden"  # the masked text does not show how much of it is there
    LONGER = "longer"  # nothing is missing, but such a thing may go on (a year, more digits)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Digits of the numbers asked for."""

    order: int = 5
    secret: int = 4


# Ten digits are a national number nearly everywhere; a few plans have eleven, and a country code makes it longer.
_PHONE_DIGITS = 10
_PHONE_DIGITS_MOST = 13
_PIN_MARK = "[PIN]"
_WHOLE_MARKS = {OpenQuestion.EMAIL: "[EMAIL]", OpenQuestion.PHONE: "[PHONE]"}
_LONG_NUMBER = "[NUMBER]"
_NUMBERED = re.compile(r"(\[[A-Z]+) \d+\]")  # "[PHONE 2]": the second one of a call
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|@|(?<=\w)\.(?=\w)")
# Ends of host names that are said in calls, and any two letters of a country.
_TOP_LEVEL = re.compile(r"com|org|net|edu|gov|info|biz|shop|online|email|mail|[a-z]{2}")
_SURE_ENDS = frozenset({"com", "org", "net"})
# Second labels after which a country follows: "dot co … dot uk".
_MIDDLE_LABELS = frozenset({"co", "ac"})
_YEAR = re.compile(r"(?:19|20)\d\d")
_POSTCODE = re.compile(r"(?:\d{5}(?:-?\d{4})?|[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|\d{4} ?[a-z]{2})$")
# Words after a number that do not make it another thing ("83102 I think", "… please").
_TRAILERS = frozenset("please thanks thank you i think i'm sure that's it is all yes yeah ok okay".split())
# How recognisers write "eight" before further digits.
_EIGHT = re.compile(r"\ba\b(?=[\s.,]*\d)|\ba(?=\d)")


def progress(text: str, question: OpenQuestion, locale: LocaleProfile, lengths: Lengths) -> Progress:
    """How far ``text`` (a turn so far) has come in answering ``question``; total."""
    text = _NUMBERED.sub(r"\1]", text)
    mark = _WHOLE_MARKS.get(question)
    if question is OpenQuestion.PHONE and _LONG_NUMBER in text:
        return Progress.HIDDEN  # digits that are no telephone number yet
    if mark is not None and mark in text:
        # A number of seven digits is masked like one of twelve.
        return Progress.WHOLE if question is OpenQuestion.EMAIL else Progress.HIDDEN
    lowered = text.lower().replace("’", "'")
    words = [word.replace("’", "'") for word in _WORD.findall(lowered.replace(_PIN_MARK.lower(), "1" * lengths.secret))]
    if not words or locale.turn_words.declines.search(" ".join(words)):
        return Progress.NONE
    match question:
        case OpenQuestion.ORDER_NUMBER:
            return _number(_heard_digits(lowered, lengths, locale), lengths.order, lengths.order)
        case OpenQuestion.PHONE:
            return _number(_heard_digits(lowered, lengths, locale), _PHONE_DIGITS, _PHONE_DIGITS_MOST)
        case OpenQuestion.EMAIL:
            return _email(words, locale)
        case OpenQuestion.DATE:
            return _date(words, locale)
        case OpenQuestion.ADDRESS:
            return _address(lowered, words)
        case _:
            return Progress.NONE


def begun_unasked(text: str, locale: LocaleProfile, lengths: Lengths) -> OpenQuestion | None:
    """What the caller has begun to give without having been asked ("where is my order eight three one"), and has not
    finished; None if nothing is. What is finished says nothing here: more words may follow it."""
    turn_words = locale.turn_words
    text = _NUMBERED.sub(r"\1]", text)
    shown = text.replace(_PIN_MARK, "1" * lengths.secret).lower()
    plain = " ".join(word.replace("’", "'") for word in _PLAIN_WORD.findall(shown))
    if turn_words.day_lead.search(plain):
        return OpenQuestion.DATE
    for lead, question in (
        (turn_words.order_lead, OpenQuestion.ORDER_NUMBER),
        (turn_words.phone_lead, OpenQuestion.PHONE),
        (turn_words.email_lead, OpenQuestion.EMAIL),
    ):
        found = lead.match(plain)
        rest = plain[found.end() :] if found else ""
        if not rest.strip() or _WHOLE_MARKS.get(question, "[]") in text or len(rest.split()) > _MOST_GIVEN_WORDS:
            continue
        only_digits = question is OpenQuestion.EMAIL or all(
            _is_number_word(word, locale, among_digits=True) or word in _PASSED_OVER for word in rest.split()
        )
        if only_digits and progress(rest, question, locale, lengths) is Progress.BEGUN:
            return question
    return None


def ends_in_order_number(text: str, locale: LocaleProfile, lengths: Lengths) -> bool:
    """Whether a whole order number ends ``text``, after "order" or with hardly a word around it."""
    if progress(text, OpenQuestion.ORDER_NUMBER, locale, lengths) is not Progress.WHOLE:
        return False
    plain = " ".join(word.replace("’", "'") for word in _PLAIN_WORD.findall(text.lower()))
    others = [word for word in plain.split() if not _is_number_word(word, locale, among_digits=True)]
    return len(others) <= _FEW_AROUND or locale.turn_words.order_lead.match(plain) is not None


# "it's 83102", "yes 83102 please"
_FEW_AROUND = 2


_PLAIN_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# Words of a number or address given unasked; in a longer text its beginning is over.
_MOST_GIVEN_WORDS = 12
# What may stand between the lead and the digits: "a" is how recognisers write "eight".
_PASSED_OVER = frozenset({"a", "number", "is", "it's", "um", "uh"})


# Numbers


def _number(digits: int | None, least: int, most: int) -> Progress:
    if digits is None:
        return Progress.NONE
    if digits < least:
        return Progress.BEGUN
    return Progress.WHOLE if digits == most else Progress.LONGER


def _heard_digits(lowered: str, lengths: Lengths, locale: LocaleProfile) -> int | None:
    """Digits said; None where the text does not end in a number, trailing remarks aside, or holds none."""
    shown = _EIGHT.sub("8", lowered.replace(_PIN_MARK.lower(), "1" * lengths.secret))
    words = [word.replace("’", "'") for word in re.findall(r"[^\W_]+(?:['’][^\W_]+)*", shown)]
    while words and words[-1] in _TRAILERS:
        words.pop()
    if not words or not _is_number_word(words[-1], locale, among_digits=len(words) > 1):
        return None
    return count_digits(words, locale) or None


def count_digits(words: Sequence[str], locale: LocaleProfile) -> int:
    """Digits of a number read out: "eighty three one" has three, "double four" two; a corrected number counts anew."""
    turn_words = locale.turn_words
    repeats = dict(turn_words.repeats)
    total, times = 0, 1
    after_tens = False
    for word in words:
        if word in locale.stop_words and total:  # "eight three one, no, eight three two": what was corrected is void
            total, times, after_tens = 0, 1, False
            continue
        if word in repeats:
            times = repeats[word]
            continue
        size = _digits_of(word, locale)
        if size and after_tens and size == 1 and word not in turn_words.zero_letters:
            size = 0  # "eighty three" is two digits, counted with its tens
        total += size * times if size == 1 else size
        after_tens = word in turn_words.tens
        times = 1
    return total


def _digits_of(word: str, locale: LocaleProfile) -> int:
    if any(char.isdigit() for char in word):
        return len(word) if len(word) <= _PHONE_DIGITS_MOST else _PHONE_DIGITS_MOST
    if word in locale.turn_words.tens or word in locale.turn_words.teens:
        return 2
    return 1 if word in locale.digit_words else 0


def _is_number_word(word: str, locale: LocaleProfile, *, among_digits: bool) -> bool:
    if word in locale.turn_words.zero_letters:
        return among_digits
    return _digits_of(word, locale) > 0 or word in dict(locale.turn_words.repeats)


# E-mail addresses


def _email(words: list[str], locale: LocaleProfile) -> Progress:
    """An address is whole once a host name's end follows the at sign."""
    turn_words = locale.turn_words
    dots = turn_words.dot_words | {"."}
    ats = [index for index, word in enumerate(words) if word == "@" or word in turn_words.at_words]
    last_dot = max((index for index, word in enumerate(words) if word in dots), default=-1)
    if not ats:
        said_some = last_dot >= 0 or any(word in turn_words.joiners for word in words) or _spells(words)
        if len(words) > 1 and words[-1] in _SURE_ENDS:  # the "at" was not recognised
            return Progress.LONGER
        return Progress.BEGUN if said_some or len(words) <= _FEW_WORDS else Progress.NONE
    tail = words[last_dot + 1 :] if last_dot > ats[-1] else []
    if not tail or tail[-1] in turn_words.joiners or tail[-1] in turn_words.at_words:
        return Progress.BEGUN
    if tail[0] in _MIDDLE_LABELS and len(tail) == 1:
        return Progress.LONGER
    return Progress.WHOLE if _TOP_LEVEL.fullmatch(tail[0]) or len(tail) == 1 else Progress.LONGER


# A mailbox said so far: "it's john smith".
_FEW_WORDS = 5


def _spells(words: list[str]) -> bool:
    return sum(len(word) == 1 for word in words) >= 2


# Dates


def _date(words: list[str], locale: LocaleProfile) -> Progress:
    """A day and a month, or a day that has a name; a year may follow."""
    turn_words = locale.turn_words
    plain = " ".join(words)
    months = [index for index, word in enumerate(words) if word in turn_words.months]
    days = [index for index, word in enumerate(words) if _is_day(word, locale)]
    if turn_words.date_lead.search(plain):
        return Progress.BEGUN
    if turn_words.whole_dates.search(plain):
        return Progress.WHOLE
    if months and any(index not in months for index in days):
        has_year = _YEAR.search(plain) or (months[-1] < len(words) - 1 and _spoken_year(words, locale))
        return Progress.WHOLE if has_year else Progress.LONGER
    if re.search(r"\b\d{1,2}[ ./-]\d{1,2}[ ./-](?:\d{4}|\d{2})\b", plain):
        return Progress.WHOLE
    return Progress.BEGUN if months or days else Progress.NONE


def _is_day(word: str, locale: LocaleProfile) -> bool:
    return (
        word in locale.turn_words.ordinals
        or word in locale.digit_words
        or word in locale.turn_words.tens | locale.turn_words.teens
        or re.fullmatch(r"\d{1,2}(?:st|nd|rd|th|er|e|º)?", word) is not None
    )


def _spoken_year(words: list[str], locale: LocaleProfile) -> bool:
    """ "… nineteen eighty five", "… two thousand and one" """
    hundreds = locale.turn_words.teens | {"twenty", "thousand", "mil", "mille"}
    return any(word in hundreds and index > 0 and index < len(words) - 1 for index, word in enumerate(words[-4:]))


# Postal addresses


def _address(lowered: str, words: list[str]) -> Progress:
    """A postcode makes an address whole; with a house number it may be; else most of it is missing."""
    if _POSTCODE.search(lowered.rstrip(" .,")):
        return Progress.WHOLE
    has_number = any(any(char.isdigit() for char in word) for word in words)
    return Progress.LONGER if has_number and len(words) >= _FEW_WORDS else Progress.BEGUN
