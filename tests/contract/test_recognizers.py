"""What every recogniser must do, whoever makes it. A new one joins by one line in ``FACTORIES``.

The speech is a recording of ten seconds that comes with the local models: "Ever tried, ever failed, no matter. Try
again, fail again, fail better."
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from tests.hearing import plain_words
from tests.vendors import vendors_in_thread

from voice_agent.clock import LoopClock
from voice_agent.config import DeepgramSettings
from voice_agent.dev_vendors.deepgram_engine import LocalEngine
from voice_agent.dev_vendors.desk import Engines
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.errors import VoiceAgentError
from voice_agent.evaluation.caller_audio import read_wav
from voice_agent.models import UtteranceId
from voice_agent.providers import weights
from voice_agent.providers.asr.base import (
    SAMPLE_RATE_HZ,
    AsrCapabilities,
    AsrEvent,
    Final,
    Partial,
    RecognizerFactory,
    SpeechRecognizer,
)
from voice_agent.providers.asr.deepgram import DeepgramRecognizerFactory
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.chain.base import StageDeadlines, unreported
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.vad.silero import SileroDetectorFactory

BYTES_PER_S = SAMPLE_RATE_HZ * 2
FRAME_BYTES = 640  # 20 ms
FIRST_PAUSE_S = 3.1  # after "ever failed"
DEADLINE_S = 20
FIRST, SECOND = UtteranceId(1), UtteranceId(2)


@asynccontextmanager
async def local() -> AsyncIterator[RecognizerFactory]:
    pool = ModelPool(workers=2)
    yield LocalRecognizerFactory(pool)
    await pool.close()


class ForNobody:
    """A chain, opened for no call: changes of provider are told to nobody."""

    def __init__(self, chain: RecognizerChain) -> None:
        self._chain = chain

    async def warm_up(self) -> None:
        await self._chain.warm_up()

    def open(self, *, locale: str, hints: tuple[str, ...]) -> AbstractAsyncContextManager[SpeechRecognizer]:
        return self._chain.open(locale=locale, hints=hints, report=unreported)


@asynccontextmanager
async def chain() -> AsyncIterator[RecognizerFactory]:
    async with local() as factory:
        patient = StageDeadlines(first_s=DEADLINE_S, gap_s=DEADLINE_S, patience_s=DEADLINE_S)
        yield ForNobody(RecognizerChain.of(factory, LoopClock(), patient))


@asynccontextmanager
async def hearing_vendor() -> AsyncIterator[Engines]:
    pool = ModelPool(workers=2)
    recognizers, detectors = LocalRecognizerFactory(pool), SileroDetectorFactory(pool)
    await recognizers.warm_up()
    await detectors.warm_up()
    yield Engines(recognizers, ScriptedModel(""), ToneSynthesizer(), LocalEngine(recognizers, detectors))
    await pool.close()


@asynccontextmanager
async def deepgram() -> AsyncIterator[RecognizerFactory]:
    with vendors_in_thread(hearing_vendor) as vendors:
        settings = DeepgramSettings(DEEPGRAM_URL=vendors.deepgram_url, DEEPGRAM_API_KEY=vendors.key)
        yield DeepgramRecognizerFactory(settings, connect_s=10.0)


FACTORIES: dict[str, Callable[[], AbstractAsyncContextManager[RecognizerFactory]]] = {
    "local": local,
    "chain": chain,
    "deepgram": deepgram,
}


@pytest.fixture(params=FACTORIES)
async def factory(request: pytest.FixtureRequest) -> AsyncIterator[RecognizerFactory]:
    async with FACTORIES[request.param]() as factory:
        await factory.warm_up()
        yield factory


@pytest.fixture(scope="module")
def speech() -> bytes:
    return read_wav(weights.package_file("moonshine_voice", "assets/beckett.wav"), SAMPLE_RATE_HZ)


def opened(factory: RecognizerFactory) -> AbstractAsyncContextManager[SpeechRecognizer]:
    return factory.open(locale="en-US", hints=("refund", "order number"))


async def play(recognizer: SpeechRecognizer, pcm: bytes, *, frame_bytes: int = FRAME_BYTES) -> None:
    """Pushes frame by frame, letting the recogniser work in between, faster than real time."""
    for at in range(0, len(pcm), frame_bytes):
        recognizer.push(pcm[at : at + frame_bytes])
        await asyncio.sleep(0.001)


class Ears:
    """The one consumer of a recogniser's events. A recogniser may give finals of its own accord: the first one after
    ``finalize`` is the answer."""

    def __init__(self, recognizer: SpeechRecognizer) -> None:
        self._recognizer = recognizer
        self._events = recognizer.events()
        self._next: asyncio.Task[AsrEvent] | None = None

    async def answer(self) -> tuple[list[Partial], Final]:
        """Asks for a final; the partials since the last answer, and the final."""
        heard = await self._at_hand()
        self._recognizer.finalize()
        async with asyncio.timeout(DEADLINE_S):
            while not isinstance(event := await self._take(), Final):
                heard.append(event)
        return [event for event in heard if isinstance(event, Partial)], event

    async def _at_hand(self) -> list[AsrEvent]:
        """What waits to be collected."""
        heard: list[AsrEvent] = []
        while True:
            if self._next is None:
                self._next = asyncio.ensure_future(anext(self._events))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            if not self._next.done():
                return heard
            heard.append(await self._take())

    async def _take(self) -> AsrEvent:
        following, self._next = self._next, None
        return await following if following is not None else await anext(self._events)


def words(event: AsrEvent) -> list[str]:
    return plain_words(event.text).split()


async def test_states_what_it_can_do(factory: RecognizerFactory) -> None:
    async with opened(factory) as recognizer:
        assert isinstance(recognizer.capabilities, AsrCapabilities)
        assert "en-US" in recognizer.capabilities.locales


async def test_speech_gives_partials_and_then_a_final(factory: RecognizerFactory, speech: bytes) -> None:
    async with opened(factory) as recognizer:
        recognizer.begin(FIRST)
        await play(recognizer, speech)
        partials, final = await Ears(recognizer).answer()
    assert final.utterance_id == FIRST
    assert 0.5 < final.confidence <= 1.0
    assert {"ever", "tried", "failed", "again"} <= set(words(final))
    assert partials or recognizer.capabilities.wants_silence
    assert {partial.utterance_id for partial in partials} <= {FIRST}
    assert all(partial.text for partial in partials)


async def test_a_final_after_a_pause_covers_what_was_said_before_it(factory: RecognizerFactory, speech: bytes) -> None:
    pause = int(FIRST_PAUSE_S * BYTES_PER_S)
    async with opened(factory) as recognizer:
        ears = Ears(recognizer)
        recognizer.begin(FIRST)
        await play(recognizer, speech[:pause])
        _, early = await ears.answer()
        await play(recognizer, speech[pause:])
        partials, late = await ears.answer()
    assert words(early)[:2] == ["ever", "tried"]
    assert "again" not in words(early)
    assert words(late)[:2] == ["ever", "tried"]
    assert "again" in words(late)
    assert all(words(partial)[:1] == ["ever"] for partial in partials)


async def test_every_finalize_is_answered(factory: RecognizerFactory, speech: bytes) -> None:
    async with opened(factory) as recognizer:
        ears = Ears(recognizer)
        recognizer.begin(FIRST)
        await play(recognizer, speech[: 3 * BYTES_PER_S])
        _, first = await ears.answer()
        _, again = await ears.answer()
    assert words(again) == words(first)


@pytest.mark.parametrize("pcm", [b"", bytes(2), bytes(800), bytes(BYTES_PER_S)], ids=len)
async def test_nothing_said_is_an_empty_final(factory: RecognizerFactory, pcm: bytes) -> None:
    async with opened(factory) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(pcm)
        partials, final = await Ears(recognizer).answer()
    assert (final.utterance_id, final.text, partials) == (FIRST, "", [])


async def test_a_new_utterance_takes_nothing_from_the_old_one(factory: RecognizerFactory, speech: bytes) -> None:
    pause = int(FIRST_PAUSE_S * BYTES_PER_S)
    async with opened(factory) as recognizer:
        recognizer.begin(FIRST)
        await play(recognizer, speech[pause:])
        recognizer.finalize()
        recognizer.begin(SECOND)
        await play(recognizer, speech[:pause])
        partials, final = await Ears(recognizer).answer()
    assert {event.utterance_id for event in (*partials, final)} == {SECOND}
    assert words(final)[:2] == ["ever", "tried"]
    assert "again" not in words(final)


async def test_any_frame_size_gives_the_same_final(factory: RecognizerFactory, speech: bytes) -> None:
    heard = []
    for frame_bytes in (320, 1000, 8000, len(speech)):
        async with opened(factory) as recognizer:
            recognizer.begin(FIRST)
            await play(recognizer, speech, frame_bytes=frame_bytes)
            _, final = await Ears(recognizer).answer()
            heard.append(final)
    assert all(one == other for one, other in itertools.pairwise(heard))


async def test_calls_do_not_hear_each_other(factory: RecognizerFactory, speech: bytes) -> None:
    pause = int(FIRST_PAUSE_S * BYTES_PER_S)

    async def hear(pcm: bytes) -> list[str]:
        async with opened(factory) as recognizer:
            recognizer.begin(FIRST)
            await play(recognizer, pcm)
            return words((await Ears(recognizer).answer())[1])

    one, other, silent = await asyncio.gather(hear(speech[:pause]), hear(speech[pause:]), hear(bytes(BYTES_PER_S)))
    assert "tried" in one
    assert "again" not in one
    assert "again" in other
    assert "tried" not in other
    assert silent == []


async def test_leaving_in_the_middle_ends_everything(factory: RecognizerFactory, speech: bytes) -> None:
    async def collect(events: AsyncIterator[AsrEvent]) -> None:
        async for _ in events:
            pass

    tasks = asyncio.all_tasks()
    async with asyncio.timeout(DEADLINE_S), opened(factory) as recognizer:
        consumer = asyncio.create_task(collect(recognizer.events()))
        recognizer.begin(FIRST)
        await play(recognizer, speech)
        recognizer.finalize()
    await asyncio.wait({consumer}, timeout=DEADLINE_S)
    assert consumer.done()
    assert consumer.cancelled() or isinstance(consumer.exception(), VoiceAgentError | None)
    assert asyncio.all_tasks() == tasks


async def test_cancelling_a_call_ends_everything(factory: RecognizerFactory, speech: bytes) -> None:
    listening = asyncio.Event()

    async def call() -> None:
        async with opened(factory) as recognizer:
            recognizer.begin(FIRST)
            await play(recognizer, speech)
            listening.set()
            async for _ in recognizer.events():
                pass

    tasks = asyncio.all_tasks()
    task = asyncio.create_task(call())
    await asyncio.wait_for(listening.wait(), DEADLINE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE_S)
    assert asyncio.all_tasks() == tasks


async def test_a_call_may_be_left_before_it_began(factory: RecognizerFactory) -> None:
    async with asyncio.timeout(DEADLINE_S), opened(factory):
        pass
