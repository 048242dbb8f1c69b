"""What every synthesiser must do, whoever makes it. A new one joins by one line in ``SYNTHESIZERS``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from tests.contract.hosted import hosted

from voice_agent.audio.frames import dbfs, peak, rms
from voice_agent.clock import LoopClock
from voice_agent.providers.chain.base import unreported
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts.base import SpeechSynthesizer
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.providers.tts.local import LocalSynthesizer

DEADLINE_S = 20
SENTENCE = "Hello, this is the support line. How can I help you today?"
LONG = " ".join(["Your order is on its way, and it should reach you on Friday, before noon."] * 6)


@asynccontextmanager
async def local() -> AsyncIterator[SpeechSynthesizer]:
    pool = ModelPool(workers=2)
    yield LocalSynthesizer(pool)
    await pool.close()


class ForNobody:
    """What calls ask, asked for no call: changes of provider are told to nobody."""

    def __init__(self, inner: SynthesizerChain | CachingSynthesizer) -> None:
        self._inner = inner
        self.sample_rate_hz = inner.sample_rate_hz

    async def warm_up(self) -> None:
        await self._inner.warm_up()

    def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        return self._inner.synthesize(text, locale=locale, voice=voice, report=unreported)


@asynccontextmanager
async def chain() -> AsyncIterator[SpeechSynthesizer]:
    async with local() as inner:
        yield ForNobody(SynthesizerChain.of(inner, LoopClock()))


@asynccontextmanager
async def cached() -> AsyncIterator[SpeechSynthesizer]:
    async with local() as inner:
        synthesizer = CachingSynthesizer(SynthesizerChain.of(inner, LoopClock()))
        await synthesizer.warm_up()
        await synthesizer.prepare([SENTENCE], locale="en-US")
        yield ForNobody(synthesizer)


SYNTHESIZERS: dict[str, Callable[[], AbstractAsyncContextManager[SpeechSynthesizer]]] = {
    "local": local,
    "chain": chain,
    "cached": cached,
    "deepgram": partial(hosted, "tts", "deepgram"),
    "openai": partial(hosted, "tts", "openai"),
    "openai_realtime": partial(hosted, "tts", "openai_realtime"),
    "compatible": partial(hosted, "tts", "compatible"),
}


@pytest.fixture(params=SYNTHESIZERS)
async def synthesizer(request: pytest.FixtureRequest) -> AsyncIterator[SpeechSynthesizer]:
    async with SYNTHESIZERS[request.param]() as synthesizer, asyncio.timeout(DEADLINE_S):
        await synthesizer.warm_up()
        yield synthesizer


async def spoken(synthesizer: SpeechSynthesizer, text: str, locale: str = "en-US") -> list[bytes]:
    return [chunk async for chunk in synthesizer.synthesize(text, locale=locale)]


def stream(synthesizer: SpeechSynthesizer, text: str) -> Any:
    """Closable, as the protocol's docstring demands of every synthesiser."""
    return cast(Any, synthesizer.synthesize(text, locale="en-US"))


async def test_a_sentence_becomes_speech(synthesizer: SpeechSynthesizer) -> None:
    chunks = await spoken(synthesizer, SENTENCE)
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    pcm = b"".join(chunks)
    seconds = len(pcm) / 2 / synthesizer.sample_rate_hz
    assert 2 < seconds < 8
    assert -40 < dbfs(rms(pcm)) < -10
    assert peak(pcm) < 1.0


async def test_speech_lies_where_voices_do(synthesizer: SpeechSynthesizer) -> None:
    """A wrong sample rate or byte order would move the energy, most of which is between 80 Hz and 4 kHz."""
    samples = np.frombuffer(b"".join(await spoken(synthesizer, SENTENCE)), dtype="<i2").astype(np.float64)
    power = np.abs(np.fft.rfft(samples)) ** 2
    freqs = np.fft.rfftfreq(samples.size, 1 / synthesizer.sample_rate_hz)
    voice = power[(freqs > 80) & (freqs < 4_000)].sum() / power.sum()
    assert voice > 0.9


@pytest.mark.parametrize("text", ["", "   ", "😀", "**", "...", "\n"])
async def test_nothing_to_say_yields_nothing(synthesizer: SpeechSynthesizer, text: str) -> None:
    assert await spoken(synthesizer, text) == []


async def test_markup_and_control_characters_are_harmless(synthesizer: SpeechSynthesizer) -> None:
    assert await spoken(
        synthesizer, "**Hello** <b>there</b>\x00\x07 `you` 😀 \ud83d".encode("utf-8", "ignore").decode()
    )


async def test_an_unknown_locale_is_no_error(synthesizer: SpeechSynthesizer) -> None:
    assert await spoken(synthesizer, "Hello there.", "xx-YY")


async def test_more_text_is_more_speech(synthesizer: SpeechSynthesizer) -> None:
    short = sum(map(len, await spoken(synthesizer, "Yes.")))
    longer = sum(map(len, await spoken(synthesizer, SENTENCE)))
    assert longer > 2 * short


async def test_a_long_text_starts_before_it_is_finished(synthesizer: SpeechSynthesizer) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    first_s = total_bytes = 0.0
    async for chunk in synthesizer.synthesize(LONG, locale="en-US"):
        first_s = first_s or loop.time() - start
        total_bytes += len(chunk)
    assert total_bytes / 2 / synthesizer.sample_rate_hz > 15
    assert first_s < (loop.time() - start) / 2


async def test_an_abandoned_stream_leaves_the_synthesiser_usable(synthesizer: SpeechSynthesizer) -> None:
    async with aclosing(stream(synthesizer, LONG)) as chunks:
        assert await anext(chunks)
    assert await spoken(synthesizer, "Yes.")


async def test_cancelling_the_consumer_ends_it_at_once(synthesizer: SpeechSynthesizer) -> None:
    started = asyncio.Event()

    async def consume() -> None:
        async with aclosing(stream(synthesizer, LONG)) as chunks:
            async for _ in chunks:
                started.set()

    consumer = asyncio.create_task(consume())
    await started.wait()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(consumer, timeout=2)
    assert await spoken(synthesizer, "Yes.")


async def test_several_callers_are_served_at_once(synthesizer: SpeechSynthesizer) -> None:
    alone = await spoken(synthesizer, SENTENCE)
    together = await asyncio.gather(*(spoken(synthesizer, SENTENCE) for _ in range(4)))
    for chunks in together:
        assert sum(map(len, chunks)) == pytest.approx(sum(map(len, alone)), rel=0.1)
