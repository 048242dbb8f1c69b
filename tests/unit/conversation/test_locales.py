"""The locale table: complete, and read leniently."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from voice_agent.conversation.locales import DEFAULT_LOCALE, LOCALES, LocaleProfile, Prompts, resolve_locale

#: The fields that the machine fills, by prompt.
FILLED = {
    "pin_incomplete": {"expected"},
    "ask_code": {"expected"},
    "ask_code_again": {"expected"},
    "code_incomplete": {"expected"},
    "handover_callback": {"reference"},
}


def test_the_contracts_locales_are_there() -> None:
    assert set(LOCALES) == {"en-US", "en-GB", "en-AU", "ar-SA", "es-ES", "fr-FR"}


@pytest.mark.parametrize("requested", ["en-GB", "en-gb", "EN_GB", "en_gb"])
def test_case_and_separator_do_not_matter(requested: str) -> None:
    assert resolve_locale(requested).tag == "en-GB"


@pytest.mark.parametrize("requested", ["", "xx-XX", "english", "../etc"])
def test_an_unknown_tag_gives_the_default(requested: str) -> None:
    assert resolve_locale(requested).tag == DEFAULT_LOCALE


@pytest.mark.parametrize("profile", LOCALES.values(), ids=LOCALES)
def test_every_prompt_is_written_and_asks_for_the_same_values(profile: LocaleProfile) -> None:
    for field in fields(Prompts):
        value = getattr(profile.prompts, field.name)
        segments = (value,) if isinstance(value, str) else value
        assert all(segment.strip() for segment in segments)
        asked = set(re.findall(r"\{(\w+)\}", " ".join(segments)))
        assert asked == FILLED.get(field.name, set())


@pytest.mark.parametrize("profile", LOCALES.values(), ids=LOCALES)
def test_word_lists_are_lower_case_and_not_empty(profile: LocaleProfile) -> None:
    for name in ("backchannels", "hesitations", "open_endings", "stop_words", "yes_no_words", "digit_words"):
        words = getattr(profile, name)
        assert words
        assert all(word == word.lower().strip() for word in words)
