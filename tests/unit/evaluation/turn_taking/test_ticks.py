"""The panel on ticks of 200 ms."""

from __future__ import annotations

import pytest
from tests.unit.evaluation.turn_taking.timelines import act, call

from voice_agent.evaluation.turn_taking.ticks import TickEvents, tick_events
from voice_agent.evaluation.turn_taking.timeline import Kind, Mark


def test_response_latency_counts_the_ticks_between() -> None:
    # The turn ends in tick 17 (3.4 to 3.6 s), the agent begins in tick 19: one whole tick lies between.
    events = tick_events(call(act(Kind.TURN, 2.0, 3.5), agent=((3.9, 6.0),)), keep_pauses=False)
    assert events.responded == [True]
    assert events.response_latency_s == [pytest.approx(0.2)]
    assert events.agent_interrupts == [0]


def test_a_turn_is_unanswered_when_the_caller_must_speak_again() -> None:
    events = tick_events(
        call(act(Kind.TURN, 1.0, 2.0), act(Kind.TURN, 6.0, 7.0), agent=((7.6, 8.0),)), keep_pauses=False
    )
    assert events.responded == [False, True]


def test_a_last_turn_without_any_answer_counts_for_nothing() -> None:
    assert tick_events(call(act(Kind.TURN, 1.0, 2.0)), keep_pauses=False).responded == []


def test_the_agent_interrupts_where_it_begins_inside_a_turn() -> None:
    turn = act(Kind.TURN, 2.0, 5.0, pauses=((3.0, 4.0),))
    events = tick_events(call(turn, agent=((3.6, 4.1), (5.5, 7.0))), keep_pauses=False)
    assert events.agent_interrupts == [1]


def test_yield_latency_is_whole_ticks_from_the_onset() -> None:
    interruption = act(Kind.INTERRUPTION, 3.0, 4.5)
    stopping = call(interruption, agent=((1.0, 3.25), (5.0, 6.0)), marks=((3.3, Mark.STOP),))
    for keep in (True, False):
        events = tick_events(stopping, keep_pauses=keep)
        assert events.yielded == [True]
        assert events.yield_latency_s == [pytest.approx(0.4)]
    assert tick_events(call(interruption, agent=((1.0, 6.0),)), keep_pauses=False).yielded == [False]


def test_a_pause_is_a_stop_as_published_and_none_with_pauses_kept() -> None:
    paused = call(act(Kind.BACKCHANNEL, 3.0, 3.3), agent=((1.0, 3.2), (3.9, 9.0)))
    assert tick_events(paused, keep_pauses=False).passed == {Kind.BACKCHANNEL: [False]}
    assert tick_events(paused, keep_pauses=True).passed == {Kind.BACKCHANNEL: [True]}
    stopped = call(act(Kind.BACKCHANNEL, 3.0, 3.3), agent=((1.0, 3.2), (3.9, 9.0)), marks=((3.5, Mark.CLEAR),))
    assert tick_events(stopped, keep_pauses=True).passed == {Kind.BACKCHANNEL: [False]}


def test_in_silence_an_answer_within_two_seconds_is_an_error() -> None:
    quiet = call(act(Kind.NOISE, 5.0, 5.3), agent=((1.0, 4.0),))
    answered = call(act(Kind.NOISE, 5.0, 5.3), agent=((1.0, 4.0), (6.5, 8.0)))
    assert tick_events(quiet, keep_pauses=False).passed == {Kind.NOISE: [True]}
    assert tick_events(answered, keep_pauses=False).passed == {Kind.NOISE: [False]}


def test_events_of_calls_add_up() -> None:
    events = TickEvents()
    one = call(act(Kind.TURN, 1.0, 2.0), act(Kind.NOISE, 8.0, 8.2), agent=((2.5, 4.0),))
    for _ in range(2):
        events.add(tick_events(one, keep_pauses=False))
    assert events.responded == [True, True]
    assert events.passed == {Kind.NOISE: [True, True]}
