"""One table: what a locale means for recognition, voice, prompts and turn-taking words."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the agent says of its own accord. Each is one or more segments; ``{…}`` fields are filled by the machine."""

    greeting: tuple[str, ...]
    ask_pin: tuple[str, ...]
    ask_pin_again: tuple[str, ...]
    pin_accepted: str
    pin_wrong: tuple[str, ...]
    pin_incomplete: tuple[str, ...]  # {expected}
    pin_locked: tuple[str, ...]
    pin_unavailable: tuple[str, ...]
    blocked: tuple[str, ...]
    abuse: tuple[str, ...]
    timeout: tuple[str, ...]
    failure: tuple[str, ...]
    not_heard: tuple[str, ...]
    still_there: tuple[str, ...]
    idle_goodbye: tuple[str, ...]
    session_over: tuple[str, ...]
    handover_connected: tuple[str, ...]
    handover_callback: tuple[str, ...]  # {reference}
    handover_failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LocaleProfile:
    """One row. ``tag`` is a BCP 47 tag; word sets are lower case, without punctuation."""

    tag: str
    name: str
    asr_language: str
    asr_hints: tuple[str, ...]
    voice: str
    system_prompt: str
    prompts: Prompts
    backchannels: frozenset[str]
    hesitations: frozenset[str]
    open_endings: frozenset[str]
    stop_words: frozenset[str]
    yes_no_words: frozenset[str]
    digit_words: frozenset[str]


DEFAULT_LOCALE = "en-US"


def _table() -> dict[str, LocaleProfile]:
    from voice_agent.conversation.locale_data import arabic, english, french, spanish

    us = english.PROFILE
    return {
        us.tag: us,
        "en-GB": replace(us, tag="en-GB", name="English (United Kingdom)", asr_language="en-GB"),
        "en-AU": replace(us, tag="en-AU", name="English (Australia)", asr_language="en-AU"),
        "ar-SA": arabic.PROFILE,
        "es-ES": spanish.PROFILE,
        "fr-FR": french.PROFILE,
    }


_TABLE: dict[str, LocaleProfile] = {}


def locales() -> dict[str, LocaleProfile]:
    """The whole table, keyed by tag."""
    if not _TABLE:
        _TABLE.update(_table())
    return _TABLE


def resolve_locale(requested: str) -> LocaleProfile:
    """The row for a tag, whatever its case or separator; an unknown tag gives the default row (the caller of this
    compares tags to know)."""
    wanted = requested.replace("_", "-").lower()
    table = locales()
    for tag, profile in table.items():
        if tag.lower() == wanted:
            return profile
    return table[DEFAULT_LOCALE]
