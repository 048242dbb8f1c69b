"""OpenAI's voices (https://platform.openai.com/docs/guides/text-to-speech, as of November 2026)."""

from __future__ import annotations

from typing import Final

import structlog

DEFAULT_VOICE: Final = "alloy"
REALTIME_VOICES: Final = frozenset("alloy ash ballad cedar coral echo marin sage shimmer verse".split())
SPEECH_VOICES: Final = REALTIME_VOICES | {"fable", "nova", "onyx"}
_CUSTOM: Final = "voice_"  # ids of an account's own voices begin so

log = structlog.get_logger(__name__)


def known_voice(voice: str, voices: frozenset[str]) -> str:
    """``voice`` if OpenAI has it, else ``DEFAULT_VOICE``: the setting may name another provider's voice."""
    if voice in voices or voice.startswith(_CUSTOM):
        return voice
    log.info("OpenAI has no voice of this name, its default is used", voice=voice, default=DEFAULT_VOICE)
    return DEFAULT_VOICE


def voice_value(voice: str) -> str | dict[str, str]:
    """A voice as requests name it: built-in ones by name, custom ones as an object."""
    return {"id": voice} if voice.startswith(_CUSTOM) else voice
