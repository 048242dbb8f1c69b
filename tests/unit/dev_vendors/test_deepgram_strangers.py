"""Frames that no client of Deepgram sends: the stand-in answers or closes, and nothing of it fails."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.unit.dev_vendors.deepgram_kit import DEADLINE_S, RATE, raw, stand_in, tone
from websockets.exceptions import ConnectionClosed

from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine

PATHS = [
    f"/v1/listen?model=nova-3&{RATE}&interim_results=true",
    f"/v2/listen?model=flux-general-en&{RATE}",
    "/v1/speak?model=aura-2-thalia-en",
]
FRAMES: list[str | bytes] = [
    "",
    " ",
    "null",
    "7",
    '"text"',
    "[[[[[[[[]]]]]]]]",
    "{" * 100_000,
    '{"type": null}',
    '{"type": ["Finalize"]}',
    '{"type": "Finalize", "channel": 9}',
    '{"type": "Configure"}',
    '{"type": "Configure", "keyterms": {}}',
    '{"type": "Configure", "thresholds": []}',
    '{"type": "Configure", "thresholds": {"eot_threshold": "high"}}',
    '{"type": "Configure", "thresholds": {"eot_threshold": [0.7]}}',
    '{"type": "Configure", "thresholds": {"eot_timeout_ms": 1e300}}',
    '{"type": "Configure", "thresholds": {"eot_timeout_ms": null, "eager_eot_threshold": null}}',
    '{"type": "Configure", "thresholds": {"eot_threshold": null}}',
    '{"type": "Speak", "text": 7}',
    '{"type": "Speak", "text": "\\ud83d"}',
    '{"type": "Flush"}',
    '{"type": "Clear"}',
    '{"type": "ForceEndTurn"}',
    '{"type": "KeepAlive"}',
    "\x00\x01\x02",
    "é" * 10_000,
    b"\x00",
    tone(0.5)[:-1],
    bytes(200_000),
    b"",
    '{"type": "Finalize"}',
    '{"type": "CloseStream"}',
    '{"type": "Close"}',
]


async def send_all(vendors: Any, path: str, frames: list[str | bytes]) -> None:
    """Sends all that the server takes, and hears it out."""
    try:
        async with asyncio.timeout(DEADLINE_S), raw(vendors, path) as socket:
            for frame in frames:
                await socket.send(frame)
            await socket.ping()
            async for _ in socket:
                pass
    except ConnectionClosed:
        return


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_fails_whatever_comes(path: str, caplog: pytest.LogCaptureFixture) -> None:
    async with stand_in(ScriptedEngine(["Yes, please."])) as vendors:
        await send_all(vendors, path, FRAMES)
        async with asyncio.TaskGroup() as group:
            for frame in FRAMES:  # each by itself: some of them end a session
                end = '{"type": "Close"}' if "speak" in path else '{"type": "CloseStream"}'
                group.create_task(send_all(vendors, path, [frame, end]))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
