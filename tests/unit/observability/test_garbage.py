"""Collections wait for a quiet moment, and happen once for each."""

from __future__ import annotations

import asyncio
import gc
import weakref

from tests.virtual_time import run_virtual

from voice_agent.observability.garbage import collect_when_quiet


class Knot:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.self = self


def test_cycles_are_freed_when_it_has_become_quiet_and_not_before() -> None:
    async def main() -> list[bool]:
        quiet, alive = True, []
        task = asyncio.create_task(collect_when_quiet(lambda: quiet, interval_s=1.0))
        gone = weakref.ref(Knot())
        for quiet in (True, False, True):  # noqa: B007 - read by the task
            await asyncio.sleep(2.0)
            alive.append(gone() is not None)
        later = weakref.ref(Knot())
        await asyncio.sleep(5.0)  # still quiet: nothing has happened since
        alive.append(later() is not None)
        task.cancel()
        return alive

    gc.collect()
    gc.disable()
    try:
        assert run_virtual(main()) == [True, True, False, True]
    finally:
        gc.enable()
