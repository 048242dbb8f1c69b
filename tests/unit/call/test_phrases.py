"""Which fixed phrases are kept ready, for which languages, and what happens while the voice is away; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from tests.virtual_time import run_virtual

from voice_agent.call.phrases import FixedPhrases
from voice_agent.clock import LoopClock
from voice_agent.conversation.locales import resolve_locale
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import Link, StageDeadlines, breaker
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.tts.cache import CachingSynthesizer

ENGLISH, SPANISH = resolve_locale("en-US").prompts, resolve_locale("es-ES").prompts
RESERVE = (*SPANISH.unavailable, *SPANISH.handover_later, *SPANISH.fillers, *SPANISH.fillers_looking)


class Voice:
    """Says everything in a breath, unless it is ``away``; does not know the phrases in ``unknown``."""

    sample_rate_hz = 24_000

    def __init__(self) -> None:
        self.away = False
        self.unknown: frozenset[str] = frozenset()
        self.asked: list[str] = []

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        self.asked.append(text)
        if self.away:
            raise ProviderError("away", category=ProviderFault.NETWORK, retryable=False)
        if text not in self.unknown:
            yield text.encode()[:1] * 4800


def cache_of(*voices: Voice) -> CachingSynthesizer:
    clock = LoopClock()
    links = [Link(f"voice{number}", voice, breaker(clock)) for number, voice in enumerate(voices)]
    return CachingSynthesizer(SynthesizerChain(links, StageDeadlines(first_s=1, gap_s=1), clock))


def play(
    *voices: Voice, scene: Callable[[FixedPhrases, CachingSynthesizer], Awaitable[None]], language: str = "en-US"
) -> None:
    async def main() -> None:
        cache = cache_of(*voices)
        phrases = FixedPhrases(cache, resolve_locale(language))
        keeping = asyncio.create_task(phrases.keep_ready())
        await scene(phrases, cache)
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    run_virtual(main())


def test_every_phrase_of_the_usual_language_is_ready_the_reserve_first() -> None:
    voice = Voice()

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        await asyncio.sleep(1)
        assert all(cache.holds(text, locale="en-US") for text in (*ENGLISH.fillers, *ENGLISH.ask_pin, ENGLISH.busy))

    play(voice, scene=scene)
    assert tuple(voice.asked[: len(ENGLISH.unavailable)]) == ENGLISH.unavailable
    assert not any("{" in text for text in voice.asked)


def test_a_call_in_another_language_makes_its_reserve_ready() -> None:
    voice = Voice()

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        await asyncio.sleep(1)
        assert not any(cache.holds(text, locale="es-ES") for text in RESERVE)
        phrases.want(resolve_locale("es-ES"))
        phrases.want(resolve_locale("es-ES"))
        await asyncio.sleep(1)
        assert all(cache.holds(text, locale="es-ES") for text in (*RESERVE, *SPANISH.greeting))
        assert not cache.holds(SPANISH.busy, locale="es-ES")

    play(voice, scene=scene)
    assert len(voice.asked) == len(set(voice.asked))


def test_a_voice_that_is_away_is_asked_again_later_and_less_and_less_often() -> None:
    voice = Voice()
    voice.away = True

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        await asyncio.sleep(1800)
        assert 3 < len(voice.asked) < 40
        voice.away = False
        await asyncio.sleep(900)
        assert cache.holds(ENGLISH.busy, locale="en-US")

    play(voice, scene=scene)


def test_a_phrase_that_the_voice_cannot_say_keeps_no_other_from_being_ready() -> None:
    voice = Voice()
    voice.unknown = frozenset(ENGLISH.unavailable)

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        await asyncio.sleep(20)
        assert cache.holds(ENGLISH.busy, locale="en-US")

    play(voice, scene=scene)


def test_what_a_backup_said_is_said_anew_once_the_preferred_voice_is_back() -> None:
    preferred, backup = Voice(), Voice()
    preferred.away = True

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        await asyncio.sleep(10)
        assert cache.holds(ENGLISH.busy, locale="en-US")
        preferred.away = False
        await asyncio.sleep(120)
        assert set(preferred.asked) == set(backup.asked)
        asked = len(preferred.asked)
        await asyncio.sleep(1800)
        assert len(preferred.asked) == asked

    play(preferred, backup, scene=scene)
