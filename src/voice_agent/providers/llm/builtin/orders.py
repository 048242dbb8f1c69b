"""Which of the caller's orders is meant: everything known about orders so far, and the words that point at one.

Known orders come from earlier results in the dialogue: lists of orders, and what became of one. The *focus* is the order
talked about last: the only order of a result, the only one an agent's words name, or the one a caller's words picked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from voice_agent.conversation.spoken_forms.heard import heard_values
from voice_agent.models import Message, Role, ToolStatus
from voice_agent.providers.llm.builtin.brain_file import ReferenceEntry
from voice_agent.providers.llm.builtin.filters import item_names
from voice_agent.providers.llm.builtin.heard_numbers import order_numbers, plain_number

How = Literal["none", "focus", "one", "several", "all"]
Order = Mapping[str, Any]

_NTH: Mapping[str, int] = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}
_SHORT_WORD = 3  # item words below this length would match by chance
_MISHEARD_WORD = 5  # shorter words resemble too many others
_ALIKE = 0.84  # similarity at which a word counts as a misheard item word ("tend" is not "tent", "jackit" is "jacket")


ALL_ORDERS_TOOL = "order_status"
_DAYS = ("placed_on", "estimated_delivery", "delivered_on")


@dataclass(frozen=True, slots=True)
class Pick:
    """The orders a turn is about. ``number`` is an order number that was heard, known or not."""

    orders: tuple[Order, ...]
    how: How
    number: str = ""

    @property
    def is_pointing(self) -> bool:
        """The caller's own words point at orders."""
        return bool(self.number) or self.how in ("one", "several", "all")


@dataclass(frozen=True, slots=True)
class OrderBook:
    """``orders`` in the order in which they were last listed; ``asked`` is false until any result came; ``digits`` is how
    many an order number usually has."""

    orders: tuple[Order, ...] = ()
    focus: str = ""
    asked: bool = False
    listed: tuple[str, ...] = ()
    digits: int = 5

    def with_result(self, found: Sequence[Order]) -> OrderBook:
        new = {str(order.get("order_id", "")): order for order in found}
        if len(found) == 1:
            kept = [new.pop(_id(order), order) for order in self.orders]
            return replace(self, orders=(*kept, *new.values()), focus=_id(found[0]), asked=True)
        rest = [order for order in self.orders if _id(order) not in new]
        return OrderBook((*new.values(), *rest), "", asked=True, listed=tuple(new), digits=self.digits)

    def after(self, message: Message, references: Sequence[ReferenceEntry]) -> OrderBook:
        """The book once ``message`` has been said."""
        result = message.tool_result
        if result is not None:
            if result.status is not ToolStatus.OK:
                return self
            orders = result.data.get("orders")
            if isinstance(orders, Sequence):
                found = [order for order in orders if isinstance(order, Mapping)]
                # That none is open, or none was sent back, does not say that there is none.
                return self.with_result(found) if found or result.name == ALL_ORDERS_TOOL else self
            return self._with_status(result.data)
        if message.role is Role.AGENT and message.text:
            named = [_id(order) for order in self.orders if re.search(rf"\b{re.escape(_id(order))}\b", message.text)]
            return replace(self, focus=named[0]) if len(named) == 1 else self
        if message.role is Role.CALLER:
            pick = self.pick(message.text, references, items=False)
            return replace(self, focus=_id(pick.orders[0])) if pick.how == "one" else self
        return self

    def _with_status(self, data: Mapping[str, Any]) -> OrderBook:
        """With what a tool says of one order's state: it may just have been cancelled."""
        number, status = data.get("order_id"), data.get("status")
        if not number or not status:
            return self
        orders = tuple({**order, "status": status} if _id(order) == number else order for order in self.orders)
        return replace(self, orders=orders)

    def pick(self, text: str, references: Sequence[ReferenceEntry], *, items: bool = True) -> Pick:
        """The orders ``text`` points at; else the focus; else all. ``items``: also by the things in them."""
        numbers = order_numbers(text, self.digits)
        number = numbers[-1] if numbers else ""  # "not 83117, I meant 83102": the last one counts
        if number:
            found = tuple(order for order in self.orders if plain_number(_id(order)) == plain_number(number))
            return Pick(found, "one" if found else "none", number)
        lowered = text.lower()
        for reference in references:
            if re.search(reference.pattern, lowered):
                chosen = self._referred(reference.pick)
                if chosen:
                    return Pick(chosen, "all" if reference.pick == "all" else _how(chosen))
        mentioned = self._of_day(text) or (self._with_items(lowered) if items else ())
        if mentioned:
            return Pick(mentioned, _how(mentioned))
        focused = tuple(order for order in self.orders if _id(order) == self.focus)
        return Pick(focused or self.orders, "focus" if focused else "none")

    def _referred(self, pick: str) -> tuple[Order, ...]:
        if not self.orders:
            return ()
        if pick == "all":
            return self.orders
        if pick == "other":
            return tuple(order for order in self.orders if self.focus and _id(order) != self.focus)
        if pick in ("newest", "oldest"):
            by_date = sorted(self.orders, key=lambda order: str(order.get("placed_on", "")))
            return (by_date[-1 if pick == "newest" else 0],)
        index = _NTH[pick]
        spoken = [order for order in self.orders if _id(order) in self.listed] or list(self.orders)
        return (spoken[index],) if -len(spoken) <= index < len(spoken) else ()

    def _of_day(self, text: str) -> tuple[Order, ...]:
        """Orders placed, expected or delivered on a day that ``text`` names ("the one from November 18th")."""
        days = {f"-{day.month:02d}-{day.day:02d}" for day in heard_values(text).dates if day.month and day.day}
        return tuple(order for order in self.orders if any(str(order.get(key, ""))[4:10] in days for key in _DAYS))

    def _with_items(self, text: str) -> tuple[Order, ...]:
        """Orders holding a thing that ``text`` names, best fit only."""
        said = set(re.findall(r"[a-z]+", text))
        fits = [(_fit(said, order), order) for order in self.orders]
        best = max((fit for fit, _ in fits), default=0)
        return tuple(order for fit, order in fits if fit == best) if best else ()


def _how(orders: Sequence[Order]) -> How:
    return "one" if len(orders) == 1 else "several"


def _id(order: Order) -> str:
    return str(order.get("order_id", ""))


def _fit(said: set[str], order: Order) -> int:
    """How many words of the order's items were said."""
    words = {word for name, _ in item_names(order.get("items")) for word in item_words(name)}
    return sum(1 for word in words if any(sounds_like(word, other) for other in said))


def item_words(name: str) -> set[str]:
    """The words by which a thing is known, without their plural."""
    words = {_stem(word) for word in re.findall(r"[a-z]+", name.lower())}
    return {word for word in words if len(word) >= _SHORT_WORD}


def sounds_like(word: str, said: str) -> bool:
    """Whether ``said``, heard well or badly, is the item word ``word``."""
    said = _stem(said)
    if len(said) < _MISHEARD_WORD:
        return word == said
    return word == said or difflib.SequenceMatcher(None, word, said).ratio() >= _ALIKE


def _stem(word: str) -> str:
    """Without a plural's ending, so that "mugs" finds "mug"."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > _SHORT_WORD else word
