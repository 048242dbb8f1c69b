"""Whether this process can carry one more call, judged by what its calls already feel.

Two measures, both of the symptom and not of its cause, so that it does not matter whether our own work, a neighbour on
the machine or a paused virtual machine is to blame:

- **loop lag**: how late the event loop wakes, the median over ``LAG_WINDOW_S``. Everything a call does waits at least
  that long. The median, because one long callback is a hiccup and a loop that is always late is full;
- **playout lateness**: how late outgoing audio leaves, the 99th percentile over the last seconds (``LatenessWindow``).

Rules:
1. *Trip at once, recover slowly.* A measure at its limit closes the door; it opens again after both have stayed below
   ``CALM_SHARE`` of their limits for ``calm_s``. Otherwise the door would flap: refusing helps at once, and the calls
   that are then let in bring the load back.
2. *The fuller, the slower.* Calls are admitted at ``ramp_per_s``, less as the measures approach their limits. A call
   shows its weight only seconds after it was admitted, so a burst must not be let in on the strength of measures that
   were taken before it.
3. *A server without calls takes one.* What is late then is not late because of calls, and refusing everybody helps
   nobody. The owner of this class applies this rule; it knows the number of calls.

Pure: time is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

LAG_WINDOW_S = 1.0
# As many calls may begin at once as the ramp allows in this time.
BURST_S = 2.0
CALM_SHARE = 0.7
# A median of fewer is chance: half a second of the watch's samples.
MIN_LAGS = 10
# Fewer chunks than one speaking call sends in two seconds say nothing about a 99th percentile.
MIN_CHUNKS = 100


@dataclass(frozen=True, slots=True)
class OverloadSettings:
    """``ramp_per_s`` calls may begin in a second while all is calm."""

    max_loop_lag_s: float = 0.04
    max_lateness_s: float = 0.06
    calm_s: float = 2.0
    ramp_per_s: float = 5.0


class OverloadGuard:
    """Fed with ``sample`` many times a second; ``objection`` and ``take`` are asked for each call."""

    def __init__(self, settings: OverloadSettings, now: float) -> None:
        self._settings = settings
        self._lags: deque[tuple[float, float]] = deque()
        self._load = 0.0
        self._worst = ""
        self._tripped = False
        self._calm_since = now
        self._most = max(1.0, settings.ramp_per_s * BURST_S)
        self._tokens = self._most
        self._filled_at = now

    @property
    def load(self) -> float:
        """The larger of the two measures as a share of its limit: 1 and more is overload."""
        return self._load

    def sample(self, now: float, *, loop_lag_s: float, lateness_s: float | None) -> None:
        """New measures; ``lateness_s`` is None where too little was sent to judge by."""
        self._refill(now)
        settings = self._settings
        self._lags.append((now, loop_lag_s))
        while self._lags[0][0] <= now - LAG_WINDOW_S:
            self._lags.popleft()
        lags = sorted(lag for _, lag in self._lags)
        lag_s = lags[len(lags) // 2] if len(lags) >= MIN_LAGS else 0.0
        lag, late = lag_s / settings.max_loop_lag_s, (lateness_s or 0.0) / settings.max_lateness_s
        self._load = max(lag, late)
        if self._load >= CALM_SHARE:
            self._calm_since = now
            what, value_s = ("the event loop wakes", lag_s) if lag >= late else ("audio leaves", lateness_s or 0.0)
            self._worst = f"{what} {value_s * 1000:.0f} ms late"
        if self._load >= 1.0:
            self._tripped = True
        elif now - self._calm_since >= settings.calm_s:
            self._tripped = False

    def objection(self) -> str:
        """Why no call should be admitted for some time; empty where there is no reason."""
        return f"overloaded: {self._worst}" if self._tripped else ""

    def may_begin(self, now: float, beginning: int = 0) -> bool:
        """Whether the ramp allows another call now, with ``beginning`` others about to be taken."""
        self._refill(now)
        return self._tokens >= beginning + 1.0

    def take(self, now: float) -> None:
        """A call begins."""
        self._refill(now)
        self._tokens = max(0.0, self._tokens - 1.0)

    def _refill(self, now: float) -> None:
        gained = self._settings.ramp_per_s * max(0.0, 1.0 - self._load) * (now - self._filled_at)
        self._tokens = min(self._most, self._tokens + gained)
        self._filled_at = now
