"""Every stage's chain against every fault a vendor can have: the answer comes, whole, from whoever is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.providers.chain.scripted import Reports, Scripted, text
from tests.unit.providers.chain.scripted_ears import Ears

from voice_agent.clock import LoopClock
from voice_agent.config import load_settings
from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine
from voice_agent.dev_vendors.desk import Engines, VendorDesk
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.models import Message, Role, UtteranceId
from voice_agent.providers.asr.base import Final
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.chain.base import Link, StageDeadlines, breaker
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.base import LlmFinished, LlmRequest, TextDelta, TextRestarted
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import Kind, ProviderContext, build_provider, provider_context

DEADLINES = StageDeadlines(first_s=0.5, gap_s=0.4, hedge_s=0.25, patience_s=5)
ANSWER = "I can track an order. Tell me its number, please."
SENTENCE = "Your order left the warehouse this morning, and should reach you soon."
# Audio that a vendor's stand-in takes for speech, and that the scripted backup spells as "a".
SPEECH = b"aa" * 16_000


@dataclass(frozen=True)
class House:
    vendors: RunningVendors
    context: ProviderContext

    def links(self, kind: Kind, name: str, backup: Any) -> list[Link[Any]]:
        hosted = build_provider(kind, name, self.context)
        clock = LoopClock()
        return [Link(name, hosted, breaker(clock)), Link("backup", backup, breaker(clock))]


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    async with _house(monkeypatch) as opened:
        yield opened


@asynccontextmanager
async def _house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    pool = ModelPool(1)
    engines = Engines(
        LocalRecognizerFactory(pool),  # loads nothing: the scripted engine hears instead
        ScriptedModel(ANSWER),
        ToneSynthesizer(),
        ScriptedEngine(("ever tried",)),
    )
    async with running_vendors(VendorDesk(engines)) as vendors:
        for name, value in vendors.environment().items():
            monkeypatch.setenv(name, value)
        context = provider_context(load_settings(), pool, MiniLmEmbedder(pool))
        yield House(vendors, context)
        await context.web.aclose()
    await pool.close()


@pytest.mark.parametrize("fault", Fault)
async def test_the_caller_gets_a_whole_answer(house: House, fault: Fault) -> None:
    house.vendors.set_fault(Stage.LLM, fault)
    links = house.links("llm", "openai", Scripted([text("From ", "the backup.")]))
    chain = LanguageModelChain(links, DEADLINES, LoopClock())
    said, ended, reports = "", False, Reports()
    request = LlmRequest((Message(Role.SYSTEM, "You help."), Message(Role.CALLER, "Hello")))
    async with aclosing(chain.stream(request, reports)) as events:
        async for event in events:
            if isinstance(event, TextRestarted):
                said = ""
            elif isinstance(event, TextDelta):
                said += event.text
            ended = isinstance(event, LlmFinished)
    assert ended
    assert said == ("From the backup." if reports.told else ANSWER)
    assert [switch.provider for switch in reports.switches] in ([], ["backup"])


@pytest.mark.parametrize("name", ["openai", "openai_realtime", "deepgram"])
@pytest.mark.parametrize("fault", Fault)
async def test_the_caller_hears_a_whole_sentence(house: House, fault: Fault, name: str) -> None:
    house.vendors.set_fault(Stage.TTS, fault)
    house.vendors.set_fault(Stage.LLM if name.startswith("openai") else Stage.ASR, fault)
    backup = Scripted([[b"b" * 48_000]])
    chain = SynthesizerChain(house.links("tts", name, backup), DEADLINES, LoopClock())
    reports = Reports()
    async with aclosing(chain.synthesize(SENTENCE, locale="en-US", report=reports)) as chunks:
        audio = b"".join([chunk async for chunk in chunks])
    assert audio.endswith(b"b" * 48_000) == bool(reports.told) == bool(backup.asked)
    if backup.asked:
        assert SENTENCE.endswith(backup.asked[0][1])
    else:
        assert len(audio) > 3 * 48_000


@pytest.mark.parametrize("fault", Fault)
async def test_what_the_caller_says_is_heard_once(house: House, fault: Fault) -> None:
    house.vendors.set_fault(Stage.ASR, fault)
    chain = RecognizerChain(house.links("asr", "deepgram", Ears()), DEADLINES, LoopClock())
    finals: list[str] = []
    came = asyncio.Event()
    async with chain.open(locale="en-US", hints=(), report=Reports()) as recognizer:

        async def listen() -> None:
            async for event in recognizer.events():
                if isinstance(event, Final):
                    finals.append(event.text)
                    came.set()

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0.05)
        recognizer.begin(UtteranceId(1))
        for at in range(0, len(SPEECH), 3_200):
            recognizer.push(SPEECH[at : at + 3_200])
            await asyncio.sleep(0.01)
        recognizer.finalize()
        async with asyncio.timeout(10):
            await came.wait()
        await asyncio.sleep(0.1)
        listener.cancel()
        await asyncio.wait({listener})
    assert finals in (["a"], ["ever tried"])
