"""The shop's tool ``list_orders``: which orders the verified caller has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voice_agent.tools.backend_client import ShopClient
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.orders import ORDERS_TOLD, order_data
from voice_agent.tools.shop_words import orders_summary

_MOST = 10


def list_orders_tool(client: ShopClient) -> Tool:
    """``list_orders {state?, limit?}`` → ``{"orders": [...], "more": n}``, newest first, as ``order_status`` tells them."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        state, limit = arguments.get("state", "all"), arguments.get("limit", ORDERS_TOLD)
        page = await client.list_orders(context.caller_id, state=state, limit=limit)
        orders = [order_data(order.record(context.caller_id)) for order in page.orders[:limit]]
        return ToolAnswer({"orders": orders, "more": max(0, page.total - len(orders))})

    return Tool(
        name="list_orders",
        description=(
            "Lists the verified caller's own orders, newest first. Use it when the caller asks which orders they have, or "
            "does not know an order number; state narrows it down. 'more' counts the orders that are not listed."
        ),
        parameters={
            "type": "object",
            "properties": {
                "state": {
                    "type": "string",
                    "enum": ["all", "open", "delivered", "cancelled", "returned"],
                    "description": "open: not yet delivered. Default: all.",
                },
                "limit": {"type": "integer", "minimum": 1, "maximum": _MOST, "description": "Default: 5."},
            },
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't reach the order system right now.",
        identity=IdentityLevel.VERIFIED,
        summary=orders_summary,
    )
