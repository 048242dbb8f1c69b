"""Clients that go before their request is whole, and bodies that are too long: noted, answered, no error in the log."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

import httpx
import pytest
from tests.unit.dev_vendors.deepgram_kit import DEADLINE_S, stand_in

from voice_agent.dev_vendors.bodies import MAX_BODY_BYTES
from voice_agent.dev_vendors.desk import Mark

REQUESTS = [
    ("/v1/chat/completions", "Bearer"),
    ("/v1/audio/speech", "Bearer"),
    ("/v1/speak?model=aura-2-thalia-en&container=none&encoding=linear16", "Token"),
]


@pytest.mark.parametrize(("path", "scheme"), REQUESTS)
async def test_a_client_that_goes_in_the_middle_of_its_request_is_noted(
    path: str, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with stand_in() as vendors:
        place = urlsplit(vendors.direct_url)
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: {scheme} {vendors.desk.key}\r\n"
        writer.write(f'{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"text": '.encode())
        await writer.drain()
        await vendors.desk.journal.wait_for(Mark.REQUEST, timeout_s=DEADLINE_S)
        writer.close()
        await vendors.desk.journal.wait_for(Mark.CLIENT_GONE, timeout_s=DEADLINE_S)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(("path", "scheme"), REQUESTS)
async def test_a_body_that_is_too_long_is_refused(path: str, scheme: str) -> None:
    async with stand_in() as vendors, httpx.AsyncClient(timeout=DEADLINE_S) as client:
        answer = await client.post(
            vendors.direct_url + path,
            content=b" " * (MAX_BODY_BYTES + 1),
            headers={"authorization": f"{scheme} {vendors.desk.key}", "content-type": "application/json"},
        )
    assert answer.status_code == 413
    assert str(MAX_BODY_BYTES) in answer.text
