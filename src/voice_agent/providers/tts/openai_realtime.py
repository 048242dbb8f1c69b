"""OpenAI's Realtime models as a voice (``TTS_PROVIDER=openai_realtime``): docs/providers/openai.md."""

from __future__ import annotations

from functools import partial

from voice_agent.providers.openai_api.account import openai_account
from voice_agent.providers.openai_api.realtime import INSTRUCTIONS, RealtimeSynthesizer
from voice_agent.providers.openai_api.realtime_session import RealtimeSettings
from voice_agent.providers.openai_api.voices import REALTIME_VOICES, known_voice, voice_of_agent, voice_value
from voice_agent.providers.registry import ProviderContext

SPEED_MAX = 1.5  # the API's


def provider(context: ProviderContext) -> RealtimeSynthesizer:
    manner = context.openai.tts_instructions
    usual = voice_value(known_voice(context.tts.voice, REALTIME_VOICES))
    synthesizer = RealtimeSynthesizer(
        openai_account(context, context.tts.connect_ms),
        RealtimeSettings(
            model=context.openai.realtime_model,
            voice=usual,
            instructions=f"{INSTRUCTIONS} Manner of speaking: {manner}" if manner else INSTRUCTIONS,
            speed=min(context.tts.speed, SPEED_MAX),
        ),
        partial(voice_of_agent, voices=REALTIME_VOICES, usual=usual),
    )
    context.warmth.register("openai realtime", synthesizer.warm)
    return synthesizer
