"""What calls of ``duplex_server.py`` work with: the scripted providers among the product's own models and rules."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import asdict, dataclass

from load.providers import (
    Faults,
    Handovers,
    LanguageModel,
    Pins,
    Recognizers,
    ScriptedTurnModel,
    Synthesizer,
    lookup_tool,
)
from voice_agent.app.settings import call_settings
from voice_agent.call.services import CallServices
from voice_agent.clock import LoopClock
from voice_agent.config import Settings
from voice_agent.conversation.locales import DEFAULT_LOCALE, resolve_locale
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.embedding.minilm import MiniLmEmbedder, default_cache_dir
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.providers.turn.smart_turn import SmartTurnModel
from voice_agent.providers.understanding.semantic import SemanticUnderstanding
from voice_agent.providers.vad.silero import SileroDetectorFactory
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter

_VARIABLE = "VOICE_AGENT_LOAD"  # workers are processes of their own: they read what was asked for from the environment


@dataclass(frozen=True)
class Wishes:
    """``turn_model`` is "local" or "scripted"; ``fault_rate`` the share of provider requests that go wrong."""

    turn_model: str = "local"
    greeting: bool = False
    fault_rate: float = 0.0
    seed: int = 1

    def publish(self) -> None:
        os.environ[_VARIABLE] = json.dumps(asdict(self))


def wishes() -> Wishes:
    return Wishes(**json.loads(os.environ.get(_VARIABLE, "{}")))


def scripted_services(settings: Settings) -> CallServices:
    """Builds them for this process, models warm. Called by the program, or by name in each of its workers."""
    wanted = wishes()
    return services_with(settings, wanted, Faults(wanted.fault_rate, wanted.seed + os.getpid() % 1000))


def services_with(settings: Settings, wanted: Wishes, faults: Faults) -> CallServices:
    pool = ModelPool(settings.local_models.workers, settings.local_models.queue)
    # Callers of a load test repeat each other: without a memory for texts each turn costs what it costs in real calls.
    understanding = SemanticUnderstanding(MiniLmEmbedder(pool, cache_texts=0), cache_dir=default_cache_dir())
    detectors = SileroDetectorFactory(pool)
    turn_model = ScriptedTurnModel() if wanted.turn_model == "scripted" else SmartTurnModel(pool)

    async def warm_up() -> None:
        for part in (understanding, detectors, turn_model):
            await part.warm_up()

    warming = threading.Thread(target=lambda: asyncio.run(warm_up()))  # an event loop may be running here already
    warming.start()
    warming.join()
    clock = LoopClock()
    tools = ToolRegistry(lookup_tool())
    greeting = frozenset() if wanted.greeting else frozenset(resolve_locale(DEFAULT_LOCALE).prompts.greeting)
    return CallServices(
        clock=clock,
        recognizers=RecognizerChain.of(Recognizers(faults), clock),
        detectors=detectors,
        turn_model=turn_model,
        understanding=understanding,
        language_model=LanguageModelChain.of(LanguageModel(faults), clock),
        synthesizer=CachingSynthesizer(SynthesizerChain.of(Synthesizer(faults, greeting), clock)),
        tools=tools,
        router=ToolRouter(tools, settings.tools, clock),
        pins=Pins(),
        handover=Handovers(),
        settings=call_settings(settings),
    )
