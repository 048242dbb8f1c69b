"""The shop's tool ``update_address``: the verified caller's order goes somewhere else. Writing, after a yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voice_agent.conversation.locales import language_of
from voice_agent.tools.arguments import ORDER_ID, text_schema
from voice_agent.tools.backend_client import Refusal, ShopClient
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.orders import normalise_order_id

_ASK = {
    "en": "Shall I send order {order_id} to {place}?",
    "es": "¿Envío el pedido {order_id} a {place}?",
    "fr": "Dois-je envoyer la commande {order_id} à l'adresse {place} ?",
    "ar": "هل أرسل الطلب {order_id} إلى {place}؟",
}
_FIELDS = ("recipient", "street", "extra", "city", "region", "postal_code")


def address_tool(client: ShopClient) -> Tool:
    """``update_address {order_id, street, city, postal_code, extra?, region?, recipient?}`` → ``{"order_id", "address"}``.
    Reasons: not_found, too_late, already_cancelled."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        order_id = normalise_order_id(arguments["order_id"])
        body = {name: arguments[name] for name in _FIELDS if name in arguments}
        done = await client.update_address(context.caller_id, order_id, body, idempotency_key=context.idempotency_key)
        if isinstance(done, Refusal):
            return done.answer(order_id=order_id[:32])
        return ToolAnswer({"order_id": done.order_id, "address": done.address.model_dump()})

    return Tool(
        name="update_address",
        description=(
            "Changes where one of the verified caller's orders is sent, within the same country. Only before it has been "
            "shipped (reason too_late otherwise). Ask for street, city and postal code; never guess them. An address that "
            "the caller has said stands as [ADDRESS]: give its parts as [ADDRESS].street, [ADDRESS].extra, [ADDRESS].city, "
            "[ADDRESS].region and [ADDRESS].postal_code. Where that is refused, the address was not whole: ask again."
        ),
        parameters={
            "type": "object",
            "properties": {
                "order_id": ORDER_ID,
                "street": text_schema(120, "House number and street."),
                "extra": text_schema(120, "Apartment, floor, c/o."),
                "city": text_schema(80, "City."),
                "region": text_schema(40, "State or province."),
                "postal_code": {
                    "type": "string",
                    "pattern": "^[A-Za-z0-9][A-Za-z0-9 -]{0,14}[A-Za-z0-9]$",
                    "description": "Postal code.",
                },
                "recipient": text_schema(120, "Who receives it, if it is somebody else."),
            },
            "required": ["order_id", "street", "city", "postal_code"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't change the address right now.",
        unsure="I'm sorry, I couldn't find out whether the address was changed.",
        timeout_s=4.0,
        read_only=False,
        keyed=True,
        identity=IdentityLevel.VERIFIED,
        read_back=_question,
        summary=_summary,
    )


def _question(arguments: Mapping[str, Any], locale: str) -> str:
    ask = _ASK.get(language_of(locale), _ASK["en"])
    return ask.format(order_id=normalise_order_id(arguments["order_id"]), place=_place(arguments))


def _summary(data: Mapping[str, Any]) -> str:
    return f"Order {data['order_id']} now goes to {_place(data['address'])}."


def _place(address: Mapping[str, Any]) -> str:
    return ", ".join(address[name] for name in _FIELDS if address.get(name))
