"""The shop's tool ``start_return``: the verified caller sends something back. Writing, after a yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voice_agent.conversation.locales import language_of
from voice_agent.tools.arguments import ORDER_ID, REASON, text_schema
from voice_agent.tools.backend_client import Refusal, ShopClient
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.orders import normalise_order_id
from voice_agent.tools.shop_words import items_text, money_text

_ASK_ALL = {
    "en": "Shall I start a return for everything in order {order_id}, {condition}?",
    "es": "¿Inicio la devolución de todo el pedido {order_id}, {condition}?",
    "fr": "Dois-je lancer le retour de toute la commande {order_id}, {condition} ?",
    "ar": "هل أبدأ إرجاع كل محتويات الطلب {order_id}، {condition}؟",
}
_ASK_SOME = {
    "en": "Shall I start a return for {items} from order {order_id}, {condition}?",
    "es": "¿Inicio la devolución de {items} del pedido {order_id}, {condition}?",
    "fr": "Dois-je lancer le retour de {items} de la commande {order_id}, {condition} ?",
    "ar": "هل أبدأ إرجاع {items} من الطلب {order_id}، {condition}؟",
}
# What the caller agrees to with the rest: the refund, and whether anything is sent back, hang on it.
_CONDITION = {
    "en": {
        "unused": "as unused",
        "used": "as used",
        "damaged": "as damaged on arrival",
        "wrong_item": "as not what was ordered",
    },
    "es": {
        "unused": "como sin usar",
        "used": "como usado",
        "damaged": "como dañado al llegar",
        "wrong_item": "como artículo equivocado",
    },
    "fr": {
        "unused": "comme non utilisé",
        "used": "comme utilisé",
        "damaged": "comme endommagé à la livraison",
        "wrong_item": "comme article erroné",
    },
    "ar": {
        "unused": "على أنه غير مستعمل",
        "used": "على أنه مستعمل",
        "damaged": "على أنه وصل تالفًا",
        "wrong_item": "على أنه منتج خاطئ",
    },
}


def return_tool(client: ShopClient) -> Tool:
    """``start_return {order_id, condition, items?, reason?}`` → ``{"order_id", "return_id", "items", "refund", "currency",
    "send_back"}``. Reasons: not_found, too_late, not_delivered, not_returnable, already_returned, already_cancelled,
    item_not_in_order, too_many_pieces."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        order_id = normalise_order_id(arguments["order_id"])
        body = {name: arguments[name] for name in ("condition", "items", "reason") if name in arguments}
        done = await client.start_return(context.caller_id, order_id, body, idempotency_key=context.idempotency_key)
        if isinstance(done, Refusal):
            return done.answer(order_id=order_id[:32])
        return ToolAnswer(
            {
                "order_id": done.order_id,
                "return_id": done.return_id,
                "items": [{"name": item.name, "quantity": item.quantity} for item in done.items],
                "refund": done.refund_cents / 100,
                "currency": done.currency,
                "send_back": done.send_back,
            }
        )

    return Tool(
        name="start_return",
        description=(
            "Starts a return of delivered items of the verified caller's order. Ask how the items are: only unused ones "
            "can be returned, within 30 days of delivery; what arrived damaged within 14 days, a wrong item within 30. "
            "Name items exactly as the order lists them, or leave items out to return everything."
        ),
        parameters={
            "type": "object",
            "properties": {
                "order_id": ORDER_ID,
                "condition": {
                    "type": "string",
                    "enum": ["unused", "used", "damaged", "wrong_item"],
                    "description": "As the caller says. damaged: it arrived so. wrong_item: it is not what was ordered.",
                },
                "items": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 20,
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": text_schema(120, "As the order lists it."),
                            "quantity": {"type": "integer", "minimum": 1, "maximum": 100},
                        },
                        "required": ["name", "quantity"],
                        "additionalProperties": False,
                    },
                },
                "reason": REASON,
            },
            "required": ["order_id", "condition"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't start the return right now. Please don't send anything back yet.",
        unsure="I'm sorry, I couldn't find out whether the return was started. Please don't send anything back yet.",
        timeout_s=4.0,
        read_only=False,
        keyed=True,
        identity=IdentityLevel.VERIFIED,
        read_back=_question,
        summary=_summary,
    )


def _question(arguments: Mapping[str, Any], locale: str) -> str:
    known = language_of(locale)
    language = known if known in _CONDITION else "en"
    order_id, condition = normalise_order_id(arguments["order_id"]), _CONDITION[language][arguments["condition"]]
    if items := arguments.get("items"):
        named = items_text(items, language)
        return _ASK_SOME[language].format(order_id=order_id, items=named, condition=condition)
    return _ASK_ALL[language].format(order_id=order_id, condition=condition)


def _summary(data: Mapping[str, Any]) -> str:
    refund = money_text(data["refund"], data["currency"])
    begun = f"The return of {items_text(data['items'])} from order {data['order_id']} has been started."
    if not data["send_back"]:
        return f"{begun} You need not send anything back. You will get {refund} back."
    return f"{begun} You will get {refund} back once it has arrived."
