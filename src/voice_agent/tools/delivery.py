"""The shop's tool ``delivery_estimate``: when one of the verified caller's orders comes, parcel by parcel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from voice_agent.tools.arguments import ORDER_ID
from voice_agent.tools.backend_client import Refusal, ShopClient
from voice_agent.tools.backend_wire import DeliveryAnswer
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.orders import normalise_order_id
from voice_agent.tools.shop_words import delivery_summary


def delivery_tool(client: ShopClient) -> Tool:
    """``delivery_estimate {order_id}`` → ``{"order_id", "status", "earliest", "latest", "delivered_on", "carrier",
    "parcels": [...]}``; days are ISO dates or null. Not found: reason ``not_found``."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        order_id = normalise_order_id(arguments["order_id"])
        found = await client.delivery(context.caller_id, order_id)
        return found.answer(order_id=order_id[:32]) if isinstance(found, Refusal) else ToolAnswer(_data(found))

    return Tool(
        name="delivery_estimate",
        description=(
            "Tells when one of the verified caller's orders arrives: the first and last day it may come, and each parcel "
            "with its carrier, tracking number and contents. Parts of an order may come separately."
        ),
        parameters={
            "type": "object",
            "properties": {"order_id": ORDER_ID},
            "required": ["order_id"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't find out the delivery date right now.",
        identity=IdentityLevel.VERIFIED,
        summary=delivery_summary,
    )


def _data(found: DeliveryAnswer) -> dict[str, Any]:
    return {
        "order_id": found.order_id,
        "status": found.status.value,
        "earliest": _iso(found.earliest),
        "latest": _iso(found.latest),
        "delivered_on": _iso(found.delivered_on),
        "carrier": found.carrier,
        "parcels": [
            {
                "status": parcel.status.value,
                "carrier": parcel.carrier,
                "tracking_number": parcel.tracking_number,
                "estimated_delivery": _iso(parcel.estimated_delivery),
                "delivered_on": _iso(parcel.delivered_on),
                "items": [{"name": item.name, "quantity": item.quantity} for item in parcel.items],
            }
            for parcel in found.shipments
        ],
    }


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
