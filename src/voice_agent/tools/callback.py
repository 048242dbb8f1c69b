"""The shop's tool ``callback_request``: somebody calls back, on the number of this call. Writing, after a yes; for
everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voice_agent.conversation.locales import language_of
from voice_agent.tools.arguments import text_schema
from voice_agent.tools.backend_client import Refusal, ShopClient
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext

_SOON = "soon"  # where the caller does not say when
_WHEN = {
    "soon": "as soon as possible",
    "morning": "in the morning",
    "afternoon": "in the afternoon",
    "evening": "in the evening",
}
_ASK = {
    "en": "Shall I have a colleague call you back {when}?",
    "es": "¿Pido que un compañero le llame {when}?",
    "fr": "Dois-je demander à un collègue de vous rappeler {when} ?",
    "ar": "هل أطلب من أحد الزملاء الاتصال بك {when}؟",
}
_ASK_WHEN = {
    "en": _WHEN,
    "es": {
        "soon": "lo antes posible",
        "morning": "por la mañana",
        "afternoon": "por la tarde",
        "evening": "al final de la tarde",
    },
    "fr": {
        "soon": "dès que possible",
        "morning": "dans la matinée",
        "afternoon": "dans l'après-midi",
        "evening": "dans la soirée",
    },
    "ar": {
        "soon": "في أقرب وقت ممكن",
        "morning": "في الصباح",
        "afternoon": "بعد الظهر",
        "evening": "في المساء",
    },
}


def callback_tool(client: ShopClient) -> Tool:
    """``callback_request {topic, preferred?}`` → ``{"callback_id", "preferred"}``. Reasons: no_number, too_many_callbacks.

    No argument takes a telephone number: otherwise a call could make the shop ring anybody.
    """

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        body = {"topic": arguments["topic"], "preferred": arguments.get("preferred", _SOON)}
        done = await client.request_callback(context.caller_id, body, idempotency_key=context.idempotency_key)
        if isinstance(done, Refusal):
            return done.answer()
        return ToolAnswer({"callback_id": done.callback_id, "preferred": done.preferred})

    return Tool(
        name="callback_request",
        description=(
            "Asks a colleague to call the caller back, on the number they are calling from; another number is not possible. "
            "Use it when the caller wants to be called later rather than be put through now."
        ),
        parameters={
            "type": "object",
            "properties": {
                "topic": text_schema(200, "What it is about."),
                "preferred": {"type": "string", "enum": list(_WHEN), "description": "When. Default: soon."},
            },
            "required": ["topic"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't arrange a callback right now.",
        unsure="I'm sorry, I couldn't find out whether the callback was arranged.",
        timeout_s=4.0,
        read_only=False,
        keyed=True,
        read_back=_question,
        summary=_summary,
    )


def _question(arguments: Mapping[str, Any], locale: str) -> str:
    known = language_of(locale)
    language = known if known in _ASK else "en"
    return _ASK[language].format(when=_ASK_WHEN[language][arguments.get("preferred", _SOON)])


def _summary(data: Mapping[str, Any]) -> str:
    return f"We will call you back {_WHEN.get(data['preferred'], 'soon')}, on the number you are calling from."
