"""The exact measures on hand-made timelines."""

from __future__ import annotations

import pytest
from tests.unit.evaluation.turn_taking.timelines import act, call

from voice_agent.evaluation.turn_taking.measures import Outcome, outcomes
from voice_agent.evaluation.turn_taking.timeline import CallTimeline, Kind, Mark


def only(timeline: CallTimeline) -> Outcome:
    (outcome,) = outcomes(timeline)
    return outcome


def test_latency_runs_from_the_last_voiced_to_the_first_audible_sample() -> None:
    outcome = only(call(act(Kind.TURN, 2.0, 3.5), agent=((0.0, 1.0), (3.92, 6.0))))
    assert outcome.kind is Kind.TURN
    assert outcome.latency_s == pytest.approx(0.42)
    assert outcome.answered is True
    assert outcome.cut_off is False


def test_a_turn_is_cut_off_when_the_agent_begins_inside_its_pause() -> None:
    turn = act(Kind.TURN, 2.0, 5.0, pauses=((3.0, 4.0),))
    outcome = only(call(turn, agent=((3.6, 4.1), (5.5, 7.0)), marks=((4.1, Mark.STOP),)))
    assert outcome.cut_off is True
    assert outcome.interruptions_by_agent == 1
    assert outcome.latency_s is None, "the wait for the end of a turn that was cut off says nothing"
    assert outcome.answered is True


def test_a_turn_without_an_answer_is_unanswered_once_one_was_due() -> None:
    assert only(call(act(Kind.TURN, 2.0, 3.0))).answered is False
    assert only(call(act(Kind.TURN, 2.0, 3.0), ends_s=5.0)).answered is None, "the call ended first"
    assert only(call(act(Kind.TURN, 2.0, 3.0, answer=False))).answered is None


def test_an_answer_to_the_next_turn_is_none_to_this_one() -> None:
    first, second = outcomes(call(act(Kind.TURN, 1.0, 2.0), act(Kind.TURN, 6.0, 7.0), agent=((7.5, 8.0),)))
    assert first.answered is False
    assert second.latency_s == pytest.approx(0.5)


def test_an_interruption_is_yielded_to_by_falling_silent_for_good() -> None:
    outcome = only(
        call(
            act(Kind.INTERRUPTION, 3.0, 4.5),
            agent=((1.0, 3.2), (5.0, 6.0)),
            marks=((3.12, Mark.PAUSE), (3.5, Mark.STOP), (3.5, Mark.CLEAR)),
        )
    )
    assert outcome.yielded is True
    assert outcome.duck_s == pytest.approx(0.12)
    assert outcome.quiet_s == pytest.approx(0.2)
    assert outcome.silence_s == pytest.approx(0.2)
    assert outcome.latency_s == pytest.approx(0.5), "the answer to the interruption"
    assert outcome.cut_off is None


def test_a_pause_that_resumes_before_the_stop_delays_the_silence_for_good() -> None:
    outcome = only(
        call(
            act(Kind.INTERRUPTION, 3.0, 4.5),
            agent=((1.0, 3.2), (3.9, 4.4)),
            marks=((3.1, Mark.PAUSE), (3.9, Mark.RESUME), (4.4, Mark.STOP)),
        )
    )
    assert outcome.quiet_s == pytest.approx(0.2)
    assert outcome.silence_s == pytest.approx(1.4)


def test_an_agent_that_speaks_on_for_two_seconds_has_not_yielded() -> None:
    outcome = only(call(act(Kind.INTERRUPTION, 3.0, 4.5), agent=((1.0, 5.2),), marks=((5.2, Mark.STOP),)))
    assert outcome.yielded is False
    assert outcome.silence_s is None


def test_a_reply_that_ends_by_itself_proves_nothing() -> None:
    outcome = only(call(act(Kind.INTERRUPTION, 3.0, 4.0), agent=((1.0, 3.3),), marks=((3.4, Mark.FINISHED),)))
    assert outcome.void


def test_what_happened_decides_between_turn_and_interruption() -> None:
    silent = only(call(act(Kind.INTERRUPTION, 3.0, 4.0), agent=((1.0, 1.5), (4.5, 5.0))))
    assert (silent.kind, silent.latency_s) == (Kind.TURN, pytest.approx(0.5))
    over = only(call(act(Kind.TURN, 3.0, 4.0), agent=((1.0, 3.4),), marks=((3.4, Mark.STOP),)))
    assert (over.kind, over.yielded) == (Kind.INTERRUPTION, True)


@pytest.mark.parametrize("kind", [Kind.BACKCHANNEL, Kind.NOISE, Kind.SIDE_TALK, Kind.ECHO])
def test_a_sound_is_let_pass_when_the_agent_goes_on(kind: Kind) -> None:
    on = only(call(act(kind, 3.0, 3.4), agent=((1.0, 9.0),)))
    assert (on.passed, on.held_s) == (True, pytest.approx(0.0))
    paused = only(call(act(kind, 3.0, 3.4), agent=((1.0, 3.2), (4.0, 9.0)), marks=((3.1, Mark.PAUSE),)))
    assert (paused.passed, paused.held_s) == (True, pytest.approx(0.8))


def test_a_sound_is_not_let_pass_when_the_agent_stops_or_pauses_too_long() -> None:
    stopped = call(act(Kind.NOISE, 3.0, 3.4), agent=((1.0, 3.6),), marks=((3.6, Mark.STOP),))
    assert only(stopped).passed is False
    too_long = call(act(Kind.NOISE, 3.0, 3.4), agent=((1.0, 3.2), (4.3, 9.0)), marks=((3.1, Mark.PAUSE),))
    assert only(too_long).passed is False
    another_reply = call(act(Kind.NOISE, 3.0, 3.4), agent=((1.0, 3.5), (4.0, 6.0)), marks=((3.5, Mark.CLEAR),))
    assert only(another_reply).passed is False, "the reply that was stopped did not go on"


def test_a_reply_that_comes_to_its_end_has_let_the_sound_pass() -> None:
    finished = call(act(Kind.BACKCHANNEL, 3.0, 3.4), agent=((1.0, 3.9),), marks=((4.1, Mark.FINISHED),))
    assert only(finished).passed is True


def test_in_silence_a_sound_is_let_pass_when_nothing_answers_it() -> None:
    assert only(call(act(Kind.NOISE, 5.0, 5.3), agent=((1.0, 4.0),))).passed is True
    assert only(call(act(Kind.NOISE, 5.0, 5.3), agent=((1.0, 4.0), (7.0, 8.0)))).passed is False
    assert only(call(act(Kind.NOISE, 5.0, 5.3), agent=((1.0, 4.0), (7.5, 8.0)))).passed is True, "2.2 s later"
    assert only(call(act(Kind.NOISE, 4.1, 4.3), agent=((1.0, 4.0),))).void
