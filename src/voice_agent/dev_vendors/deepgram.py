"""Deepgram's API, as a stand-in serves it: recognition (``/v1/listen``, ``/v2/listen``) and synthesis (``/v1/speak``).

What the vendor's documents say is followed; where they leave something open see ``deepgram_manners.py``. Not here: other
encodings than linear16, containers, several channels, recorded audio, and every language but English.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from voice_agent.dev_vendors.deepgram_engine import HearingEngine, LocalEngine, LoudDetectors
from voice_agent.dev_vendors.deepgram_flux import Flux
from voice_agent.dev_vendors.deepgram_listen import Listen
from voice_agent.dev_vendors.deepgram_session import serve_listening
from voice_agent.dev_vendors.deepgram_speak import serve_speaking, speak_once
from voice_agent.dev_vendors.desk import VendorDesk


def deepgram_routes(desk: VendorDesk) -> list[BaseRoute]:
    """The vendor's paths, served from the desk."""

    def engine() -> HearingEngine:
        return desk.engines.hearing or LocalEngine(desk.engines.recognizers, LoudDetectors())

    async def listen(socket: WebSocket) -> None:
        await serve_listening(socket, desk, engine(), Listen)

    async def flux(socket: WebSocket) -> None:
        await serve_listening(socket, desk, engine(), Flux)

    async def speak(socket: WebSocket) -> None:
        await serve_speaking(socket, desk)

    async def speak_by_request(request: Request) -> Response:
        return await speak_once(request, desk)

    return [
        WebSocketRoute("/v1/listen", listen),
        WebSocketRoute("/v2/listen", flux),
        WebSocketRoute("/v1/speak", speak),
        Route("/v1/speak", speak_by_request, methods=["POST"]),
    ]
