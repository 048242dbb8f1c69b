"""Providers that follow a script, at the provider protocols: what a session works with, without models or time.

Speech is a hop whose first sample is not zero; each utterance's words come from ``World.words``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from voice_agent.call.door import HEAR_RATE_HZ
from voice_agent.call.services import CallServices, CallSettings
from voice_agent.call.session import CallSession
from voice_agent.clock import LoopClock
from voice_agent.config import IdentitySettings, ToolSettings
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.locales import resolve_locale
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import (
    CallId,
    ContextPacket,
    Meaning,
    MeaningScore,
    ReplyId,
    SecretOutcome,
    ToolCall,
    TransferReceipt,
    UtteranceId,
)
from voice_agent.observability.record import LogRecord
from voice_agent.providers.asr.base import AsrCapabilities, AsrEvent, Final
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.providers.vad.base import OnFailure, OnHop
from voice_agent.tools.base import Tool
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.second_factor import GuardedSecondFactor, SecondFactor

HOP_SAMPLES = 512
HOP_S = HOP_SAMPLES / HEAR_RATE_HZ
VOICED, SILENT = b"\x01\x00" * HOP_SAMPLES, bytes(2 * HOP_SAMPLES)
SPEECH_HZ = 24_000

Round = list[LlmEvent | float | Exception]


@dataclass
class World:
    """The script. ``rounds`` are the language model's streams in order (a float is a pause in seconds, an error is
    raised), ``words`` what each utterance says, ``meanings`` what each turn means; ``factor`` follows a right PIN."""

    words: list[str] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    meanings: list[Meaning] = field(default_factory=list)
    pin: str = "4271"
    factor: SecondFactor | None = None
    speech_s: float = 1.0
    speech_fault: ProviderError | None = None
    speech_delay_s: float = 0.0
    handover_fault: Exception | None = None
    handover_delay_s: float = 0.0
    asr_fault: ProviderError | None = None
    requests: list[LlmRequest] = field(default_factory=list)
    voices: set[str] = field(default_factory=set)
    hints: tuple[str, ...] = ()
    packets: list[ContextPacket] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    open_streams: int = 0
    hops: int = 0
    recognizer: Recognizer | None = None

    # Recognition

    async def warm_up(self) -> None:
        """Nothing to load."""

    @asynccontextmanager
    async def open_recognizer(self) -> AsyncIterator[Recognizer]:
        self.recognizer = Recognizer(self)
        yield self.recognizer

    # Understanding

    async def meanings_of(self) -> tuple[MeaningScore, ...]:
        meaning = self.meanings.pop(0) if self.meanings else Meaning.NONE
        return (MeaningScore(meaning, 0.9, accepted=meaning is not Meaning.NONE, example="an example"),)


class Recognizer:
    capabilities = AsrCapabilities(wants_silence=False, locales=("en-US",))

    def __init__(self, world: World) -> None:
        self._world = world
        self._utterance = UtteranceId(0)
        self._finals: asyncio.Queue[AsrEvent] = asyncio.Queue()

    def begin(self, utterance_id: UtteranceId) -> None:
        self._utterance = utterance_id

    def push(self, pcm: bytes) -> None:
        assert len(pcm) == 2 * HOP_SAMPLES

    def finalize(self) -> None:
        text = self._world.words.pop(0) if self._world.words else ""
        self.gives(text)

    def gives(self, text: str) -> None:
        """A final, asked for or not, of the newest utterance."""
        self._finals.put_nowait(Final(self._utterance, text, 0.9))

    async def events(self) -> AsyncIterator[AsrEvent]:
        if self._world.asr_fault is not None:
            raise self._world.asr_fault
        while True:
            yield await self._finals.get()


class Recognizers:
    def __init__(self, world: World) -> None:
        self._world = world

    async def warm_up(self) -> None:
        """Nothing to load."""

    def open(self, *, locale: str, hints: tuple[str, ...]):  # type: ignore[no-untyped-def]
        self._world.hints = hints
        return self._world.open_recognizer()


class Detector:
    hop_samples = HOP_SAMPLES

    def __init__(self, world: World, on_hop: OnHop) -> None:
        self._world = world
        self._on_hop = on_hop

    def push(self, hop: bytes) -> None:
        self._world.hops += 1
        self._on_hop(hop, 1.0 if hop[0] else 0.0)

    def close(self) -> None:
        """Nothing is held."""


class Detectors:
    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, on_hop: OnHop, on_failure: OnFailure) -> Detector:
        return Detector(self._world, on_hop)


class TurnModel:
    async def warm_up(self) -> None:
        """Nothing to load."""

    async def completeness(self, pcm: bytes) -> float:
        return 0.95


class Understanding:
    def __init__(self, world: World) -> None:
        self._world = world

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]:
        return await self._world.meanings_of()


class LanguageModel:
    def __init__(self, world: World) -> None:
        self._world = world

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        self._world.requests.append(request)
        self._world.open_streams += 1
        try:
            for step in self._world.rounds.pop(0) if self._world.rounds else answer("That is all I know."):
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self._world.open_streams -= 1


class Synthesizer:
    sample_rate_hz = SPEECH_HZ

    def __init__(self, world: World) -> None:
        self._world = world

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        world = self._world
        world.voices.add(voice)
        world.open_streams += 1
        try:
            await asyncio.sleep(world.speech_delay_s)
            if world.speech_fault is not None:
                raise world.speech_fault
            for _ in range(round(world.speech_s / 0.1)):
                yield b"\x01\x00" * (SPEECH_HZ // 10)
        finally:
            world.open_streams -= 1


class Pins:
    def __init__(self, world: World) -> None:
        self._world = world

    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        self._world.checked.append(pin)
        right = pin == self._world.pin
        return (SecretOutcome.VERIFIED, 3) if right else (SecretOutcome.WRONG, 2)


class Tries:
    """The count of wrong codes, in memory."""

    most = 3

    def __init__(self) -> None:
        self.wrong = 0

    async def count(self, key: str) -> int | None:
        if self.wrong >= self.most:
            return None
        self.wrong += 1
        return self.wrong

    async def take_back(self, key: str) -> None:
        self.wrong -= 1

    async def forget(self, key: str) -> None:
        self.wrong = 0


class Handover:
    def __init__(self, world: World) -> None:
        self._world = world

    async def record(self, packet: ContextPacket) -> TransferReceipt:
        await asyncio.sleep(self._world.handover_delay_s)
        if self._world.handover_fault is not None:
            raise self._world.handover_fault
        self._world.packets.append(packet)
        return TransferReceipt("CB-23467", connected=False)


class Door:
    """A far side that takes everything; ``gone`` makes it fail as a lost connection does."""

    def __init__(self) -> None:
        self.sent_s = 0.0
        self.cleared: list[ReplyId] = []
        self.gone = False

    def send_audio(self, pcm: bytes) -> bool:
        if self.gone:
            raise ConnectionError("the far side is gone")
        self.sent_s += len(pcm) / (2 * SPEECH_HZ)
        return True

    def clear(self, reply_id: ReplyId) -> None:
        if self.gone:
            raise ConnectionError("the far side is gone")
        self.cleared.append(reply_id)


def answer(text: str) -> Round:
    return [TextDelta(text), LlmFinished()]


def asks_tool(name: str, arguments: str = "{}") -> Round:
    return [ToolCallRequested(ToolCall(f"call-{name}", name, arguments)), LlmFinished()]


def broken(category: ProviderFault = ProviderFault.NETWORK) -> ProviderError:
    return ProviderError("the vendor is gone", category=category)


class Caller:
    """One call at a session, driven like a door drives it."""

    def __init__(
        self,
        world: World,
        *tools: Tool,
        settings: CallSettings | None = None,
        agent: AgentProfile | None = None,
        locale: str = "en-US",
    ) -> None:
        self.world = world
        self.tries = Tries()
        self.door = Door()
        self.records: list[LogRecord] = []
        clock = LoopClock()
        registry = ToolRegistry(*tools)
        services = self.services = CallServices(
            clock=clock,
            recognizers=RecognizerChain.of(Recognizers(world), clock),
            detectors=Detectors(world),
            turn_model=TurnModel(),
            understanding=Understanding(world),
            language_model=LanguageModelChain.of(LanguageModel(world), clock),
            synthesizer=CachingSynthesizer(SynthesizerChain.of(Synthesizer(world), clock)),
            tools=registry,
            router=ToolRouter(registry, ToolSettings(), clock),
            pins=Pins(world),
            handover=Handover(world),
            settings=settings or CallSettings(),
            second_factor=self._factor(clock),
        )
        self.session = CallSession(
            services,
            self.door,
            call_id=CallId("c1"),
            caller_id="+1555",
            locale=locale,
            sinks=[self.records.append],
            agent=agent or AgentProfile(),
        )
        self.running = asyncio.create_task(self.session.run(), name="the-call")

    def _factor(self, clock: LoopClock) -> GuardedSecondFactor | None:
        if self.world.factor is None:
            return None
        return GuardedSecondFactor(
            self.world.factor, self.tries, IdentitySettings.model_construct(), ToolSettings(), clock
        )

    async def has_phrases(self) -> None:
        """The fixed phrases are prepared, as a server's are soon after its start."""
        prompts = resolve_locale("en-US").prompts
        phrases = (*prompts.unavailable, *prompts.handover_later, *prompts.fillers, *prompts.fillers_looking)
        await self.services.synthesizer.prepare(phrases, locale="en-US")

    async def listens(self, seconds: float) -> None:
        await self._send(SILENT, seconds)

    async def speaks(self, seconds: float = 0.8) -> None:
        await self._send(VOICED, seconds)

    async def says(self, words: str, *, then_s: float = 0.6) -> None:
        self.world.words.append(words)
        await self.speaks()
        await self.listens(then_s)

    async def hangs_up(self) -> None:
        self.session.hang_up("hangup")
        await self.running

    async def _send(self, hop: bytes, seconds: float) -> None:
        for _ in range(round(seconds / HOP_S)):
            if self.running.done():
                return
            self.session.hear(hop)
            await asyncio.sleep(HOP_S)

    def names(self) -> list[str]:
        return [record.entry.name for record in self.records]

    def last(self, name: str):  # type: ignore[no-untyped-def]
        found = [record.entry for record in self.records if record.entry.name == name]
        assert found, f"no {name} in {self.names()}"
        return found[-1]

    async def until(self, name: str, *, within_s: float = 30.0) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while name not in self.names():
            assert loop.time() < deadline, f"no {name} in {self.names()}"
            await self.listens(0.1)


def quick(**changes: object) -> CallSettings:
    return replace(CallSettings(), **changes)  # type: ignore[arg-type]
