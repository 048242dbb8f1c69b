"""The fallback chain of language models; ``relay.py`` has the rules.

A model's words cannot be continued by another model, so the next one answers from the beginning. The chain says so with
``TextRestarted``: what was not spoken yet is dropped, and tools requested by the failed stream do not run.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

from voice_agent.clock import Clock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import Link, Report, StageDeadlines, only_link
from voice_agent.providers.chain.relay import Relay, Restart
from voice_agent.providers.llm.base import (
    LanguageModel,
    LlmEvent,
    LlmRequest,
    TextDelta,
    TextRestarted,
    ToolCallRequested,
)

_DEADLINES = StageDeadlines(first_s=4.0, gap_s=2.0, patience_s=4.0)
# A voice reads about 15 characters a second: a model that writes more slowly leaves gaps that a caller hears.
_SLOWEST_CHARS_PER_S: Final = 12.0


class LanguageModelChain:
    """Asked like one model. Shared by the process."""

    def __init__(
        self,
        links: Sequence[Link[LanguageModel]],
        deadlines: StageDeadlines,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.links = tuple(links)
        self._relay: Relay[LanguageModel, LlmEvent] = Relay(
            "the language model", links, deadlines, clock, jitter=jitter, worth_s=_worth_s
        )

    @classmethod
    def of(cls, model: LanguageModel, clock: Clock, deadlines: StageDeadlines = _DEADLINES) -> LanguageModelChain:
        """A chain of one."""
        return cls([only_link(model, clock)], deadlines, clock)

    async def warm_up(self) -> None:
        """Warms every model. Raises ``ConfigError``, and ``ProviderError`` where none works."""
        await self._relay.warm_up()

    async def stream(
        self, request: LlmRequest, report: Report, *, last: Collection[str] = ()
    ) -> AsyncGenerator[LlmEvent | TextRestarted, None]:
        """The answer's events. Models named in ``last`` are asked after the others. Closing the iterator stops the
        generation. Raises ``ProviderError`` when nothing works."""
        given = False
        served = self._relay.serve(lambda link: _answer(link, request), report, last=last)
        async with aclosing(served) as events:
            async for event in events:
                if isinstance(event, Restart):
                    if given:
                        given = False
                        yield TextRestarted()
                elif not isinstance(event, TextDelta) or event.text:
                    given = True
                    yield event


async def _answer(link: Link[LanguageModel], request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
    """The events of one model. A stream without text and without a tool call is an error; empty text passes, as a sign of
    life."""
    says = False
    # The protocol says iterator; what async generators add is closing them in time.
    stream: AsyncIterator[LlmEvent] = link.provider.stream(request)
    async with aclosing(cast(Any, stream)):
        async for event in stream:
            if not says:
                if isinstance(event, TextDelta):
                    says = bool(event.text.strip())
                elif isinstance(event, ToolCallRequested):
                    says = True
                else:
                    break
            yield event
    if not says:
        raise ProviderError(f"{link.name} answered without text and without a tool call", category=ProviderFault.EMPTY)


def _worth_s(event: LlmEvent) -> float:
    if isinstance(event, TextDelta):
        return len(event.text) / _SLOWEST_CHARS_PER_S
    return 0.0
