"""Connections to vendors that are open before they are needed.

A provider that talks to a vendor registers what opens (or freshens) its connection; the platform runs all of them when it
starts and whenever a call begins, so that the first turn finds warm lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from voice_agent.errors import ProviderError

Warm = Callable[[], Awaitable[None]]

_WARM_LIMIT_S = 5.0

log = structlog.get_logger(__name__)


class Warmth:
    """The registered openers. One that fails is said in the log and harms nothing: requests have deadlines of their own."""

    def __init__(self) -> None:
        self._openers: dict[str, Warm] = {}

    def register(self, name: str, opener: Warm) -> None:
        """``name`` tells whose it is; the same name again replaces it."""
        self._openers[name] = opener

    async def warm(self, *names: str) -> None:
        """Runs the openers of these names side by side, or all; returns when they are done or late. Safe to cancel."""
        async with asyncio.TaskGroup() as group:
            for name in names or self._openers:
                opener = self._openers[name]
                group.create_task(self._one(name, opener), name=f"warm-{name}")

    async def _one(self, name: str, opener: Warm) -> None:
        try:
            async with asyncio.timeout(_WARM_LIMIT_S):
                await opener()
        except (ProviderError, TimeoutError, OSError) as error:
            log.warning("a connection could not be warmed", provider=name, error_type=type(error).__name__)
        except Exception:  # no call may end because of it
            log.exception("an opener failed in a way it should not", provider=name)
