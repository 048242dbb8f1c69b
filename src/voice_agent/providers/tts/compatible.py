"""Any server with OpenAI's speech endpoint (``TTS_PROVIDER=compatible``): docs/providers/compatible.md."""

from __future__ import annotations

from voice_agent.providers.openai_api.account import compatible_account
from voice_agent.providers.openai_api.speech import EndpointSynthesizer, SpeechSettings
from voice_agent.providers.registry import ProviderContext

DEFAULT_MODEL = "tts-1"  # servers with one model take any name, this one above all


def provider(context: ProviderContext) -> EndpointSynthesizer:
    account = compatible_account(context, context.tts.connect_ms)
    context.warmth.register("compatible speech", account.warm)
    return EndpointSynthesizer(
        account,
        SpeechSettings(
            model=context.compatible.tts_model or context.tts.model or DEFAULT_MODEL,
            voice=context.compatible.tts_voice or context.tts.voice,
            model_variable="COMPATIBLE_TTS_MODEL",
            speed=context.tts.speed,
        ),
    )
