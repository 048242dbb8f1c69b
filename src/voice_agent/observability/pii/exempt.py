"""Written numbers that are no personal data by their form: dates, times, amounts, measures, identifiers, tracking codes.

They are taken out before digits are looked at, so that they neither are runs nor join others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from voice_agent.observability.pii.kinds import PLACEHOLDER

_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]{0,6}"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_CURRENCY_WORD = (
    r"(?:dollars?|euros?|pounds?|cents?|pence|riyals?|dirhams?|pesos?|francs?|usd|eur|gbp|aud|sar|aed|egp|mxn|chf|percent|"
    r"per\s+cent|por\s+ciento|pour\s+cent|dólares|centavos|céntimos|livres|libras|ريال|ريالا|درهم|درهما|جنيه|جنيها|دولار|"
    r"دولارا|يورو|دينار)\b"
)
# Not inside a longer number: neither may another group of digits stand right before or behind.
_ALONE, _ENDS = r"(?<!\d)(?<!\d[-./ ,'])(?<!\d, )", r"(?![-./ ]?\d)"
# Letters before the hyphen that name a secret, not an order.
_NO_ORDER = r"(?!(?:PIN|CVV|CVC|SSN|TEL|FAX|MOB|CARD|IBAN)\b)"

_UUID = r"(?<![\w-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\w-])"
# Forms that begin with a digit.
_DIGIT_FIRST = re.compile(
    rf"{_UUID}|{_ALONE}{_YEAR}[-/]{_MONTH}[-/]{_DAY}"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![-./]?\d)"
    rf"|{_ALONE}(?:{_DAY}([-/.]){_MONTH}|{_MONTH}([-/.]){_DAY})(?:\1|\2)(?:{_YEAR}|\d\d){_ENDS}"
    rf"|{_ALONE}(?:{_DAY} {_MONTH}|{_MONTH} {_DAY}) {_YEAR}{_ENDS}"
    r"|(?<!:)\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?![\d:])"  # times
    rf"|{_ALONE}\d{{1,3}}(?:[,. ']\d{{3}}){{0,3}}(?:[.,]\d{{1,2}})?\s?(?:[$€£¥%]|{_CURRENCY_WORD})"  # amounts
    rf"|{_ALONE}\d{{4,9}}(?:[.,]\d{{1,2}})?\s?(?:[$€£¥]|{_CURRENCY_WORD})"
    rf"|(?<!,){_ALONE}\d{{1,3}}(?:,\d{{3}}){{1,3}}(?:\.\d{{1,2}})?(?!,){_ENDS}"  # 1,234,567
    r"|(?<!\.)\d\.\d+(?![\d.-])"  # a measurement
    rf"|{_ALONE}\d{{1,4}}(?:\s?[x×*]\s?\d{{1,4}}){{1,3}}(?![-./ ]?\d)"  # 120 x 60 x 75 cm
    r"|(?<!\.)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"  # IPv4
    rf"|{_ALONE}{_YEAR}(?:(?:,? ){_YEAR})+{_ENDS}"  # several years
    r"|(?-i:(?<!\w)1Z(?: ?[0-9A-Z]){16}(?!\w))"  # UPS
    r"|(?<!\d )9[1-5]\d\d(?: ?\d{4}){4}(?: ?\d\d)?(?! ?\d)",  # USPS: 20 or 22 digits, longer than any card
    re.IGNORECASE,
)
# Forms that begin with letters or signs, each with what must be in a text that holds it.
_UUIDS = re.compile(_UUID, re.IGNORECASE)
_UUID_HYPHENS = 4
_MONTH_NAMES = tuple("jan feb mar apr may jun jul aug sep oct nov dec".split())
_MONTH_DAYS = re.compile(
    rf"\b{_MONTHS}\.?[ ]{{1,3}}{_DAY}(?:st|nd|rd|th)?(?:,?[ ]{{1,3}}{_YEAR})?{_ENDS}", re.IGNORECASE
)
_CAPITAL = re.compile(r"[A-Z][-#]")
_CURRENCY_SIGNS = "$€£¥"
_AMOUNTS = re.compile(rf"[$€£¥]\s?\d{{1,9}}(?:[.,]\d{{1,3}}){{0,3}}{_ENDS}")
_CAPITALS = re.compile(
    # Orders, invoices and returns: capitals, a hyphen, at most twelve digits ("IE-000123", "ORD-2026-00417").
    rf"(?<![\w-]){_NO_ORDER}[A-Z]{{1,5}}[-#](?:(?:19|20)\d\d-)?\d{{2,12}}(?![\w-])"
    r"|(?<!\w)[A-Z]{2} ?\d{3} ?\d{3} ?\d{3} ?[A-Z]{2}(?!\w)"  # UPU S10, the postal services' parcels
)


def exempt_spans(text: str, small: str, groups: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Start and end of everything in ``text`` that has such a form, in order, without overlaps. ``small`` is ``text`` in
    lower case, ``groups`` are start and end of each group of digits in it."""
    patterns = [_CAPITALS] if _has_capitals(text, groups) else []
    if "[" in text:
        patterns.append(PLACEHOLDER)
    if text.count("-") >= _UUID_HYPHENS:
        patterns.append(_UUIDS)
    if any(sign in text for sign in _CURRENCY_SIGNS):
        patterns.append(_AMOUNTS)
    if any(month in small for month in _MONTH_NAMES):
        patterns.append(_MONTH_DAYS)
    taken = [match.span() for pattern in patterns for match in pattern.finditer(text)]
    past = 0
    for start, _ in groups:
        if start >= past and (match := _DIGIT_FIRST.match(text, start)):
            past = match.end()
            taken.append(match.span())
    taken.sort()
    merged: list[tuple[int, int]] = []
    for start, end in taken:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _has_capitals(text: str, groups: Sequence[tuple[int, int]]) -> bool:
    """Whether a capital stands right before a hyphen, or before digits with at most a blank between them."""
    if ("-" in text or "#" in text) and _CAPITAL.search(text):
        return True
    return any(text[max(0, start - 2) : start].strip(" ")[-1:].isupper() for start, _ in groups)
