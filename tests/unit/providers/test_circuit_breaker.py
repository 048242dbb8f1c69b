from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.unit.tools.conftest import virtual_time

from voice_agent.clock import LoopClock
from voice_agent.providers.circuit_breaker import BreakerState, CircuitBreaker, Permit


class HandClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def breaker(clock: HandClock, threshold: int = 3) -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=threshold, recovery_s=30, clock=clock)


def fail(guard: CircuitBreaker) -> None:
    permit = guard.admit()
    assert permit is not None
    permit.failure()


def succeed(guard: CircuitBreaker) -> None:
    permit = guard.admit()
    assert permit is not None
    permit.success()


def test_it_opens_after_that_many_failures_in_a_row() -> None:
    guard = breaker(HandClock())
    fail(guard)
    fail(guard)
    succeed(guard)
    fail(guard)
    fail(guard)
    assert guard.state is BreakerState.CLOSED
    fail(guard)
    assert guard.state is BreakerState.OPEN
    assert guard.admit() is None


def test_a_failure_that_lasts_opens_it_at_once_and_for_its_time() -> None:
    clock = HandClock()
    guard = breaker(clock)
    permit = guard.admit()
    assert permit is not None
    permit.failure(out_s=300)
    clock.now_s = 299.0
    assert (guard.state, guard.would_admit, guard.admit()) == (BreakerState.OPEN, False, None)
    clock.now_s = 300.0
    assert guard.state is BreakerState.HALF_OPEN
    fail(guard)  # the probe fails in the usual way: the usual time
    clock.now_s = 329.0
    assert guard.admit() is None
    clock.now_s = 330.0
    succeed(guard)
    assert guard.state is BreakerState.CLOSED


def test_asking_whether_it_would_admit_takes_no_permit() -> None:
    clock = HandClock()
    guard = breaker(clock, threshold=1)
    assert guard.would_admit
    fail(guard)
    assert not guard.would_admit
    clock.now_s = 30.0
    assert guard.would_admit
    assert guard.would_admit
    probe = guard.admit()
    assert probe is not None
    assert probe.is_probe
    assert not guard.would_admit
    probe.give_up()
    assert guard.would_admit
    succeed(guard)
    permit = guard.admit()
    assert permit is not None
    assert not permit.is_probe


def test_it_admits_a_probe_only_when_the_time_is_over() -> None:
    clock = HandClock()
    guard = breaker(clock, threshold=1)
    fail(guard)
    clock.now_s = 29.999
    assert guard.admit() is None
    clock.now_s = 30
    assert guard.state is BreakerState.HALF_OPEN
    assert guard.admit() is not None
    assert guard.admit() is None


def test_a_good_probe_closes_it_with_a_fresh_count() -> None:
    clock = HandClock()
    guard = breaker(clock)
    for _ in range(3):
        fail(guard)
    clock.now_s = 30
    succeed(guard)
    assert guard.state is BreakerState.CLOSED
    fail(guard)
    fail(guard)
    assert guard.state is BreakerState.CLOSED


def test_a_bad_probe_opens_it_for_the_whole_time_again() -> None:
    clock = HandClock()
    guard = breaker(clock)
    for _ in range(3):
        fail(guard)
    clock.now_s = 100
    fail(guard)
    clock.now_s = 129
    assert guard.state is BreakerState.OPEN
    clock.now_s = 130
    assert guard.state is BreakerState.HALF_OPEN


def test_a_probe_given_up_leaves_its_place_to_the_next() -> None:
    clock = HandClock()
    guard = breaker(clock, threshold=1)
    fail(guard)
    clock.now_s = 30
    probe = guard.admit()
    assert probe is not None
    with probe:
        pass
    assert guard.state is BreakerState.HALF_OPEN
    succeed(guard)
    assert guard.state is BreakerState.CLOSED


def test_an_answer_from_before_the_opening_changes_nothing() -> None:
    clock = HandClock()
    guard = breaker(clock, threshold=1)
    slow_good, slow_bad, slow_given_up = guard.admit(), guard.admit(), guard.admit()
    assert slow_good
    assert slow_bad
    assert slow_given_up
    fail(guard)
    clock.now_s = 30
    probe = guard.admit()
    assert probe is not None
    slow_good.success()
    slow_bad.failure()
    with slow_given_up:
        pass
    assert guard.state is BreakerState.HALF_OPEN
    assert guard.admit() is None
    probe.success()
    assert guard.state is BreakerState.CLOSED


@given(st.integers(1, 30), st.integers(0, 2**32), st.integers(1, 5))
@settings(deadline=None)
def test_of_any_number_of_concurrent_calls_exactly_one_probes(calls: int, seed: int, rounds: int) -> None:
    """Calls overlap in any order on the loop; while half-open, never are two of them inside."""
    rng = random.Random(seed)

    @virtual_time
    async def race() -> None:
        guard = CircuitBreaker(failure_threshold=1, recovery_s=10, clock=LoopClock())
        fail(guard)
        inside = 0
        admitted: list[int] = []

        async def call(fails: bool) -> None:
            nonlocal inside
            await asyncio.sleep(rng.random())
            half_open = guard.state is BreakerState.HALF_OPEN
            permit = guard.admit()
            if permit is None:
                return
            with permit:
                if half_open:
                    inside += 1
                    admitted.append(inside)
                    await asyncio.sleep(rng.random())
                    inside -= 1
                if fails:
                    permit.failure()
                else:
                    permit.success()

        for number in range(rounds):
            await asyncio.sleep(11)
            assert guard.state is BreakerState.HALF_OPEN
            before = len(admitted)
            await asyncio.gather(*(call(fails=True) for _ in range(calls)))
            assert len(admitted) - before == 1, number
        assert set(admitted) <= {1}

    race()


class AnyInterleaving(RuleBasedStateMachine):
    """Any order of admissions, outcomes, given-up calls and passing time, against the rules of the docstring."""

    permits = Bundle("permits")

    @initialize(threshold=st.integers(1, 4))
    def start(self, threshold: int) -> None:
        self.clock = HandClock()
        self.threshold = threshold
        self.guard = breaker(self.clock, threshold)
        self.state = BreakerState.CLOSED
        self.failures = 0
        self.opened_at_s = 0.0
        self.probe: Permit | None = None
        self.period = 0
        self.periods: dict[int, int] = {}

    def expected_state(self) -> BreakerState:
        if self.state is BreakerState.OPEN and self.clock.now_s - self.opened_at_s >= 30:
            return BreakerState.HALF_OPEN
        return self.state

    @rule(target=permits)
    def admit(self) -> Permit | None:
        expected = self.expected_state()
        permit = self.guard.admit()
        if expected is BreakerState.CLOSED:
            assert permit is not None
            self.periods[id(permit)] = self.period
        elif expected is BreakerState.HALF_OPEN and self.probe is None:
            assert permit is not None
            self.probe = permit
        else:
            assert permit is None
        return permit

    @rule(permit=consumes(permits), outcome=st.sampled_from(["success", "failure", "given up"]))
    def report(self, permit: Permit | None, outcome: str) -> None:
        if permit is None:
            return
        with permit:
            if outcome == "success":
                permit.success()
            elif outcome == "failure":
                permit.failure()
        if permit is self.probe:
            self.probe = None
            if outcome == "success":
                self.state, self.failures, self.period = BreakerState.CLOSED, 0, self.period + 1
            elif outcome == "failure":
                self.opened_at_s = self.clock.now_s
        elif self.state is BreakerState.CLOSED and self.periods.get(id(permit)) == self.period:
            if outcome == "success":
                self.failures = 0
            elif outcome == "failure":
                self.failures += 1
                if self.failures == self.threshold:
                    self.state, self.opened_at_s, self.failures = BreakerState.OPEN, self.clock.now_s, 0

    @rule(seconds=st.sampled_from([1.0, 15.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def the_state_is_as_the_rules_say(self) -> None:
        if hasattr(self, "guard"):
            assert self.guard.state is self.expected_state()


TestAnyInterleaving = AnyInterleaving.TestCase
