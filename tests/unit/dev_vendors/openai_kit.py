"""The stand-in for OpenAI for a test, with scripted engines, and the vendor's own client that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from openai import AsyncOpenAI

from voice_agent.dev_vendors.desk import Engines, VendorDesk
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.llm.base import LanguageModel
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts.base import SpeechSynthesizer

DEADLINE_S = 20  # far more than anything here takes
SAID = "You can return anything within thirty days, unused and in its packaging, and we pay for it."


@dataclass(frozen=True, slots=True)
class StandIn:
    vendors: RunningVendors
    sdk: AsyncOpenAI

    @property
    def desk(self) -> VendorDesk:
        return self.vendors.desk

    @property
    def http(self) -> httpx.AsyncClient:
        """A plain client, to see what the SDK hides; close it."""
        headers = {"authorization": f"Bearer {self.desk.key}"}
        return httpx.AsyncClient(base_url=self.vendors.openai_base_url, headers=headers, timeout=DEADLINE_S)


@asynccontextmanager
async def stand_in(
    model: LanguageModel | None = None, synthesizer: SpeechSynthesizer | None = None
) -> AsyncIterator[StandIn]:
    """The servers, and the SDK without retries."""
    pool = ModelPool(1)
    try:
        engines = Engines(
            LocalRecognizerFactory(pool), model or ScriptedModel(SAID), synthesizer or ToneSynthesizer(lambda text: 1.0)
        )
        async with (
            running_vendors(VendorDesk(engines)) as vendors,
            AsyncOpenAI(
                base_url=vendors.openai_base_url, api_key=vendors.desk.key, max_retries=0, timeout=DEADLINE_S
            ) as sdk,
        ):
            yield StandIn(vendors, sdk)
    finally:
        await pool.close()
