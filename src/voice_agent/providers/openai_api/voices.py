"""OpenAI's voices (https://platform.openai.com/docs/guides/text-to-speech, as of November 2026)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

DEFAULT_VOICE: Final = "alloy"
REALTIME_VOICES: Final = frozenset("alloy ash ballad cedar coral echo marin sage shimmer verse".split())
SPEECH_VOICES: Final = REALTIME_VOICES | {"fable", "nova", "onyx"}
_CUSTOM: Final = "voice_"  # ids of an account's own voices begin so

Voice = str | Mapping[str, str]

log = structlog.get_logger(__name__)


def known_voice(voice: str, voices: frozenset[str]) -> str:
    """``voice`` if OpenAI has it, else ``DEFAULT_VOICE``: the setting may name another provider's voice."""
    if voice in voices or voice.startswith(_CUSTOM):
        return voice
    log.info("OpenAI has no voice of this name, its default is used", voice=voice, default=DEFAULT_VOICE)
    return DEFAULT_VOICE


def voice_value(voice: str) -> Voice:
    """A voice as requests name it: built-in ones by name, custom ones as an object."""
    return {"id": voice} if voice.startswith(_CUSTOM) else voice


def voice_of_agent(voice: str, voices: frozenset[str], usual: Voice) -> Voice:
    """The voice that an agent file names, as requests name it; ``usual`` where it names another provider's."""
    return voice_value(voice) if voice in voices or voice.startswith(_CUSTOM) else usual
