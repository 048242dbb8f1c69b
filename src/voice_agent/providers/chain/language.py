"""The fallback chain of language models."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

from voice_agent.clock import Clock
from voice_agent.providers.chain.base import Link, Report, StageDeadlines, only_link
from voice_agent.providers.llm.base import LanguageModel, LlmEvent, LlmRequest, TextRestarted

_DEADLINES = StageDeadlines(first_s=4.0, gap_s=2.0, patience_s=4.0)


class LanguageModelChain:
    """Asked like one model."""

    def __init__(
        self,
        links: Sequence[Link[LanguageModel]],
        deadlines: StageDeadlines,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._links = tuple(links)

    @classmethod
    def of(cls, model: LanguageModel, clock: Clock, deadlines: StageDeadlines = _DEADLINES) -> LanguageModelChain:
        """A chain of one."""
        return cls([only_link(model, clock)], deadlines, clock)

    async def warm_up(self) -> None:
        for link in self._links:
            await link.provider.warm_up()

    async def stream(self, request: LlmRequest, report: Report) -> AsyncGenerator[LlmEvent | TextRestarted, None]:
        """The answer's events. Closing the iterator stops the generation. Raises ``ProviderError`` when nothing works."""
        async with aclosing(cast(Any, self._links[0].provider.stream(request))) as events:
            async for event in events:
                yield event
