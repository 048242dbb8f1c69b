"""One table: what a locale means for recognition, voice, prompts and turn-taking words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from voice_agent.conversation.locale_data import arabic, english, french, spanish
from voice_agent.conversation.locale_data.profile import LocaleProfile, Prompts

__all__ = ["DEFAULT_LOCALE", "LANGUAGES", "LOCALES", "LocaleProfile", "Prompts", "language_of", "resolve_locale"]

DEFAULT_LOCALE = "en-US"

_ROWS = (
    english.PROFILE,
    replace(english.PROFILE, tag="en-GB", name="English (United Kingdom)", asr_language="en-GB"),
    replace(english.PROFILE, tag="en-AU", name="English (Australia)", asr_language="en-AU"),
    arabic.PROFILE,
    spanish.PROFILE,
    french.PROFILE,
)

LOCALES: Mapping[str, LocaleProfile] = MappingProxyType({profile.tag: profile for profile in _ROWS})
"""The whole table, keyed by tag."""


def language_of(tag: str) -> str:
    """ "es-MX" → "es"."""
    return tag.replace("_", "-").partition("-")[0].lower()


LANGUAGES = tuple(dict.fromkeys(language_of(tag) for tag in LOCALES))
"""Those of the table, in its order."""

_BY_LOWER_TAG = {tag.lower(): profile for tag, profile in LOCALES.items()}


def resolve_locale(requested: str) -> LocaleProfile:
    """The row for a tag, whatever its case or separator; an unknown tag gives the default row (the caller of this
    compares tags to know)."""
    return _BY_LOWER_TAG.get(requested.replace("_", "-").lower(), LOCALES[DEFAULT_LOCALE])
