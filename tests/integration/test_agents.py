"""Several agents on one server, as callers and an operator meet them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import expect
from tests.conftest import StartServer
from tests.integration.calls import heard_words, place_call
from tests.integration.pages import CHROMIUM, open_page
from tests.servers import RunningServer

BANK = """
name: bank
title: Northwind Bank
numbers: ["+1 555 0199"]
greeting: {en: [You have reached the harbour bank.]}
"""

pytestmark = pytest.mark.speech


@pytest.fixture
def two_agents(start_server: StartServer, tmp_path: Path) -> RunningServer:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "bank.yaml").write_text(BANK)
    (folder / "shop.yaml").write_text("name: default\ntitle: The shop\ngreeting: {en: [This is the shop.]}\n")
    return start_server({"AGENTS": str(folder), "AGENTS_RELOAD_S": "0.1"})


async def greeting(server: RunningServer, **options: str) -> tuple[str, str]:
    """Who takes the call, and what a listener understands of the greeting."""
    async with place_call(server, **options) as caller:
        session = await caller.wait_for("session")
        await caller.wait_for_agent_to_finish()
        return session.data["agent"], (await heard_words(caller)).lower()


async def test_each_caller_is_greeted_by_the_agent_meant_and_a_change_holds_for_the_next(
    two_agents: RunningServer, tmp_path: Path
) -> None:
    named, words = await greeting(two_agents, agent="bank")
    assert named == "bank"
    assert "bank" in words
    by_number, words = await greeting(two_agents, called="+15550199")
    assert by_number == "bank"
    usual, words = await greeting(two_agents)
    assert usual == "default"
    assert "shop" in words

    listed = json.loads(await asyncio.to_thread(two_agents.get, "/api/agents"))["agents"]
    assert [(agent["name"], agent["default"]) for agent in listed] == [("bank", False), ("default", True)]
    (tmp_path / "agents" / "bank.yaml").write_text(BANK.replace("harbour bank", "lighthouse") + "locale: en-GB\n")
    async with asyncio.timeout(20):
        while True:
            agents = json.loads(await asyncio.to_thread(two_agents.get, "/api/agents"))["agents"]
            if agents[0]["locale"] == "en-GB":
                break
    assert "lighthouse" in (await greeting(two_agents, agent="bank"))[1].replace("light house", "lighthouse")

    header, started = two_agents.event_logs()[-1].read_text().splitlines()[:2]
    assert json.loads(header)["machine"]["agent"]["name"] == json.loads(started)["agent"]


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium (make test installs it, or says how)")
async def test_the_console_offers_the_agents(two_agents: RunningServer) -> None:
    async with open_page(two_agents.url + "/") as opened:
        await expect(opened.page.locator("#agent")).to_be_visible()
        assert await opened.page.locator("#agent").input_value() == "default"
        await opened.page.select_option("#agent", "bank")
        await opened.page.click("#call")
        await expect(opened.page.locator(".line.agent").first).to_contain_text("harbour bank", timeout=15_000)
        await opened.page.click("#hang-up")
        assert opened.complaints == []
