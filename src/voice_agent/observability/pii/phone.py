"""Whether a digit run is a phone number, by the numbering plans of many countries (libphonenumber's tables).

libphonenumber's own parser takes about half a millisecond for a number and all these countries. Here its tables become one
pattern for the bare digits, which answers in microseconds.
"""

from __future__ import annotations

import re
from functools import cache

from voice_agent.observability.pii.digits import DigitRun

# Countries whose national form (without "+") is known: those of the locale table, then large neighbours.
NATIONAL_REGIONS = (
    *("US", "GB", "AU", "SA", "ES", "FR", "DE", "IT", "NL", "IN", "MX", "BR", "AE", "EG", "IE", "NZ", "CH", "BE", "AT"),
    *("PT", "MA", "DZ", "TN", "JO", "KW", "QA", "AR", "CO", "CL", "PE", "LU", "SE", "DK", "NO", "PL"),
)
# ITU-T E.164 allows 15 digits, a prefix to dial abroad adds up to three. Some plan or other knows any seven digits.
_DIALLED_DIGITS = range(8, 19)
# Forms that are phone numbers to any reader, whether or not the plan has assigned them ("555-0100").
_PHONE_SHAPES = frozenset({(3, 4), (3, 3, 4), (1, 3, 3, 4), (2, 2, 2, 2, 2), (4, 3, 3), (4, 3, 4), (3, 4, 4), (5, 6)})
_SIGNIFICANT_DIGITS = 9  # what national and international form of a number have in common


def is_phone(run: DigitRun) -> bool:
    """True where a numbering plan knows the number, or its form is that of one."""
    if run.has_plus or run.groups in _PHONE_SHAPES:
        return True
    return len(run.digits) in _DIALLED_DIGITS and _plans().fullmatch(run.digits) is not None


def warm_phone_tables() -> None:
    """Reads the tables and makes the pattern of them."""
    _plans()


def significant(digits: str) -> str:
    """The part of a phone number that is the same in its national and international form."""
    return digits[-_SIGNIFICANT_DIGITS:]


@cache
def _plans() -> re.Pattern[str]:
    from phonenumbers import PhoneMetadata

    nationals, abroad = [], []
    for region in NATIONAL_REGIONS:
        plan = PhoneMetadata.metadata_for_region(region)
        assert plan is not None, "libphonenumber knows every region named above"
        descriptions = (plan.fixed_line, plan.mobile, plan.toll_free, plan.shared_cost, plan.uan, plan.voip)
        numbers = "|".join(d.national_number_pattern for d in descriptions if d and d.national_number_pattern)
        lengths = sorted({n for d in descriptions if d for n in d.possible_length if n > 0})
        of_length = "|".join(rf"\d{{{n}}}" for n in lengths)
        national = rf"(?=(?:{of_length})\Z)(?:{numbers})"
        nationals.append(rf"(?:{plan.national_prefix})?{national}" if plan.national_prefix else national)
        abroad.append(rf"{plan.country_code}{national}")
    return re.compile(rf"{'|'.join(nationals)}|(?:00|011)?(?:{'|'.join(abroad)})")
