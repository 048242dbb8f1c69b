"""The guard's rules: trip at once, recover slowly, and the fuller the slower."""

from __future__ import annotations

import pytest

from voice_agent.gateway.overload import OverloadGuard, OverloadSettings

STEP_S = 0.05


class Guarded:
    """A guard that is sampled every 50 ms of a clock of its own."""

    def __init__(self, **settings: float) -> None:
        self.now = 100.0
        self.guard = OverloadGuard(OverloadSettings(**settings), self.now)

    def live(self, seconds: float, *, lag_ms: float = 0.0, late_ms: float | None = None) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            late_s = None if late_ms is None else late_ms / 1000
            self.guard.sample(self.now, loop_lag_s=lag_ms / 1000, lateness_s=late_s)

    def begun(self) -> int:
        """How many calls the ramp lets in at this moment."""
        count = 0
        while self.guard.may_begin(self.now):
            self.guard.take(self.now)
            count += 1
        return count


def test_one_hiccup_of_the_loop_is_no_overload_but_a_late_loop_is() -> None:
    guarded = Guarded(max_loop_lag_s=0.02)
    guarded.live(1.0)
    guarded.live(STEP_S, lag_ms=300)
    guarded.live(1.0)
    assert guarded.guard.objection() == ""
    guarded.live(1.0, lag_ms=21)
    assert guarded.guard.objection() == "overloaded: the event loop wakes 21 ms late"


def test_late_audio_is_overload_at_once() -> None:
    guarded = Guarded(max_lateness_s=0.03)
    guarded.live(1.0, late_ms=29)
    assert guarded.guard.objection() == ""
    guarded.live(STEP_S, late_ms=30)
    assert guarded.guard.objection() == "overloaded: audio leaves 30 ms late"


@pytest.mark.parametrize("calm", [{"late_ms": 20.0}, {"late_ms": None}])
def test_the_door_opens_again_only_after_a_calm_time(calm: dict[str, float | None]) -> None:
    guarded = Guarded(max_lateness_s=0.03, calm_s=2.0)
    guarded.live(0.5, late_ms=40)
    guarded.live(1.9, **calm)  # type: ignore[arg-type]
    assert guarded.guard.objection()
    guarded.live(0.2, **calm)  # type: ignore[arg-type]
    assert guarded.guard.objection() == ""


def test_what_lies_just_below_the_limit_neither_trips_nor_recovers() -> None:
    guarded = Guarded(max_lateness_s=0.03, calm_s=2.0)
    guarded.live(5.0, late_ms=25)
    assert guarded.guard.objection() == ""
    guarded.live(0.5, late_ms=31)
    guarded.live(60.0, late_ms=25)
    assert guarded.guard.objection()


def test_a_burst_is_let_in_no_faster_than_the_ramp() -> None:
    guarded = Guarded(ramp_per_s=10)
    assert guarded.begun() == 20
    guarded.live(0.5)
    assert guarded.begun() in (4, 5)  # sums of fractions
    guarded.live(60.0)
    assert guarded.begun() == 20


def test_calls_on_their_way_count_as_begun() -> None:
    guarded = Guarded(ramp_per_s=10)
    assert guarded.guard.may_begin(guarded.now, beginning=19)
    assert not guarded.guard.may_begin(guarded.now, beginning=20)


def test_the_ramp_slows_down_towards_the_limit() -> None:
    guarded = Guarded(ramp_per_s=10, max_lateness_s=0.04)
    guarded.begun()
    guarded.live(1.0, late_ms=30)
    assert guarded.begun() in (2, 3)
    guarded.live(10.0, late_ms=40)
    assert guarded.begun() == 0


def test_a_slow_ramp_still_lets_one_call_in() -> None:
    guarded = Guarded(ramp_per_s=0.5)
    assert guarded.begun() == 1
    guarded.live(1.9)
    assert guarded.begun() == 0
    guarded.live(0.2)
    assert guarded.begun() == 1
