"""Personal data in text: found, and replaced by typed placeholders.

``mask`` is idempotent, so text may pass several masks (the call's, the log's, the event file's) and stay the same. A
placeholder contains nothing that any pattern here matches.

What counts (checked from the strictest to the loosest; where spans overlap the earlier rule wins):

- ``EMAIL``   written, or spoken ("jane dot doe at example dot com");
- ``IBAN``    ISO 13616, mod-97 checked (spaces allowed);
- ``PIN``     digits said to be a PIN, passcode, CVV or the like ("my pin is four two seven one", "4271 is my pin");
- ``CARD``    13-19 digits that pass the Luhn check (ISO/IEC 7812-1), written or spoken;
- ``SSN``     US social security numbers in their 3-2-4 form, or nine digits said to be one;
- ``PHONE``   numbers that the numbering plan of some country knows, or that are written as one;
- ``NUMBER``  every other run of seven or more digits, written or spoken: an account, a misheard card.

Not personal data: amounts, dates, times, percentages, numbers below seven digits (order numbers have five), and longer
ones that are said to be an order, invoice, ticket or reference number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voice_agent.observability.pii_digits import DigitRun, digit_runs, may_hold_digits
from voice_agent.observability.pii_phone import is_phone, warm_phone_tables


class PiiKind(StrEnum):
    """Kinds of personal data, named as their placeholders."""

    CARD = "CARD"
    SSN = "SSN"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    IBAN = "IBAN"
    PIN = "PIN"
    NUMBER = "NUMBER"

    @property
    def placeholder(self) -> str:
        return f"[{self.value}]"


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """``text[start:end]`` is personal data."""

    kind: PiiKind
    start: int
    end: int


_LONG_RUN_DIGITS = 7  # the shortest subscriber number; below it lie order numbers, years and amounts
_PIN_DIGITS = range(3, 13)  # a CVV has three, the longest PIN of ISO 9564-1 twelve
_CARD_DIGITS = range(13, 20)
_ORDER_DIGITS = 5
_LABELLED_DIGITS_MAX = 12  # a longer "order number" is more likely a card

_EMAIL_WRITTEN = re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_TLD = (
    "com|net|org|edu|gov|info|biz|io|dev|app|me|co|uk|us|ca|au|nz|ie|de|fr|es|it|pt|nl|be|ch|at|se|no|dk|fi|pl|eu|sa|ae|"
    "eg|in|jp|mx|ar|br|cl|za"
)
# The name before "at": words joined by spoken signs, or letters spelled one by one.
_EMAIL_SPOKEN = re.compile(
    r"(?<![\w\[])"
    r"(?P<local>(?:\w(?:[ ,-]+\w(?!\w)){1,40}|[\w.+-]{1,64})"
    r"(?:\s{1,3}(?:dot|underscore|dash|hyphen|minus|plus|punto|point|guion|tiret)\s{1,3}\w[\w+-]*|\s{1,3}\d+)*)"
    r"(?:\s{0,3}@\s{0,3}|\s{1,3}(?:at|arroba|arobase|آت)\s{1,3})"
    r"(?:[\w-]+(?:\s{1,3}(?:dash|hyphen)\s{1,3}\w+)*)"
    r"(?:(?:\s{1,3}(?:dot|punto|point|نقطة)\s{1,3}|\.(?=\w))[\w-]+)*"
    r"(?:\s{1,3}(?:dot|punto|point|نقطة)\s{1,3}|\.(?=\w))"
    rf"(?:{_TLD})(?!\w)",
    re.IGNORECASE,
)
# "Visit us at example.com" names a site, not a mailbox.
_NO_MAILBOX = re.compile(
    r"us|them|me|you|it|here|there|up|out|online|website|site|page|shop|store|look|find|visit|go|again|available|now|"
    r"directly|orders?|everything|more|details|information|policy|live|is|are|be",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,4})?(?!\w)", re.IGNORECASE)

_PIN_WORD = (
    r"(?<!\[)\b(?:pins?(?:'s)?|p\.i\.n\.|pass\s?codes?|pass\s?word|security\s+code|secret\s+(?:code|number)|access\s+code|"
    r"verification\s+code|one[\s-]time\s+code|c\.?v\.?[vc]2?|clave|contraseña|código\s+(?:secreto|de\s+seguridad|pin)|"
    r"code\s+(?:secret|pin|confidentiel)|mot\s+de\s+passe)\b|الرقم\s+السري|رقمي\s+السري|رمز"
)
_PIN_FILLER = (
    r"(?:[\s:;,.=\"'#-]++|\b(?:code|number|digits?|is|was|it's|its|it|should|be|would|my|the|to|are|that's|that|equals|um|"
    r"uh|er|es|est|son|sont|el|la|le|mi|mon|número|numéro|and|y|et|هو|هي)\b){0,14}"
)
_PIN_BEFORE = re.compile(rf"(?:{_PIN_WORD}){_PIN_FILLER}\Z", re.IGNORECASE)
_PIN_AFTER = re.compile(
    r"[\s,.]{0,3}(?:that\s+)?(?:is|was|'s|es|est|هو)\s+(?:my|the|our|mi|mon)\s+"
    r"(?:secret\s+|security\s+)?(?:pin|pass\s?code|pass\s?word|code\s+secret|clave|c\.?v\.?[vc])\b",
    re.IGNORECASE,
)
_ORDER_BEFORE = re.compile(
    r"\b(?:orders?|order\s+id|invoices?|tickets?|references?|parcels?|tracking|shipments?|cases?|confirmation|article|item|"
    r"pedidos?|commandes?|factura|facture|الطلب|طلبي)\b(?:[\s:,.#-]++|\b(?:no|nr|id|ids|code|number|numbers|is|was|it's|my|"
    r"the|are|número|numéro|de|es|est|رقم|هو)\b){0,10}\Z",
    re.IGNORECASE,
)
_PHONE_BEFORE = re.compile(
    r"\b(?:phone|mobile|cell|telephone|tel|call|reach|ring|whatsapp|fax|number|móvil|teléfono|portable|téléphone)\b",
    re.IGNORECASE,
)
_SSN_BEFORE = re.compile(
    r"\b(?:ssn|social(?:\s+security)?)\b(?:[\s:,.#-]++|\b(?:no|number|is|it's|my)\b){0,8}\Z", re.IGNORECASE
)
_CONTEXT_CHARS = 48  # how far back a word may stand that says what a number is
_PIN_HINT = re.compile(r"pin|pass|code|cvv|cvc|c\.v|p\.i|secret|clave|contrase|código|mot de|سري|رمز", re.IGNORECASE)
_EMAIL_HINT = re.compile(r"@|\b(?:at|arroba|arobase)\b|آت", re.IGNORECASE)
_IBAN_HINT = re.compile(r"(?<!\w)[A-Za-z]{2}\d\d")


def find_pii(text: str) -> list[PiiSpan]:
    """All personal data in ``text``, in order, without overlaps.

    About 30 µs for an ordinary line of 200 characters; up to a millisecond where a phone number must be looked up.
    """
    spans: list[PiiSpan] = []
    if _EMAIL_HINT.search(text):
        spans += _emails(text)
    if _IBAN_HINT.search(text):
        spans += [
            PiiSpan(PiiKind.IBAN, m.start(), m.end()) for m in _IBAN.finditer(text) if _is_iban(m.group().upper())
        ]
    secrets = _PIN_HINT.search(text) is not None
    if may_hold_digits(text, _PIN_DIGITS.start if secrets else _LONG_RUN_DIGITS):
        for run in digit_runs(text):
            kind = _kind_of_run(text, run, secrets=secrets)
            if kind is not None:
                spans.append(PiiSpan(kind, run.start, run.end))
    return _without_overlaps(spans)


def mask(text: str) -> str:
    """``text`` with every piece of personal data replaced by its placeholder. ``mask(mask(x)) == mask(x)``.

    Masking can bring the words around a placeholder together into something new to mask; so it goes on until nothing is
    found. Each round leaves less that is not a placeholder, hence it ends.
    """
    while spans := find_pii(text):
        parts: list[str] = []
        at = 0
        for span in spans:
            parts += (text[at : span.start], span.kind.placeholder)
            at = span.end
        parts.append(text[at:])
        text = "".join(parts)
    return text


def mask_any(value: Any, *, skip: frozenset[str] = frozenset()) -> Any:
    """``value`` with every string in it masked, keys included; dicts, lists and tuples are copied, other values pass.

    What stands under a key in ``skip`` (at any depth) is left as it is.
    """
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {
            (mask(key) if isinstance(key, str) else key): item if key in skip else mask_any(item, skip=skip)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [mask_any(item, skip=skip) for item in value]
    if isinstance(value, tuple):
        return tuple(mask_any(item, skip=skip) for item in value)
    return value


def warm_pii() -> None:
    """Loads the numbering plans (some tens of ms), so that the first masked phone number does not pay for it."""
    warm_phone_tables()


def _emails(text: str) -> list[PiiSpan]:
    spans = [PiiSpan(PiiKind.EMAIL, m.start(), m.end()) for m in _EMAIL_WRITTEN.finditer(text)]
    for match in _EMAIL_SPOKEN.finditer(text):
        if not _NO_MAILBOX.fullmatch(match["local"]):
            spans.append(PiiSpan(PiiKind.EMAIL, match.start(), match.end()))
    return spans


def _kind_of_run(text: str, run: DigitRun, *, secrets: bool) -> PiiKind | None:
    count = len(run.digits)
    if secrets and count in _PIN_DIGITS:
        before = text[max(0, run.start - _CONTEXT_CHARS) : run.start]
        if _PIN_BEFORE.search(before) or _PIN_AFTER.match(text, run.end):
            return PiiKind.PIN
    if count < _LONG_RUN_DIGITS:
        return None
    if count in _CARD_DIGITS and passes_luhn(run.digits):
        return PiiKind.CARD
    before = text[max(0, run.start - _CONTEXT_CHARS) : run.start]
    if not run.has_plus and _is_order(run, before):
        return None
    if count == 9 and (run.groups == (3, 2, 4) or _SSN_BEFORE.search(before)):
        return PiiKind.SSN
    if is_phone(run):
        return PiiKind.PHONE
    return PiiKind.NUMBER


def _is_order(run: DigitRun, before: str) -> bool:
    """Said to be one, or several of the five digits that order numbers have ("83102 83103")."""
    if len(run.digits) <= _LABELLED_DIGITS_MAX and _ORDER_BEFORE.search(before):
        return True
    return set(run.groups) == {_ORDER_DIGITS} and not _PHONE_BEFORE.search(before)


def passes_luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1 annex B). All zeros pass it and are no card."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0 and digits.strip("0") != ""


def _is_iban(candidate: str) -> bool:
    """ISO 13616-1: moved to the end, the country and check digits make the number 1 modulo 97."""
    compact = re.sub(r"[ -]", "", candidate)
    if not 15 <= len(compact) <= 34:
        return False
    rotated = compact[4:] + compact[:4]
    try:
        return int("".join(str(int(sign, 36)) for sign in rotated)) % 97 == 1
    except ValueError:
        return False


def _without_overlaps(spans: list[PiiSpan]) -> list[PiiSpan]:
    """Earlier rules win; what a dropped span leaves over is found in the next round of ``mask``."""
    kept: list[PiiSpan] = []
    for span in spans:
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)
