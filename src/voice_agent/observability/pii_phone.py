"""Whether a digit run is a phone number, by the numbering plans of many countries (libphonenumber's tables)."""

from __future__ import annotations

from voice_agent.observability.pii_digits import DigitRun

# Countries whose national form (without "+") is looked up: those of the locale table, then large neighbours.
NATIONAL_REGIONS = (
    "US",
    "GB",
    "AU",
    "SA",
    "ES",
    "FR",
    "DE",
    "IT",
    "NL",
    "IN",
    "MX",
    "BR",
    "AE",
    "EG",
    "IE",
    "NZ",
    "CH",
)
# ITU-T E.164 allows 15 digits; the shortest subscriber numbers have 7.
_E164_DIGITS = range(7, 16)
# Forms that are phone numbers to any reader, whether or not the plan has assigned them ("555-0100").
_PHONE_SHAPES = frozenset({(3, 4), (3, 3, 4), (1, 3, 3, 4), (2, 2, 2, 2, 2), (4, 3, 3), (4, 3, 4), (3, 4, 4), (5, 6)})


def is_phone(run: DigitRun) -> bool:
    """True where a numbering plan knows the number. Costs up to about a millisecond."""
    if run.has_plus or run.groups in _PHONE_SHAPES:
        return True
    if len(run.digits) not in _E164_DIGITS:
        return False
    return any(_is_valid(run.digits, region) for region in NATIONAL_REGIONS)


def warm_phone_tables() -> None:
    """Loads the tables of every region looked up here."""
    for region in NATIONAL_REGIONS:
        _is_valid("0000000", region)


def _is_valid(digits: str, region: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False
