"""The local synthesiser's own promises; what every synthesiser must do is in ``tests/contract``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
import structlog.testing

from voice_agent.audio.frames import duration_s
from voice_agent.audio.silence import SilenceTrimmer
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts import local
from voice_agent.providers.tts.local import SAMPLE_RATE_HZ, LocalSynthesizer

LONG = (
    "Your order 83102 was shipped yesterday, and it should arrive on November 24, between nine in the morning and noon, "
    "at the address that we have on file for you."
)


class InlineWorkers:
    """Runs the jobs at once and counts the chunks that were made."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = 0

    async def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        return fn(*args)

    async def stream(self, generate: Callable[..., Iterator[bytes]], *args: Any) -> AsyncGenerator[bytes, None]:
        chunks = generate(*args)
        try:
            for chunk in chunks:
                self.made += 1
                yield chunk
                await asyncio.sleep(0)
        finally:
            self.closed += 1
            chunks.close()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def loaded() -> LocalSynthesizer:
    synthesizer = LocalSynthesizer(InlineWorkers())
    asyncio.run(synthesizer.warm_up())
    return synthesizer


@pytest.fixture
def synthesizer(loaded: LocalSynthesizer) -> tuple[LocalSynthesizer, InlineWorkers]:
    workers = InlineWorkers()
    loaded._pool = workers  # one model serves all tests of this module
    return loaded, workers


async def spoken(synthesizer: LocalSynthesizer, text: str, locale: str = "en-US", voice: str = "") -> list[bytes]:
    stream: AsyncIterator[bytes] = synthesizer.synthesize(text, locale=locale, voice=voice)
    return [chunk async for chunk in stream]


async def test_silence_is_trimmed_at_both_ends(synthesizer: tuple[LocalSynthesizer, InlineWorkers]) -> None:
    pcm = b"".join(await spoken(synthesizer[0], "Hello there."))
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, dtype="<i2").astype(int)) > 300)
    assert loud[0] / SAMPLE_RATE_HZ < 0.06
    assert 0.1 < duration_s(len(pcm), SAMPLE_RATE_HZ) - loud[-1] / SAMPLE_RATE_HZ < 0.4


async def test_a_long_sentence_starts_with_a_short_piece(synthesizer: tuple[LocalSynthesizer, InlineWorkers]) -> None:
    chunks = await spoken(synthesizer[0], LONG)
    lengths = [duration_s(len(chunk), SAMPLE_RATE_HZ) for chunk in chunks]
    assert len(chunks) >= 2
    assert lengths[0] < sum(lengths) / 2
    assert sum(lengths) == pytest.approx(10, abs=2.5)


async def test_closing_stops_the_work_after_the_piece_being_made(
    synthesizer: tuple[LocalSynthesizer, InlineWorkers],
) -> None:
    speaker, workers = synthesizer
    async with aclosing(speaker.synthesize(LONG + " And more. And even more.", locale="en-US")) as stream:  # type: ignore[type-var]
        await anext(stream)  # type: ignore[arg-type]
    assert workers.made == 1
    assert workers.closed == 1


async def test_numbers_are_spoken_not_skipped(synthesizer: tuple[LocalSynthesizer, InlineWorkers]) -> None:
    figures = b"".join(await spoken(synthesizer[0], "Order 83102."))
    words = b"".join(await spoken(synthesizer[0], "Order eight three one, zero two."))
    assert figures == words


async def test_speed_changes_the_length(synthesizer: tuple[LocalSynthesizer, InlineWorkers]) -> None:
    slow = LocalSynthesizer(InlineWorkers(), speed=0.7)
    slow._models = synthesizer[0]._models
    text = "Thanks for calling, how can I help you today?"
    normal_s = len(b"".join(await spoken(synthesizer[0], text)))
    slow_s = len(b"".join(await spoken(slow, text)))
    assert slow_s > 1.2 * normal_s


async def test_an_unknown_voice_falls_back_and_says_so_once() -> None:
    speaker = LocalSynthesizer(InlineWorkers(), voice="nova")
    with structlog.testing.capture_logs() as lines:
        first = await spoken(speaker, "Hello.")
        second = await spoken(speaker, "Hello.")
    assert first == second != []
    assert [(line["voice"], line["default"]) for line in lines] == [("nova", "heart")]


async def test_the_trimmer_leaves_nothing_more_to_trim(synthesizer: tuple[LocalSynthesizer, InlineWorkers]) -> None:
    pcm = b"".join(await spoken(synthesizer[0], "Your PIN, please."))
    trimmer = SilenceTrimmer(SAMPLE_RATE_HZ, trailing_s=0.24)
    assert len(trimmer.process(pcm) + trimmer.flush()) >= len(pcm) - SAMPLE_RATE_HZ * 2 * 0.006


class Gate:
    """The library, which gives the one ``model`` for each voice; opening "slow" takes until ``go``."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.opening = threading.Event()
        self.go = threading.Event()
        self.opened: list[str] = []

    def open(self, *, voice: str, threads: int) -> Any:
        self.opened.append(voice)
        if voice == "slow":
            self.opening.set()
            assert self.go.wait(20)
        return self.model

    def library(self) -> tuple[Any, Any, Any]:
        return self.open, {"heart", "slow"}, lambda voice, download_missing: __file__


async def test_a_voice_that_is_being_loaded_keeps_no_other_voice_waiting(
    loaded: LocalSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(loaded._models["heart"])
    monkeypatch.setattr(local, "_hibari", gate.library)
    pool = ModelPool(2, 8)
    speaker = LocalSynthesizer(pool)
    try:
        await speaker.warm_up()
        slow = [asyncio.create_task(spoken(speaker, "Hello.", voice="slow")) for _ in range(3)]
        assert await asyncio.to_thread(gate.opening.wait, 20)
        async with asyncio.timeout(10):
            usual = await spoken(speaker, "Hello.")
        assert not any(task.done() for task in slow)
        gate.go.set()
        assert await asyncio.gather(*slow) == [usual] * 3
        assert gate.opened == ["heart", "slow"], "a voice is loaded once"
    finally:
        gate.go.set()
        await pool.close()
