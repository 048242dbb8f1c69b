"""The local recogniser's rules, with a scripted model in a real pool: what is decoded when, and what is given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from voice_agent.errors import BugError, ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import AsrEvent, Final, Partial
from voice_agent.providers.asr.local import LocalRecognizer, LocalRecognizerFactory
from voice_agent.providers.asr.moonshine import Hypothesis, Stop, Stopped
from voice_agent.providers.pool import ModelPool

SECOND = 32_000  # bytes
FIRST, SECOND_ONE = UtteranceId(1), UtteranceId(2)


@dataclass
class ScriptedModel:
    """Says how many milliseconds it was given. Each take waits until ``let`` it go; it heeds its ``Stop``."""

    held: bool = False
    piece_bytes: int | None = None  # audio beyond this is cut into pieces of it
    error: Exception | None = None
    takes: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)  # (bytes, draft)
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Condition = field(default_factory=threading.Condition)
    stopped: int = 0

    def __call__(self, pcm: bytes, draft: tuple[int, ...], stop: Stop) -> list[Hypothesis]:
        self.takes.append((len(pcm), draft))
        self.started.release()
        with self.go:
            while self.held and not stop.requested:
                self.go.wait(0.005)
        if stop.requested:
            self.stopped += 1
            raise Stopped
        if self.error is not None:
            raise self.error
        step = self.piece_bytes or max(1, len(pcm))
        parts = [pcm[at : at + step] for at in range(0, max(1, len(pcm)), step)]
        return [Hypothesis(f"{len(p) // 32}", 0.5, tuple(range(len(p) // 3200)), len(p) // 2) for p in parts]

    def release(self) -> None:
        with self.go:
            self.held = False
            self.go.notify_all()

    async def taken(self) -> None:
        assert await asyncio.to_thread(self.started.acquire, True, 10)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@asynccontextmanager
async def opened(pool: ModelPool, model: Callable[..., list[Hypothesis]]) -> AsyncIterator[LocalRecognizer]:
    """The factory's own opening, around the scripted model."""
    factory = LocalRecognizerFactory(pool, partial_interval_s=0.4)
    factory._transcribe = model  # type: ignore[method-assign]
    async with factory.open(locale="en-US", hints=()) as recognizer:
        yield recognizer


async def next_event(recognizer: LocalRecognizer) -> AsrEvent:
    async with asyncio.timeout(10):
        return await anext(recognizer.events())


async def test_a_final_covers_the_utterance_from_its_start(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND // 5))
        recognizer.finalize()
        assert await next_event(recognizer) == Final(FIRST, "200", 0.5)
        recognizer.push(bytes(SECOND // 10))
        recognizer.finalize()
        assert await next_event(recognizer) == Final(FIRST, "300", 0.5)
    assert model.takes == [(SECOND // 5, ()), (SECOND * 3 // 10, ())]


async def test_a_repeated_finalize_costs_nothing(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND // 5))
        recognizer.finalize()
        first = await next_event(recognizer)
        recognizer.finalize()
        assert await next_event(recognizer) == first
    assert len(model.takes) == 1


async def test_partials_come_by_the_interval_and_start_from_the_last_one(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        for _ in range(3):
            recognizer.push(bytes(SECOND // 10))
        recognizer.push(bytes(SECOND // 10))
        assert await next_event(recognizer) == Partial(FIRST, "400", 0.5)
        recognizer.push(bytes(SECOND * 4 // 10))
        assert await next_event(recognizer) == Partial(FIRST, "800", 0.5)
    assert model.takes == [(12_800, ()), (25_600, (0, 1, 2, 3))]


async def test_long_audio_makes_partials_rarer(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(10 * SECOND))
        assert await next_event(recognizer) == Partial(FIRST, "10000", 0.5)
        recognizer.push(bytes(SECOND * 9 // 10))
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(model.takes) == 1
        recognizer.push(bytes(SECOND * 3 // 10))
        assert await next_event(recognizer) == Partial(FIRST, "11200", 0.5)


async def test_never_more_than_one_partial_at_a_time(pool: ModelPool, model: ScriptedModel) -> None:
    model.held = True
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND))
        await model.taken()
        for _ in range(10):
            recognizer.push(bytes(SECOND))
            await asyncio.sleep(0)
        assert (pool.running, pool.waiting) == (1, 0)
        model.release()
        assert await next_event(recognizer) == Partial(FIRST, "1000", 0.5)
        assert await next_event(recognizer) == Partial(FIRST, "11000", 0.5)


async def test_finalize_stops_a_partial_under_way(pool: ModelPool, model: ScriptedModel) -> None:
    model.held = True
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND))
        await model.taken()
        recognizer.finalize()
        await model.taken()  # at once, beside the partial that gives up
        model.release()
        assert await next_event(recognizer) == Final(FIRST, "1000", 0.5)
        await pool.drained(recognizer)
    assert model.stopped == 1
    assert [draft for _, draft in model.takes] == [(), ()]


async def test_finals_of_pending_calls_are_one(pool: ModelPool, model: ScriptedModel) -> None:
    model.held = True
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND // 10))
        recognizer.finalize()
        await model.taken()
        recognizer.finalize()  # the same audio: the decode under way answers both
        recognizer.push(bytes(SECOND // 10))
        recognizer.finalize()  # more audio: its decode replaces the one under way
        await model.taken()
        model.release()
        assert await next_event(recognizer) == Final(FIRST, "200", 0.5)
        await pool.drained(recognizer)
        await asyncio.sleep(0)
        recognizer.begin(SECOND_ONE)
        recognizer.finalize()
        assert await next_event(recognizer) == Final(SECOND_ONE, "0", 0.0)
    assert model.takes == [(3200, ()), (6400, ()), (0, ())]


async def test_begin_abandons_the_previous_utterance(pool: ModelPool, model: ScriptedModel) -> None:
    model.held = True
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND))
        recognizer.finalize()
        await model.taken()
        recognizer.begin(SECOND_ONE)
        recognizer.push(bytes(SECOND // 10))
        recognizer.finalize()
        await model.taken()
        model.release()
        assert await next_event(recognizer) == Final(SECOND_ONE, "100", 0.5)


async def test_begin_takes_back_events_nobody_collected(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND))
        recognizer.finalize()
        await model.taken()
        await pool.drained(recognizer)
        await asyncio.sleep(0)
        recognizer.begin(SECOND_ONE)
        recognizer.finalize()
        assert (await next_event(recognizer)).utterance_id == SECOND_ONE


async def test_beginning_again_with_the_same_id_changes_nothing(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(6400))
        recognizer.begin(FIRST)
        recognizer.finalize()
        assert await next_event(recognizer) == Final(FIRST, "200", 0.5)


async def test_long_utterances_keep_the_beginning_as_text(pool: ModelPool, model: ScriptedModel) -> None:
    model.piece_bytes = 2 * SECOND
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(5 * SECOND))
        assert await next_event(recognizer) == Partial(FIRST, "2000 2000 1000", 0.5)
        recognizer.push(bytes(SECOND // 2))
        assert await next_event(recognizer) == Partial(FIRST, "2000 2000 1500", 0.5)
        recognizer.finalize()
        assert await next_event(recognizer) == Final(FIRST, "2000 2000 1500", 0.5)
    assert [taken for taken, _ in model.takes] == [5 * SECOND, SECOND * 3 // 2, SECOND * 3 // 2]


async def test_audio_may_come_in_any_chunks(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        for size in (1, 3, 640, 7, 0, 5749):
            recognizer.push(bytes(size))
        recognizer.finalize()
        assert await next_event(recognizer) == Final(FIRST, "200", 0.5)


async def test_a_refused_partial_is_skipped_and_a_refused_final_loses_recognition(model: ScriptedModel) -> None:
    pool, gate = ModelPool(workers=1, queue=1), threading.Event()
    async with opened(pool, model) as recognizer:
        held = pool.submit(gate.wait, 10)
        while pool.waiting:
            await asyncio.to_thread(lambda: None)
        waiting = pool.submit(str)
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND))
        for _ in range(3):
            await asyncio.sleep(0)
        assert model.takes == []
        recognizer.finalize()
        with pytest.raises(ProviderError) as lost:
            await next_event(recognizer)
        assert lost.value.category is ProviderFault.RATE
        recognizer.push(bytes(SECOND))  # harmless
        gate.set()
        await asyncio.gather(held, waiting)
    await pool.close()


@pytest.mark.parametrize(
    "error", [ProviderError("broken", category=ProviderFault.INTERNAL), RuntimeError("broken"), MemoryError("broken")]
)
async def test_a_failing_model_loses_recognition(pool: ModelPool, model: ScriptedModel, error: Exception) -> None:
    model.error = error
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND))
        with pytest.raises(ProviderError, match="broken"):
            await next_event(recognizer)


async def test_audio_that_cannot_be_decoded_in_time_loses_recognition(pool: ModelPool, model: ScriptedModel) -> None:
    model.held = True
    async with opened(pool, model) as recognizer:
        recognizer.begin(FIRST)
        for _ in range(121):
            recognizer.push(bytes(SECOND))
        with pytest.raises(ProviderError) as lost:
            await next_event(recognizer)
        assert lost.value.category is ProviderFault.TIMEOUT


async def test_leaving_stops_a_decode_under_way_and_ends_the_events(pool: ModelPool, model: ScriptedModel) -> None:
    model.held = True
    before = asyncio.all_tasks()
    async with opened(pool, model) as recognizer:
        consumer = asyncio.create_task(_collect(recognizer))
        recognizer.begin(FIRST)
        recognizer.push(bytes(SECOND))
        recognizer.finalize()
        await model.taken()
    assert await consumer == []
    assert (pool.running, pool.waiting) == (0, 0)
    assert asyncio.all_tasks() == before
    with pytest.raises(BugError):
        recognizer.push(b"")


async def _collect(recognizer: LocalRecognizer) -> list[AsrEvent]:
    return [event async for event in recognizer.events()]


async def test_audio_belongs_to_an_utterance(pool: ModelPool, model: ScriptedModel) -> None:
    async with opened(pool, model) as recognizer:
        with pytest.raises(BugError, match="begin"):
            recognizer.push(bytes(640))
        with pytest.raises(BugError, match="begin"):
            recognizer.finalize()


async def test_an_error_in_the_body_comes_out_as_it_is(pool: ModelPool, model: ScriptedModel) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(pool, model):
            raise ZeroDivisionError
