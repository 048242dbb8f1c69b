"""Every hosted provider meets every fault: it ends soon, says in our categories how, leaves nothing behind, and works again.

The vendors are stand-ins that speak the real protocols, behind lines that fail as networks do. ``EXPECTED`` is the table; a
new provider joins by one row there and one in ``OPEN``. What only deadlines find runs through a chain, which has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.vendors import VendorThread, scripted_engines, vendors_in_thread

from voice_agent.audio.frames import pcm_of
from voice_agent.clock import LoopClock, process_seconds
from voice_agent.config import load_settings
from voice_agent.dev_vendors.desk import Entry, Mark, VendorDesk
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import ScriptedModel
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import Message, Role, UtteranceId
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ, AsrCapabilities, AsrEvent, Final, Partial, SpeechRecognizer
from voice_agent.providers.chain.base import Link, StageDeadlines, Switch, SwitchReason, breaker
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.base import LlmRequest, TextDelta, TextRestarted
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import Kind, ProviderContext, build_provider, provider_context

SENTENCE = "You can return anything within thirty days, unused, with the receipt and in its own packaging."
HEARD = "where is my order eight three one oh two"
ENDS_WITHIN_S = 5.0  # of real time, on a busy machine; the deadlines themselves are a tenth of it
RETRY_AFTER_S = 7.0
DEADLINES = StageDeadlines(first_s=0.35, gap_s=0.3, patience_s=0.4)

LOST = "the session is opened again, and nothing is lost"
NOTHING = "nothing is heard, which is no error by itself"
WHOLE = "the answer is whole: the vendor closes after it"
SAVED = "too slow by its deadlines: the next provider of the chain answers"

Outcome = ProviderFault | str

_REFUSALS: dict[Fault, Outcome] = {
    Fault.REFUSED: ProviderFault.NETWORK,
    Fault.TLS: ProviderFault.NETWORK,
    Fault.UNAUTHORIZED: ProviderFault.AUTH,
    Fault.RATE_LIMITED: ProviderFault.RATE,
    Fault.QUOTA: ProviderFault.QUOTA,
    Fault.SERVER_ERROR: ProviderFault.INTERNAL,
    Fault.GARBAGE_JSON: ProviderFault.PROTOCOL,
    Fault.HANG_CONNECT: ProviderFault.TIMEOUT,
    Fault.HANG_MIDSTREAM: ProviderFault.TIMEOUT,
    Fault.SLOW_DRIP: SAVED,
}
_ANSWERS: dict[Fault, Outcome] = {
    **_REFUSALS,
    Fault.HALF_FRAME: ProviderFault.NETWORK,
    Fault.RESET: ProviderFault.NETWORK,
    Fault.EMPTY: ProviderFault.EMPTY,
    Fault.RECYCLED: ProviderFault.NETWORK,
}
_LISTENS: dict[Fault, Outcome] = {
    **_REFUSALS,
    Fault.HALF_FRAME: LOST,
    Fault.RESET: LOST,
    Fault.RECYCLED: LOST,
    Fault.EMPTY: NOTHING,
}
EXPECTED: dict[str, dict[Fault, Outcome]] = {
    "asr-nova": _LISTENS,
    "asr-flux": _LISTENS,
    # An answer without its last event may be cut anywhere, so it is not whole.
    "llm-openai": {**_ANSWERS, Fault.RECYCLED: ProviderFault.PROTOCOL},
    "tts-openai": {**_ANSWERS, Fault.RECYCLED: WHOLE},
    "tts-openai_realtime": _ANSWERS,
    "tts-deepgram": _ANSWERS,
}
# Nothing finds these but the deadlines of a chain.
_LATE = frozenset({Fault.HANG_CONNECT, Fault.HANG_MIDSTREAM, Fault.SLOW_DRIP})
CASES = [
    pytest.param(name, fault, id=f"{name}-{fault}")
    for name, faults in EXPECTED.items()
    for fault in Fault
    if fault in faults
]


def test_the_table_has_every_fault() -> None:
    assert all(set(faults) == set(Fault) for faults in EXPECTED.values())


@pytest.fixture(scope="module")
def vendors() -> Iterator[VendorThread]:
    with vendors_in_thread(lambda: scripted_engines((HEARD,), ScriptedModel(SENTENCE))) as running:
        running.change(lambda desk: setattr(desk, "retry_after_s", RETRY_AFTER_S))
        yield running


@pytest.fixture(autouse=True)
def healthy(vendors: VendorThread) -> Iterator[None]:
    yield
    for stage in Stage:
        vendors.set_fault(stage, None)


@dataclass(frozen=True)
class Case:
    """One provider at work against the stand-ins."""

    name: str
    stage: Stage
    vendors: VendorThread
    provider: Any
    fallback: Any  # answers whatever happens, for chains of two


@asynccontextmanager
async def opened(
    name: str, vendors: VendorThread, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> AsyncIterator[Case]:
    """The provider as the platform builds it from settings."""
    kind, _, provider = name.partition("-")
    stage = Stage(kind)
    base = vendors.url(stage)
    if tls:
        base = base.replace("http:", "https:")
    environment = {
        "DEEPGRAM_URL": base,
        "DEEPGRAM_API_KEY": vendors.key,
        "OPENAI_BASE_URL": f"{base}/v1",
        "OPENAI_API_KEY": vendors.key,
        "ASR_MODEL": "flux-general-en" if provider == "flux" else "",
        "ASR_CONNECT_MS": "400",
        "TTS_CONNECT_MS": "400",
        "LLM_CONNECT_MS": "400",
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    pool = ModelPool(1)
    context = provider_context(load_settings(None), pool, MiniLmEmbedder(pool))
    try:
        built = build_provider(_kind(kind), "deepgram" if stage is Stage.ASR else provider, context)
        await built.warm_up()
        yield Case(name, stage, vendors, built, _fallback(stage, context))
    finally:
        await context.web.aclose()
        await pool.close()


def _kind(text: str) -> Kind:
    kinds: dict[str, Kind] = {"asr": "asr", "llm": "llm", "tts": "tts"}
    return kinds[text]


class _Beep:
    sample_rate_hz = 24_000

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        yield b"\x01\x00" * 4800


class _Echo:
    """A recogniser of another make, that has always heard the right words."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    @asynccontextmanager
    async def open(self, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[SpeechRecognizer]:
        yield _EchoEar()


class _EchoEar:
    capabilities = AsrCapabilities(wants_silence=True, locales=("en-US",))

    def __init__(self) -> None:
        self._utterance = UtteranceId(0)
        self._events: asyncio.Queue[AsrEvent] = asyncio.Queue()

    def begin(self, utterance_id: UtteranceId) -> None:
        self._utterance = utterance_id

    def push(self, pcm: bytes) -> None:
        """It needs none."""

    def finalize(self) -> None:
        self._events.put_nowait(Final(self._utterance, HEARD))

    async def events(self) -> AsyncIterator[AsrEvent]:
        while True:
            yield await self._events.get()


def _fallback(stage: Stage, context: ProviderContext) -> Any:
    return {Stage.ASR: _Echo, Stage.LLM: lambda: ScriptedModel(SENTENCE), Stage.TTS: _Beep}[stage]()


# One request of each stage; each gives what it was answered


async def written(model: Any) -> str:
    request = LlmRequest((Message(Role.SYSTEM, "You are a shop."), Message(Role.CALLER, "What is your return policy?")))
    text = ""
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            if isinstance(event, TextRestarted):
                text = ""
            elif isinstance(event, TextDelta):
                text += event.text
    return text


async def spoken(synthesizer: Any) -> str:
    audio = b""
    async with aclosing(synthesizer.synthesize(SENTENCE, locale="en-US")) as chunks:
        async for chunk in chunks:
            audio += chunk
    return "audio" if len(audio) > 4800 else ""


_STEP_BYTES = 640
_TONE = pcm_of(0.3 * np.sin(2 * np.pi * 330 * np.arange(3 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ))
_PAUSE = bytes(SAMPLE_RATE_HZ)  # half a second


async def understood(recognizer: SpeechRecognizer, in_the_middle: Callable[[], Awaitable[None]] | None = None) -> str:
    """Speaks three seconds, faster than in real time; what was understood of it. Raises ``ProviderError``."""
    speech = _TONE + _PAUSE
    recognizer.begin(UtteranceId(1))
    hearing = asyncio.create_task(_final(recognizer))
    try:
        for at in range(0, len(speech), _STEP_BYTES):
            if in_the_middle is not None and at == 100 * _STEP_BYTES:
                await in_the_middle()
            recognizer.push(speech[at : at + _STEP_BYTES])
            await asyncio.sleep(0.001)
        recognizer.finalize()
        return await hearing
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError, ProviderError):
            await hearing


async def _final(recognizer: SpeechRecognizer) -> str:
    """The first final that says something; an empty one only where nothing better follows."""
    empty = False
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit:
            async for event in recognizer.events():
                if isinstance(event, Partial):
                    continue
                if event.text:
                    return event.text
                empty = True
                limit.reschedule(asyncio.get_running_loop().time() + 0.3)
    return "" if empty else "no final at all"


async def once(case: Case, *links: Any, report: Callable[[Switch], None] = lambda switch: None) -> str:
    """One request: of the provider itself, or with ``links`` of a chain of them."""
    chained = [Link(f"link-{number}", link, breaker(LoopClock())) for number, link in enumerate(links)]
    match case.stage:
        case Stage.LLM:
            if not chained:
                return await written(case.provider)
            model = LanguageModelChain(chained, DEADLINES, LoopClock(), jitter=lambda: 0.0)
            return await written(_Reported(lambda request: model.stream(request, report)))
        case Stage.TTS:
            if not chained:
                return await spoken(case.provider)
            voice = SynthesizerChain(chained, DEADLINES, LoopClock(), jitter=lambda: 0.0)
            return await spoken(_Reported(lambda text, locale: voice.synthesize(text, locale=locale, report=report)))
        case _:
            factory = RecognizerChain(chained, DEADLINES, LoopClock(), jitter=lambda: 0.0) if chained else case.provider
            more = {"report": report} if chained else {}
            async with factory.open(locale="en-US", hints=(), **more) as recognizer:
                return await understood(recognizer)


class _Reported:
    """A chain asked like one provider."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self.stream = self.synthesize = ask


EXPECT_WHOLE = {Stage.ASR: HEARD, Stage.LLM: SENTENCE, Stage.TTS: "audio"}


@pytest.mark.parametrize(("name", "fault"), CASES)
async def test_a_fault_ends_soon_and_rightly_and_leaves_nothing(
    name: str, fault: Fault, vendors: VendorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = EXPECTED[name][fault]
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        case = await stack.enter_async_context(opened(name, vendors, monkeypatch, tls=fault is Fault.TLS))
        whole = EXPECT_WHOLE[case.stage]
        vendors.set_fault(case.stage, fault)
        async with asyncio.timeout(ENDS_WITHIN_S):
            if expected == LOST:
                assert await _interrupted(case, fault) == whole
            elif expected == SAVED:
                switches: list[Switch] = []
                assert await once(case, case.provider, case.fallback, report=switches.append) == whole
                assert switches == [Switch("link-0", "link-1", SwitchReason.TIMEOUT)]
            elif expected == NOTHING:
                assert await once(case) == ""
            elif expected == WHOLE:
                assert await once(case) == whole
            else:
                with pytest.raises(ProviderError) as failed:
                    await (once(case, case.provider) if fault in _LATE else once(case))
                assert failed.value.category is expected, str(failed.value)
                assert vendors.key not in str(failed.value)
                if fault is Fault.RATE_LIMITED:
                    assert failed.value.retry_after_s == RETRY_AFTER_S
                if fault in (Fault.UNAUTHORIZED, Fault.QUOTA):
                    assert not failed.value.retryable
        vendors.set_fault(case.stage, None)
        if fault is not Fault.TLS:  # the stand-ins have no certificate to go on with
            async with asyncio.timeout(ENDS_WITHIN_S):
                assert await once(case) == whole
    await _nothing_left(vendors, before)


async def _nothing_left(vendors: VendorThread, before: set[asyncio.Task[Any]]) -> None:
    """The provider's platform has stopped: its tasks and connections are gone, or about to be."""
    limit_s = asyncio.get_running_loop().time() + ENDS_WITHIN_S
    while (left := {task.get_name() for task in asyncio.all_tasks() - before}) or vendors.connections():
        assert asyncio.get_running_loop().time() < limit_s, f"{left or 'no'} tasks, {vendors.connections()} connections"
        await asyncio.sleep(0.01)


async def _interrupted(case: Case, fault: Fault) -> str:
    """The session breaks while somebody speaks, and the vendor is well again."""
    vendors = case.vendors
    vendors.set_fault(case.stage, None)
    begun_s = process_seconds()

    struck: list[Entry] = []

    def heal(desk: VendorDesk) -> None:
        def on_entry(entry: Entry) -> None:
            if entry.mark in (Mark.STRUCK, Mark.CLOSED) and not struck:
                struck.append(entry)
                desk.faults.set(Stage.ASR, None)

        desk.journal.listen(on_entry)

    async def strike() -> None:
        await vendors.wait_for(Mark.SENT, stage=Stage.ASR, since_s=begun_s, text="order")  # words were guessed
        vendors.change(heal)
        vendors.set_fault(case.stage, fault, after_bytes=0)

    async with case.provider.open(locale="en-US", hints=()) as recognizer:
        answer = await understood(recognizer, strike)
    assert struck, f"the fault {fault} never came"
    return answer
