"""Check digits: payment cards (Luhn), IBANs (mod 97), Spanish identity cards (mod 23)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# ISO 13616 registry: characters of an IBAN by country.
_IBAN_CHARS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24,
    "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21,
    "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27,
    "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29,
    "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23,
    "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_IBAN_CHECK = re.compile(r"\d ?\d")
_IBANS = {
    country: re.compile(rf"[A-Za-z0-9](?:[ -]{{0,2}}[A-Za-z0-9]){{{chars - 1}}}(?!\w)")
    for country, chars in _IBAN_CHARS.items()
}
_WORD_SIGN = re.compile(r"\w")
_DNI = re.compile(r"(?<!\w)([XYZxyz]?)[-. ]?(\d{7,8})[-. ]?([A-Za-z])(?!\w)", re.ASCII)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_DNI_DIGITS = 8
_DNI_WRITTEN_DIGITS = range(7, 9)


def passes_luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1 annex B). All zeros pass it and are no card."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0 and digits.strip("0") != ""


def find_ibans(text: str, groups: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, str]]:
    """Start, end and compact form of every IBAN: as many characters as its country's have, and 1 modulo 97. ``groups`` are
    start and end of each group of digits in ``text``: one of them stands behind the country."""
    for digit, _ in groups:
        start = digit - (3 if text[digit - 1 : digit] in (" ", "-") else 2)
        form = _IBANS.get(text[start : start + 2].upper()) if start >= 0 else None
        if form is None or (start and _WORD_SIGN.match(text[start - 1])) or not _IBAN_CHECK.match(text, digit):
            continue
        if match := form.match(text, start):
            compact = match.group().replace(" ", "").replace("-", "").upper()
            if _is_one_modulo_97(compact):
                yield match.start(), match.end(), compact


def _is_one_modulo_97(compact: str) -> bool:
    """ISO 13616-1: with country and check digits moved to the end, letters counting from 10."""
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def find_spanish_ids(text: str, groups: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, str]]:
    """Start, end and compact form of every DNI and NIE: digits (one of the ``groups``) and the letter that checks them."""
    if not any(end - start in _DNI_WRITTEN_DIGITS for start, end in groups):
        return
    for match in _DNI.finditer(text):
        prefix, digits, letter = (part.upper() for part in match.groups())
        number = f"{'XYZ'.index(prefix)}{digits}" if prefix else digits
        if len(number) == _DNI_DIGITS and _DNI_LETTERS[int(number) % 23] == letter:
            yield match.start(), match.end(), f"{prefix}{digits}{letter}"
