"""Status codes, connections that fail, connections opened ahead."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.providers.openai_api.conftest import MakeAccount
from tests.unit.providers.openai_api.wire import Reply, greeting, until, unused_port, wire

from voice_agent.errors import ConfigError, ProviderError, ProviderFault
from voice_agent.providers.addresses import shown
from voice_agent.providers.openai_api.errors import failure_of
from voice_agent.providers.peer import Peer
from voice_agent.providers.web import WebClient

F = ProviderFault


def told(status: int, error: object = None, headers: dict[str, str] | None = None) -> ProviderError:
    body = json.dumps({"error": error or {"message": "sk-secret-key said by Mrs Jones"}}).encode()
    failure = failure_of(status, headers or {}, body)
    peer = Peer("Acme", "http://acme/v1", "ACME_KEY", "ACME_URL")
    return failure.error(peer, model="some-model", model_variable="ACME_MODEL")


@pytest.mark.parametrize(
    ("status", "error", "category", "retryable"),
    [
        (401, None, F.AUTH, False),
        (403, None, F.AUTH, False),
        (402, None, F.QUOTA, False),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, F.QUOTA, False),
        (429, {"code": "rate_limit_exceeded", "type": "requests"}, F.RATE, True),
        (429, "slow down", F.RATE, True),
        (400, {"code": "context_length_exceeded", "param": "messages"}, F.PROTOCOL, False),
        (404, {"code": "model_not_found"}, F.PROTOCOL, False),
        (302, None, F.PROTOCOL, False),
        (500, None, F.INTERNAL, True),
        (503, None, F.INTERNAL, True),
        (502, None, F.NETWORK, True),
        (504, None, F.NETWORK, True),
    ],
)
def test_status_codes_have_categories(status: int, error: object, category: ProviderFault, retryable: bool) -> None:
    raised = told(status, error)
    assert (raised.category, raised.retryable) == (category, retryable)
    assert str(status) in str(raised)


def test_a_message_names_what_to_change_and_quotes_nothing() -> None:
    text = str(told(404, {"code": "model_not_found", "message": "sk-secret-key Mrs Jones"}))
    for part in ("some-model", "http://acme/v1", "model_not_found", "ACME_MODEL"):
        assert part in text
    assert "ACME_KEY" in str(told(401))
    for raised in (text, str(told(401)), str(told(500, {"code": "a code of\nmany words"}))):
        assert "Jones" not in raised
        assert "sk-secret" not in raised
        assert "\n" not in raised


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, 3600.0),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}, 3600.0),
        ({"retry-after": "Fri, 31 Dec 2100 23:59:59"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert told(429, headers=headers).retry_after_s == seconds
    assert told(503, headers=headers).retry_after_s == seconds


@pytest.mark.parametrize(
    "url", ["", "acme.com/v1", "ftp://acme/v1", "http://", "http://acme:port/v1", "http://[::1/v1"]
)
def test_an_address_that_is_none_stops_the_start(account: MakeAccount, url: str) -> None:
    with pytest.raises(ConfigError, match="ACME_URL"):
        account(url)


def test_credentials_in_an_address_are_not_shown() -> None:
    assert shown("https://me:secret@acme.com/v1?key=secret") == "https://acme.com/v1"


# --- connections that fail --------------------------------------------------------------------------------------------


async def failing(account: MakeAccount, url: str, connect_s: float = 5.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async with asyncio.timeout(20):
            await account(url, connect_s=connect_s).post("/x", {})
    return caught.value


async def test_nobody_listens(account: MakeAccount) -> None:
    port = await unused_port()
    error = await failing(account, f"http://127.0.0.1:{port}/v1")
    assert (error.category, error.retryable) == (F.NETWORK, True)
    assert "refused" in str(error)


async def test_a_name_that_does_not_exist(account: MakeAccount) -> None:
    error = await failing(account, "http://no-such-host.invalid/v1")
    assert error.category is F.NETWORK
    assert "name" in str(error)


async def test_a_handshake_that_never_ends(account: MakeAccount) -> None:
    async with wire(Reply()) as server:
        error = await failing(account, server.url.replace("http", "https"), connect_s=0.05)
    assert error.category is F.TIMEOUT
    assert "50 ms" in str(error)


async def test_a_server_without_tls(account: MakeAccount) -> None:
    async with greeting(b"\x15\x03\x03\x00\x02\x02\x28") as place:  # alert: handshake failure
        error = await failing(account, f"https://{place}/v1")
    assert error.category is F.NETWORK
    assert "TLS" in str(error)


# --- connections opened ahead -----------------------------------------------------------------------------------------

MODELS = Reply([b'{"object": "list", "data": []}'], headers={"content-type": "application/json"})


async def test_warming_opens_a_connection_only_when_none_waits(account: MakeAccount) -> None:
    async with wire(MODELS) as server:
        one = account(server.url)
        await one.warm()
        await one.warm()
        assert [asked.path for asked in server.asked] == ["/v1/models"]
        answer = await one.post("/x", {})
        await one.warm()  # the only connection is in use
        await answer.release()
        await one.warm()
        assert server.connections == 2
        assert len(server.asked) == 3


async def test_two_providers_at_one_server_warm_a_connection_each(account: MakeAccount) -> None:
    async with wire(MODELS) as server:
        await asyncio.gather(account(server.url).warm(), account(server.url).warm())
        assert server.connections == 2


async def test_a_connection_that_the_server_closed_is_opened_anew(account: MakeAccount) -> None:
    async with wire(Reply(MODELS.pieces, headers={**MODELS.headers, "connection": "close"}, then="end")) as server:
        one = account(server.url)
        await one.warm()
        await one.warm()
        assert server.connections == 2


async def test_a_cancelled_request_is_followed_by_a_new_connection(account: MakeAccount) -> None:
    async with wire(Reply([b"x"], then="hold"), MODELS) as server:
        one = account(server.url)
        answer = await one.post("/x", {})
        await one.close(answer)
        await until(lambda: len(server.asked) == 2 and one.web.has_waiting(server.url))
        assert server.asked[1].path == "/v1/models"


async def test_warming_with_a_bad_key_says_so(account: MakeAccount) -> None:
    async with wire(Reply([b"{}"], 401)) as server:
        with pytest.raises(ProviderError, match="ACME_KEY"):
            await account(server.url).warm()


async def test_a_server_without_a_list_of_models_is_warm_all_the_same(account: MakeAccount) -> None:
    async with wire(Reply([b"not here"], 404)) as server:
        one = account(server.url)
        await one.warm()
        assert one.web.has_waiting(server.url)


async def test_closing_the_client_ends_what_runs_in_the_background() -> None:
    web = WebClient()
    task = web.spawn(asyncio.sleep(3600), "sleeper")
    await web.aclose()
    assert task.cancelled()
