"""Dates of birth: dates that are said to be one, written or spoken in English, Spanish, French and Arabic.

After a word of birth the words are read on: a few that say nothing, then those that dates are made of. Other dates (of
deliveries, of orders) are no personal data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voice_agent.observability.pii.number_words import NUMBER_WORDS, Sort, spellings

_MARKS = frozenset(
    spelling
    for word in (
        "birth dob birthdate birthday birthday's born nacimiento nací nació nacido nacida cumpleaños naissance né née "
        "anniversaire ميلادي الميلاد ميلاد ميلاده ميلادها ولدت مولود مولودة مواليد"
    ).split()
    for spelling in spellings(word)
    if spelling != "ne"  # French "not"
)
_SPELLED_DOB = frozenset("dob")
# Between these and the date a place may be said ("born in Madrid on …").
_BORN = frozenset("born nací naci nació nacido nacida né née ولدت مولود مولودة مواليد".split())
_FILLERS = frozenset(
    "is was on in it's its the my as at um uh equals registered es fue el en la mi de del dia día eh est le la en au c'est "
    "du euh à هو هي في يوم كان بتاريخ سنة عام s".split()
)
_MONTHS = frozenset(
    spelling
    for word in (
        "january february march april may june july august september october november december "
        "jan feb mar apr jun jul aug sep sept oct nov dec "
        "enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre "
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre "
        "يناير فبراير مارس أبريل إبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر "
        "جانفي فيفري ماي جوان جويلية أوت كانون شباط آذار نيسان أيار حزيران تموز آب أيلول تشرين محرم صفر رجب شعبان رمضان شوال"
    ).split()
    for spelling in spellings(word)
)
_ORDINALS = frozenset(
    spelling
    for word in (
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
        "sixteenth seventeenth eighteenth nineteenth twentieth thirtieth primero premier "
        "الأول الثاني الثالث الرابع الخامس السادس السابع الثامن التاسع العاشر الحادي عشر والعشرين والعشرون الثلاثين"
    ).split()
    for spelling in spellings(word)
)
_LARGE = frozenset(
    spelling
    for word in "thousand hundred mil mille cent cents ألف وألف ألفين وألفين تسعمائة وتسعمائة تسعمئة وتسعمئة مئة".split()
    for spelling in spellings(word)
) | frozenset("novecientos nineteen-hundred".split())
_CONNECTORS = frozenset("of the and in de del y et le el à من في عام سنة شهر لعام لسنة".split())
_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]|\n")
_JOINTS = frozenset(".,-/–،:=\"'#)(")
_ENGLISH_DAY = frozenset({"st", "nd", "rd", "th", "er"})
_FILLERS_MAX, _OTHERS_MAX, _TOKENS_MAX = 8, 2, 24
_DOB = re.compile(r"d\.? ?o\.? ?b\.?")
_MARK = re.compile(rf"\b{_DOB.pattern}(?!\w)|[^\W\d_]+(?:['’][^\W\d_]+)*", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_WHOLE_DATE_DIGITS = (6, 8)
_REACH_CHARS = 160


def may_hold_birth_dates(words: frozenset[str]) -> bool:
    """``words`` are those of a text, in lower case."""
    return not words.isdisjoint(_MARKS) or words >= _SPELLED_DOB


def find_birth_dates(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and a form without order and separators ("1982-3-4") of every date of birth."""
    past = 0
    for match in _MARK.finditer(text):
        word = match.group().lower()
        if match.start() < past or (word not in _MARKS and not _DOB.fullmatch(word)):
            continue
        found = _date_after(text, match.end(), places_may_come=word in _BORN)
        if found is not None:
            past = found[1]
            yield found


def _date_after(text: str, at: int, *, places_may_come: bool) -> tuple[int, int, str] | None:
    fillers = others = 0
    start = end = 0
    values: list[str] = []
    sorts: list[str] = []
    for count, match in enumerate(_TOKEN.finditer(text, at, at + _REACH_CHARS)):
        word = match.group().lower()
        sort = _sort(word)
        if sort in ("number", "month", "year", "ordinal"):
            start = start if values else match.start()
            end = match.end()
            values.append(word)
            sorts.append(sort)
        elif values:
            if word in _ENGLISH_DAY and match.start() == end:
                end = match.end()
            elif not (word in _CONNECTORS or word in _JOINTS) or count > _TOKENS_MAX:
                break
        elif word in _FILLERS or word in _JOINTS or word in _CONNECTORS:
            fillers += 1
        else:
            others += 1
        if fillers > _FILLERS_MAX or others > (_OTHERS_MAX if places_may_come else 0):
            break
    if not values or not _is_date(values, sorts, stray=others > 0):
        return None
    return start, end, "-".join(sorted(_value(word) for word in values))


def _sort(word: str) -> str:
    if word.isdecimal():
        return "year" if _YEAR.fullmatch(word) else "number"
    if word in _MONTHS:
        return "month"
    if word in _ORDINALS:
        return "ordinal"
    known = NUMBER_WORDS.get(word)
    return "number" if word in _LARGE or (known is not None and known[0] is not Sort.REPEAT) else "other"


def _is_date(values: list[str], sorts: list[str], *, stray: bool) -> bool:
    """Two parts make one, or a year, or one group of six or eight digits; behind a stray word it takes three."""
    if stray:
        return len(values) > 2 or (len(values) == 1 and sorts[0] == "year")
    return len(values) > 1 or sorts[0] == "year" or (values[0].isdecimal() and len(values[0]) in _WHOLE_DATE_DIGITS)


def _value(word: str) -> str:
    if word.isdecimal():
        return str(int(word))
    return NUMBER_WORDS[word][1] if word in NUMBER_WORDS else word
