"""Dates, clock times and money in heard or written English, with their places in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voice_agent.conversation.spoken_forms.english import MONTHS, NUMBERS, WEEKDAYS
from voice_agent.conversation.spoken_forms.numbers import Reading, read_number
from voice_agent.conversation.spoken_forms.tokens import Token


@dataclass(frozen=True, slots=True)
class HeardDate:
    """A day as far as it was said. ``relative`` holds what needs today's date: "tomorrow", "next friday", "in 3 days"."""

    month: int | None = None
    day: int | None = None
    year: int | None = None
    relative: str = ""


@dataclass(frozen=True, slots=True)
class Money:
    """``currency`` is an ISO 4217 code."""

    whole: int
    hundredths: int
    currency: str


@dataclass(frozen=True, slots=True)
class Found:
    """A value and the tokens it was made of."""

    value: HeardDate | Money | str
    first: int
    after: int


_MONTHS: Final = {name: at for at, name in enumerate(MONTHS, 1)} | {
    name[:3]: at for at, name in enumerate(MONTHS, 1) if name != "may"
}
_CURRENCIES: Final = {
    "dollar": "USD", "dollars": "USD", "buck": "USD", "bucks": "USD", "$": "USD", "usd": "USD", "pound": "GBP",
    "pounds": "GBP", "quid": "GBP", "£": "GBP", "gbp": "GBP", "euro": "EUR", "euros": "EUR", "€": "EUR", "eur": "EUR",
}  # fmt: skip
_PARTS: Final = {"cent": "USD", "cents": "USD", "penny": "GBP", "pence": "GBP"}
_BEFORE_TIMES: Final = frozenset("at by around about until till before after since from".split())
_RELATIVE_DAYS: Final = frozenset({"today", "tomorrow", "yesterday", "tonight"})
_WHICH: Final = frozenset({"next", "last", "this", "coming"})
_SPANS: Final = frozenset("day days week weeks month months".split())


class Reader:
    """Reads values at places of one token list."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens

    def word(self, at: int) -> str:
        return self._tokens[at].word if 0 <= at < len(self._tokens) else ""

    def number(self, at: int) -> Reading | None:
        return read_number(self._tokens, at, NUMBERS) if at < len(self._tokens) else None

    def _glued(self, at: int) -> bool:
        """Whether no white space stands between tokens ``at - 1`` and ``at``."""
        return 0 < at < len(self._tokens) and self._tokens[at - 1].end == self._tokens[at].start

    # --- dates -----------------------------------------------------------------------------------------------------

    def date(self, at: int) -> Found | None:
        return self._iso(at) or self._month_day(at) or self._day_month(at) or self._relative(at)

    def _iso(self, at: int) -> Found | None:
        parts = [self.word(at + step) for step in range(5)]
        if parts[1] != "-" or parts[3] != "-" or [len(part) for part in parts[::2]] != [4, 2, 2]:
            return None
        if not all(part.isdecimal() for part in parts[::2]):
            return None
        year, month, day = (int(part) for part in parts[::2])
        return Found(HeardDate(month, day, year), at, at + 5) if 1 <= month <= 12 and 1 <= day <= 31 else None

    def _month_day(self, at: int) -> Found | None:
        month = _MONTHS.get(self.word(at))
        if month is None:
            return None
        start = at + 1
        while self.word(start) in (".", "the"):
            start += 1
        day = self._day(start)
        return self._with_year(month, day[0], at, day[1]) if day else None

    def _day_month(self, at: int) -> Found | None:
        start = at + 1 if self.word(at) == "the" else at
        day = self._day(start)
        if day is None:
            return None
        after = day[1] + 1 if self.word(day[1]) == "of" else day[1]
        month = _MONTHS.get(self.word(after))
        return self._with_year(month, day[0], at, after + 1) if month else None

    def _with_year(self, month: int, day: int, first: int, after: int) -> Found:
        start = after + 1 if self.word(after) == "," else after
        year = self._year(start)
        return Found(HeardDate(month, day, year[0] if year else None), first, year[1] if year else after)

    def _day(self, at: int) -> tuple[int, int] | None:
        """A day of the month, ordinal or not: (day, index after it)."""
        word = self.word(at)
        ordinals = NUMBERS.ordinals
        if word in ordinals:
            return ordinals[word], at + 1
        if word in NUMBERS.tens:
            unit = at + 2 if self.word(at + 1) == "-" else at + 1
            if ordinals.get(self.word(unit), 10) < 10:
                day = NUMBERS.tens[word] + ordinals[self.word(unit)]
                return (day, unit + 1) if day <= 31 else None
        reading = self.number(at)
        if reading is None or len(reading.digits) > 2 or not 1 <= int(reading.digits) <= 31:
            return None
        after = reading.after
        if self.word(after) in ("st", "nd", "rd", "th") and self._glued(after):
            after += 1
        return int(reading.digits), after

    def _year(self, at: int) -> tuple[int, int] | None:
        first = self.number(at)
        if first is None:
            return None
        if len(first.digits) == 4 and first.digits[:2] in ("19", "20"):
            return int(first.digits), first.after
        if first.digits not in ("19", "20"):
            return None
        second = self.number(first.after)
        if second is not None and second.digits == "0":
            third = self.number(second.after)
            if third is not None and len(third.digits) == 1:
                return int(first.digits) * 100 + int(third.digits), third.after
        if second is not None and len(second.digits) == 2:
            return int(first.digits + second.digits), second.after
        return None

    def _relative(self, at: int) -> Found | None:
        word = self.word(at)
        if word in _RELATIVE_DAYS:
            if word == "tomorrow" and self.word(at - 1) == "after" and self.word(at - 2) == "day":
                return Found(HeardDate(relative="day after tomorrow"), at - 2, at + 1)
            return Found(HeardDate(relative=word), at, at + 1)
        if word in _WHICH and (self.word(at + 1) in WEEKDAYS or self.word(at + 1) in ("week", "month")):
            return Found(HeardDate(relative=f"{word} {self.word(at + 1)}"), at, at + 2)
        if word in WEEKDAYS and self.word(at - 1) not in _WHICH:
            return Found(HeardDate(relative=word), at, at + 1)
        if word == "in":
            count = self.number(at + 1)
            if count is not None and len(count.digits) <= 2 and self.word(count.after) in _SPANS:
                return Found(HeardDate(relative=f"in {count.digits} {self.word(count.after)}"), at, count.after + 1)
        return None

    # --- times -----------------------------------------------------------------------------------------------------

    def time(self, at: int) -> Found | None:
        """ "half past" is left in words; "five thirty pm" or "at five thirty" is "5:30"."""
        hour = self.number(at)
        if (
            self.word(at + 1) == ":"
            and self.word(at).isdecimal()
            and len(self.word(at + 2)) == 2
            and self._glued(at + 1)
        ):
            written = f"{self.word(at)}:{self.word(at + 2)}"
            return Found(written, at, at + 3) if written.replace(":", "").isdecimal() else None
        if hour is None or len(hour.digits) > 2 or not 1 <= int(hour.digits) <= 12:
            return None
        minute = self._minute(hour.after)
        if minute is None or (self.number(minute[1]) is not None):
            return None
        meridiem = self.word(minute[1]) in ("am", "pm") or (
            self.word(minute[1]) in ("a", "p") and self.word(minute[1] + 1) == "." and self.word(minute[1] + 2) == "m"
        )
        if not meridiem and self.word(at - 1) not in _BEFORE_TIMES:
            return None
        return Found(f"{int(hour.digits)}:{minute[0]:02}", at, minute[1])

    def _minute(self, at: int) -> tuple[int, int] | None:
        reading = self.number(at)
        if reading is None:
            return None
        if len(reading.digits) == 2 and 10 <= int(reading.digits) <= 59:
            return int(reading.digits), reading.after
        if reading.digits == "0":
            unit = self.number(reading.after)
            if unit is not None and unit.single:
                return int(unit.digits), unit.after
        return None

    # --- money -----------------------------------------------------------------------------------------------------

    def money(self, at: int) -> Found | None:
        sign = _CURRENCIES.get(self.word(at)) if self.word(at) in "$£€" else None
        amount = self._amount(at + 1 if sign else at)
        if amount is None:
            return None
        whole, hundredths, after = amount
        if sign:
            return Found(Money(whole, hundredths, sign), at, after)
        if hundredths == 0 and self.word(after) in _PARTS and whole < 100:
            return Found(Money(0, whole, _PARTS[self.word(after)]), at, after + 1)
        prefix = {"australian": "AUD", "canadian": "CAD"}.get(self.word(after))
        after += 1 if prefix else 0
        currency = _CURRENCIES.get(self.word(after))
        if currency is None or (self.word(after) in "$£€" and not self._glued(after)):
            return None
        after += 1
        part = self._part(after)
        if part and not hundredths:
            hundredths, after = part
        return Found(Money(whole, hundredths, prefix or currency), at, after)

    def _part(self, at: int) -> tuple[int, int] | None:
        """ "and fifty cents", "fifty cents", or the bare "fifty" of "ten pounds fifty"."""
        joined = self.word(at) == "and"
        cents = self.number(at + 1 if joined else at)
        if cents is None or len(cents.digits) > 2 or cents.doubtful:
            return None
        if self.word(cents.after) in _PARTS:
            return int(cents.digits), cents.after + 1
        bare = not joined and len(cents.digits) == 2 and self.word(cents.after) in ("", ".", ",", "!", "?")
        return (int(cents.digits), cents.after) if bare else None

    def _amount(self, at: int) -> tuple[int, int, int] | None:
        """(whole, hundredths, index after it) of "1,249.90", "a hundred", "two point five million", "twenty five"."""
        if self.word(at) == "a" and self.word(at + 1) in ("hundred", "thousand", "million"):
            return {"hundred": 100, "thousand": 1_000, "million": 1_000_000}[self.word(at + 1)], 0, at + 2
        literal = self.word(at).isdecimal()
        reading = self.number(at)
        if reading is None or reading.doubtful or len(reading.digits) > 12:
            return None
        digits, after = (
            (self.word(at), at + 1) if literal and reading.after == at + 1 else (reading.digits, reading.after)
        )
        while literal and self.word(after) == "," and self._glued(after) and self._glued(after + 1):
            if not (self.word(after + 1).isdecimal() and len(self.word(after + 1)) == 3):
                break
            digits, after = digits + self.word(after + 1), after + 2
        fraction = ""
        if literal and self.word(after) == "." and self._glued(after + 1) and self.word(after + 1).isdecimal():
            fraction, after = self.word(after + 1), after + 2
        elif self.word(after) == "point":
            after += 1
            while (figure := NUMBERS.digits.get(self.word(after))) is not None:
                fraction, after = fraction + str(figure), after + 1
        scale = NUMBERS.scales.get(self.word(after), 0)
        if scale:
            value = int(digits + fraction) * scale // 10 ** len(fraction)
            return value, 0, after + 1
        return int(digits), int(fraction[:2].ljust(2, "0")), after
