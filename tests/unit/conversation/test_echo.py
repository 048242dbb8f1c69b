"""The agent's own words, half heard, and words that only resemble them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.conversation.echo import likeness, without_echo

AGENT = "You can return any item within thirty days of delivery, free of charge and without giving a reason."
letters = st.text(alphabet="abcd", min_size=7, max_size=12)


@pytest.mark.parametrize(
    "heard",
    ["within thirty days", "Free of charge, and", "with in dirty days of the liver", "any item with in thirty day"],
)
def test_what_the_agent_said_is_recognised_though_half_heard(heard: str) -> None:
    assert likeness(heard, [AGENT]) >= 0.8


@pytest.mark.parametrize(
    "heard",
    ["but what about the refund", "How do I return an item?", "where is my order", "sorry, what did you say"],
)
def test_what_a_caller_says_is_something_else(heard: str) -> None:
    assert likeness(heard, [AGENT]) < 0.75


def test_a_caller_who_goes_on_beyond_the_echo_is_less_alike() -> None:
    assert likeness("thirty days wait that is not what I asked", [AGENT]) < 0.6


def test_what_is_masked_was_not_said_by_its_name() -> None:
    assert likeness("[ADDRESS]", ["What is the full new address?"]) == 0.0
    assert likeness("[ADDRESS 2] please", ["What is the full new address, please?"]) == 0.0


@pytest.mark.parametrize("heard", ["", "you", "thirty", "any"])
def test_too_few_letters_tell_nothing(heard: str) -> None:
    assert likeness(heard, [AGENT]) == 0.0


def test_without_words_of_the_agent_nothing_is_alike() -> None:
    assert likeness("thirty days", []) == likeness("thirty days", ["", "…"]) == 0.0


def test_words_may_lie_across_two_texts() -> None:
    assert likeness("days of delivery", ["within thirty days", "of delivery"]) == 1.0


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("within thirty days. What about shoes?", "What about shoes?"),
        ("with in dirty days of the liver what about shoes", "what about shoes"),
        ("What about shoes?", "What about shoes?"),
        ("within thirty days", ""),
        ("", ""),
    ],
)
def test_what_follows_an_echo_is_the_callers_own(text: str, own: str) -> None:
    assert without_echo(text, AGENT, alike=0.8) == own


def edits(pattern: str, text: str) -> int:
    """The textbook's matrix."""
    above = [0] * (len(text) + 1)
    for row, letter in enumerate(pattern, 1):
        here = [row]
        for column, other in enumerate(text, 1):
            here.append(min(above[column] + 1, here[-1] + 1, above[column - 1] + (letter != other)))
        above = here
    return min(above)


@settings(max_examples=200, deadline=None)
@given(letters, st.text(alphabet="abcd", min_size=1, max_size=30))
def test_it_is_the_share_of_letters_that_need_no_edit(pattern: str, text: str) -> None:
    assert likeness(pattern, [text]) == pytest.approx(1 - edits(pattern, text) / len(pattern))


def test_words_of_the_agent_that_the_caller_repeats_later_take_nothing_away() -> None:
    own = (
        "okay but the thing is that my neighbour took the parcel in and gave it to me only a month later when she came "
        "back from her holidays so how do you count that when you say that I can return any item within thirty days of "
        "delivery free of charge and without giving a reason"
    )
    assert without_echo(f"within thirty days of delivery {own}", AGENT, alike=0.8) == own
