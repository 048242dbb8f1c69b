"""Dates, times and money as English words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voice_agent.conversation.spoken_forms.english import MONTHS
from voice_agent.conversation.spoken_forms.numbers import (
    cardinal_words,
    digit_words,
    ordinal_words,
    year_words,
)


@dataclass(frozen=True, slots=True)
class Style:
    """How one English-speaking country says it."""

    joined: bool  # "one hundred and five"
    day_first: bool  # 24/11/2026, "the twenty-fourth of November"


AMERICAN: Final = Style(joined=False, day_first=False)
BRITISH: Final = Style(joined=True, day_first=True)

# Names of one and of many, and of the hundredth part.
CURRENCIES: Final = {
    "USD": ("dollar", "dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "JPY": ("yen", "yen", "sen", "sen"),
}


def date_words(year: int | None, month: int, day: int, style: Style) -> str:
    """ "November twenty-fourth, twenty twenty-six" or "the twenty-fourth of November, …". Raises ``ValueError``."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError(f"there is no day {day} of month {month}")
    name, ordinal = MONTHS[month - 1].capitalize(), ordinal_words(day)
    spoken = f"the {ordinal} of {name}" if style.day_first else f"{name} {ordinal}"
    return spoken if year is None else f"{spoken}, {year_words(year)}"


def time_words(hour: int, minute: int, meridiem: str = "", *, of_day: bool = False) -> str:
    """``meridiem`` is "a", "p" or empty; ``of_day`` says that the hour counts to 24. Raises ``ValueError``."""
    if not (0 <= hour <= 24 and 0 <= minute <= 59):
        raise ValueError(f"there is no time {hour}:{minute:02}")
    if not meridiem and (of_day or hour > 12 or hour == 0):
        meridiem = "a" if hour % 24 < 12 else "p"
    clock_hour = cardinal_words((hour - 1) % 12 + 1)
    ending = f" {meridiem}.m." if meridiem else ""
    if minute == 0:
        return clock_hour + (ending or " o'clock")
    past = f"oh {cardinal_words(minute)}" if minute < 10 else cardinal_words(minute)
    return f"{clock_hour} {past}{ending}"


def money_words(whole: int, hundredths: int, currency: str, style: Style) -> str:
    """ "one thousand two hundred forty-nine dollars and ninety cents"."""
    one, many, part, parts = CURRENCIES[currency]
    spoken = f"{cardinal_words(whole, joined=style.joined)} {one if whole == 1 else many}"
    if not hundredths:
        return spoken
    rest = f"{cardinal_words(hundredths)} {part if hundredths == 1 else parts}"
    return f"{spoken} and {rest}" if whole else rest


def decimal_words(number: str, style: Style) -> str:
    """ "1,249.5" is "one thousand two hundred forty-nine point five"; "007" is read digit by digit."""
    whole, *parts = number.replace(",", "").split(".")
    spoken = (
        digit_words(whole)
        if (len(whole) > 1 and whole.startswith("0")) or len(whole) > 15
        else cardinal_words(int(whole), joined=style.joined)
    )
    if len(parts) == 1:
        return f"{spoken} point {digit_words(parts[0]).replace(',', '')}"
    return " point ".join([spoken, *(cardinal_words(int(part)) for part in parts)])
