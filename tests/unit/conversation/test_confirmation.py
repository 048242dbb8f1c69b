"""Agreement to what was read back."""

from __future__ import annotations

import pytest

from voice_agent.conversation.confirmation import Agreement, agreement
from voice_agent.conversation.locales import resolve_locale

YES = (
    "yes|Yes, please.|yeah go ahead|That's right.|okay, do it|sure|yes cancel it|Yes, that's correct, please cancel it"
)
NO = """no|No, don't.|wait|not that one|yes but the other one|never mind|I'm not sure|okay, stop|hold on|no yes"""
UNCLEAR = """|what?|which order is that|yes?|cancel it|the blue one|[PIN]|83102|is that right|what happens to my money, yes
I mean yes I said that I wanted it to come sooner than Friday if at all possible"""


@pytest.mark.parametrize("text", YES.split("|"))
def test_a_plain_yes_agrees(text: str) -> None:
    assert agreement(text, resolve_locale("en-US")) is Agreement.YES


@pytest.mark.parametrize("text", NO.split("|"))
def test_any_word_of_refusal_is_a_no(text: str) -> None:
    assert agreement(text, resolve_locale("en-US")) is Agreement.NO


@pytest.mark.parametrize("text", UNCLEAR.replace("\n", "|").split("|"))
def test_what_says_something_else_agrees_to_nothing(text: str) -> None:
    assert agreement(text, resolve_locale("en-US")) is Agreement.UNCLEAR


@pytest.mark.parametrize(
    ("locale", "yes", "no"),
    [("es-ES", "sí, adelante", "no, espere"), ("fr-FR", "oui, d'accord", "non merci"), ("ar-SA", "نعم", "لا")],
)
def test_other_languages(locale: str, yes: str, no: str) -> None:
    assert agreement(yes, resolve_locale(locale)) is Agreement.YES
    assert agreement(no, resolve_locale(locale)) is Agreement.NO
