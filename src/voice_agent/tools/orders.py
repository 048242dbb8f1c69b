"""The built-in tool ``order_status``: the verified caller's own orders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from voice_agent.store.records import Order
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.shop_words import orders_summary

#: More is not listened to; the answer says how many were left out.
ORDERS_TOLD = 5

_ORDER_ID_MAX_CHARS = 32


class OrderClient(Protocol):
    """The shop's order system. Both methods show a caller nothing but their own orders."""

    async def orders_of(self, caller_id: str) -> tuple[Order, ...]:
        """Newest first."""
        ...

    async def order(self, caller_id: str, order_id: str) -> Order | None:
        """``None`` where there is no such order and where it belongs to somebody else."""
        ...


def order_status_tool(client: OrderClient) -> Tool:
    """``order_status {order_id?}`` → ``{"orders": [...], "more": n}``.

    Without a number: the newest orders, at most five, ``more`` telling how many there are beyond them; a caller without
    any order gets an empty list. An order that is missing and one of another caller give the same answer: not found,
    reason ``not_found``.
    """

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        asked = normalise_order_id(arguments.get("order_id", ""))
        if not asked:
            orders = await client.orders_of(context.caller_id)
            told = [order_data(order) for order in orders[:ORDERS_TOLD]]
            return ToolAnswer({"orders": told, "more": len(orders) - len(told)})
        found = None
        if len(asked) <= _ORDER_ID_MAX_CHARS:
            found = await client.order(context.caller_id, asked)
        if found is None:
            return ToolAnswer({"orders": [], "order_id": asked[:_ORDER_ID_MAX_CHARS]}, found=False, reason="not_found")
        return ToolAnswer({"orders": [order_data(found)], "more": 0})

    return Tool(
        name="order_status",
        description=(
            "Looks up the verified caller's own orders: status, dates, carrier, items and total. "
            "Give order_id for one order, or leave it out for the newest orders."
        ),
        parameters={
            "type": "object",
            "properties": {
                "order_id": {"type": "string", "description": "The order number as the caller said it, such as 83102."}
            },
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't reach the order system right now.",
        identity=IdentityLevel.VERIFIED,
        summary=orders_summary,
    )


def normalise_order_id(text: str) -> str:
    """Upper-case letters and digits only: " #83-102" → "83102"."""
    return re.sub(r"[^0-9A-Za-z]", "", text).upper()


def order_data(order: Order) -> dict[str, Any]:
    """One order as the language model sees it: days as ISO dates, the total in units of the currency.

    ``estimated_delivery`` and ``carrier`` are null where there is none; ``delivered_on`` is there once delivered.
    """
    data: dict[str, Any] = {
        "order_id": order.order_id,
        "status": order.status.value,
        "placed_on": order.placed_on.isoformat(),
        "estimated_delivery": order.estimated_delivery.isoformat() if order.estimated_delivery else None,
        "carrier": order.carrier or None,
        "items": [{"name": item.name, "quantity": item.quantity} for item in order.items],
        "total": order.total_cents / 100,
        "currency": order.currency,
    }
    if order.delivered_on:
        data["delivered_on"] = order.delivered_on.isoformat()
    return data
