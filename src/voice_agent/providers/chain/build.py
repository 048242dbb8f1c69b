"""Builds the fallback chains that the settings name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from voice_agent import __version__
from voice_agent.clock import Clock
from voice_agent.config import LlmSettings, Settings, TtsSettings
from voice_agent.providers.chain.base import Link, StageDeadlines, breaker
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.phrase_files import PhraseFiles
from voice_agent.providers.registry import Kind, ProviderContext, build_provider


@dataclass(frozen=True, slots=True)
class Chains:
    """One chain per stage, and where the preferred voice's fixed phrases are kept; shared by all calls of the process."""

    recognizers: RecognizerChain
    language_model: LanguageModelChain
    synthesizer: SynthesizerChain
    phrases: PhraseFiles | None


def build_chains(settings: Settings, context: ProviderContext, clock: Clock) -> Chains:
    """The chains of ``ASR_PROVIDER``, ``LLM_PROVIDER``, ``TTS_PROVIDER``. Raises ``ConfigError``."""
    asr, tts, llm = settings.asr, settings.tts, settings.llm
    return Chains(
        RecognizerChain(
            _links("asr", asr.provider, context, clock),
            StageDeadlines(
                first_s=asr.first_result_ms / 1000,
                gap_s=asr.first_result_ms / 1000,  # a recogniser has no stream of results to a question
                hedge_s=asr.hedge_ms / 1000,
                patience_s=asr.patience_ms / 1000,
            ),
            clock,
        ),
        LanguageModelChain(_links("llm", llm.provider, context, clock), _deadlines(llm), clock),
        SynthesizerChain(_links("tts", tts.provider, context, clock), _deadlines(tts), clock),
        phrase_files(settings),
    )


def _deadlines(stage: TtsSettings | LlmSettings) -> StageDeadlines:
    return StageDeadlines(
        first_s=stage.first_result_ms / 1000,
        gap_s=stage.gap_ms / 1000,
        hedge_s=stage.hedge_ms / 1000,
        patience_s=stage.patience_ms / 1000,
    )


def _links(kind: Kind, names: tuple[str, ...], context: ProviderContext, clock: Clock) -> list[Link[Any]]:
    return [Link(name, build_provider(kind, name, context), breaker(clock)) for name in names]


def phrase_files(settings: Settings) -> PhraseFiles | None:
    """Where the preferred voice's fixed phrases are kept; ``None`` where they are to be kept in memory only."""
    tts = settings.tts
    if not tts.cache_mb:
        return None
    # A change of whatever may change the audio makes another speaker, also where only the server behind an address is new.
    speaker = {
        "provider": tts.provider[0],
        "version": __version__,
        "rate_hz": SynthesizerChain.sample_rate_hz,
        "tts": tts.model_dump(mode="json", include={"model", "voice", "speed"}),
        **_account(tts.provider[0], settings),
    }
    folder = settings.server.state_dir / "tts-cache"
    return PhraseFiles(folder, json.dumps(speaker, sort_keys=True), tts.cache_mb * 1_000_000)


def _account(provider: str, settings: Settings) -> dict[str, Any]:
    for name, group in (
        ("deepgram", settings.deepgram),
        ("openai", settings.openai),
        ("compatible", settings.compatible),
    ):
        if provider.startswith(name):
            return {name: group.model_dump(mode="json", exclude={"api_key"})}
    return {}
