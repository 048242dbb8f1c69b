"""To the word: what was heard of a reply, and how surely."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.conversation.heard_ledger import HeardLedger
from voice_agent.models import HeardBasis

FIRST = "You can return any item within thirty days."
SECOND = "Your order 83102 is on its way."


def ledger(*texts: str, durations: tuple[float | None, ...] = (3.0, 4.0)) -> HeardLedger:
    made = HeardLedger()
    for index, (text, duration_s) in enumerate(zip(texts, durations, strict=False)):
        made.write(index, text)
        if duration_s is not None:
            made.measured(index, duration_s)
    return made


def test_nothing_and_everything() -> None:
    made = ledger(FIRST, SECOND)
    nothing = made.heard(0.0)
    assert (nothing.text, nothing.words, nothing.written, nothing.confidence) == ("", 0, 15, 1.0)
    everything = made.heard(7.0)
    assert (everything.text, everything.words) == (f"{FIRST} {SECOND}", 15)
    assert made.whole().basis is HeardBasis.WHOLE
    assert made.whole().confidence == 1.0


def test_a_segment_is_heard_whole_when_only_its_silent_tail_is_missing() -> None:
    assert ledger(FIRST, SECOND).heard(2.95).text == FIRST


def test_within_a_segment_words_take_their_share() -> None:
    made = ledger(FIRST)
    assert made.heard(1.5).text == "You can return any"
    assert made.heard(0.1).text == ""


def test_numbers_take_as_long_as_they_are_read() -> None:
    made = ledger(SECOND, durations=(4.0,))
    before, after = made.heard(2.8), made.heard(3.0)
    assert before.text == "Your order"
    assert after.text == "Your order 83102"


def test_a_voice_pauses_between_sentences() -> None:
    with_pause = ledger("One two. Three four.", durations=(3.0,)).heard(1.4)
    without = ledger("One two three four", durations=(3.0,)).heard(1.4)
    assert with_pause.words == 2
    assert without.words == 2
    assert with_pause.confidence > without.confidence, "in the pause nothing is lost by a small error"


def test_confidence_is_high_at_the_seams_and_low_in_the_middle() -> None:
    made = ledger(FIRST, SECOND)
    assert made.heard(3.2).confidence > made.heard(1.5).confidence
    assert made.heard(9.0).confidence > 0.99


def test_a_clients_word_is_worth_more_than_the_clock() -> None:
    made = ledger("Extraordinarily complicated considerations notwithstanding", durations=(4.0,))
    at_s = 1.0
    assert made.heard(at_s, HeardBasis.ACKNOWLEDGED).confidence > made.heard(at_s, HeardBasis.PACED).confidence


def test_before_synthesis_ends_a_usual_pace_is_assumed() -> None:
    made = ledger(FIRST, durations=(None,))
    heard = made.heard(1.5)
    assert FIRST.startswith(heard.text)
    assert 0 < heard.words < 8


def test_segments_out_of_turn_change_nothing() -> None:
    made = ledger(FIRST)
    made.write(0, "again")
    made.write(5, "beyond")
    made.measured(7, 1.0)
    assert made.full_text() == FIRST


@pytest.mark.parametrize(
    ("at_s", "understood"),
    [
        (0.33, "Shall"),
        (2.4, "Shall I connect you with a colleague?"),
        (2.8, "Shall I connect you with a colleague?"),
    ],
)
def test_most_of_a_question_is_understood_as_the_question(at_s: float, understood: str) -> None:
    made = ledger("Shall I connect you with a colleague? It takes a minute.", durations=(4.0,))
    assert made.understood_text(at_s) == understood


def test_what_echoes_are_the_words_just_spoken() -> None:
    made = ledger(FIRST, SECOND)
    assert made.around(3.5, before_s=1.0, after_s=0.3).startswith("thirty days.")
    assert "You can" not in made.around(3.5, before_s=1.0, after_s=0.3)


def test_a_passage_that_must_be_heard_is_one_from_its_start_to_its_end() -> None:
    made = HeardLedger()
    made.write(0, "This call is recorded.", interruptible=False)
    made.write(1, "How can I help you?")
    assert not made.interruptible(0.5), "its length is not known yet"
    made.measured(0, 2.0)
    made.measured(1, 2.0)
    assert not made.interruptible(1.5)
    assert made.interruptible(1.95)
    assert made.interruptible(9.0)


words = st.lists(st.sampled_from(["a", "to", "order", "83102", "wait,", "yes.", "colleague?"]), min_size=1, max_size=9)
texts = st.lists(words.map(" ".join), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(texts, st.lists(st.floats(0.2, 9.0), min_size=4, max_size=4), st.floats(0, 20), st.floats(0, 20))
def test_what_is_heard_only_grows_and_is_always_a_beginning(
    parts: list[str], durations: list[float], one: float, other: float
) -> None:
    made = ledger(*parts, durations=tuple(durations))
    first, second = made.heard(min(one, other)), made.heard(max(one, other))
    assert second.text.startswith(first.text)
    assert made.full_text().startswith(second.text)
    assert first.words == len(first.text.split())
    for heard in (first, second):
        assert 0.0 <= heard.confidence <= 1.0
        assert heard.text == made.heard_text(min(one, other) if heard is first else max(one, other))
