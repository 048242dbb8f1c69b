"""The shop's tool ``cancel_order``: the verified caller no longer wants an order. Writing, after a yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voice_agent.conversation.locales import language_of
from voice_agent.tools.arguments import ORDER_ID, REASON
from voice_agent.tools.backend_client import Refusal, ShopClient
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.orders import normalise_order_id
from voice_agent.tools.shop_words import money_text

_ASK = {
    "en": "Shall I cancel order {order_id}?",
    "es": "¿Cancelo el pedido {order_id}?",
    "fr": "Dois-je annuler la commande {order_id} ?",
    "ar": "هل ألغي الطلب {order_id}؟",
}


def cancel_tool(client: ShopClient) -> Tool:
    """``cancel_order {order_id, reason?}`` → ``{"order_id", "status", "refund", "currency"}``. Reasons: not_found, too_late,
    already_cancelled."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        order_id = normalise_order_id(arguments["order_id"])
        body = {"reason": arguments["reason"]} if "reason" in arguments else {}
        done = await client.cancel(context.caller_id, order_id, body, idempotency_key=context.idempotency_key)
        if isinstance(done, Refusal):
            return done.answer(order_id=order_id[:32])
        return ToolAnswer(
            {
                "order_id": done.order_id,
                "status": done.status.value,
                "refund": done.refund_cents / 100,
                "currency": done.currency,
            }
        )

    return Tool(
        name="cancel_order",
        description=(
            "Cancels one of the verified caller's orders, whole, and refunds it. Only before it has been shipped (reason "
            "too_late otherwise: it can be returned then). Use it only when the caller asks for it."
        ),
        parameters={
            "type": "object",
            "properties": {
                "order_id": ORDER_ID,
                "reason": REASON,
            },
            "required": ["order_id"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't cancel the order right now.",
        unsure="I'm sorry, I couldn't find out whether the order was cancelled.",
        timeout_s=4.0,
        read_only=False,
        keyed=True,
        identity=IdentityLevel.VERIFIED,
        read_back=_question,
        summary=_summary,
    )


def _question(arguments: Mapping[str, Any], locale: str) -> str:
    ask = _ASK.get(language_of(locale), _ASK["en"])
    return ask.format(order_id=normalise_order_id(arguments["order_id"]))


def _summary(data: Mapping[str, Any]) -> str:
    refund = money_text(data["refund"], data["currency"])
    return f"Order {data['order_id']} has been cancelled, and {refund} will be refunded."
