"""A provider's stream under deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from voice_agent.errors import ProviderError, ProviderFault

T = TypeVar("T")


async def within(stream: AsyncIterator[T], *, first_s: float, gap_s: float, what: str) -> AsyncGenerator[T, None]:
    """The items of ``stream``, each in time: the first within ``first_s`` seconds, each further one within ``gap_s``.

    Raises ``ProviderError(TIMEOUT)`` when one is late, and what the stream raises. Closing it (use
    ``contextlib.aclosing``) closes the stream, so the provider stops working.
    """
    wait_s = first_s
    try:
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    item = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                late = f"{what} sent nothing for {wait_s} s"
                raise ProviderError(late, category=ProviderFault.TIMEOUT) from None
            yield item
            wait_s = gap_s
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
