"""The watch on virtual time: what is late reaches the guard and the metrics, and is forgotten again."""

from __future__ import annotations

import asyncio

from tests.virtual_time import run_virtual

from voice_agent.clock import LoopClock
from voice_agent.gateway.load_watch import watch_load
from voice_agent.gateway.overload import MIN_CHUNKS, OverloadGuard, OverloadSettings
from voice_agent.observability.lateness import LatenessWindow
from voice_agent.observability.metrics import CallMetrics


def test_late_audio_trips_the_guard_and_shows_in_the_metrics_until_it_is_past() -> None:
    async def main() -> list[tuple[bool, float]]:
        clock, window, metrics = LoopClock(), LatenessWindow(), CallMetrics()
        guard = OverloadGuard(OverloadSettings(max_lateness_s=0.03, calm_s=1.0), clock.now())
        task = asyncio.create_task(watch_load(clock, window, guard, metrics))
        seen = []
        for late_s, chunks, wait_s in ((0.2, MIN_CHUNKS - 1, 0.3), (0.2, 1, 0.3), (0.0, 0, 3.0), (0.0, 0, 2.0)):
            for _ in range(chunks):
                window.record(late_s)
            await asyncio.sleep(wait_s)
            lateness = metrics.registry.get_sample_value("voice_playout_lateness_ms")
            assert lateness is not None
            seen.append((bool(guard.objection()), round(lateness)))
        task.cancel()
        return seen

    assert run_virtual(main()) == [(False, 0), (True, 201), (True, 0), (False, 0)]
