"""Hosted providers for the kits: each talks to a stand-in for its vendor, behind which the built-in language model thinks
and a tone speaks: it lasts as long as the text would, and shows a wrong rate or byte order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from voice_agent.config import load_settings
from voice_agent.dev_vendors.desk import Delays, Engines, VendorDesk
from voice_agent.dev_vendors.faults import Stage
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.embedding.minilm import MiniLmEmbedder, default_cache_dir
from voice_agent.providers.llm.builtin import BuiltinLanguageModel
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import Kind, build_provider, provider_context


@asynccontextmanager
async def hosted(kind: Kind, name: str) -> AsyncIterator[Any]:
    """The provider of that name, as the settings would make it, with a stand-in at the other end."""
    pool = ModelPool(workers=2)
    embedder = MiniLmEmbedder(pool)
    engines = Engines(
        LocalRecognizerFactory(pool),
        BuiltinLanguageModel(embedder, cache_dir=default_cache_dir()) if kind == "llm" else ScriptedModel("Hello."),
        ToneSynthesizer(),
    )
    try:
        async with running_vendors(VendorDesk(engines, delays=dict.fromkeys(Stage, Delays(gap_s=0.002)))) as vendors:
            await engines.language_model.warm_up()
            context = provider_context(_settings(vendors), pool, embedder)
            try:
                yield build_provider(kind, name, context)
            finally:
                await context.web.aclose()
    finally:
        await pool.close()


def _settings(vendors: RunningVendors) -> Any:
    """Patience for a busy machine; everything else as it is by default."""
    settings = load_settings(env_file=None)
    openai = {"api_key": vendors.desk.key, "base_url": vendors.openai_base_url}
    patient = {"connect_ms": 10_000}
    return replace(
        settings,
        llm=settings.llm.model_copy(update=patient),
        tts=settings.tts.model_copy(update=patient),
        deepgram=_updated(settings.deepgram, {"api_key": vendors.desk.key, "url": vendors.deepgram_url}),
        openai=_updated(settings.openai, openai),
        compatible=_updated(settings.compatible, {**openai, "base_url": vendors.compatible_base_url}),
    )


def _updated(group: Any, values: dict[str, str]) -> Any:
    given = {name: SecretStr(value) if name == "api_key" else value for name, value in values.items()}
    return group.model_copy(update=given)
