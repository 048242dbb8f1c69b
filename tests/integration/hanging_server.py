"""A server whose language model never answers: run as a program, for the turn timeout's test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import uvloop
from benchmarks.scripted_server import scripted_services

from voice_agent.cli.serve import serve
from voice_agent.config import load_settings
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.llm.base import LlmEvent, LlmRequest, TextDelta


class HangingModel:
    """Takes every request and gives nothing."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        await asyncio.Event().wait()
        yield TextDelta("never")


if __name__ == "__main__":
    settings = load_settings(None)
    services = scripted_services(settings)
    services = replace(services, language_model=LanguageModelChain.of(HangingModel(), services.clock))
    uvloop.run(serve(settings, lambda _: None, services=services))
