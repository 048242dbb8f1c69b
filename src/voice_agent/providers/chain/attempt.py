"""One provider at work on one request.

Its stream runs in a task of its own and fills a short queue, so that a chain may let two providers race, drop a hanging one
without waiting for its farewell, and close whatever runs by cancelling one task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

import structlog

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import Link
from voice_agent.providers.circuit_breaker import Permit

P = TypeVar("P")
T = TypeVar("T")

# Results that wait for the consumer: beyond it the provider waits, as it would without a chain.
_AHEAD = 64

log = structlog.get_logger(__name__)


class Attempt(Generic[P, T]):
    """``items`` are results nobody took yet; ``ended`` says that no more will come, ``error`` why where it is a failure.
    ``wake`` is called at each change of these. ``waited_s`` is how long the consumer has waited for results after the
    first one, and ``worth_s`` how long what it got lasts."""

    __slots__ = (
        "_room",
        "_stopped",
        "_wake",
        "begun_s",
        "ended",
        "error",
        "items",
        "link",
        "permit",
        "task",
        "waited_s",
        "worth_s",
    )

    def __init__(
        self, link: Link[P], permit: Permit, stream: AsyncGenerator[T, None], begun_s: float, wake: Callable[[], None]
    ) -> None:
        self.link = link
        self.permit = permit
        self.begun_s = begun_s
        self.items: deque[T] = deque()
        self.ended = False
        self.error: ProviderError | None = None
        self.waited_s = 0.0
        self.worth_s = 0.0
        self._wake = wake
        self._room: asyncio.Future[None] | None = None
        self._stopped = False
        # Owned by the request, which cancels it and waits for its end.
        self.task = asyncio.create_task(self._run(stream), name=f"chain-{link.name}")

    @property
    def has_result(self) -> bool:
        return bool(self.items) or (self.ended and self.error is None)

    def take(self) -> T:
        """The next item, of which there must be one."""
        item = self.items.popleft()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return item

    def end(self, error: ProviderError | None = None) -> None:
        """Stops the provider; returns at once."""
        self.ended = True
        self.error = error
        self.items.clear()
        self.stop()

    def stop(self) -> None:
        """Cancels the work once: a second time would cut off the closing of its connection."""
        if not self._stopped:
            self._stopped = True
            self.task.cancel()

    async def _run(self, stream: AsyncGenerator[T, None]) -> None:
        items, wake = self.items, self._wake
        error: ProviderError | None = None
        try:
            async with aclosing(stream):
                async for item in stream:
                    if self.ended:
                        return
                    items.append(item)
                    wake()
                    if len(items) >= _AHEAD:
                        self._room = asyncio.get_running_loop().create_future()
                        await self._room
                        self._room = None
        except ProviderError as failure:
            error = failure
        except Exception as failure:
            log.exception("a provider failed in a way it should not", provider=self.link.name)
            what = f"{self.link.name} failed unexpectedly ({type(failure).__name__}); the log has the details"
            error = ProviderError(what, category=ProviderFault.INTERNAL)
        if not self.ended:
            self.ended = True
            self.error = error
            wake()
