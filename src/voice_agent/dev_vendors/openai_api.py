"""OpenAI's API as far as a voice agent uses it: chat completions, speech, Realtime, and the list of models."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from voice_agent.dev_vendors.desk import Exchange, Mark, VendorDesk
from voice_agent.dev_vendors.faults import Stage
from voice_agent.dev_vendors.openai_chat import answer_chat
from voice_agent.dev_vendors.openai_realtime import serve_realtime
from voice_agent.dev_vendors.openai_speech import answer_speech
from voice_agent.dev_vendors.openai_wire import endpoint, json_response

# What is listed; requests may name any model.
MODELS = ("gpt-4o", "gpt-4o-mini-tts", "gpt-realtime")
_CREATED = 1_700_000_000  # a time for models that nobody has made


def openai_routes(desk: VendorDesk) -> list[BaseRoute]:
    """The vendor's paths, served from the desk."""

    async def realtime(socket: WebSocket) -> None:
        await serve_realtime(socket, desk)

    return [
        Route("/v1/chat/completions", endpoint(desk, Stage.LLM, answer_chat), methods=["POST"]),
        Route("/v1/audio/speech", endpoint(desk, Stage.TTS, answer_speech), methods=["POST"]),
        Route("/v1/models", endpoint(desk, Stage.LLM, _models), methods=["GET"]),
        WebSocketRoute("/v1/realtime", realtime),
    ]


async def _models(request: Request, exchange: Exchange) -> Response:
    exchange.note(Mark.LAST_BYTE)
    models = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "dev-vendors"} for name in MODELS]
    return json_response({"object": "list", "data": models})
