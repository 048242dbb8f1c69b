"""The script of ``load/script.py`` as this project's providers, with faults where a soak wants them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from load.script import (
    FIRST_TOKEN_S,
    SPEAK_RATE_HZ,
    TOOL_S,
    MarkedSpeech,
    Voice,
    wants_tool,
    written,
)
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import ContextPacket, Role, SecretOutcome, ToolCall, TransferReceipt, UtteranceId
from voice_agent.providers.asr.base import AsrCapabilities, AsrEvent, Final, Partial
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext

_HANG_S = 3600.0
_DIES_AFTER = 5  # tokens or chunks
SCRIPTED_SCORE_S = 0.04  # what the real end-of-turn model takes, without its use of the processor


class Faults:
    """Draws what goes wrong: at ``rate`` (a share of requests) one fails at once, hangs, or dies half-way."""

    def __init__(self, rate: float = 0.0, seed: int = 1) -> None:
        self._rate = rate
        self._random = random.Random(seed)
        self.drawn: dict[str, int] = {}

    def draw(self, who: str) -> str:
        """ "refuse", "hang", "die", or "" where nothing goes wrong."""
        if self._random.random() >= self._rate:
            return ""
        fault = self._random.choice(("refuse", "hang", "die"))
        self.drawn[f"{who} {fault}"] = self.drawn.get(f"{who} {fault}", 0) + 1
        return fault


async def _begin(fault: str, who: str) -> None:
    if fault == "refuse":
        raise ProviderError(f"the scripted {who} refuses", category=ProviderFault.NETWORK)
    if fault == "hang":
        await asyncio.sleep(_HANG_S)


def _died(who: str) -> ProviderError:
    return ProviderError(f"the scripted {who} died", category=ProviderFault.NETWORK)


class Recognizer:
    """Reads the marks. Its final comes unasked, and again at once when it is asked for afterwards."""

    capabilities = AsrCapabilities(wants_silence=True, locales=("en-US",))

    def __init__(self, fault: str) -> None:
        self._events: asyncio.Queue[AsrEvent] = asyncio.Queue()
        self._marks = MarkedSpeech(on_begin=self._new, on_partial=self._partial, on_final=self._final)
        self._utterance_id: UtteranceId | None = None
        self._text = ""
        self._complete = self._due = False
        self._fault = fault

    def begin(self, utterance_id: UtteranceId) -> None:
        self._utterance_id = utterance_id
        if self._complete:  # the last utterance's words; whoever speaks now has said nothing yet
            self._text, self._complete = "", False
        if self._text:
            self._events.put_nowait(Partial(utterance_id, self._text))

    def push(self, pcm: bytes) -> None:
        self._marks.feed(pcm)

    def finalize(self) -> None:
        if self._complete or not (self._marks.speaking or self._due):
            self._give()

    async def events(self) -> AsyncIterator[AsrEvent]:
        while True:
            event = await self._events.get()
            if self._fault and isinstance(event, Final):
                await _begin(self._fault, "recogniser")
                raise _died("recogniser")
            yield event

    def _new(self) -> None:
        self._text, self._complete, self._due = "", False, True

    def _partial(self, text: str) -> None:
        self._text = text
        if self._utterance_id is not None:
            self._events.put_nowait(Partial(self._utterance_id, text))

    def _final(self, text: str) -> None:
        self._text, self._complete, self._due = text, True, False
        self._give()

    def _give(self) -> None:
        if self._utterance_id is not None:
            self._events.put_nowait(Final(self._utterance_id, self._text))


class Recognizers:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def warm_up(self) -> None:
        """Nothing to load."""

    @asynccontextmanager
    async def open(self, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[Recognizer]:
        yield Recognizer(self._faults.draw("recogniser"))


class LanguageModel:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        fault = self._faults.draw("model")
        await _begin(fault, "model")
        newest = request.messages[-1]
        asked = next((m.text for m in reversed(request.messages) if m.role is Role.CALLER), "")
        if newest.role is not Role.TOOL and wants_tool(asked):
            await asyncio.sleep(FIRST_TOKEN_S)
            yield ToolCallRequested(ToolCall(f"call-{len(request.messages)}", "lookup", '{"query": "delivery"}'))
        else:
            async with aclosing(written()) as tokens:
                place = 0
                async for token in tokens:
                    if fault and place == _DIES_AFTER:
                        raise _died("model")
                    place += 1
                    yield TextDelta(token)
        yield LlmFinished()


class Synthesizer:
    """``unspoken`` texts are silent: the servers that this one is compared with do not greet."""

    sample_rate_hz = SPEAK_RATE_HZ

    def __init__(self, faults: Faults, unspoken: frozenset[str] = frozenset()) -> None:
        self._faults = faults
        self._unspoken = unspoken
        self._voice = Voice()

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        if text in self._unspoken:
            yield bytes(SPEAK_RATE_HZ // 50 * 2)  # a frame of silence
            return
        fault = self._faults.draw("synthesis")
        await _begin(fault, "synthesis")
        async with aclosing(self._voice.synthesise(text)) as chunks:
            place = 0
            async for chunk in chunks:
                if fault and place == _DIES_AFTER:
                    raise _died("synthesis")
                place += 1
                yield chunk


class ScriptedTurnModel:
    """Finds every utterance complete after the time that the real model takes, which costs no processor time here."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def completeness(self, pcm: bytes) -> float:
        await asyncio.sleep(SCRIPTED_SCORE_S)
        return 0.9


class Pins:
    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        return SecretOutcome.UNKNOWN_CALLER, 0


class Handovers:
    async def record(self, packet: ContextPacket) -> TransferReceipt:
        return TransferReceipt("none", connected=False)


def lookup_tool() -> Tool:
    """A read that takes ``TOOL_S``."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        await asyncio.sleep(TOOL_S)
        return ToolAnswer({"days": 3})

    return Tool(
        name="lookup",
        description="Looks something up.",
        parameters={
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I can't look that up right now.",
    )
