"""Keeps fixed phrases ready, above all those that a caller hears when nothing else can be said.

Rules:

1. Of the usual agent's usual language all phrases without a field to fill are prepared, those of rule 2 first, and never
   forgotten. It happens beside the first calls, one phrase after another.
2. Of any other agent or language: the apology, the fillers and the greeting, from the first call in it on; of so many of
   them as fit into memory, those that had a call last. One that is left out begins anew with its next call.
3. A phrase is prepared once. What could not be synthesised, or was said by a backup's voice, is tried again: after half a
   minute, then less and less often. What memory had no room for is not.
4. A phrase for which the voice gives no audio keeps no other waiting, a voice that is refused keeps no other voice waiting.
   Any other failure, and a second refused voice, is the provider's and ends the round: more failures would open the breaker
   that calls need closed. The next round begins with the voices that did not fail.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from voice_agent.conversation.locales import LocaleProfile, Prompts
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.tts.cache import CachingSynthesizer

_AGAIN_S: Final = 30.0
_AGAIN_MOST_S: Final = 600.0
# Agents and languages beside the usual one: a set is some 25 s of audio, 1.2 MB, and the usual one 7 MB of the 48.
SETS_MOST: Final = 24

log = structlog.get_logger(__name__)


class _Phrase(NamedTuple):
    locale: str
    voice: str
    text: str


class FixedPhrases:
    """The phrases of a process. ``usual`` is the language of calls that name none, in the words and the voice of ``agent``,
    which takes those that name none either."""

    def __init__(self, synthesizer: CachingSynthesizer, usual: LocaleProfile, agent: str = "") -> None:
        self._synthesizer = synthesizer
        self._usual = (agent, usual.tag)
        # By agent and locale tag, the one that had a call longest ago first; phrases in order of need.
        self._sets: dict[tuple[str, str], dict[_Phrase, None]] = {}
        self._todo: dict[_Phrase, bool] = {}  # whether a backup said it
        self._news = asyncio.Event()
        self.want(usual, agent)

    def want(self, locale: LocaleProfile, agent: str = "") -> None:
        """There is a call in this language, in an agent's words and voice, which may have changed. Returns at once."""
        owner = (agent, locale.tag)
        phrases = _phrases_of(locale, every=owner == self._usual)
        before = self._sets.pop(owner, {})
        self._sets[owner] = phrases
        if before != phrases:
            self._todo |= {phrase: False for phrase in phrases if phrase not in before}
            self._news.set()
            self._release(before)
        if len(self._sets) > SETS_MOST + 1:
            self._release(self._sets.pop(next(other for other in self._sets if other != self._usual)))

    def drop(self, agent: str) -> None:
        """The agent takes no more calls."""
        for owner in [owner for owner in self._sets if owner[0] == agent and owner != self._usual]:
            self._release(self._sets.pop(owner))

    def _release(self, phrases: dict[_Phrase, None]) -> None:
        """Takes leave of those that are in no set any more."""
        for phrase in phrases:
            if not any(phrase in wanted for wanted in self._sets.values()):
                self._todo.pop(phrase, None)
                self._synthesizer.release(phrase.text, locale=phrase.locale, voice=phrase.voice)

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
        """One round; whether there is nothing to try again."""
        failure: ProviderError | None = None
        refused: tuple[str, str] | None = None
        for phrase in tuple(self._todo):
            locale, voice, text = phrase
            if phrase not in self._todo or (locale, voice) == refused:
                continue
            if self._todo[phrase] and not self._synthesizer.holds(text, locale=locale, voice=voice):
                del self._todo[phrase]  # there was no room for it
                continue
            try:
                pinned = phrase in self._sets[self._usual]
                await self._synthesizer.prepare([text], locale=locale, voice=voice, pinned=pinned)
            except ProviderError as error:
                failure = error
                if error.category is ProviderFault.EMPTY:
                    continue
                self._put_last(locale, voice)
                if error.category is not ProviderFault.PROTOCOL or refused is not None:
                    break
                refused = (locale, voice)
                continue
            if phrase not in self._todo:  # nobody wants it any more since this moment
                self._synthesizer.release(text, locale=locale, voice=voice)
            elif self._synthesizer.borrows(text, locale=locale, voice=voice):
                self._todo[phrase] = True
            else:
                del self._todo[phrase]
        if failure is not None:
            log.warning("the fixed phrases are not all prepared yet", category=failure.category.value)
        return failure is None and not any(self._todo.values())

    def _put_last(self, locale: str, voice: str) -> None:
        theirs = [phrase for phrase in self._todo if (phrase.locale, phrase.voice) == (locale, voice)]
        for phrase in theirs:
            self._todo[phrase] = self._todo.pop(phrase)


def _phrases_of(locale: LocaleProfile, *, every: bool) -> dict[_Phrase, None]:
    prompts = locale.prompts
    texts = [*prompts.unavailable, *prompts.handover_later, *prompts.fillers, *prompts.fillers_looking]
    texts += prompts.greeting
    if every:
        for name in Prompts.__slots__:
            value: str | tuple[str, ...] = getattr(prompts, name)
            texts += (value,) if isinstance(value, str) else value
    return {_Phrase(locale.tag, locale.voice, text): None for text in texts if "{" not in text}
