"""What our clients and chains add to a vendor's own delay, and how soon the vendor sees that an answer is not wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hosted.vendor_process import VendorProcess
from voice_agent.clock import LoopClock, process_seconds
from voice_agent.config import load_settings
from voice_agent.dev_vendors.desk import Entry, Mark
from voice_agent.dev_vendors.faults import Stage
from voice_agent.models import Message, Role, UtteranceId
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ, Final
from voice_agent.providers.chain.base import unreported
from voice_agent.providers.chain.build import Chains, build_chains
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.base import LlmRequest, TextDelta
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import provider_context

SENTENCE = "We keep everything in stock, and whatever you order leaves our warehouse on the day you order it."
_REQUEST = LlmRequest(
    (Message(Role.SYSTEM, "You answer a shop's telephone."), Message(Role.CALLER, "What do you have in stock?"))
)
_HEARD_S = 0.05  # of an answer, until it is cancelled
_SEEN_WITHIN_S = 1.0
_ASKED_AFTER_STEPS = 8  # of 20 ms: the pause at which the platform asks for a final


@dataclass
class Added:
    """Milliseconds, one entry a request. ``out``: from our asking to the vendor's receiving; ``back``: from the vendor's
    sending its first result to our giving it to the call."""

    out_ms: list[float] = field(default_factory=list)
    back_ms: list[float] = field(default_factory=list)


@asynccontextmanager
async def chains(
    vendors: VendorProcess, set_variable: Callable[[str, str], None], **more: str
) -> AsyncIterator[Chains]:
    """The platform's chains, as it builds them from settings, with warm connections."""
    environment = {
        "ASR_PROVIDER": "deepgram",
        "LLM_PROVIDER": "openai",
        "TTS_PROVIDER": "openai",
        "DEEPGRAM_URL": vendors.url(Stage.ASR),
        "DEEPGRAM_API_KEY": vendors.key,
        "OPENAI_BASE_URL": f"{vendors.url(Stage.LLM)}/v1",
        "OPENAI_API_KEY": vendors.key,
        "ASR_MODEL": "",
        **more,
    }
    for variable, value in environment.items():
        set_variable(variable, value)
    async with AsyncExitStack() as stack:
        pool = ModelPool(1)
        stack.push_async_callback(pool.close)
        context = provider_context(load_settings(None), pool, MiniLmEmbedder(pool))
        stack.push_async_callback(context.web.aclose)
        built = build_chains(load_settings(None), context, LoopClock())
        await built.recognizers.warm_up()
        await built.synthesizer.warm_up()
        await built.language_model.warm_up()
        await context.warmth.warm()
        yield built


async def answers(stage: Stage, built: Chains, vendors: VendorProcess, count: int) -> Added:
    """Language model or synthesis, one request after another."""
    added = Added()
    for _ in range(count + 1):
        asked_s = process_seconds()
        first_s = 0.0
        async with aclosing(_items(stage, built)) as items:
            async for _ in items:
                first_s = first_s or process_seconds()
        received, sent = _first_pair(vendors.entries(asked_s), stage)
        added.out_ms.append((received - asked_s) * 1e3)
        added.back_ms.append((first_s - sent) * 1e3)
        await asyncio.sleep(0.02)
    del added.out_ms[0], added.back_ms[0]  # imports, the first connection
    return added


async def finals(built: Chains, vendors: VendorProcess, count: int, tone: bytes, *, judges_turns: bool) -> Added:
    """Recognition: utterances of one call, spoken in real time; the vendor sends a final, the call gets it. One that
    ``judges_turns`` itself is not asked: its final is the end of the turn."""
    added = Added()
    step = SAMPLE_RATE_HZ // 50 * 2
    pause_s = 1.0 if judges_turns else 0.6
    audio = tone + bytes(round(pause_s * SAMPLE_RATE_HZ) * 2)
    async with built.recognizers.open(locale="en-US", hints=(), report=unreported) as recognizer:
        events = recognizer.events()
        for number in range(count):
            recognizer.begin(UtteranceId(number + 1))
            begun_s = process_seconds()
            hearing = asyncio.create_task(_final(events, number + 1, ends_turn=judges_turns))
            asked = judges_turns
            for at in range(0, len(audio), step):
                recognizer.push(audio[at : at + step])
                await asyncio.sleep(max(0.0, begun_s + (at + step) / (2 * SAMPLE_RATE_HZ) - process_seconds()))
                if not asked and at >= len(tone) + _ASKED_AFTER_STEPS * step:
                    asked = True
                    recognizer.finalize()
            async with asyncio.timeout(5):
                given_s = await hearing
            entries = [e for e in vendors.entries(begun_s) if e.stage is Stage.ASR and e.mark is Mark.SENT]
            final = "EndOfTurn" if judges_turns else "is_final"
            sent = [e for e in entries if final in e.text and "Eager" not in e.text and e.at_s <= given_s]
            added.back_ms.append((given_s - sent[-1].at_s) * 1e3)
    return added


async def _final(events: AsyncIterator[Any], utterance: int, *, ends_turn: bool) -> float:
    async for event in events:
        is_ours = isinstance(event, Final) and event.utterance_id == utterance and bool(event.text)
        if is_ours and (event.ends_turn or not ends_turn):
            return process_seconds()
    raise RuntimeError("the recogniser ended")


async def cancellations(stage: Stage, built: Chains, vendors: VendorProcess, count: int) -> list[float]:
    """Milliseconds from our cancelling an answer under way to the vendor's seeing its client gone; infinite where it does
    not within a second."""
    seen_ms: list[float] = []
    for _ in range(count):
        begun_s = process_seconds()
        started = asyncio.Event()
        consuming = asyncio.create_task(_consume(stage, built, started))
        await started.wait()
        await asyncio.sleep(_HEARD_S)
        cancelled_s = process_seconds()
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        seen_ms.append((await _gone(stage, vendors, begun_s) - cancelled_s) * 1e3)
        await asyncio.sleep(0.05)
    return seen_ms


async def _gone(stage: Stage, vendors: VendorProcess, begun_s: float) -> float:
    while process_seconds() < begun_s + _SEEN_WITHIN_S:
        for entry in vendors.entries(begun_s):
            if entry.stage is stage and entry.mark is Mark.CLIENT_GONE:
                return entry.at_s
        await asyncio.sleep(0.005)
    return float("inf")


async def _consume(stage: Stage, built: Chains, started: asyncio.Event) -> None:
    async with aclosing(_items(stage, built)) as items:
        async for _ in items:
            started.set()


async def _items(stage: Stage, built: Chains) -> AsyncIterator[Any]:
    """What a request gives, of an answer's own content."""
    if stage is Stage.TTS:
        async with aclosing(built.synthesizer.synthesize(SENTENCE, locale="en-US", report=unreported)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    async with aclosing(built.language_model.stream(_REQUEST, unreported)) as events:
        async for event in events:
            if isinstance(event, TextDelta) and event.text:
                yield event


def _first_pair(entries: list[Entry], stage: Stage) -> tuple[float, float]:
    """When the vendor received the request, and when it sent the first of its content."""
    received = next(
        e for e in entries if e.stage is stage and e.mark in (Mark.REQUEST, Mark.RECEIVED) and "/models" not in e.text
    )
    sent = next(e for e in entries if e.stage is stage and e.mark is Mark.FIRST_BYTE and e.at_s >= received.at_s)
    return received.at_s, sent.at_s
