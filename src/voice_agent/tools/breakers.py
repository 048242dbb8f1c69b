"""Where the state of the tools' circuit breakers lives: in this process, or shared by all of them.

The router asks a ``BreakerStore`` before each call and tells it the outcome. The rules of a breaker are those of
``providers/circuit_breaker.py``, whoever keeps its state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from voice_agent.clock import Clock
from voice_agent.config import ToolSettings
from voice_agent.providers.circuit_breaker import BreakerState, CircuitBreaker, Permit


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    GIVEN_UP = "given_up"  # no outcome: cancelled, or never begun


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave for one call of the tool ``name``; ``token`` is the store's own. A ``probe`` finds out whether the tool works
    again, for everybody: it asks once."""

    name: str
    token: object
    probe: bool


class BreakerStore(Protocol):
    """One breaker per name. A store that other processes share keeps these rules among all of them (the kit in
    ``tests/contract/test_breaker_stores.py`` checks them for each store of its list ``SHARED``):

    - while a breaker is half-open, one admission is out at a time, whoever has it: looking and taking are one atomic step.
      One that is not settled within a time the store sets counts as given up, since its process may have died;
    - an outcome counts only in the state its call was admitted in;
    - times are spans, measured by one clock that only goes forward (a shared store's own expiry, never two machines' wall
      clocks);
    - a store that cannot be reached in a few milliseconds admits: a broken breaker must not take the tools with it, nor keep
      callers waiting.
    """

    async def admit(self, name: str) -> Admission | None:
        """Leave for one call, or ``None``: do not call. Whoever gets leave must ``settle`` it. Safe to cancel."""
        ...

    async def settle(self, admission: Admission, outcome: Outcome) -> None:
        """Tells how the call ended. Called exactly once, also while the task is being cancelled: it must not depend on
        awaiting anything that a cancellation would interrupt. Never raises."""
        ...

    def states(self) -> Mapping[str, BreakerState]:
        """What this process knows of every breaker that it has asked. Who is told ``OPEN`` does not ask, so that must end by
        itself, no later than the breaker lets a probe through."""
        ...


class ProcessBreakers:
    """The ``BreakerStore`` of one process: plain memory, one event loop. Nothing here waits."""

    def __init__(self, settings: ToolSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._breakers: dict[str, CircuitBreaker] = {}

    async def admit(self, name: str) -> Admission | None:
        permit = self._breaker(name).admit()
        return Admission(name, permit, permit.is_probe) if permit is not None else None

    async def settle(self, admission: Admission, outcome: Outcome) -> None:
        permit = admission.token
        assert isinstance(permit, Permit)
        if outcome is Outcome.SUCCESS:
            permit.success()
        elif outcome is Outcome.FAILURE:
            permit.failure()
        else:
            permit.give_up()

    def states(self) -> Mapping[str, BreakerState]:
        return {name: breaker.state for name, breaker in self._breakers.items()}

    def _breaker(self, name: str) -> CircuitBreaker:
        if name not in self._breakers:
            self._breakers[name] = CircuitBreaker(
                failure_threshold=self._settings.cb_failure_threshold,
                recovery_s=self._settings.cb_recovery_s,
                clock=self._clock,
            )
        return self._breakers[name]
