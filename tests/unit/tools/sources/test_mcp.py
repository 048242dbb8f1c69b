from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from voice_agent.clock import LoopClock
from voice_agent.config import ToolSettings
from voice_agent.models import OUTCOME_UNKNOWN, CallId, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.web import WebClient
from voice_agent.tools.base import IdentityLevel, Tool, ToolContext
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.sources.load import load_tool_sources

HERE = Path(__file__).parent
CALLER = ToolContext(CallId("call-1"), "+15550100", verified=True, locale="en-US", idempotency_key="key-1")
RULES = """
    tools:
      forecast:
        writes: no
        timeout_ms: 20000
        offered: yes
        description: Tells the weather of a city.
        inject: {user_id: caller.id}
        summary: "It is {city}."
      book: {identity: none, offered: yes, timeout_ms: 20000, read_back: {en: "Book room {room}?"}}
      refuse: {offered: yes, timeout_ms: 20000}
      wait: {offered: yes, writes: no, timeout_ms: 200}
      giant: {offered: yes, writes: no}
      learn: {offered: yes, timeout_ms: 20000}
      learned: {offered: yes, timeout_ms: 20000}
"""


class Kit:
    def __init__(self, registry: ToolRegistry) -> None:
        self.registry = registry
        settings = ToolSettings.model_construct(cb_failure_threshold=1000, cb_recovery_s=30)
        self.router = ToolRouter(registry, settings, LoopClock(), jitter=lambda: 0.0)

    async def run(self, name: str, /, **arguments: object) -> ToolResult:
        return await self.router.run(ToolCall("t", name, json.dumps(arguments)), CALLER, confirmed=True)

    def tool(self, name: str) -> Tool:
        found = self.registry.find(name)
        assert found is not None
        return found


async def until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    """Waits for something that another process brings about."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def loaded(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Kit]:
    path = folder / "tools.yaml"
    path.write_text(text)
    async with AsyncExitStack() as stack:
        web = WebClient()
        stack.push_async_callback(web.aclose)
        registry = ToolRegistry()
        settings = ToolSettings.model_construct(file=path)
        await load_tool_sources(settings, registry, stack, web, environment=environment or {})
        yield Kit(registry)


def program(way: str, script: str = "hostile_server.py", more: str = "") -> str:
    return f"mcp:\n  far:\n    command: [{sys.executable}, {HERE / script}, {way}]\n    start_within_ms: 20000\n{more}"


@asynccontextmanager
async def over_stdio(folder: Path) -> AsyncIterator[Kit]:
    text = program("stdio", "mcp_server.py", "    environment: {WEATHER_KEY: '${KEY}'}\n" + RULES)
    async with loaded(folder, text, {"KEY": "k1"}) as kit:
        yield kit


@asynccontextmanager
async def over_http(folder: Path) -> AsyncIterator[Kit]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "mcp_server.py"), "http", str(port), stderr=asyncio.subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/mcp"
    text = f"hosts: {{'127.0.0.1:{port}': loopback}}\nmcp:\n  far:\n    url: {url}\n    start_within_ms: 20000\n{RULES}"
    try:
        async with loaded(folder, text) as kit:
            # The first attempt comes before the server listens: the platform starts all the same, and tries again.
            await until(lambda: kit.registry.find("far_book") is not None)
            yield kit
    finally:
        server.kill()
        await server.wait()


@pytest.mark.parametrize("way", [over_stdio, over_http])
async def test_the_tools_of_a_real_server_work_by_the_rules_of_the_file(
    way: Callable[[Path], AbstractAsyncContextManager[Kit]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "a secret of this program")
    async with way(tmp_path) as kit:
        forecast = kit.tool("far_forecast")
        assert (forecast.identity, forecast.read_only, forecast.model_callable) == (IdentityLevel.VERIFIED, True, True)
        assert forecast.description == "Tells the weather of a city."
        assert set(forecast.parameters["properties"]) == {"place", "days"}
        assert "pattern" not in json.dumps(forecast.parameters)

        result = await kit.run("far_forecast", place={"city": "Oslo"}, days=2)
        assert result.status is ToolStatus.OK
        assert {key: result.data[key] for key in ("city", "days", "for")} == {
            "city": "Oslo",
            "days": 2,
            "for": "+15550100",
        }
        if way is over_stdio:
            assert (result.data["secret"], result.data["key"]) == ("", "k1")
        assert forecast.summary is not None
        assert forecast.summary(result.data) == "It is Oslo."
        claimed = await kit.run("far_forecast", place={"city": "Oslo"}, user_id="+15550101")
        assert claimed.status is ToolStatus.INVALID

        assert kit.tool("far_book").identity is IdentityLevel.NONE
        asked = await kit.router.run(ToolCall("t", "far_book", '{"room": "12"}'), CALLER)
        assert (asked.reason, asked.spoken) == ("confirmation_required", "Book room 12?")
        assert (await kit.run("far_book", room="12")).data == {"result": "booked 12"}
        refused = await kit.run("far_refuse", room="12")
        assert (refused.status, refused.reason) == (ToolStatus.BUSINESS_ERROR, "tool_error")
        assert len(refused.data["error"]) <= 500

        late = await kit.run("far_wait")
        assert (late.status, late.reason) == (ToolStatus.FAILED, "timeout")
        assert (await kit.run("far_book", room="13")).status is ToolStatus.OK

        die = kit.tool("far_die")
        assert (die.read_only, die.identity, die.model_callable) == (False, IdentityLevel.VERIFIED, False)
        assert (await kit.run("far_die")).reason == "unknown_tool"

        assert kit.registry.find("far_learned") is None
        assert (await kit.run("far_learn")).status is ToolStatus.OK
        await until(lambda: kit.registry.find("far_learned") is not None)
        assert (await kit.run("far_learned", city="Oslo")).data == {"result": "learned Oslo"}


async def test_a_giant_answer_ends_the_connection_and_the_next_one_works(tmp_path: Path) -> None:
    async with over_stdio(tmp_path) as kit:
        giant = await kit.run("far_giant", chars=1_000_000)
        assert (giant.status, giant.spoken) == (ToolStatus.FAILED, "I'm sorry, I can't do that right now.")
        async with asyncio.timeout(20):
            while (await kit.run("far_book", room="14")).status is not ToolStatus.OK:
                pass


async def test_a_server_that_dies_is_started_again(tmp_path: Path) -> None:
    async with over_stdio(tmp_path) as kit:
        call = ToolCall("t", "far_die", "")
        died = await kit.router.run(call, CALLER, by_model=False)
        assert (died.status, died.reason) == (ToolStatus.FAILED, OUTCOME_UNKNOWN)
        async with asyncio.timeout(20):
            while (await kit.run("far_book", room="14")).status is not ToolStatus.OK:
                pass


async def test_a_stranger_names_neither_callers_nor_places_to_fetch(tmp_path: Path) -> None:
    rules = "    tools: {who: {offered: yes}, slow: {offered: yes, writes: no, timeout_ms: 20000}}\n"
    with capture_logs() as logs:
        async with loaded(tmp_path, program("plain", more=rules)) as kit:
            assert {tool.name for tool in kit.registry} == {"far_slow", "far_transfer_to_human"}
            assert len(kit.tool("far_transfer_to_human").description) <= 1_000
            # Neither side of the call runs the stranger's pattern, which would take years for these.
            assert (await kit.run("far_slow", a="a" * 40 + "!")).data == {"a": "a" * 40 + "!"}
    refused = {entry["tool"]: entry["cause"] for entry in logs if entry["event"] == "mcp_tool_refused"}
    assert set(refused) == {"loop", "remote", "who"}
    assert "who is asking" in refused["who"]


async def test_no_more_tools_are_taken_than_anybody_needs(tmp_path: Path) -> None:
    async with loaded(tmp_path, program("many", more="    answer_max_kb: 4096\n")) as kit:
        assert len(tuple(kit.registry)) == 100


@pytest.mark.parametrize(
    ("way", "status"),
    [
        ("deep", ToolStatus.FAILED),
        ("flood", ToolStatus.FAILED),
        ("endless", ToolStatus.FAILED),
        ("garbage", ToolStatus.OK),
        ("words", ToolStatus.OK),
    ],
)
async def test_a_hostile_answer_is_bounded(tmp_path: Path, way: str, status: ToolStatus) -> None:
    rules = "    tools: {slow: {offered: yes, timeout_ms: 20000}}\n"
    async with loaded(tmp_path, program(way, more=rules)) as kit:
        result = await kit.run("far_slow", a="b")
        assert result.status is status
        assert len(json.dumps(result.data)) < 9_000


async def test_a_server_that_says_nothing_does_not_hold_up_the_start(tmp_path: Path) -> None:
    text = program("silent").replace("start_within_ms: 20000", "start_within_ms: 200")
    async with loaded(tmp_path, text) as kit:
        assert list(kit.registry) == []


async def test_a_program_that_does_not_exist_is_told_and_tried_again(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with loaded(tmp_path, "mcp: {far: {command: [/nowhere/server]}}\n") as kit:
            assert list(kit.registry) == []
    assert logs[0] == {
        "event": "mcp_server_unavailable",
        "log_level": "warning",
        "server": "far",
        "cause": "FileNotFoundError: No such file or directory",
    }


async def test_nothing_that_was_started_is_left_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    more = f"    environment: {{PID_FILE: {pids}}}\n"
    async with loaded(tmp_path, program("stays", more=more)):
        (pid,) = map(int, pids.read_text().split())
        os.kill(pid, 0)
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the program still runs")
