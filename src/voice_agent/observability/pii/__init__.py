"""Personal data in text: found, and replaced by typed placeholders.

``mask`` is idempotent, so text may pass several masks (the call's, the log's, the event file's) and stay the same. A
placeholder contains nothing that any rule here matches. ``Masker`` does the same for one call and tells values apart.

What counts (checked from the strictest to the loosest; where spans overlap the earlier rule wins), written or spoken, in
English, Spanish, French and Arabic:

- ``EMAIL``     "jane.doe@example.com", "jane dot doe at example dot com";
- ``BIRTHDAY``  dates said to be of a birth;
- ``IBAN``      ISO 13616: its country's length, mod-97 checked;
- ``ADDRESS``   postal addresses said to be one, or a house number with a street;
- ``PIN``, ``CVV``  digits said to be a PIN, passcode or card code ("my pin is four two seven one", "4271 is my pin");
- ``SSN``       US social security numbers in their 3-2-4 form, or digits said to be a social insurance number;
- ``CARD``      13-19 digits that pass the Luhn check (ISO/IEC 7812-1), whatever digits are said in the same breath;
- ``PHONE``     numbers that the numbering plan of some country knows, or that are written as one;
- ``NUMBER``    every other run of seven or more digits: an account, a misheard card.

Not personal data: amounts, dates, times, sizes, numbers below seven digits (order numbers have five), order and tracking
numbers known by their form ("IE-000123", "1Z…") or said to be one.
"""

from voice_agent.observability.pii.checks import passes_luhn
from voice_agent.observability.pii.finding import find_pii
from voice_agent.observability.pii.kinds import PiiKind, PiiSpan
from voice_agent.observability.pii.masker import Masker
from voice_agent.observability.pii.masking import mask, mask_any
from voice_agent.observability.pii.phone import warm_phone_tables

__all__ = ["Masker", "PiiKind", "PiiSpan", "find_pii", "mask", "mask_any", "passes_luhn", "warm_pii"]


def warm_pii() -> None:
    """Reads the numbering plans (some tens of ms), so that the first masked phone number does not pay for it."""
    warm_phone_tables()
