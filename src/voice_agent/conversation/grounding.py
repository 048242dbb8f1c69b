"""Is what the agent is about to say known? Amounts, dates, periods, numbers and order states must come from somewhere.

Theory of operation: a sentence makes *claims*, a call has *evidence*: the results of its tools and knowledge base, the
operator's own prompt, and for identifiers also what the caller said. A claim is grounded where the evidence holds the same
value, however it is written: "$4.95" and 4.95, "November 24" and 2026-11-24, "thirty days" and "30 days". A model that
computes, rounds or remembers is not grounded. Everything that is no such claim passes.

Rules:

1. Money and periods compare by value; a bare number in a tool's data grounds either.
2. A date needs month and day, and the year where both say one. Weekdays and "tomorrow" alone are no claims.
3. Numbers of four digits and more, and codes of letters and digits, are identifiers.
4. An order's state is a claim only where a sentence says that something *is* so ("your order has been shipped").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from voice_agent.models import Message, Role


class ClaimKind(StrEnum):
    """A closed set: safe as a metric label."""

    MONEY = "money"
    DATE = "date"
    PERIOD = "period"
    IDENTIFIER = "identifier"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Claim:
    """``value`` is how it compares: plain digits, ``[year-]month-day``, ``number unit``, upper-case code, state."""

    kind: ClaimKind
    value: str


_NUMBER = r"\d{1,3}(?:[,. ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_CURRENCY = r"[$€£]|USD|EUR|GBP|AUD|SAR|dollars?|euros?|pounds?|dólares|libras|livres|ريال|دولار|يورو"
_MONEY = re.compile(
    rf"(?:[$€£]|\b(?:USD|EUR|GBP|AUD|SAR))\s?({_NUMBER})(?![\d])|(?<![\d.,])({_NUMBER})\s?(?:{_CURRENCY})(?!\w)",
    re.IGNORECASE,
)
_MONTHS: Final = {
    name: number
    for names in (
        "january|february|march|april|may|june|july|august|september|october|november|december",
        "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
        "enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre",
        "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre",
        "يناير|فبراير|مارس|أبريل|مايو|يونيو|يوليو|أغسطس|سبتمبر|أكتوبر|نوفمبر|ديسمبر",
    )
    for number, name in enumerate(names.split("|"), 1)
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})(?!\d)")
_MONTH_DAY = re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?", re.IGNORECASE)
_DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|er)?(?: of| de)? ({_MONTH})\b\.?(?:,?(?: de)? (\d{{4}}))?", re.IGNORECASE
)
_UNITS: Final = {
    "day": "days?|días?|jours?|أيام|يوم|يومًا",
    "week": "weeks?|semanas?|semaines?|أسابيع|أسبوع",
    "month": "months?|mes(?:es)?|mois|أشهر|شهر",
    "year": "years?|años?|ans?|années?|سنوات|سنة",
    "hour": "hours?|horas?|heures?|ساعات|ساعة",
    "minute": "minutes?|minutos?|دقائق|دقيقة",
    "percent": "percent|per cent|%|por ciento|pour cent|بالمئة|٪",
}
_UNIT = "|".join(f"(?P<{name}>{words})" for name, words in _UNITS.items())
_WORKING = r"(?:business |working |calendar |full |more )?"
_SMALL_NUMBERS: Final = {
    word: number
    for words in (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
        "un dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince",
        "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze",
    )
    for number, word in enumerate(words.split(), 1)
} | {"twenty": 20, "thirty": 30, "sixty": 60, "ninety": 90, "veinte": 20, "treinta": 30, "vingt": 20, "trente": 30}
_COUNT = rf"\d+(?:[.,]\d+)?|{'|'.join(sorted(_SMALL_NUMBERS, key=len, reverse=True))}"
_PERIOD = re.compile(
    rf"\b({_COUNT})(?:\s?(?:to|-|–|or|and|a|o|à|ou|إلى|أو)\s?({_COUNT}))?[ -]?{_WORKING}(?:{_UNIT})(?!\w)",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"(?<![\w.,-])(?=[A-Z\d-]*\d{3})[A-Z]{0,5}-?\d[A-Z\d-]{3,}(?![\w-])")
_STATES: Final = {
    "shipped": "shipped|dispatched|sent out|on its way|on the way|in transit|out for delivery",
    "delivered": "delivered|arrived",
    "cancelled": "cancell?ed",
    "refunded": "refunded|paid back",
    "returned": "returned",
    "processing": "being (?:prepared|packed|processed)|in preparation|not (?:yet )?shipped",
    "lost": "lost",
    "delayed": "delayed",
}
_STATE = re.compile(
    r"\b(?:order|parcel|package|shipment|delivery|refund|return|item|it|they)\b[^.,;?]{0,40}?"
    r"(?:\bis|\bare|\bwas|\bwere|\bhas|\bhave|\bgot|'s|'ve)(?: (?:now|already|just|been|currently)){0,3} "
    rf"(?:{'|'.join(f'(?P<{name}>{words})' for name, words in _STATES.items())})\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|when|once|until|unless|after|before|whether|cannot|can't|can|could|would|may)\b", re.IGNORECASE
)


def claims_of(text: str) -> tuple[Claim, ...]:
    """What ``text`` claims, in no particular order, each once."""
    found: dict[Claim, None] = {}
    rest = text
    for pattern, make in (
        (_ISO_DATE, _iso_date),
        (_MONTH_DAY, lambda m: _date(m[3], _MONTHS[m[1].lower()], m[2])),
        (_DAY_MONTH, lambda m: _date(m[3], _MONTHS[m[2].lower()], m[1])),
        (_MONEY, lambda m: [Claim(ClaimKind.MONEY, _plain(m[1] or m[2]))]),
        (_PERIOD, _period),
        (_IDENTIFIER, lambda m: [Claim(ClaimKind.IDENTIFIER, _code(m[0]))]),
    ):
        for match in pattern.finditer(rest):
            found |= dict.fromkeys(make(match))
        rest = pattern.sub(" ; ", rest)  # what was read as one thing is not read as another
    if not _CONDITION.search(text):
        for match in _STATE.finditer(text):
            found[Claim(ClaimKind.STATE, str(match.lastgroup))] = None
    return tuple(found)


@dataclass(slots=True)
class Evidence:
    """What is known in a call."""

    _claims: set[Claim] = field(default_factory=set)
    _numbers: set[str] = field(default_factory=set)
    _codes: set[str] = field(default_factory=set)
    _words: str = ""

    def add_text(self, text: str) -> None:
        """Words that may be repeated: a passage, a tool's text, the operator's prompt."""
        self._claims.update(claims_of(text))
        self._numbers.update(_plain(number) for number in re.findall(_NUMBER, text))
        self._numbers.update(
            str(_SMALL_NUMBERS[word]) for word in re.findall(r"\w+", text.lower()) if word in _SMALL_NUMBERS
        )
        self._words += f" {text.lower().replace('_', ' ')}"
        self.add_heard(text)

    def add_heard(self, text: str) -> None:
        """What the caller said: it grounds identifiers, nothing else."""
        self._codes.update(_code(code) for code in re.findall(r"[A-Za-z]*-?\d[\w-]*", text))
        self._codes.update(re.sub(r"\D", "", run) for run in re.findall(r"\d[\d\s-]*\d", text))

    def add_data(self, data: Any) -> None:
        """A tool's result: any JSON value."""
        if isinstance(data, Mapping):
            for key, value in data.items():
                self.add_text(str(key))
                self.add_data(value)
        elif isinstance(data, str):
            self.add_text(data)
        elif isinstance(data, bool) or data is None:
            return
        elif isinstance(data, int | float):
            self._numbers.add(_plain(str(data)))
            self._codes.add(_code(str(data)))
        elif isinstance(data, Iterable):
            for value in data:
                self.add_data(value)

    def add(self, other: Evidence) -> None:
        """What ``other`` knows."""
        self._claims |= other._claims
        self._numbers |= other._numbers
        self._codes |= other._codes
        self._words += other._words

    def ungrounded(self, text: str) -> tuple[Claim, ...]:
        """The claims of ``text`` that nothing known supports; empty where all are."""
        return tuple(claim for claim in claims_of(text) if not self._supports(claim))

    def _supports(self, claim: Claim) -> bool:
        match claim.kind:
            case ClaimKind.MONEY:
                return claim in self._claims or claim.value in self._numbers
            case ClaimKind.PERIOD:
                return claim in self._claims or claim.value.split()[0] in self._numbers
            case ClaimKind.IDENTIFIER:
                return claim in self._claims or claim.value in self._codes or claim.value in self._numbers
            case ClaimKind.DATE:
                if claim in self._claims:
                    return True
                year, _, day = claim.value.rpartition("/")
                return any(
                    known.kind is ClaimKind.DATE
                    and known.value.rpartition("/")[2] == day
                    and not (year and known.value.rpartition("/")[0])
                    for known in self._claims
                )
            case ClaimKind.STATE:
                return re.search(rf"\b(?:{_STATES[claim.value]})\b|\b{claim.value}\b", self._words) is not None


class EvidenceBook:
    """The evidence of one call. A message is read once and kept for as long as it is among those given: to read the
    passages of a long call takes a tenth of a second, in which no call of the process would be served."""

    def __init__(self) -> None:
        self._read: dict[tuple[Role, str, int], tuple[Message, Evidence]] = {}

    def of(self, messages: Iterable[Message]) -> Evidence:
        """What a model may say as a fact: its prompt, what tools brought, what was said before; and the caller's
        numbers."""
        read: dict[tuple[Role, str, int], tuple[Message, Evidence]] = {}
        for message in messages:
            key = (message.role, message.text, id(message.tool_result))
            read[key] = self._read.get(key) or (message, _evidence_in(message))
        self._read = read
        known = Evidence()
        for _, part in read.values():
            known.add(part)
        return known


def _evidence_in(message: Message) -> Evidence:
    evidence = Evidence()
    if message.tool_result is not None:
        evidence.add_data(message.tool_result.data)
    elif message.role is Role.CALLER:
        evidence.add_heard(message.text)
    else:
        evidence.add_text(message.text)
    return evidence


def _plain(number: str) -> str:
    """Digits with a point, without grouping and needless zeros: "1,299.00" and "1.299,00" are "1299"."""
    text = re.sub(r"[ ,.](?=\d{3}(?:\D|$))", "", number).replace(",", ".")
    try:
        return f"{Decimal(text).normalize():f}"
    except InvalidOperation:
        return text


def _code(text: str) -> str:
    return text.upper().replace("-", "")


def _iso_date(match: re.Match[str]) -> list[Claim]:
    return _date(match[1], int(match[2]), match[3])


def _date(year: str | None, month: int, day: str) -> list[Claim]:
    return [Claim(ClaimKind.DATE, f"{year or ''}/{month}-{int(day)}")]


def _period(match: re.Match[str]) -> list[Claim]:
    unit = next(name for name in _UNITS if match[name])
    numbers = [number for number in (match[1], match[2]) if number]
    return [
        Claim(ClaimKind.PERIOD, f"{_SMALL_NUMBERS.get(number.lower()) or _plain(number)} {unit}") for number in numbers
    ]
