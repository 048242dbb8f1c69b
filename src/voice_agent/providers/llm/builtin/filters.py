"""Turns values of tool results into words: dates, money, lists of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from voice_agent.conversation.spoken_forms.english_items import counted
from voice_agent.providers.llm.builtin.templates import Filter, join


@dataclass(frozen=True, slots=True)
class Calendar:
    """How days are said. ``day`` is a pattern with {weekday}, {month} and {day}; ``one`` with {day}, ``between`` with
    {first} and {last} say when something comes."""

    months: Sequence[str]
    weekdays: Sequence[str]
    day: str
    one: str
    between: str


def build_filters(*, words: Mapping[str, str], currencies: Mapping[str, str], calendar: Calendar) -> dict[str, Filter]:
    """The filters that templates may name. ``words`` translates codes ("in_transit"); ``currencies`` gives the sign of
    an ISO 4217 code."""

    def say_date(value: Any) -> str:
        try:
            moment = date.fromisoformat(str(value)[:10])
        except ValueError:
            return str(value)
        weekday, month = calendar.weekdays[moment.weekday()], calendar.months[moment.month - 1]
        return calendar.day.format(weekday=weekday, month=month, day=moment.day)

    def say_days(value: Any) -> str:
        """Of a window with ``earliest`` and ``latest``; "" where there is none."""
        if not value.get("earliest"):
            return ""
        first, last = say_date(value["earliest"]), say_date(value["latest"])
        return calendar.one.format(day=first) if first == last else calendar.between.format(first=first, last=last)

    def say_words(value: Any) -> str:
        return words.get(str(value), str(value).replace("_", " "))

    def say_money(value: Any) -> str:
        amount, currency = value if isinstance(value, tuple) else (value, "")
        figure = f"{amount:.2f}" if isinstance(amount, int | float) else str(amount)
        figure = figure.removesuffix(".00")
        sign = currencies.get(currency, "")
        return f"{sign}{figure}" if sign else f"{figure} {currency}".strip()

    return {
        "cap": lambda value: str(value)[:1].upper() + str(value)[1:],
        "date": say_date,
        "days": say_days,
        "items": say_items,
        "short_items": say_short_items,
        "money": say_money,
        "words": say_words,
    }


def item_names(items: Any) -> list[tuple[str, int]]:
    """(name, quantity) of each item, whether items are plain names or {"name", "quantity"} records."""
    pairs: list[tuple[str, int]] = []
    for item in items if isinstance(items, Sequence) and not isinstance(items, str) else ():
        if isinstance(item, Mapping):
            pairs.append((str(item.get("name", "")), int(item.get("quantity") or 1)))
        else:
            pairs.append((str(item), 1))
    return [(name, quantity) for name, quantity in pairs if name]


def say_items(items: Any) -> str:
    return join([counted(name, quantity) for name, quantity in item_names(items)])


def say_short_items(items: Any) -> str:
    """The first item, and whether there are more: enough to tell orders apart."""
    names = item_names(items)
    if not names:
        return ""
    first = counted(*names[0])
    return first if len(names) == 1 else f"{first} and more"
