"""OpenAI's speech endpoint (``TTS_PROVIDER=openai``); settings, cost and limits are in docs/providers/openai.md."""

from __future__ import annotations

from functools import partial

from voice_agent.providers.openai_api.account import openai_account
from voice_agent.providers.openai_api.speech import EndpointSynthesizer, SpeechSettings
from voice_agent.providers.openai_api.voices import SPEECH_VOICES, known_voice, voice_of_agent, voice_value
from voice_agent.providers.registry import ProviderContext

DEFAULT_MODEL = "gpt-4o-mini-tts"


def provider(context: ProviderContext) -> EndpointSynthesizer:
    account = openai_account(context, context.tts.connect_ms)
    usual = voice_value(known_voice(context.tts.voice, SPEECH_VOICES))
    context.warmth.register("openai speech", account.warm)
    return EndpointSynthesizer(
        account,
        SpeechSettings(
            model=context.tts.model or DEFAULT_MODEL,
            voice=usual,
            model_variable="TTS_MODEL",
            named_voice=partial(voice_of_agent, voices=SPEECH_VOICES, usual=usual),
            speed=context.tts.speed,
            instructions=context.openai.tts_instructions,
        ),
    )
