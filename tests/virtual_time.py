"""An event loop whose clock jumps to the next timer whenever nothing else is left to do: real code, no real waiting."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 1000 s. Code that waits for a thread or a socket does not work here."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1000.0

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:  # type: ignore[attr-defined]
            handle = heapq.heappop(self._scheduled)  # type: ignore[attr-defined]
            handle._scheduled = False
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now_s = max(self._now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run_virtual(main: Coroutine[Any, Any, T], *, limit_s: float = 3600.0) -> T:
    """Runs ``main`` to its end on virtual time; ``limit_s`` of it ends the test with ``TimeoutError``."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_limited(main, limit_s))


async def _limited(main: Coroutine[Any, Any, T], limit_s: float) -> T:
    async with asyncio.timeout(limit_s):
        return await main
