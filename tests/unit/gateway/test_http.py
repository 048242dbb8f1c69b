"""The pages, the probes and the operator's API, over real HTTP."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.unit.gateway.calls import served
from websockets.asyncio.client import connect

from voice_agent.agents.book import open_agents


@pytest.fixture
async def client() -> httpx.AsyncClient:  # type: ignore[misc]
    async with httpx.AsyncClient(timeout=10) as made:
        yield made


async def test_health_and_metrics(client: httpx.AsyncClient) -> None:
    async with served() as server:
        health = await client.get(server.http("/health"))
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        metrics = await client.get(server.http("/metrics"))
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert metrics.text.endswith("voice_active_sessions 0\n")


async def test_ready_follows_the_places(client: httpx.AsyncClient) -> None:
    async with served(capacity=1) as server:
        free = await client.get(server.http("/ready"))
        assert (free.status_code, free.json()["status"], free.json()["active_sessions"]) == (200, "ready", 0)
        async with connect(server.ws()) as ws:
            await ws.recv()
            full = await client.get(server.http("/ready"))
            assert full.status_code == 503
            assert full.json() == full.json() | {"status": "overloaded", "active_sessions": 1, "capacity": 1}
        assert await server.idle()
        assert (await client.get(server.http("/ready"))).status_code == 200
        server.admission.drain()
        assert (await client.get(server.http("/ready"))).json()["status"] == "draining"


async def test_ready_while_starting(client: httpx.AsyncClient) -> None:
    async with served(warm=False) as server:
        answer = await client.get(server.http("/ready"))
        assert (answer.status_code, answer.json()["reason"]) == (503, "the server is still starting")


async def test_the_calls_list_names_neither_caller_nor_words(client: httpx.AsyncClient) -> None:
    async with served() as server, connect(server.ws("caller_id=+15550100")) as ws:
        await ws.recv()
        answer = await client.get(server.http("/api/calls"))
        (call,) = answer.json()["calls"]
        assert (call["id"], call["state"], call["ended"], call["outcome"]) == ("call-1", "active", None, "")
        assert "15550100" not in answer.text
        await ws.close()
        await server.idle()
        (call,) = (await client.get(server.http("/api/calls"))).json()["calls"]
        assert (call["state"], call["reason"]) == ("ended", "hangup")
        assert (await client.get(server.http("/api/calls?limit=0"))).json() == {"calls": []}


async def test_the_api_wants_the_token_and_the_probes_do_not(client: httpx.AsyncClient) -> None:
    async with served(access_token="s3cret") as server:
        refused = await client.get(server.http("/api/calls"))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        bearer = {"Authorization": "Bearer s3cret"}
        assert (await client.get(server.http("/api/calls"), headers=bearer)).status_code == 200
        for path in ("/health", "/ready", "/metrics", "/", "/docs", "/openapi.json"):
            assert (await client.get(server.http(path))).status_code == 200, path


async def test_pages_load_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    async with served() as server:
        for path in ("/", "/docs", "/console/app.js", "/health"):
            answer = await client.get(server.http(path))
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
        page = (await client.get(server.http("/"))).text
        assert "<script>" not in page
        assert " style=" not in page
        assert "http://" not in page.replace("http://www.w3.org", "")
        script = await client.get(server.http("/console/app.js"))
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["cache-control"] == "no-cache"
        again = await client.get(server.http("/console/app.js"), headers={"If-None-Match": script.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("path", ["/console/../gateway/http.py", "/console/%2e%2e/config.py", "/console/none.js"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    async with served() as server:
        assert (await client.get(server.http(path))).status_code == 404


async def test_an_overlong_request_is_cut_off_and_the_server_goes_on(client: httpx.AsyncClient) -> None:
    async with served() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /" + b"x" * 200_000)
        answer = b""
        with suppress(ConnectionResetError):  # the server need not read to the end of it
            async with asyncio.timeout(10):
                answer = await reader.read()
        writer.close()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        assert (await client.get(server.http("/health"))).status_code == 200


async def test_the_openapi_description_has_every_path(client: httpx.AsyncClient) -> None:
    async with served() as server:
        paths = (await client.get(server.http("/openapi.json"))).json()["paths"]
        assert {"/health", "/ready", "/metrics", "/api/calls"} <= set(paths)


async def test_the_agents_are_listed(client: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: bank\ntitle: The bank\nnumbers: ['+1 555 0199']\nlocale: es-ES")
    (tmp_path / "b.yaml").write_text("name: shop")
    async with served(agents=open_agents(tmp_path, "shop")) as server:
        listed = (await client.get(server.http("/api/agents"))).json()
        assert listed == {
            "agents": [
                {"name": "bank", "title": "The bank", "numbers": ["+1 555 0199"], "locale": "es-ES", "default": False},
                {"name": "shop", "title": "shop", "numbers": [], "locale": "", "default": True},
            ]
        }
