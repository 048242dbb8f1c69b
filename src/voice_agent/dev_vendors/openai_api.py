"""OpenAI's API as far as a voice agent uses it: chat completions, speech, Realtime, and the list of models."""

from __future__ import annotations

from starlette.routing import BaseRoute

from voice_agent.dev_vendors.desk import VendorDesk


def openai_routes(desk: VendorDesk) -> list[BaseRoute]:
    """The routes below ``/v1``, answering from ``desk``."""
    return []
