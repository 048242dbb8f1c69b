"""The fallback chain of synthesisers."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

from voice_agent.clock import Clock
from voice_agent.providers.chain.base import Link, Report, StageDeadlines, only_link
from voice_agent.providers.tts.base import SpeechSynthesizer

SAMPLE_RATE_HZ: Final = 24_000
_DEADLINES = StageDeadlines(first_s=2.0, gap_s=2.0)


class SynthesizerChain:
    """Asked like one synthesiser; its audio is 16-bit mono PCM at 24 kHz whoever speaks."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self,
        links: Sequence[Link[SpeechSynthesizer]],
        deadlines: StageDeadlines,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._links = tuple(links)

    @classmethod
    def of(
        cls, synthesizer: SpeechSynthesizer, clock: Clock, deadlines: StageDeadlines = _DEADLINES
    ) -> SynthesizerChain:
        """A chain of one."""
        return cls([only_link(synthesizer, clock)], deadlines, clock)

    async def warm_up(self) -> None:
        for link in self._links:
            await link.provider.warm_up()

    async def synthesize(self, text: str, *, locale: str, report: Report) -> AsyncGenerator[bytes, None]:
        """The audio of ``text``. Closing the iterator stops the synthesis. Raises ``ProviderError`` when nothing works."""
        async with aclosing(cast(Any, self._links[0].provider.synthesize(text, locale=locale))) as chunks:
            async for chunk in chunks:
                yield chunk
