"""How much silence a turn needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.endpointing import (
    EndpointingSettings,
    asks_to_hold,
    believed,
    needed_silence,
    wait_for,
    words_of,
)
from voice_agent.conversation.locales import LOCALES, resolve_locale
from voice_agent.models import OpenQuestion

SETTINGS = EndpointingSettings()
ENGLISH = resolve_locale("en-US")


def needs(
    text: str,
    probability: float | None = 0.98,
    question: OpenQuestion = OpenQuestion.OPEN,
    *,
    secret_digits: int | None = None,
    locale: str = "en-US",
    patience: float = 1.0,
) -> tuple[str, float]:
    decision = needed_silence(
        text,
        probability=probability,
        question=question,
        secret_digits=secret_digits,
        locale=resolve_locale(locale),
        settings=SETTINGS,
        patience=patience,
    )
    return decision.rule, decision.wait_s


@pytest.mark.parametrize(
    "text",
    [
        "What is your return policy?",
        "Where is my order?",
        "I would like to cancel my order.",
        "Could you tell me where your nearest store is?",
        "Please change my phone number.",
        "Yes, please do that.",
        "My discount code is not working.",
        "Thank you, that's all.",
    ],
)
def test_a_whole_sentence_with_an_ending_tone_ends_at_once(text: str) -> None:
    assert needs(text) == ("complete", SETTINGS.min_s)


@pytest.mark.parametrize(
    "text",
    [
        "I want to return my",
        "I would like to.",
        "My order was supposed to",
        "I'd like to know whether.",
        "Can you tell me?",
        "The problem is,",
        "I was wondering.",
        "Could you please",
    ],
)
def test_an_ending_that_cannot_be_one_is_waited_for_however_final_it_sounds(text: str) -> None:
    rule, wait_s = needs(text, 0.99)
    assert rule == "open_phrase"
    assert wait_s > SETTINGS.unsure_s


@pytest.mark.parametrize(
    "text",
    ["When I opened the box.", "If I send it back today", "The jacket that I bought", "Because"],
)
def test_a_first_clause_is_waited_for(text: str) -> None:
    assert needs(text, 0.9)[1] >= 0.7


@pytest.mark.parametrize(
    "text", ["I ordered two tents.", "I paid for express shipping.", "We're going camping on Saturday."]
)
def test_a_caller_who_was_asked_openly_and_tells_a_story_gets_longer_than_one_who_asks(text: str) -> None:
    assert needs(text, 0.97)[1] > needs("Where can I find the receipt?", 0.97)[1] == SETTINGS.min_s
    assert needs(text, 0.97, OpenQuestion.YES_NO)[1] < needs(text, 0.97)[1]


def test_the_words_stand_in_until_the_model_has_answered() -> None:
    assert needs("The zipper on my jacket is broken.", None)[0] == "unscored"
    assert needs("I paid for express shipping.", None)[1] > needs("The zipper on my jacket is broken.", None)[1]


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_wait_falls_with_the_models_probability_and_without_jumps(one: float, other: float) -> None:
    low, high = sorted((one, other))
    wait_low, wait_high = needs("It is the green jacket", low)[1], needs("It is the green jacket", high)[1]
    assert wait_low >= wait_high
    beliefs = believed(low, 0.0), believed(high, 0.0)
    steepest = (SETTINGS.max_s - SETTINGS.min_s) * 4
    assert (
        abs(wait_for(beliefs[0], SETTINGS) - wait_for(beliefs[1], SETTINGS))
        <= steepest * (beliefs[1] - beliefs[0]) + 1e-9
    )


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from("eight oh dot at um my the third hold on no yes".split())).map(" ".join),
    st.none() | st.floats(0, 1),
    st.sampled_from(list(OpenQuestion)),
    st.sampled_from(sorted(LOCALES)),
    st.floats(0.1, 10),
)
def test_every_wait_lies_within_the_bounds(
    text: str, probability: float | None, question: OpenQuestion, locale: str, patience: float
) -> None:
    rule, wait_s = needs(text, probability, question, locale=locale, patience=patience)
    assert SETTINGS.min_s <= wait_s <= (SETTINGS.hold_s if rule == "hold" else SETTINGS.max_s)


@pytest.mark.parametrize("text", ["Um.", "It's about, um.", "Let me see", "I want the, uh"])
def test_a_hesitation_is_waited_for(text: str) -> None:
    assert needs(text, 0.99) == ("hesitation", SETTINGS.max_s)


@pytest.mark.parametrize(
    ("text", "locale"),
    [
        ("Hold on, let me get it.", "en-US"),
        ("One second.", "en-US"),
        ("One moment please.", "en-US"),
        ("Wait a moment while I look.", "en-US"),
        ("Hang on. I need to find my glasses.", "en-US"),
        ("It's on the letter, give me a second", "en-US"),
        ("Un momento, voy a buscarlo", "es-ES"),
        ("Attendez, je cherche", "fr-FR"),
        ("لحظة من فضلك", "ar-SA"),
    ],
)
def test_a_wish_to_wait_gives_the_caller_time(text: str, locale: str) -> None:
    assert needs(text, 0.99, locale=locale) == ("hold", SETTINGS.hold_s)
    assert needs(text, 0.99, OpenQuestion.ORDER_NUMBER, locale=locale) == ("hold", SETTINGS.hold_s)


@pytest.mark.parametrize(
    "text",
    [
        "Hold on, let me get it. It's 83102.",
        "One second, okay, I have it here.",
        "How long would I be on hold?",
        "I've been waiting for a minute and nobody came.",
    ],
)
def test_a_wish_to_wait_that_is_over_or_none_does_not(text: str) -> None:
    assert not asks_to_hold(text, ENGLISH)


@pytest.mark.parametrize(
    "text", ["Hey.", "Hi there.", "Actually.", "So?", "Hello, this is Anna Miller.", "Oh, one more thing."]
)
def test_an_opener_is_not_taken_for_a_turn_at_once(text: str) -> None:
    assert needs(text, 0.99) == ("opener", SETTINGS.opener_s)


def test_a_lone_hello_is_still_answered_within_a_second() -> None:
    assert needs("Hello?", 0.1, OpenQuestion.NONE)[1] <= 0.8


@pytest.mark.parametrize("text", ["83102,", "It's about order 83102.", "Where is my order 83102"])
def test_a_whole_order_number_said_unasked_soon_ends_the_turn_in_any_tone(text: str) -> None:
    assert needs(text, 0.05)[1] <= 0.6


def test_a_bare_yes_waits_less_than_other_openers_even_where_no_such_question_was_seen() -> None:
    assert needs("Yes.", 0.5) == ("opener", SETTINGS.shape_s)


@pytest.mark.parametrize("text", ["Yes please.", "No.", "I think so.", "Not really.", "Sure, go ahead."])
def test_an_answer_to_a_yes_no_question_needs_no_model(text: str) -> None:
    assert needs(text, 0.02, OpenQuestion.YES_NO) == ("yes_no_answer", SETTINGS.min_s)


def test_a_yes_that_goes_on_is_no_answer_yet() -> None:
    assert needs("Yes, and", 0.9, OpenQuestion.YES_NO)[0] == "open_phrase"


@pytest.mark.parametrize(
    ("text", "question", "rule", "wait_s"),
    [
        ("It's 83102.", OpenQuestion.ORDER_NUMBER, "order_number_complete", SETTINGS.min_s),
        ("It's 831.", OpenQuestion.ORDER_NUMBER, "order_number_incomplete", SETTINGS.max_s),
        ("831027", OpenQuestion.ORDER_NUMBER, "order_number_complete", SETTINGS.shape_s),
        ("It's john dot smith", OpenQuestion.EMAIL, "email_incomplete", SETTINGS.max_s),
        ("It's [EMAIL]", OpenQuestion.EMAIL, "email_complete", SETTINGS.min_s),
        ("The third of", OpenQuestion.DATE, "date_incomplete", SETTINGS.max_s),
        ("[PHONE]", OpenQuestion.PHONE, "phone_complete", SETTINGS.unsure_s),
        ("It's 831, um", OpenQuestion.ORDER_NUMBER, "hesitation", SETTINGS.max_s),
    ],
)
def test_what_was_asked_for_ends_the_turn_once_it_is_whole(
    text: str, question: OpenQuestion, rule: str, wait_s: float
) -> None:
    assert needs(text, 0.99, question) == (rule, wait_s)


def test_a_secret_ends_when_it_is_complete() -> None:
    assert needs("[PIN]", 0.1, OpenQuestion.PIN, secret_digits=4) == ("secret_complete", SETTINGS.min_s)
    assert needs("[PIN]", 0.9, OpenQuestion.PIN, secret_digits=2) == ("secret_incomplete", SETTINGS.max_s)
    assert needs("I forgot my PIN.", 0.98, OpenQuestion.PIN, secret_digits=0)[0] == "complete"


def test_patience_changes_the_waits_in_doubt_but_not_the_certain_ones() -> None:
    assert needs("It is the green jacket", 0.3, patience=1.5)[1] > needs("It is the green jacket", 0.3)[1]
    assert needs("It is the green jacket", 0.3, patience=0.8)[1] < needs("It is the green jacket", 0.3)[1]
    assert needs("83102", 0.3, OpenQuestion.ORDER_NUMBER, patience=1.5)[1] == SETTINGS.min_s
    assert needs("Yes.", 0.3, OpenQuestion.YES_NO, patience=1.5)[1] == SETTINGS.min_s


def test_words_are_told_apart_whatever_apostrophe_is_written() -> None:
    assert words_of("It’s eight-three, don't!") == ["it's", "eight", "three", "don't"]
