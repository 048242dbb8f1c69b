"""The only reader of time. Everything else gets ``now`` as an argument or a ``Clock``."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds for deadlines and latencies; wall time only for records people read."""

    def now(self) -> float: ...

    def wall(self) -> datetime: ...


class LoopClock:
    """The running event loop's monotonic clock, so that virtual-time loops govern it too."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> datetime:
        return datetime.now(UTC)


def process_seconds() -> float:
    """Monotonic seconds for measuring work outside an event loop (threads, command line)."""
    return time.monotonic()


def file_seconds() -> float:
    """Seconds since the epoch, as files' times are."""
    return time.time()
