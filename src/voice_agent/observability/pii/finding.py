"""Finds personal data: asks each rule, from the strictest to the loosest; where spans overlap the earlier rule wins."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable

from voice_agent.observability.pii.addresses import ADDRESS_HINTS, find_addresses
from voice_agent.observability.pii.birth_dates import find_birth_dates, may_hold_birth_dates
from voice_agent.observability.pii.checks import find_ibans, find_spanish_ids, passes_luhn
from voice_agent.observability.pii.digits import DigitRun, digit_runs, lowered, number_stretches, tokens_of
from voice_agent.observability.pii.emails import find_emails, may_hold_emails
from voice_agent.observability.pii.kinds import PiiKind, PiiSpan
from voice_agent.observability.pii.labels import (
    Label,
    label_after,
    label_before,
    may_hold_secrets,
    may_spell_secrets,
    own_number_said,
    phone_mentioned,
)
from voice_agent.observability.pii.number_words import NUMBER_WORD_SET
from voice_agent.observability.pii.phone import is_phone

_LONG_RUN_DIGITS = 7  # the shortest subscriber number; below it lie order numbers, years and amounts
_PIN_DIGITS = range(3, 13)  # a CVV has three, the longest PIN of ISO 9564-1 twelve
_CVV_DIGITS = range(3, 5)
_CARD_DIGITS = range(13, 20)
_CARD_GROUP = 4  # how cards are printed, and read out: four digits first
_CARD_RUN_DIGITS_MAX = 64  # a longer one is masked as a number, whatever it holds
_ORDER_DIGITS = 5
_LABELLED_DIGITS_MAX = 12  # a longer "order number" is more likely a card
_CODE_DIGITS = (13, 14, 18, 20, 22)  # articles (GTIN), parcels (SSCC, USPS)
_FEDEX_DIGITS = 15
_SIZE_DIGITS_MAX = 3
_SSN_DIGITS, _SSN_TAIL_DIGITS, _SSN_DIGITS_MAX = 9, 4, 15  # "the last four of my social"; France has 15
# The first digits of the card networks (ISO/IEC 7812): Visa, Mastercard, Amex, Diners, JCB, Discover, Maestro, UnionPay.
_CARD_START = re.compile(r"4|5[0-8]|2[2-7]|3[4-9]|6|9792")
_GROUP = re.compile(r"\d+")


def find_pii(text: str) -> list[PiiSpan]:
    """All personal data in ``text``, in order, without overlaps. In time linear in its length.

    The words of the line decide which rules are asked, so most lines cost little more than finding the words.
    """
    spans: list[PiiSpan] = []
    small = lowered(text)
    tokens = tokens_of(small)
    words = frozenset(tokens)
    written = any(map(str.isdecimal, words))
    groups = [match.span() for match in _GROUP.finditer(text)] if written else []
    numbered = written or not words.isdisjoint(NUMBER_WORD_SET)
    if may_hold_emails(text, words):
        spans += _of(PiiKind.EMAIL, find_emails(text))
    if numbered and may_hold_birth_dates(words):
        spans += _of(PiiKind.BIRTHDAY, find_birth_dates(text), said_in=text)
    if written:
        spans += _of(PiiKind.IBAN, find_ibans(text, groups))
    if not words.isdisjoint(ADDRESS_HINTS):
        spans += _of(PiiKind.ADDRESS, find_addresses(text, words, written=written), said_in=text)
    spelled = numbered and may_spell_secrets(words)
    secrets = numbered and (spelled or may_hold_secrets(words))
    least = _PIN_DIGITS.start if secrets else _LONG_RUN_DIGITS
    if numbered and (stretches := number_stretches(tokens, least, written=written)):
        if written:
            spans += _of(PiiKind.NUMBER, find_spanish_ids(text, groups))
        for run in digit_runs(text, small, tokens, stretches, groups, least):
            kind = _kind_of_run(text, run, secrets=secrets, spelled=spelled)
            if kind is not None:
                spans.append(PiiSpan(kind, run.start, run.end, f"+{run.digits}" if run.has_plus else run.digits))
    return _without_overlaps(spans) if len(spans) > 1 else spans


def _of(kind: PiiKind, found: Iterable[tuple[int, int, str]], *, said_in: str = "") -> list[PiiSpan]:
    return [PiiSpan(kind, start, end, value, said_in[start:end]) for start, end, value in found]


def _kind_of_run(text: str, run: DigitRun, *, secrets: bool, spelled: bool) -> PiiKind | None:
    count = len(run.digits)
    if count < (_PIN_DIGITS.start if secrets else _LONG_RUN_DIGITS):
        return None
    label = label_before(text, run.start, spelled=spelled)
    if secrets and count in _PIN_DIGITS:
        said = label if label in (Label.PIN, Label.CVV) else label_after(text, run.end, spelled=spelled)
        if said in (Label.PIN, Label.CVV):
            return PiiKind.CVV if said is Label.CVV and count in _CVV_DIGITS else PiiKind.PIN
    if label is Label.SSN and (count == _SSN_TAIL_DIGITS or count in range(_SSN_DIGITS, _SSN_DIGITS_MAX + 1)):
        return PiiKind.SSN
    if count < _LONG_RUN_DIGITS or (not run.has_plus and _is_no_personal_data(text, run, label)):
        return None
    if _holds_card(run):
        return PiiKind.CARD
    if run.groups == (3, 2, 4):
        return PiiKind.SSN
    return PiiKind.PHONE if is_phone(run) and not _is_of_account_or_card(text, run, label) else PiiKind.NUMBER


def _is_of_account_or_card(text: str, run: DigitRun, label: Label | None) -> bool:
    """What may be a phone number, but is said to be of an account or a card. "My card, my number is …" is of neither, unless
    its digits may be a card's."""
    if label is not Label.CARD:
        return label is Label.ACCOUNT
    card_grouped = run.groups[:1] == (_CARD_GROUP,) and _CARD_START.match(run.digits) is not None
    may_be_card = not run.has_plus and (len(run.digits) >= _CARD_DIGITS.start or card_grouped)
    return may_be_card or not own_number_said(text, run.start, run.end)


def _holds_card(run: DigitRun) -> bool:
    """A card number in the run, from the start of a word or group to the end of one: dates and other digits that are said
    in the same breath do not hide it."""
    if len(run.digits) < _CARD_DIGITS.start:
        return False
    if len(run.digits) in _CARD_DIGITS and passes_luhn(run.digits):
        return True
    if len(run.digits) > _CARD_RUN_DIGITS_MAX:
        return False
    for start in (0, *run.ends[:-1]):
        if not _CARD_START.match(run.digits, start):
            continue
        for end in run.ends[bisect_left(run.ends, start + _CARD_DIGITS.start) :]:
            if end - start >= _CARD_DIGITS.stop:
                break
            if (start, end) != (0, len(run.digits)) and passes_luhn(run.digits[start:end]):
                return True
    return False


def _is_no_personal_data(text: str, run: DigitRun, label: Label | None) -> bool:
    """Said to be an order, a parcel or sizes, or several of the five digits that order numbers have ("83102 83103")."""
    count = len(run.digits)
    if label is Label.CODE:
        if count <= _LABELLED_DIGITS_MAX:
            return True
        if (count in _CODE_DIGITS and not _holds_card(run)) or (
            count == _FEDEX_DIGITS and not _CARD_START.match(run.digits)
        ):
            return True
    if label is Label.SIZES and run.groups and max(run.groups) <= _SIZE_DIGITS_MAX:
        return True
    if set(run.groups) != {_ORDER_DIGITS} or (count in _CARD_DIGITS and passes_luhn(run.digits)):
        return False
    return not phone_mentioned(text, run.start)


def _without_overlaps(spans: list[PiiSpan]) -> list[PiiSpan]:
    """Earlier rules win; what a dropped span leaves over is found in the next round of ``mask``."""
    kept: list[PiiSpan] = []
    starts: list[int] = []
    for span in spans:
        place = bisect_left(starts, span.start)
        if (place and kept[place - 1].end > span.start) or (place < len(kept) and kept[place].start < span.end):
            continue
        kept.insert(place, span)
        starts.insert(place, span.start)
    return kept
