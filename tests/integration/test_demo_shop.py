"""The demo shop that a server keeps for itself: a process behind HTTP, missed while it is dead, gone with its server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from tests.shops import TOOL_EXAMPLES

from voice_agent.cli.shop_keeper import OrderSystem, order_system
from voice_agent.clock import LoopClock
from voice_agent.config import load_settings
from voice_agent.errors import ConfigError
from voice_agent.models import CallId, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.web import WebClient
from voice_agent.tools.backend_client import ShopClient
from voice_agent.tools.base import ToolContext
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.shop import shop_tools

DANA = ToolContext(CallId("call-1"), "+15550100", verified=True, locale="en-US")
KEEPS_A_SHOP = """
import asyncio
from voice_agent.cli.shop_keeper import order_system
from voice_agent.config import load_settings

async def main():
    async with order_system(load_settings(None)) as shop:
        await shop.up()
        print("UP", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHOP_API_URL", "SHOP_DATABASE_URL", "DATABASE_URL", "DEMO_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CB_RECOVERY_TIMEOUT", "0.5")  # asking a dead shop opens the breaker


class Asker:
    """Runs the shop's tools as a call does, through the router and the client of the settings."""

    def __init__(self, shop: OrderSystem, web: WebClient) -> None:
        settings = shop.settings
        self._router = ToolRouter(
            ToolRegistry(*shop_tools(ShopClient(web, settings.shop))), settings.tools, LoopClock()
        )

    async def run(self, name: str) -> ToolResult:
        call = ToolCall("t1", name, json.dumps(TOOL_EXAMPLES[name]))
        return await self._router.run(call, DANA, confirmed=True)


@asynccontextmanager
async def asker(shop: OrderSystem) -> AsyncIterator[Asker]:
    web = WebClient()
    try:
        yield Asker(shop, web)
    finally:
        await web.aclose()


def shops_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "voice_agent.cli.shop_process" in child.cmdline()]


async def test_the_shop_is_missed_while_it_is_dead_and_comes_back_with_what_was_written() -> None:
    async with order_system(load_settings(None)) as shop, asker(shop) as tools:
        await shop.up()
        (first,) = shops_of(os.getpid())
        assert (await tools.run("order_status")).status is ToolStatus.OK
        assert (await tools.run("cancel_order")).status is ToolStatus.OK
        first.kill()
        psutil.wait_procs([first], timeout=10)
        missed = await tools.run("order_status")
        assert (missed.status, missed.spoken) == (
            ToolStatus.FAILED,
            "I'm sorry, I can't reach the order system right now.",
        )
        async with asyncio.timeout(60):
            while (await tools.run("order_status")).status is not ToolStatus.OK:  # noqa: ASYNC110 - another process starts
                await asyncio.sleep(0.2)
        again = await tools.run("cancel_order")
        assert (again.status, again.reason) == (ToolStatus.BUSINESS_ERROR, "already_cancelled")
        (second,) = shops_of(os.getpid())
    assert not second.is_running()


async def test_a_shop_that_cannot_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", "nonsense")
    async with order_system(load_settings(None)) as shop:
        with pytest.raises(ConfigError, match="the demo shop cannot start: SHOP_DATABASE_URL") as refused:
            await shop.up()
    assert "\n" not in str(refused.value)
    assert shops_of(os.getpid()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"DEMO_DATA": "false"},
        {"SHOP_API_URL": "http://127.0.0.1:9", "SHOP_API_TOKEN": "t"},
        {"DATABASE_URL": "sqlite://"},
    ],
)
async def test_no_shop_is_started_that_nobody_asked_for(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    wanted = load_settings(None)
    async with order_system(wanted) as shop:
        await shop.up()
        assert shop.settings == wanted
        assert shops_of(os.getpid()) == []


async def test_a_killed_server_leaves_no_shop_behind() -> None:
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", KEEPS_A_SHOP, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    async with asyncio.timeout(60):
        while await server.stdout.readline() != b"UP\n":
            pass  # log lines
    (shop,) = shops_of(server.pid)
    shop.terminate()  # a service manager's signal to all processes: the shop outlives it while calls are drained
    await asyncio.sleep(0.1)
    assert shop.is_running()
    server.kill()
    await server.wait()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [shop], 10)
    assert gone == [shop]
