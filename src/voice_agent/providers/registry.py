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

from voice_agent.config import AsrSettings, LlmSettings, TtsSettings
from voice_agent.errors import ConfigError
from voice_agent.providers.embedding.base import Embedder
from voice_agent.providers.pool import ModelPool

Kind = Literal["asr", "tts", "llm"]

# Modules of a kind's package that are no providers.
_NOT_PROVIDERS = frozenset({"base", "cache", "moonshine"})


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider may build itself from."""

    asr: AsrSettings
    tts: TtsSettings
    llm: LlmSettings
    pool: ModelPool
    embedder: Embedder


Build = Callable[[ProviderContext], Any]


def provider_names(kind: Kind) -> list[str]:
    """Every name that the setting of this kind accepts."""
    package = importlib.import_module(f"voice_agent.providers.{kind}")
    own = {module.name for module in pkgutil.iter_modules(package.__path__)} - _NOT_PROVIDERS
    return sorted(own | {point.name for point in entry_points(group=f"voice_agent.{kind}")})


def build_provider(kind: Kind, chain: tuple[str, ...], context: ProviderContext) -> Any:
    """The provider that ``chain`` names. Raises ``ConfigError`` for a name that does not exist."""
    variable = f"{kind.upper()}_PROVIDER"
    if len(chain) > 1:
        raise ConfigError(f"{variable}={','.join(chain)!r}: fallback chains are not supported yet; name one provider.")
    return _find(kind, chain[0], variable)(context)


def _find(kind: Kind, name: str, variable: str) -> Build:
    build: Build
    for point in entry_points(group=f"voice_agent.{kind}", name=name):
        build = point.load()
        return build
    if name not in provider_names(kind):
        raise ConfigError(f"{variable}={name!r} is not known: use one of {', '.join(provider_names(kind))}.")
    build = importlib.import_module(f"voice_agent.providers.{kind}.{name}").provider
    return build
