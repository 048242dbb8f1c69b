"""Takes the measures that admission goes by, all the time, and passes them on."""

from __future__ import annotations

from typing import Protocol

from voice_agent.clock import Clock
from voice_agent.gateway.overload import MIN_CHUNKS, OverloadGuard
from voice_agent.observability.lateness import SLOT_S, LatenessWindow
from voice_agent.observability.loop_lag import watch_loop_lag

# Often enough that a loop which is late now and then is told from one which is late always, within a second; seldom
# enough to cost nothing.
INTERVAL_S = 0.05
_SHARE = 0.99
_SAMPLES_PER_SLOT = round(SLOT_S / INTERVAL_S)


class LoadMetrics(Protocol):
    def observe_load(self, *, loop_lag_s: float, lateness_s: float | None) -> None: ...


async def watch_load(clock: Clock, lateness: LatenessWindow, guard: OverloadGuard, metrics: LoadMetrics) -> None:
    """Samples for ever; its owner cancels it. The percentile is taken anew for every other sample: adding up the window
    costs about 0.1 ms."""
    count = 0
    late_s: float | None = None

    def sample(lag_ms: float) -> None:
        nonlocal count, late_s
        count += 1
        if count % 2 == 0:
            late_s = lateness.percentile_s(_SHARE, at_least=MIN_CHUNKS)
        if count % _SAMPLES_PER_SLOT == 0:
            lateness.turn()
        guard.sample(clock.now(), loop_lag_s=lag_ms / 1000, lateness_s=late_s)
        metrics.observe_load(loop_lag_s=lag_ms / 1000, lateness_s=late_s)

    await watch_loop_lag(clock, sample, INTERVAL_S)
