"""A circuit breaker: stops asking what keeps failing, and finds out with single probes when it works again.

Rules (after Nygard, *Release It!*):

- CLOSED: every call is admitted. ``failure_threshold`` failures in a row open the breaker; a success restarts the
  count.
- OPEN: no call is admitted until ``recovery_s`` have passed. A failure that will not heal that soon, or that says when it
  will (a rejected key, a used-up quota, "retry after 20 s"), opens the breaker at once and for the time it names.
- HALF_OPEN: exactly one call, the probe, is admitted at a time. Its success closes the breaker, its failure opens it
  for another ``recovery_s`` (or the time it names). A probe that is given up (cancelled) frees the place for the next.
- An outcome counts only in the state its call was admitted in: a slow call from before the opening, answering late,
  neither closes nor re-opens anything.

Not thread-safe: one event loop. No method awaits, so each is atomic there.
"""

from __future__ import annotations

from enum import StrEnum
from types import TracebackType

from voice_agent.clock import Clock


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Permit:
    """Leave for one call. The holder tells the outcome exactly once; leaving the ``with`` block without one gives the
    call up, which counts neither way. Later reports are ignored."""

    __slots__ = ("_breaker", "_period", "_told", "is_probe")

    def __init__(self, breaker: CircuitBreaker, period: int, *, is_probe: bool) -> None:
        self._breaker = breaker
        self._period = period
        self._told = False
        self.is_probe = is_probe

    def success(self) -> None:
        self._tell(True)

    def failure(self, *, out_s: float | None = None) -> None:
        """``out_s``: open the breaker at once, for that long."""
        self._tell(False, out_s)

    def give_up(self) -> None:
        """The call had no outcome."""
        self._tell(None)

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give_up()

    def _tell(self, succeeded: bool | None, out_s: float | None = None) -> None:
        if not self._told:
            self._told = True
            self._breaker._report(self._period, succeeded, out_s)


class CircuitBreaker:
    """One breaker guards one dependency."""

    def __init__(self, *, failure_threshold: int, recovery_s: float, clock: Clock) -> None:
        self._failure_threshold = failure_threshold
        self._recovery_s = recovery_s
        self._clock = clock
        self._failures = 0
        self._opened_at_s: float | None = None
        self._out_s = recovery_s
        self._probing = False
        self._period = 0  # grows with every change between closed, open and probe

    @property
    def state(self) -> BreakerState:
        if self._opened_at_s is None:
            return BreakerState.CLOSED
        if self._clock.now() - self._opened_at_s < self._out_s:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    @property
    def would_admit(self) -> bool:
        """Whether ``admit`` would give a permit now; asking takes none."""
        state = self.state
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not self._probing)

    def admit(self) -> Permit | None:
        """A permit for one call, or ``None``: do not call."""
        state = self.state
        if state is BreakerState.CLOSED:
            return Permit(self, self._period, is_probe=False)
        if state is BreakerState.OPEN or self._probing:
            return None
        self._probing = True
        self._period += 1
        return Permit(self, self._period, is_probe=True)

    def _report(self, period: int, succeeded: bool | None, out_s: float | None) -> None:
        if period != self._period:
            return
        probe, self._probing = self._probing, False
        if succeeded is None:
            return
        if succeeded:
            self._failures = 0
            if probe:
                self._opened_at_s = None
                self._period += 1
            return
        self._failures += 1
        if probe or out_s is not None or self._failures >= self._failure_threshold:
            self._failures = 0
            self._out_s = self._recovery_s if out_s is None else out_s
            self._opened_at_s = self._clock.now()
            self._period += 1
