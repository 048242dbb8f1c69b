"""Orders in sentences: what the shop's tools read back to a caller before they act, and say when they have.

Figures stay figures: ``speakable`` turns dates, amounts and order numbers into words when they are spoken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from voice_agent.conversation.spoken_forms.english import MONTHS
from voice_agent.conversation.spoken_forms.english_items import counted

ORDERS_SUMMED_UP = 3  # more is not listened to
_SIGNS = {"USD": "$", "GBP": "£", "EUR": "€"}

_AND = {"en": "and", "es": "y", "fr": "et", "ar": "و"}

_STATUS = {
    "processing": "is being prepared",
    "shipped": "has been shipped",
    "in_transit": "is on its way",
    "out_for_delivery": "is out for delivery",
    "delivered": "has been delivered",
    "delayed": "is delayed",
    "cancelled": "has been cancelled",
    "returned": "has been returned",
}


def day_words(iso: str) -> str:
    """ "2026-11-24" → "November 24"."""
    day = date.fromisoformat(iso)
    return f"{MONTHS[day.month - 1].capitalize()} {day.day}"


def money_text(amount: float, currency: str) -> str:
    """ "$177.00"; "9,300 yen"; "12.00 CHF"."""
    if currency == "JPY":
        return f"{amount:,.0f} yen"
    sign = _SIGNS.get(currency)
    return f"{sign}{amount:,.2f}" if sign else f"{amount:,.2f} {currency}"


def items_text(items: Iterable[Mapping[str, Any]], language: str = "en") -> str:
    """ "a ceramic mug and 3 pairs of wool socks". Names are the shop's, in English: other languages leave them as they are,
    with a figure before them."""
    if language == "en":
        return joined([counted(item["name"], item["quantity"]) for item in items])
    return joined([f"{item['quantity']} {item['name']}" for item in items], language)


def joined(parts: Sequence[str], language: str = "en") -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {_AND.get(language, _AND['en'])} {parts[-1]}"


def order_sentence(order: Mapping[str, Any]) -> str:
    """One order as ``order_data`` tells it, in a sentence."""
    said = f"Order {order['order_id']} {_STATUS[order['status']]}"
    if order["status"] == "delivered" and order.get("delivered_on"):
        return f"{said} on {day_words(order['delivered_on'])}."
    if order["status"] in ("cancelled", "returned") or not order.get("estimated_delivery"):
        return f"{said}."
    by = f" with {order['carrier']}" if order.get("carrier") else ""
    return f"{said}{by} and should arrive on {day_words(order['estimated_delivery'])}."


def orders_summary(data: Mapping[str, Any]) -> str:
    """The result of ``order_status`` and ``list_orders``."""
    orders = data["orders"]
    if not orders:
        return "I see no orders."
    told = orders[:ORDERS_SUMMED_UP]
    left = len(orders) - len(told) + int(data.get("more", 0))
    sentences = [order_sentence(order) for order in told]
    if left:
        sentences.append(f"There {'is' if left == 1 else 'are'} {left} more.")
    return " ".join(sentences)


def delivery_summary(data: Mapping[str, Any]) -> str:
    """The result of ``delivery_estimate``."""
    said = f"Order {data['order_id']} {_STATUS[data['status']]}"
    if data["delivered_on"]:
        return f"{said} on {day_words(data['delivered_on'])}."
    if not data["earliest"]:
        return f"{said}."
    first, last = day_words(data["earliest"]), day_words(data["latest"])
    when = f"on {first}" if first == last else f"between {first} and {last}"
    sentence = f"{said} and should arrive {when}."
    there = [parcel for parcel in data["parcels"] if parcel["delivered_on"]]
    if there:
        items = joined([items_text(parcel["items"]) for parcel in there])
        sentence += f" One part, {items}, came on {day_words(there[-1]['delivered_on'])}."
    return sentence
