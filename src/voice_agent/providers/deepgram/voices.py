"""Which of Deepgram's voices speaks. A voice is a model there: ``aura-2-thalia-en``."""

from __future__ import annotations

from typing import Final

DEFAULT_LANGUAGE: Final = "en"
# One of the vendor's featured voices of each language it has (https://developers.deepgram.com/docs/tts-models).
_DEFAULTS: Final = {
    "en": "aura-2-thalia-en",
    "es": "aura-2-celeste-es",
    "de": "aura-2-viktoria-de",
    "fr": "aura-2-agathe-fr",
    "nl": "aura-2-rhea-nl",
    "it": "aura-2-livia-it",
    "ja": "aura-2-fujin-ja",
}


def voice_model(locale: str, *wanted: str) -> str:
    """The first ``wanted`` name (an agent's voice, TTS_MODEL, TTS_VOICE) that is a Deepgram model and speaks the locale's
    language, else the default voice of that language, else the English one. In a chain of providers they may name another
    vendor's models."""
    language = locale.replace("_", "-").partition("-")[0].lower()
    if language not in _DEFAULTS:
        language = DEFAULT_LANGUAGE
    for name in wanted:
        if name.startswith("aura") and name.rpartition("-")[2] == language:
            return name
    return _DEFAULTS[language]
