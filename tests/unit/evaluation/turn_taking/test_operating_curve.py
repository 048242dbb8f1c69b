"""The curve: pauses of a log decided again with scaled waits, and the points that are read off it."""

from __future__ import annotations

import math

import pytest
from tests.unit.evaluation.turn_taking.timelines import act, call

from voice_agent.conversation.events import (
    CallStarted,
    Event,
    SpeechStarted,
    SpeechStopped,
    TimerFired,
    TranscriptFinal,
    TurnScored,
)
from voice_agent.conversation.machine import MachineSettings
from voice_agent.evaluation.turn_taking.operating_curve import (
    SCALES,
    Pause,
    ScoredTurn,
    curve,
    pauses_of,
    scored_turns,
)
from voice_agent.evaluation.turn_taking.timeline import Kind
from voice_agent.models import CallId, UtteranceId

ONE = SCALES.index(1.0)


STARTED = CallStarted(CallId("c"), "+15550100", "en-US", "en-US", "2026-01-01T00:00:00Z")


def burst(start_s: float, end_s: float, words: str, probability: float) -> list[tuple[float, Event]]:
    """Speech, and what recogniser and end-of-turn model say of it once it has stopped."""
    return [
        (start_s + 0.1, SpeechStarted(0.1)),
        (end_s + 0.15, SpeechStopped(0.15, end_s - start_s)),
        (end_s + 0.2, TranscriptFinal(UtteranceId(1), words)),
        (end_s + 0.22, TurnScored(UtteranceId(1), probability)),
    ]


def test_longer_waits_decide_later_and_no_earlier_than_is_known() -> None:
    log = [(0.0, STARTED), *burst(1.0, 2.0, "What is your return policy?", 0.95), (2.6, TimerFired())]
    (pause,) = pauses_of(log, MachineSettings())
    assert pause.last_voiced_s == pytest.approx(2.0)
    delays = pause.delays_s
    assert all(math.isfinite(delay) for delay in delays[: ONE + 1])
    assert list(delays) == sorted(delays)
    assert delays[0] >= 0.15, "the detector itself needs so long"
    assert delays[SCALES.index(4.0)] > delays[ONE]


def test_a_pause_cuts_where_the_wait_is_shorter() -> None:
    log = [(0.0, STARTED), *burst(1.0, 2.0, "I would like to", 0.1), *burst(2.8, 4.0, "I would like to pay.", 0.9)]
    pause, _ = pauses_of(log, MachineSettings())
    cut = [math.isfinite(delay) for delay in pause.delays_s]
    assert cut == sorted(cut, reverse=True), "a longer wait never cuts off more"
    assert cut[0]
    assert not cut[-1]


def test_pauses_are_matched_to_what_the_caller_really_did() -> None:
    never, at_once = (math.inf,) * len(SCALES), (0.3,) * len(SCALES)
    timeline = call(
        act(Kind.TURN, 1.0, 4.0, pauses=((2.0, 2.6),)), act(Kind.TURN, 8.0, 9.0), agent=((4.5, 6.0), (9.5, 10.0))
    )
    pauses = [Pause(2.01, at_once), Pause(3.98, at_once), Pause(6.5, at_once), Pause(8.5, never), Pause(9.02, at_once)]
    first, second = scored_turns(timeline, pauses, timeline.acts)
    assert all(first.cut)
    assert first.longest_pause_s == pytest.approx(0.6)
    assert first.delay_s[ONE] == pytest.approx(0.28), "from the true last voiced sample"
    assert not any(second.cut)


def scored(cut_below: float, delay_s: float) -> ScoredTurn:
    """A turn that is cut off by scales under ``cut_below`` and ends after ``delay_s`` times the scale."""
    return ScoredTurn(
        "family", "turn", tuple(s < cut_below for s in SCALES), tuple(max(0.2, s * delay_s) for s in SCALES), 0.5
    )


def test_the_points_are_read_off_between_the_scales() -> None:
    turns = [scored(1.1, 0.4)] * 10 + [scored(0.0, 0.4)] * 90
    found = curve(turns, 1)
    assert found is not None
    # At scale 1 the delay is 0.4 s and a tenth is cut off; at 1.25 (0.5 s) nothing is.
    assert found.cut_share[ONE] == pytest.approx(0.1)
    assert found.cut_at_300_ms.value == pytest.approx(0.1)
    assert found.delay_at_5_percent.value == pytest.approx(0.45)
    assert found.cut_at_300_ms.low < 0.1 < found.cut_at_300_ms.high
    assert found.fixed[0] == (pytest.approx(0.1), 1.0), "a pause of 0.5 s is longer"
    assert found.fixed[-1][1] == 0.0


def test_turns_that_are_always_cut_have_no_delay_at_five_percent() -> None:
    found = curve([scored(math.inf, 0.4)] * 5, 1)
    assert found is not None
    assert found.delay_at_5_percent.n == 0
    assert curve([], 1) is None


def test_where_no_scale_is_fast_enough_the_least_delay_counts() -> None:
    slow = ScoredTurn("family", "turn", (False,) * len(SCALES), tuple(0.4 + 0.1 * s for s in SCALES), 0.5)
    hasty = ScoredTurn("family", "turn", (True, *(False,) * (len(SCALES) - 1)), slow.delay_s, 0.5)
    found = curve([slow] * 9 + [hasty], 1)
    assert found is not None
    assert found.cut_share[0] == pytest.approx(0.1)
    assert found.cut_at_300_ms.value == pytest.approx(0.1), "25 ms more are another delay"
    near = ScoredTurn("family", "turn", hasty.cut, tuple(0.4 + 0.01 * s for s in SCALES), 0.5)
    same = curve([near] * 10, 1)
    assert same is not None
    assert same.cut_at_300_ms.value == 0.0, "2.5 ms more are not"
