"""Finds a provider by the name a setting gives it: one file, one function ``provider``, nothing else to touch.

``ASR_PROVIDER=acme`` imports ``voice_agent.providers.asr.acme`` and calls its ``provider``, a function from a
``ProviderContext`` to the object that implements the kind's protocol (``base.py`` beside it). A package outside of this one
offers a provider by an entry point in the group ``voice_agent.asr`` (``…tts``, ``…llm``).
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from voice_agent.config import (
    AsrSettings,
    CompatibleSettings,
    DeepgramSettings,
    LlmSettings,
    OpenAiSettings,
    Settings,
    TtsSettings,
)
from voice_agent.errors import ConfigError
from voice_agent.providers.embedding.base import Embedder
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.warmth import Warmth
from voice_agent.providers.web import WebClient

Kind = Literal["asr", "tts", "llm"]

# Modules of a kind's package that are no providers.
_NOT_PROVIDERS = frozenset({"base", "cache", "moonshine"})


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider may build itself from: settings, the pool for local models, the shared HTTP client, and the place to
    register what opens its connections before they are needed."""

    asr: AsrSettings
    tts: TtsSettings
    llm: LlmSettings
    deepgram: DeepgramSettings
    openai: OpenAiSettings
    compatible: CompatibleSettings
    pool: ModelPool
    embedder: Embedder
    web: WebClient
    warmth: Warmth


def provider_context(settings: Settings, pool: ModelPool, embedder: Embedder) -> ProviderContext:
    """The context that one process's providers share. Its ``web`` must be closed at the end."""
    return ProviderContext(
        settings.asr,
        settings.tts,
        settings.llm,
        settings.deepgram,
        settings.openai,
        settings.compatible,
        pool,
        embedder,
        WebClient(),
        Warmth(),
    )


Build = Callable[[ProviderContext], Any]


def provider_names(kind: Kind) -> list[str]:
    """Every name that the setting of this kind accepts."""
    package = importlib.import_module(f"voice_agent.providers.{kind}")
    own = {module.name for module in pkgutil.iter_modules(package.__path__)} - _NOT_PROVIDERS
    return sorted(own | {point.name for point in entry_points(group=f"voice_agent.{kind}")})


def build_provider(kind: Kind, name: str, context: ProviderContext) -> Any:
    """The provider of that name. Raises ``ConfigError`` for a name that does not exist, or what the provider lacks."""
    return _find(kind, name, f"{kind.upper()}_PROVIDER")(context)


def _find(kind: Kind, name: str, variable: str) -> Build:
    build: Build
    for point in entry_points(group=f"voice_agent.{kind}", name=name):
        build = point.load()
        return build
    if name not in provider_names(kind):
        raise ConfigError(f"{variable}={name!r} is not known: use one of {', '.join(provider_names(kind))}.")
    build = importlib.import_module(f"voice_agent.providers.{kind}.{name}").provider
    return build
