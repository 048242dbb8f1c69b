"""Calls by text: a real session, machine, vault, journal and tools, without models for the ear and the voice.

What a caller says is given to the session as audio of no meaning, whose words the recogniser here knows; what the agent
says lasts a moment. So a call of ten turns takes seconds, a hundred run at once, and everything between the ear and the
mouth is what callers get.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from voice_agent.call.door import HEAR_RATE_HZ, SPEAK_RATE_HZ
from voice_agent.call.services import CallServices, CallSettings
from voice_agent.call.session import CallSession
from voice_agent.clock import Clock
from voice_agent.conversation.codec import Kind, kind_of
from voice_agent.conversation.endpointing import EndpointingSettings
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.conversation.states import AgentState, CallerState, CallState
from voice_agent.errors import CallError
from voice_agent.models import (
    CallId,
    ContextPacket,
    Meaning,
    MeaningScore,
    ReplyId,
    SecretOutcome,
    TransferReceipt,
    UtteranceId,
)
from voice_agent.observability.record import LogRecord, RecordSink
from voice_agent.providers.asr.base import AsrCapabilities, AsrEvent, Final
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.llm.base import LanguageModel
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.providers.understanding.base import Understanding
from voice_agent.providers.vad.base import OnFailure, OnHop
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.second_factor import GuardedSecondFactor
from voice_agent.tools.verify_pin import PinVerifier

_HOP_SAMPLES = 512
_HOP_S = _HOP_SAMPLES / HEAR_RATE_HZ
_VOICED, _SILENT = b"\x01\x00" * _HOP_SAMPLES, bytes(2 * _HOP_SAMPLES)
_SPOKEN = b"\x01\x00" * (SPEAK_RATE_HZ // 50)  # a sentence lasts 20 ms
_UTTERANCE_HOPS = 4
_SETTLED_S = 0.1
# Silence that ends a turn: its length is no subject here.
_ENDPOINTING = EndpointingSettings(min_s=0.06, unsure_s=0.06, max_s=0.12, shape_s=0.06, opener_s=0.06, hold_s=0.12)


class _Words:
    """What the callers of one process are about to say, by the session that asks."""

    def __init__(self) -> None:
        self.next: list[str] = []


class _Recognizer:
    capabilities = AsrCapabilities(wants_silence=False, locales=())

    def __init__(self, words: _Words) -> None:
        self._words = words
        self._utterance = UtteranceId(0)
        self._finals: asyncio.Queue[AsrEvent] = asyncio.Queue()

    def begin(self, utterance_id: UtteranceId) -> None:
        self._utterance = utterance_id

    def push(self, pcm: bytes) -> None:
        """The words are known."""

    def finalize(self) -> None:
        self._finals.put_nowait(Final(self._utterance, self._words.next.pop(0) if self._words.next else ""))

    async def events(self) -> AsyncIterator[AsrEvent]:
        while True:
            yield await self._finals.get()


class _Recognizers:
    def __init__(self, words: _Words) -> None:
        self._words = words

    async def warm_up(self) -> None:
        """Nothing to load."""

    @asynccontextmanager
    async def open(self, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[_Recognizer]:
        yield _Recognizer(self._words)


class _Detector:
    hop_samples = _HOP_SAMPLES

    def __init__(self, on_hop: OnHop) -> None:
        self._on_hop = on_hop

    def push(self, hop: bytes) -> None:
        self._on_hop(hop, 1.0 if hop[0] else 0.0)

    def close(self) -> None:
        """Nothing is held."""


class _Detectors:
    def open(self, on_hop: OnHop, on_failure: OnFailure) -> _Detector:
        return _Detector(on_hop)


class _TurnModel:
    async def warm_up(self) -> None:
        """Nothing to load."""

    async def completeness(self, pcm: bytes) -> float:
        return 1.0


class _Synthesizer:
    sample_rate_hz = SPEAK_RATE_HZ

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        yield _SPOKEN


class _Handovers:
    async def record(self, packet: ContextPacket) -> TransferReceipt:
        return TransferReceipt("CB-TEXT", connected=False)


class _Door:
    """Takes everything."""

    def send_audio(self, pcm: bytes) -> bool:
        return True

    def clear(self, reply_id: ReplyId) -> None:
        """Nothing is buffered."""


class OnePin:
    """Everybody has the same PIN: hashing thousands of them would measure argon2."""

    def __init__(self, pin: str) -> None:
        self._pin = pin

    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        return (SecretOutcome.VERIFIED, 3) if pin == self._pin else (SecretOutcome.WRONG, 2)


class NoMeaning:
    """Policy finds nothing to object to: what holds must hold without it."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]:
        return (MeaningScore(Meaning.NONE, 0.0, accepted=False),)


class TextCall:
    """One call. ``log`` holds its records. Enter it, ``say`` and ``press``, leave it: the call is over then.

    ``model`` is the language model of this call alone. Raises ``CallError`` where the agent does not come to rest within
    ``patience_s`` seconds.
    """

    def __init__(
        self,
        model: LanguageModel,
        understanding: Understanding,
        tools: ToolRegistry,
        router: ToolRouter,
        pins: PinVerifier,
        clock: Clock,
        *,
        caller_id: str,
        call_id: str,
        locale: str = "en-US",
        second_factor: GuardedSecondFactor | None = None,
        sinks: Sequence[RecordSink] = (),
        patience_s: float = 30.0,
    ) -> None:
        self._words = _Words()
        self._clock = clock
        self._patience_s = patience_s
        self.log: list[LogRecord] = []
        settings = CallSettings(
            machine=MachineSettings(endpointing=_ENDPOINTING, secret_patience_s=0.5),
            speech_start_s=2 * _HOP_S,
            speech_stop_s=2 * _HOP_S,
        )
        self._shadow = CallMachine(settings.machine)  # tells what the session's own is doing
        services = CallServices(
            clock=clock,
            recognizers=RecognizerChain.of(_Recognizers(self._words), clock),
            detectors=_Detectors(),
            turn_model=_TurnModel(),
            understanding=understanding,
            language_model=LanguageModelChain.of(model, clock),
            synthesizer=CachingSynthesizer(SynthesizerChain.of(_Synthesizer(), clock)),
            tools=tools,
            router=router,
            pins=pins,
            handover=_Handovers(),
            settings=settings,
            second_factor=second_factor,
        )
        self._session = CallSession(
            services,
            _Door(),
            call_id=CallId(call_id),
            caller_id=caller_id,
            locale=locale,
            sinks=[self.log.append, self._follow, *sinks],
        )
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> TextCall:
        self._running = asyncio.create_task(self._session.run(), name="text-call")
        await self._rest()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._session.hang_up("hangup")
        if self._running is not None:
            await self._running

    @property
    def over(self) -> bool:
        return self._shadow.call is CallState.ENDED

    async def say(self, text: str) -> None:
        """Says ``text`` and waits until the agent has answered and is silent. Nothing happens once the call is over."""
        if self.over:
            return
        self._words.next = [text]
        for hop in (_VOICED,) * _UTTERANCE_HOPS + (_SILENT,) * 6:
            self._session.hear(hop)
            await asyncio.sleep(_HOP_S)
        await self._rest()

    async def press(self, keys: str) -> None:
        """Presses keys one after another."""
        for key in keys:
            if not self.over:
                self._session.press(key)
                await asyncio.sleep(_HOP_S)
        await self._rest()

    def _follow(self, record: LogRecord) -> None:
        if kind_of(record.entry) is Kind.EVENT:
            self._shadow.handle(record.entry, record.t_s)  # type: ignore[arg-type]  # the kind was asked for just above

    async def _rest(self) -> None:
        """Until nobody has said anything for a moment, or the call is over."""
        until_s = self._clock.now() + self._patience_s
        quiet_since_s: float | None = None
        while not self.over:
            now_s = self._clock.now()
            if now_s > until_s:
                raise CallError(f"the agent did not come to rest within {self._patience_s} s")
            quiet = self._shadow.agent is AgentState.IDLE and self._shadow.caller is CallerState.SILENT
            quiet_since_s = (quiet_since_s or now_s) if quiet and not self._shadow.checking_secret else None
            if quiet_since_s is not None and now_s - quiet_since_s >= _SETTLED_S:
                return
            self._session.hear(_SILENT)
            await asyncio.sleep(_HOP_S)
