"""Watches how late the event loop wakes: the earliest sign that something blocks it or the machine is overloaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voice_agent.clock import Clock

INTERVAL_S = 0.25


async def watch_loop_lag(clock: Clock, report: Callable[[float], None], interval_s: float = INTERVAL_S) -> None:
    """Reports the lag in milliseconds after each interval, for ever; the owner's task group cancels it."""
    while True:
        due = clock.now() + interval_s
        await asyncio.sleep(interval_s)
        report(max(0.0, clock.now() - due) * 1e3)
