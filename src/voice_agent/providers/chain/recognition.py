"""The fallback chain of recognisers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from voice_agent.clock import Clock
from voice_agent.providers.asr.base import RecognizerFactory, SpeechRecognizer
from voice_agent.providers.chain.base import Link, Report, StageDeadlines, only_link

_DEADLINES = StageDeadlines(first_s=2.0, gap_s=2.0)


class RecognizerChain:
    """Opened like one provider's recogniser."""

    def __init__(
        self,
        links: Sequence[Link[RecognizerFactory]],
        deadlines: StageDeadlines,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._links = tuple(links)

    @classmethod
    def of(cls, factory: RecognizerFactory, clock: Clock, deadlines: StageDeadlines = _DEADLINES) -> RecognizerChain:
        """A chain of one."""
        return cls([only_link(factory, clock)], deadlines, clock)

    async def warm_up(self) -> None:
        for link in self._links:
            await link.provider.warm_up()

    def open(
        self, *, locale: str, hints: tuple[str, ...], report: Report
    ) -> AbstractAsyncContextManager[SpeechRecognizer]:
        """One call's recogniser."""
        return self._links[0].provider.open(locale=locale, hints=hints)
