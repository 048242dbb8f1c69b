"""Every tool of a shop whose order system is reached over HTTP."""

from __future__ import annotations

from voice_agent.tools.address import address_tool
from voice_agent.tools.backend_client import ShopClient
from voice_agent.tools.base import Tool
from voice_agent.tools.callback import callback_tool
from voice_agent.tools.cancel import cancel_tool
from voice_agent.tools.delivery import delivery_tool
from voice_agent.tools.order_list import list_orders_tool
from voice_agent.tools.orders import order_status_tool
from voice_agent.tools.returns import return_tool


def shop_tools(client: ShopClient) -> tuple[Tool, ...]:
    """``order_status``, ``list_orders``, ``delivery_estimate``, ``start_return``, ``cancel_order``, ``update_address`` and
    ``callback_request``."""
    return (
        order_status_tool(client),
        list_orders_tool(client),
        delivery_tool(client),
        return_tool(client),
        cancel_tool(client),
        address_tool(client),
        callback_tool(client),
    )
