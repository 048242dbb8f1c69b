"""A caller's own pauses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.caller_rhythm import CallerRhythm


def test_two_long_pauses_are_enough_to_be_waited_for() -> None:
    rhythm = CallerRhythm()
    assert rhythm.patience(0.8, 1.8) == 1
    twice = rhythm.went_on_after(0.7).went_on_after(0.7)
    assert twice.patience(0.8, 1.8) > 1.3
    assert twice.pauses == 2


def test_a_caller_who_never_pauses_is_answered_sooner() -> None:
    rhythm = CallerRhythm()
    for _ in range(4):
        rhythm = rhythm.said_without_pause()
    assert 0.7 < rhythm.patience(0.5, 1.8) < 0.9


def test_breaths_and_absences_are_no_pauses() -> None:
    assert CallerRhythm().went_on_after(0.1) == CallerRhythm()
    assert CallerRhythm().went_on_after(8.0) == CallerRhythm()


@given(st.lists(st.none() | st.floats(0, 20), max_size=50))
def test_patience_stays_within_its_bounds(pauses: list[float | None]) -> None:
    rhythm = CallerRhythm()
    for pause_s in pauses:
        rhythm = rhythm.said_without_pause() if pause_s is None else rhythm.went_on_after(pause_s)
    assert 0.8 <= rhythm.patience(0.8, 1.8) <= 1.8
