"""Keeps fixed phrases ready, above all those that a caller hears when nothing else can be said.

Rules:

1. Of the usual agent's usual language all phrases without a field to fill are prepared, those of rule 2 first. It happens
   beside the first calls, one phrase after another.
2. Of any other agent or language: the apology, the fillers and the greeting, from the first call in it on.
3. What could not be synthesised, or was said by a backup's voice, is tried again: after half a minute, then less and less
   often. A phrase for which the voice gives no audio keeps no other waiting; any other failure ends the round.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from voice_agent.conversation.locales import LocaleProfile, Prompts
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.tts.cache import CachingSynthesizer

_AGAIN_S: Final = 30.0
_AGAIN_MOST_S: Final = 600.0

log = structlog.get_logger(__name__)


class FixedPhrases:
    """The phrases of a process. ``usual`` is the language of calls that name none, in the words and the voice of the agent
    that takes them."""

    def __init__(self, synthesizer: CachingSynthesizer, usual: LocaleProfile) -> None:
        self._synthesizer = synthesizer
        self._wanted: dict[tuple[str, str, str], None] = {}  # (locale, voice, text), in order of need
        self._news = asyncio.Event()
        self.want(usual)
        self._add(usual, *(text for name in Prompts.__slots__ for text in _texts(usual.prompts, name)))

    def want(self, locale: LocaleProfile) -> None:
        """There is a call in this language, in an agent's words and voice. Returns at once."""
        prompts = locale.prompts
        reserve = (*prompts.unavailable, *prompts.handover_later, *prompts.fillers, *prompts.fillers_looking)
        self._add(locale, *reserve, *prompts.greeting)

    def _add(self, locale: LocaleProfile, *texts: str) -> None:
        for text in texts:
            if "{" not in text and (locale.tag, locale.voice, text) not in self._wanted:
                self._wanted[locale.tag, locale.voice, text] = None
                self._news.set()

    async def keep_ready(self) -> None:
        """Runs until cancelled."""
        again_s = _AGAIN_S
        while True:
            self._news.clear()
            done = await self._prepare()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if done else again_s):
                    await self._news.wait()
            again_s = _AGAIN_S if done else min(2 * again_s, _AGAIN_MOST_S)

    async def _prepare(self) -> bool:
        """One round; whether there is nothing left to try again."""
        failure: ProviderError | None = None
        for locale, voice, text in tuple(self._wanted):
            try:
                await self._synthesizer.prepare([text], locale=locale, voice=voice)
            except ProviderError as error:
                failure = error
                if error.category is not ProviderFault.EMPTY:
                    break
        if failure is not None:
            log.warning("the fixed phrases are not all prepared yet", category=failure.category.value)
        return failure is None and not self._synthesizer.has_borrowed


def _texts(prompts: Prompts, name: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] = getattr(prompts, name)
    return (value,) if isinstance(value, str) else value
