"""A call server whose providers answer at once: what then remains of a turn is the platform's own work.

Speech is any frame that is not digital silence; 20 ms of silence end a turn. Everything but the providers and these two
settings is the product: WebSocket door, session, machine, reply, playout, event log, metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import uvloop

from voice_agent.app.settings import call_settings
from voice_agent.audio.frames import pcm_of
from voice_agent.call.services import CallServices
from voice_agent.cli.serve import serve
from voice_agent.clock import LoopClock
from voice_agent.config import Settings, load_settings
from voice_agent.models import ContextPacket, Meaning, MeaningScore, SecretOutcome, TransferReceipt, UtteranceId
from voice_agent.observability.logging import configure_logging
from voice_agent.providers.asr.base import AsrCapabilities, AsrEvent, Final
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.providers.vad.base import OnFailure, OnHop
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter

FRAME_S = 0.02
_SPEAK_HZ = 24_000
_TONE = pcm_of(0.2 * np.sin(2 * np.pi * 440 * np.arange(_SPEAK_HZ // 2) / _SPEAK_HZ))


class Detector:
    """Voiced where anything is sent but silence."""

    hop_samples = round(FRAME_S * 16_000)

    def __init__(self, on_hop: OnHop) -> None:
        self._on_hop = on_hop

    def push(self, hop: bytes) -> None:
        self._on_hop(hop, 1.0 if any(hop) else 0.0)

    def close(self) -> None:
        """Nothing is held."""


class Detectors:
    def open(self, on_hop: OnHop, on_failure: OnFailure) -> Detector:
        return Detector(on_hop)


class Recognizer:
    """Has always understood the same."""

    capabilities = AsrCapabilities(wants_silence=False, locales=("en-US",))

    def __init__(self) -> None:
        self._utterance_id = UtteranceId(0)
        self._finals: asyncio.Queue[AsrEvent] = asyncio.Queue()

    def begin(self, utterance_id: UtteranceId) -> None:
        self._utterance_id = utterance_id

    def push(self, pcm: bytes) -> None:
        """Audio does not matter here."""

    def finalize(self) -> None:
        self._finals.put_nowait(Final(self._utterance_id, "What is your return policy?"))

    async def events(self) -> AsyncIterator[AsrEvent]:
        while True:
            yield await self._finals.get()


class Recognizers:
    async def warm_up(self) -> None:
        """Nothing to load."""

    @asynccontextmanager
    async def open(self, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[Recognizer]:
        yield Recognizer()


class TurnModel:
    async def warm_up(self) -> None:
        """Nothing to load."""

    async def completeness(self, pcm: bytes) -> float:
        return 1.0


class Understanding:
    async def warm_up(self) -> None:
        """Nothing to load."""

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]:
        return (MeaningScore(Meaning.NONE, 0.0, accepted=False),)


class LanguageModel:
    async def warm_up(self) -> None:
        """Nothing to load."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        yield TextDelta("You can return anything within 30 days.")
        yield LlmFinished()


class Synthesizer:
    """Half a second of tone, whatever the text."""

    sample_rate_hz = _SPEAK_HZ

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        yield _TONE


class Pins:
    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        return SecretOutcome.UNKNOWN_CALLER, 0


class Handovers:
    async def record(self, packet: ContextPacket) -> TransferReceipt:
        return TransferReceipt("none", connected=False)


def scripted_services(settings: Settings) -> CallServices:
    clock = LoopClock()
    tools = ToolRegistry()
    call = call_settings(settings)
    endpointing = replace(call.machine.endpointing, min_s=FRAME_S)
    return CallServices(
        clock=clock,
        recognizers=RecognizerChain.of(Recognizers(), clock),
        detectors=Detectors(),
        turn_model=TurnModel(),
        understanding=Understanding(),
        language_model=LanguageModelChain.of(LanguageModel(), clock),
        synthesizer=CachingSynthesizer(SynthesizerChain.of(Synthesizer(), clock)),
        tools=tools,
        router=ToolRouter(tools, settings.tools, clock),
        pins=Pins(),
        handover=Handovers(),
        settings=replace(
            call, machine=replace(call.machine, endpointing=endpointing), speech_start_s=FRAME_S, speech_stop_s=FRAME_S
        ),
    )


def main() -> None:
    settings = load_settings(None)
    pipeline = configure_logging("WARNING", "console")
    try:
        uvloop.run(serve(settings, lambda _: None, services=scripted_services(settings)))
    finally:
        pipeline.stop()


if __name__ == "__main__":
    main()
