"""Keeps the garbage collector out of calls: a full collection stops the event loop, and every call with it.

After the start-up some 120,000 objects live for good (modules, models, tables); going through them takes 70 ms and more.
Frozen, they are never looked at again, and what is left is what calls make: little, and collected by age as ever. What
calls leave behind in cycles is collected once nobody is on the line.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

INTERVAL_S = 5.0


def freeze_what_lives() -> None:
    """Everything alive now lives for good: call it once all is warm. ``gc.unfreeze`` takes it back."""
    gc.collect()
    gc.freeze()


async def collect_when_quiet(quiet: Callable[[], bool], interval_s: float = INTERVAL_S) -> None:
    """A full collection whenever it has become ``quiet``, for ever; its owner cancels it."""
    was_busy = False
    while True:
        await asyncio.sleep(interval_s)
        if not quiet():
            was_busy = True
        elif was_busy:
            was_busy = False
            gc.collect()
