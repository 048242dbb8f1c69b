"""Builds the fallback chains that the settings name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voice_agent.clock import Clock
from voice_agent.config import Settings
from voice_agent.providers.chain.base import Link, StageDeadlines, breaker
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.registry import Kind, ProviderContext, build_provider


@dataclass(frozen=True, slots=True)
class Chains:
    """One chain per stage; shared by all calls of the process."""

    recognizers: RecognizerChain
    language_model: LanguageModelChain
    synthesizer: SynthesizerChain


def build_chains(settings: Settings, context: ProviderContext, clock: Clock) -> Chains:
    """The chains of ``ASR_PROVIDER``, ``LLM_PROVIDER``, ``TTS_PROVIDER``. Raises ``ConfigError``."""
    asr, tts, llm = settings.asr, settings.tts, settings.llm
    return Chains(
        RecognizerChain(
            _links("asr", asr.provider, context, clock),
            StageDeadlines(asr.first_result_ms / 1000, asr.first_result_ms / 1000, asr.hedge_ms / 1000),
            clock,
        ),
        LanguageModelChain(
            _links("llm", llm.provider, context, clock),
            StageDeadlines(llm.first_result_ms / 1000, llm.gap_ms / 1000, llm.hedge_ms / 1000),
            clock,
        ),
        SynthesizerChain(
            _links("tts", tts.provider, context, clock),
            StageDeadlines(tts.first_result_ms / 1000, tts.gap_ms / 1000, tts.hedge_ms / 1000),
            clock,
        ),
    )


def _links(kind: Kind, names: tuple[str, ...], context: ProviderContext, clock: Clock) -> list[Link[Any]]:
    return [Link(name, build_provider(kind, name, context), breaker(clock)) for name in names]
