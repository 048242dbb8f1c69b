"""The loop watch, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from voice_agent.observability.loop_lag import watch_loop_lag


class ScriptedClock:
    """Gives the readings one after the other."""

    def __init__(self, *readings: float) -> None:
        self._readings = iter(readings)

    def now(self) -> float:
        return next(self._readings)

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


async def test_the_lag_is_what_the_wake_up_was_late_by() -> None:
    reported: list[float] = []
    done = asyncio.Event()

    def report(lag_ms: float) -> None:
        reported.append(lag_ms)
        if len(reported) == 3:
            done.set()

    # Before and after each sleep: 50 ms late, early, in time; then the reading before a sleep that is cancelled.
    clock = ScriptedClock(0.0, 0.051, 1.0, 1.0005, 2.0, 2.001, 3.0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch_loop_lag(clock, report, interval_s=0.001))
        await done.wait()
        task.cancel()
    assert reported == pytest.approx([50.0, 0.0, 0.0])
