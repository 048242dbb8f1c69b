"""How much silence a turn needs."""

from __future__ import annotations

import pytest

from voice_agent.conversation.endpointing import EndpointingSettings, needed_silence
from voice_agent.conversation.locales import resolve_locale
from voice_agent.models import OpenQuestion

SETTINGS = EndpointingSettings()
ENGLISH = resolve_locale("en-US")


def rule(
    text: str,
    probability: float | None = 0.9,
    question: OpenQuestion = OpenQuestion.NONE,
    secret_digits: int | None = None,
) -> tuple[str, float]:
    decision = needed_silence(
        text, probability=probability, question=question, secret_digits=secret_digits, locale=ENGLISH, settings=SETTINGS
    )
    return decision.rule, decision.wait_s


@pytest.mark.parametrize(
    ("text", "probability", "expected"),
    [
        ("What is your return policy?", 0.9, ("complete", SETTINGS.min_s)),
        ("What is your return policy?", 0.2, ("unsure", SETTINGS.unsure_s)),
        ("What is your return policy?", None, ("unscored", SETTINGS.unsure_s)),
        ("I want to return my", 0.9, ("open_phrase", SETTINGS.unsure_s)),
        ("I want to return my", 0.2, ("open_phrase", SETTINGS.max_s)),
        ("Let me see", 0.9, ("hesitation", SETTINGS.max_s)),
        ("It's about, um.", 0.9, ("hesitation", SETTINGS.max_s)),
    ],
)
def test_words_and_the_model_decide_together(text: str, probability: float | None, expected: tuple[str, float]) -> None:
    assert rule(text, probability) == expected


def test_a_yes_to_a_question_needs_no_model() -> None:
    assert rule("Yes please.", 0.1, OpenQuestion.YES_NO) == ("yes_no_answer", SETTINGS.min_s)
    assert rule("Yes please.", 0.1) == ("unsure", SETTINGS.unsure_s)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("83102", "number_complete"),
        ("eight three one oh two", "number_complete"),
        ("it is 831", "number_incomplete"),
        ("eight three one", "number_incomplete"),
        ("I don't have it with me", "complete"),
    ],
)
def test_an_order_number_ends_when_it_is_complete(text: str, expected: str) -> None:
    assert rule(text, 0.9, OpenQuestion.ORDER_NUMBER)[0] == expected


def test_a_secret_ends_when_it_is_complete() -> None:
    assert rule("[PIN]", 0.1, OpenQuestion.PIN, secret_digits=4) == ("secret_complete", SETTINGS.min_s)
    assert rule("[PIN]", 0.9, OpenQuestion.PIN, secret_digits=2) == ("secret_incomplete", SETTINGS.max_s)
    assert rule("I forgot it.", 0.9, OpenQuestion.PIN, secret_digits=0)[0] == "complete"


def test_no_rule_waits_longer_than_the_maximum() -> None:
    for text in ("", "um", "my", "Where is it?", "eight"):
        for probability in (None, 0.0, 1.0):
            for question in OpenQuestion:
                assert rule(text, probability, question)[1] <= SETTINGS.max_s
