"""Deepgram's stand-in for a test, and the vendor's own client that talks to it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import orjson
from websockets.asyncio.client import ClientConnection, connect

from voice_agent.audio.frames import pcm_of
from voice_agent.dev_vendors.deepgram_engine import HearingEngine, LocalEngine
from voice_agent.dev_vendors.desk import Engines, VendorDesk
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.evaluation.caller_audio import read_wav
from voice_agent.providers import weights
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts.base import SpeechSynthesizer
from voice_agent.providers.tts.local import LocalSynthesizer
from voice_agent.providers.turn.smart_turn import SmartTurnModel
from voice_agent.providers.vad.silero import SileroDetectorFactory

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the vendor's client uses websockets' old interface
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.listen.v1.client import AsyncV1Client as _Loaded  # noqa: F401 - modules are otherwise loaded later
    from deepgram.listen.v2.client import AsyncV2Client as _Loaded2  # noqa: F401
    from deepgram.speak.v1.client import AsyncV1Client as _Loaded3  # noqa: F401

DEADLINE_S = 20
FRAME_BYTES = 640  # 20 ms at 16 kHz
RATE = "encoding=linear16&sample_rate=16000"


@asynccontextmanager
async def stand_in(
    hearing: HearingEngine | None = None, synthesizer: SpeechSynthesizer | None = None
) -> AsyncIterator[RunningVendors]:
    """The servers, with these engines, or scripted ones that nothing is asked of."""
    pool = ModelPool(1)
    try:
        engines = Engines(
            LocalRecognizerFactory(pool), ScriptedModel("Fine."), synthesizer or ToneSynthesizer(), hearing
        )
        async with running_vendors(VendorDesk(engines)) as vendors:
            yield vendors
    finally:
        await pool.close()


@asynccontextmanager
async def real_stand_in() -> AsyncIterator[RunningVendors]:
    """The servers with the local models behind."""
    pool = ModelPool(2)
    try:
        recognizers, detectors = LocalRecognizerFactory(pool), SileroDetectorFactory(pool)
        turn_model = SmartTurnModel(pool)
        await asyncio.gather(recognizers.warm_up(), detectors.warm_up(), turn_model.warm_up())
        hearing = LocalEngine(recognizers, detectors, turn_model)
        engines = Engines(recognizers, ScriptedModel("Fine."), LocalSynthesizer(pool), hearing)
        async with running_vendors(VendorDesk(engines)) as vendors:
            yield vendors
    finally:
        await pool.close()


def sdk(vendors: RunningVendors, *, key: str = "", requests: httpx.AsyncClient | None = None) -> Any:
    """The vendor's client. It does not close its connections for requests: give it a client that you close."""
    http = vendors.deepgram_url
    environment = DeepgramClientEnvironment(base=http, production=_ws(http), agent=_ws(http), agent_rest=http)
    return AsyncDeepgramClient(api_key=key or vendors.desk.key, environment=environment, httpx_client=requests)


def raw(vendors: RunningVendors, path: str, *, key: str = "") -> connect:
    """A plain WebSocket, for what the vendor's client would not send."""
    headers = {"Authorization": f"Token {key or vendors.desk.key}"}
    return connect(_ws(vendors.deepgram_url) + path, additional_headers=headers, compression=None, proxy=None)


def _ws(url: str) -> str:
    return url.replace("http://", "ws://")


async def said(socket: ClientConnection) -> list[dict[str, Any]]:
    """All messages until the server closes."""
    async with asyncio.timeout(DEADLINE_S):
        return [orjson.loads(message) async for message in socket]


async def until(socket: ClientConnection, kind: str, **fields: Any) -> dict[str, Any]:
    """The next message of that type with these fields."""
    async with asyncio.timeout(DEADLINE_S):
        async for text in socket:
            message: dict[str, Any] = orjson.loads(text)
            if message["type"] == kind and all(message[name] == value for name, value in fields.items()):
                return message
    raise AssertionError(f"the session ended without a {kind} {fields}")


def checked(messages: Iterable[Any]) -> list[Any]:
    """The SDK's messages; it parses without checking, so each is checked against its own model here."""
    found = list(messages)
    for message in found:
        assert not isinstance(message, dict), f"the SDK does not know {message}"
        type(message).model_validate(message.model_dump(), strict=True)
    return found


def frames(pcm: bytes, frame_bytes: int = FRAME_BYTES) -> list[bytes]:
    return [pcm[at : at + frame_bytes] for at in range(0, len(pcm), frame_bytes)]


def tone(seconds: float, rate_hz: int = 16_000) -> bytes:
    """Speech, to a script."""
    return pcm_of(0.2 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate_hz)) / rate_hz))


def quiet(seconds: float, rate_hz: int = 16_000) -> bytes:
    return bytes(2 * round(seconds * rate_hz))


def recorded_speech() -> bytes:
    """Ten seconds: "Ever tried, ever failed, no matter. Try again, fail again, fail better." """
    return read_wav(weights.package_file("moonshine_voice", "assets/beckett.wav"), 16_000)
