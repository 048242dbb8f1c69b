"""The fallback chain of recognisers; ``hearing.py`` has the rules."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from voice_agent.clock import Clock
from voice_agent.providers.asr.base import RecognizerFactory, SpeechRecognizer
from voice_agent.providers.chain.base import Link, Report, StageDeadlines, only_link, warm_links
from voice_agent.providers.chain.hearing import ChainedRecognizer, declared_by

_DEADLINES = StageDeadlines(first_s=2.0, gap_s=2.0)


class RecognizerChain:
    """Opened like one provider's recogniser. Shared by the process."""

    def __init__(
        self,
        links: Sequence[Link[RecognizerFactory]],
        deadlines: StageDeadlines,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not links:
            raise ValueError("a chain needs one link at least")
        self.links = tuple(links)
        self._deadlines = deadlines
        self._clock = clock
        self._jitter = jitter

    @classmethod
    def of(cls, factory: RecognizerFactory, clock: Clock, deadlines: StageDeadlines = _DEADLINES) -> RecognizerChain:
        """A chain of one."""
        return cls([only_link(factory, clock)], deadlines, clock)

    async def warm_up(self) -> None:
        """Warms every recogniser. Raises ``ConfigError``, and ``ProviderError`` where none works."""
        await warm_links("recognition", self.links)

    def open(
        self, *, locale: str, hints: tuple[str, ...], report: Report
    ) -> AbstractAsyncContextManager[SpeechRecognizer]:
        """One call's recogniser; entering it waits for no connection. Its ``events`` raise ``ProviderError`` when nothing
        works."""
        return self._opened(locale, hints, report)

    @asynccontextmanager
    async def _opened(self, locale: str, hints: tuple[str, ...], report: Report) -> AsyncIterator[SpeechRecognizer]:
        recognizer = ChainedRecognizer(
            [link for link in self.links if _knows(link, locale)] or self.links,
            self._deadlines,
            self._clock,
            report,
            jitter=self._jitter,
            locale=locale,
            hints=hints,
        )
        recognizer.enter()
        try:
            yield recognizer
        finally:
            await recognizer.leave()


def _knows(link: Link[RecognizerFactory], locale: str) -> bool:
    """Whether the language is one of the provider's, as far as it says. A recogniser that knows only English makes nonsense
    of Arabic; where another of the chain knows it, a person serves the caller better when that one fails."""
    capabilities = declared_by(link)
    if capabilities is None or not capabilities.locales:
        return True
    return _language(locale) in {_language(known) for known in capabilities.locales}


def _language(locale: str) -> str:
    return locale.replace("_", "-").partition("-")[0].lower()
