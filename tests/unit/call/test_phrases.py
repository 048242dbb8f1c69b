"""Which fixed phrases are kept ready, for which languages, and what happens while the voice is away; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.virtual_time import run_virtual

from voice_agent.call.phrases import SETS_MOST, FixedPhrases
from voice_agent.clock import LoopClock
from voice_agent.conversation.locales import LocaleProfile, resolve_locale
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import Link, StageDeadlines, breaker
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.tts.cache import CachingSynthesizer

ENGLISH, SPANISH = resolve_locale("en-US").prompts, resolve_locale("es-ES").prompts
USUAL = "shop"
AUDIO_BYTES = 4800  # of each phrase
RESERVE = (*SPANISH.unavailable, *SPANISH.handover_later, *SPANISH.fillers, *SPANISH.fillers_looking)


class Voice:
    """Says everything in a breath, unless it is ``away``; does not know the phrases in ``unknown``; fails in the voices of
    ``troubled``."""

    sample_rate_hz = 24_000

    def __init__(self) -> None:
        self.away = False
        self.unknown: frozenset[str] = frozenset()
        self.troubled: dict[str, ProviderFault] = {}
        self.asked: list[str] = []

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        self.asked.append(text)
        if self.away:
            raise ProviderError("away", category=ProviderFault.NETWORK, retryable=False)
        if voice in self.troubled:
            raise ProviderError("in trouble", category=self.troubled[voice])
        if text not in self.unknown:
            yield text.encode()[:1] * AUDIO_BYTES


def cache_of(*voices: Voice, max_bytes: int) -> CachingSynthesizer:
    clock = LoopClock()
    links = [Link(f"voice{number}", voice, breaker(clock)) for number, voice in enumerate(voices)]
    return CachingSynthesizer(SynthesizerChain(links, StageDeadlines(first_s=1, gap_s=1), clock), max_bytes=max_bytes)


def play(
    *voices: Voice,
    scene: Callable[[FixedPhrases, CachingSynthesizer], Awaitable[None]],
    max_bytes: int = 2**24,
) -> None:
    async def main() -> None:
        cache = cache_of(*voices, max_bytes=max_bytes)
        phrases = FixedPhrases(cache, resolve_locale("en-US"), USUAL)
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


def in_voice(voice: str, *greeting: str) -> LocaleProfile:
    """Spanish in an agent's voice, and with its greeting."""
    row = resolve_locale("es-ES")
    return replace(row, voice=voice, prompts=replace(row.prompts, greeting=greeting or row.prompts.greeting))


def ready(cache: CachingSynthesizer, voice: str, *texts: str) -> bool:
    return all(cache.holds(text, locale="es-ES", voice=voice) for text in texts or RESERVE)


def usual_ready(cache: CachingSynthesizer) -> bool:
    every = (*ENGLISH.unavailable, *ENGLISH.fillers, *ENGLISH.greeting, *ENGLISH.ask_pin, ENGLISH.busy)
    return all(cache.holds(text, locale="en-US") for text in every)


def test_what_memory_has_no_room_for_is_neither_the_usual_agents_nor_made_again_and_again() -> None:
    voice = Voice()

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        await asyncio.sleep(1)
        usual = len(voice.asked)
        for number in range(SETS_MOST):
            phrases.want(in_voice(f"voice {number}"), f"agent {number}")
            await asyncio.sleep(1)
        assert len(voice.asked) == usual + SETS_MOST * len({*RESERVE, *SPANISH.greeting})
        assert usual_ready(cache)
        assert not ready(cache, "voice 0")
        assert ready(cache, f"voice {SETS_MOST - 1}")
        asked = len(voice.asked)
        await asyncio.sleep(1800)
        assert len(voice.asked) == asked

    play(voice, scene=scene, max_bytes=150 * AUDIO_BYTES)


def test_a_new_word_does_not_make_the_forgotten_ones_again() -> None:
    voice = Voice()

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        for number in range(SETS_MOST):
            phrases.want(in_voice(f"voice {number}"), f"agent {number}")
        await asyncio.sleep(10)
        asked = len(voice.asked)
        phrases.want(in_voice("voice 0", "¡Hola!"), "agent 0")
        await asyncio.sleep(1800)
        assert voice.asked[asked:] == ["¡Hola!"]

    play(voice, scene=scene, max_bytes=150 * AUDIO_BYTES)


def test_of_many_agents_those_with_the_latest_calls_are_kept_ready() -> None:
    voice = Voice()

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        voice.away = True
        for number in range(SETS_MOST + 2):
            phrases.want(in_voice(f"voice {number}"), f"agent {number}")
            phrases.want(in_voice("voice 0"), "agent 0")
        voice.away = False
        await asyncio.sleep(700)
        kept = [number for number in range(SETS_MOST + 2) if ready(cache, f"voice {number}")]
        assert kept == [0, *range(3, SETS_MOST + 2)]
        assert usual_ready(cache)
        phrases.want(in_voice("voice 1"), "agent 1")
        await asyncio.sleep(1)
        assert ready(cache, "voice 1")

    play(voice, scene=scene)


def test_an_agent_that_is_gone_is_prepared_no_more_and_makes_room() -> None:
    voice = Voice()

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        for number in range(3):
            phrases.want(in_voice(f"voice {number}"), f"agent {number}")
        await asyncio.sleep(1)
        phrases.drop("agent 1")
        assert ready(cache, "voice 1"), "its last call goes on"
        phrases.want(in_voice("voice 3"), "agent 3")
        await asyncio.sleep(1)
        assert [ready(cache, f"voice {number}") for number in range(4)] == [True, False, True, True]
        phrases.want(in_voice("voice 4"), "agent 4")
        phrases.drop("agent 4")
        phrases.drop(USUAL)
        asked = len(voice.asked)
        await asyncio.sleep(1800)
        assert len(voice.asked) == asked
        assert usual_ready(cache)

    play(voice, scene=scene, max_bytes=90 * AUDIO_BYTES)


def test_the_usual_agents_new_words_take_the_place_of_the_old_ones() -> None:
    voice = Voice()

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        row = resolve_locale("en-US")
        await asyncio.sleep(1)
        for number in range(30):
            phrases.want(replace(row, prompts=replace(row.prompts, busy=f"Busy {number}.")), USUAL)
            await asyncio.sleep(1)
        assert cache.holds("Busy 29.", locale="en-US")
        for number in range(SETS_MOST):
            phrases.want(in_voice(f"voice {number}"), f"agent {number}")
        await asyncio.sleep(10)
        assert cache.holds("Busy 29.", locale="en-US")
        assert not any(cache.holds(f"Busy {number}.", locale="en-US") for number in range(29))

    play(voice, scene=scene, max_bytes=150 * AUDIO_BYTES)


@pytest.mark.parametrize("fault", [ProviderFault.PROTOCOL, ProviderFault.INTERNAL, ProviderFault.TIMEOUT])
def test_a_voice_in_trouble_keeps_no_other_from_being_ready(fault: ProviderFault) -> None:
    voice = Voice()
    voice.troubled = {"bad": fault, "worse": fault}

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        for name in ("bad", "worse", "good"):
            phrases.want(in_voice(name), name)
        await asyncio.sleep(200)
        assert ready(cache, "good")
        voice.troubled = {}
        await asyncio.sleep(1200)
        assert ready(cache, "bad")
        assert ready(cache, "worse")

    play(voice, scene=scene)


def test_what_a_backup_said_and_memory_has_no_room_for_is_not_made_again() -> None:
    preferred, backup = Voice(), Voice()
    preferred.away = True

    async def scene(phrases: FixedPhrases, cache: CachingSynthesizer) -> None:
        for number in range(SETS_MOST):
            phrases.want(in_voice(f"voice {number}"), f"agent {number}")
        await asyncio.sleep(20)
        asked = len(backup.asked)
        await asyncio.sleep(1800)
        assert len(backup.asked) < asked + 10, "one at most for each try of the preferred voice"

    play(preferred, backup, scene=scene, max_bytes=150 * AUDIO_BYTES)
