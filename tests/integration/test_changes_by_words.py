"""Whole calls by text: the built-in language model, real policy and session, the real shop and its tools. What a caller
agreed to stands in the shop's database afterwards, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Table, select
from tests.shops import TOKEN, open_shop

from voice_agent.clock import LoopClock
from voice_agent.config import ShopSettings, ToolSettings
from voice_agent.conversation.events import SegmentWithheld, SegmentWritten
from voice_agent.demo_backend import tables
from voice_agent.demo_backend.faults import Endpoint, Fault
from voice_agent.demo_backend.server import RunningShop
from voice_agent.evaluation.text_call import TextCall
from voice_agent.models import SecretOutcome
from voice_agent.providers.embedding.minilm import MiniLmEmbedder, default_cache_dir
from voice_agent.providers.llm.builtin import BuiltinLanguageModel
from voice_agent.providers.understanding.semantic import SemanticUnderstanding
from voice_agent.providers.web import WebClient
from voice_agent.tools.backend_client import ShopClient
from voice_agent.tools.end_call import end_call_tool
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.shop import shop_tools
from voice_agent.tools.transfer import transfer_tool
from voice_agent.tools.verify_pin import verify_pin_tool

DANA = (
    "+15550100"  # 83240: tent and sleeping bags, not sent; 83102: jacket and socks, on its way; 83117: mugs, delivered
)
PIN = "4271"
LANE = "fourteen Birch Lane, Madison, Wisconsin, five three seven oh three"


class OnePin:
    """Hashing the PIN of every call would take longer than the calls."""

    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        return (SecretOutcome.VERIFIED, 3) if pin == PIN else (SecretOutcome.WRONG, 2)


@dataclass(frozen=True)
class Mind:
    model: BuiltinLanguageModel
    understanding: SemanticUnderstanding


@pytest.fixture(scope="module")
def mind() -> Mind:
    embedder = MiniLmEmbedder()
    return Mind(BuiltinLanguageModel(embedder, cache_dir=default_cache_dir()), SemanticUnderstanding(embedder))


@dataclass
class Played:
    """One call: the agent's answer to each line, and the shop's rows after it."""

    answers: list[str] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def of(self, table: Table, **wanted: Any) -> list[dict[str, Any]]:
        return [row for row in self.rows[table.name] if wanted.items() <= row.items()]

    def status(self, order_id: str) -> str:
        return str(self.of(tables.orders, order_id=order_id)[0]["status"])


async def play(
    mind: Mind, folder: Path, lines: Sequence[str], *, fault: tuple[Endpoint, Fault] | None = None, pin: bool = True
) -> Played:
    """A call of Dana's in a shop of its own. Everything the agent says must be grounded."""
    await asyncio.gather(mind.model.warm_up(), mind.understanding.warm_up())
    folder.mkdir()  # noqa: ASYNC240 - a moment, before anything else runs
    async with open_shop(folder) as shop:
        if fault is not None and shop.faults is not None:
            shop.faults.set(*fault)
        web = WebClient()
        settings = ShopSettings.model_construct(api_url=shop.url, api_token=SecretStr(TOKEN), api_timeout_ms=5000)
        pins, clock = OnePin(), LoopClock()
        tools = ToolRegistry(
            *shop_tools(ShopClient(web, settings)), transfer_tool(), end_call_tool(), verify_pin_tool(pins)
        )
        router = ToolRouter(tools, ToolSettings(), clock)
        call = TextCall(mind.model, mind.understanding, tools, router, pins, clock, caller_id=DANA, call_id=folder.name)
        played = Played()
        async with call:
            if pin:
                await call.press(PIN)
            for line in lines:
                before = len(call.log)
                await (call.press(line) if line.isdigit() else call.say(line))
                spoken = [r.entry.text for r in call.log[before:] if isinstance(r.entry, SegmentWritten)]
                played.answers.append(" ".join(spoken))
        assert [record.entry for record in call.log if isinstance(record.entry, SegmentWithheld)] == []
        played.rows = await rows_of(shop)
        await web.aclose()
        return played


async def rows_of(shop: RunningShop) -> dict[str, list[dict[str, Any]]]:
    async with shop.database.read() as connection:
        return {
            table.name: [dict(row._mapping) for row in await connection.execute(select(table))]
            for table in tables.metadata.sorted_tables
        }


async def test_cancelling(mind: Mind, tmp_path: Path) -> None:
    agreed, declined, unclear, digressed, second, late, failed, asked_for_pin = await asyncio.gather(
        play(mind, tmp_path / "agreed", ["cancel order 83240", "yes please", "and where is the tent now?"]),
        play(mind, tmp_path / "declined", ["I want to cancel the tent", "no, leave it"]),
        play(mind, tmp_path / "unclear", ["cancel the tent please", "well the thing is", "yes, go ahead"]),
        play(mind, tmp_path / "digressed", ["cancel order 83240", "what's in it?", "yes", "okay, cancel it", "sure"]),
        play(mind, tmp_path / "second", ["cancel my order", "the second one", "no, the other one", "yes"]),
        play(mind, tmp_path / "late", ["please cancel the rain jacket", "yes"]),
        play(
            mind,
            tmp_path / "failed",
            ["cancel order 83240", "yes"],
            fault=(Endpoint.CANCEL_ORDER, Fault.SERVER_ERROR),
        ),
        play(mind, tmp_path / "pin", ["please cancel order 83240", PIN, "yes please"], pin=False),
    )

    assert agreed.answers[0] == "Shall I cancel order 83240?"
    assert agreed.answers[1].startswith("Order 83240 is cancelled now, and $627 will be refunded.")
    assert "cancelled" in agreed.answers[2]
    assert agreed.status("83240") == "cancelled"
    assert [refund["amount_cents"] for refund in agreed.of(tables.refunds, order_id="83240")] == [62_700]

    assert declined.answers[1].startswith("All right, I've left it as it is.")
    assert declined.status("83240") == "processing"

    assert unclear.answers == [*["Shall I cancel order 83240?"] * 2, unclear.answers[2]]
    assert unclear.status("83240") == "cancelled"

    assert "two-person tent" in digressed.answers[1]
    assert "cancelled" not in digressed.answers[2]  # that yes was to nothing that was asked
    assert digressed.answers[3] == "Shall I cancel order 83240?"
    assert digressed.status("83240") == "cancelled"

    assert "83117" not in second.answers[0]  # what was delivered cannot be cancelled
    assert second.answers[1] == "Shall I cancel order 83102?"
    assert second.answers[2] == "Shall I cancel order 83240?"
    assert (second.status("83240"), second.status("83102")) == ("cancelled", "in_transit")

    assert "has been sent already" in late.answers[1]
    assert late.status("83102") == "in_transit"

    assert re.match(
        r"I'm sorry, I couldn't find out whether the order was cancelled\. .*colleague\?", failed.answers[1]
    )
    assert failed.status("83240") == "processing"

    assert "PIN" in asked_for_pin.answers[0]
    assert asked_for_pin.answers[1].endswith("Shall I cancel order 83240?")
    assert asked_for_pin.status("83240") == "cancelled"


async def test_sending_back(mind: Mind, tmp_path: Path) -> None:
    asked, some, corrected, denied, offered, worn, unsent = await asyncio.gather(
        play(mind, tmp_path / "asked", ["please start a return for the mugs", "they're unused", "yes"]),
        play(mind, tmp_path / "some", ["return two of the mugs, they are cracked", "yes please"]),
        play(mind, tmp_path / "corrected", ["start a return", "unused", "no, they came broken", "yes"]),
        play(
            mind,
            tmp_path / "denied",
            ["please start a return for the mugs", "they're not damaged, I just don't like them", "yes"],
        ),
        play(mind, tmp_path / "offered", ["I want to return something", "yes", "you sent me something else", "yes"]),
        play(mind, tmp_path / "worn", ["I'd like to send back order 83117", "I've used it", "yes"]),
        play(mind, tmp_path / "unsent", ["return order 83240 please", "no thanks"]),
    )

    def line(played: Played) -> tuple[str, list[int]]:
        begun = played.of(tables.returns, order_id="83117")
        assert len(begun) == 1
        lines = played.of(tables.return_lines, return_id=begun[0]["return_id"])
        return begun[0]["condition"], [line["quantity"] for line in lines]

    assert asked.answers[0].endswith("or is it the wrong item?")
    assert asked.answers[1] == "Shall I start a return for everything in order 83117, as unused?"
    number = asked.of(tables.returns, order_id="83117")[0]["return_id"]
    assert number in asked.answers[2]
    assert "you get $72 as soon as it is here" in asked.answers[2]
    assert line(asked) == ("unused", [4])

    assert some.answers[0] == "Shall I start a return for 2 ceramic mugs from order 83117, as damaged on arrival?"
    assert "You don't have to send anything back, and you get $36 refunded." in some.answers[1]
    assert line(some) == ("damaged", [2])

    assert corrected.answers[1].endswith("order 83117, as unused?")
    assert corrected.answers[2].endswith("order 83117, as damaged on arrival?")
    assert line(corrected) == ("damaged", [4])

    assert all(answer.endswith("or is it the wrong item?") for answer in denied.answers[:2])
    assert denied.of(tables.returns, order_id="83117") == []

    assert offered.answers[0].endswith(("Shall I start a return for you?", "Would you like me to start a return?"))
    assert line(offered) == ("wrong_item", [4])

    assert "only unused items can be returned" in worn.answers[2]
    assert worn.of(tables.returns, order_id="83117") == []

    assert "hasn't been sent yet" in unsent.answers[0]
    assert unsent.status("83240") == "processing"


async def test_another_address_a_callback_and_days(mind: Mind, tmp_path: Path) -> None:
    asked = ["when exactly will order 83102 arrive", "which orders are still open", "any cancelled orders?"]
    whole, at_once, partial, sent, called, missed, calls, days = await asyncio.gather(
        play(mind, tmp_path / "whole", ["change the address of my order", LANE, "yes, that's right"]),
        play(mind, tmp_path / "once", ["send the tent to 9 Elm Street, apartment 3, Austin, Texas, 78704", "yes"]),
        play(mind, tmp_path / "partial", ["change the delivery address of the tent", "14 Birch Lane", "14 Birch Lane"]),
        play(mind, tmp_path / "sent", ["send order 83102 to another address please"]),
        play(mind, tmp_path / "called", ["can someone call me back tomorrow afternoon", "yes please"]),
        play(mind, tmp_path / "missed", ["nobody called me back this morning", "call me back in the evening", "no"]),
        play(
            mind,
            tmp_path / "calls",
            ["I'd like a callback please", "tomorrow morning please", "yes", "I want to talk to a human"],
        ),
        play(mind, tmp_path / "days", [*asked, "cancel the tent"]),
    )

    def place(played: Played) -> tuple[str, ...]:
        address_id = played.of(tables.orders, order_id="83240")[0]["address_id"]
        address = played.of(tables.addresses, address_id=address_id)[0]
        return tuple(address[name] for name in ("street", "extra", "city", "region", "postal_code", "country"))

    assert whole.answers[1] == "Shall I send order 83240 to [ADDRESS]?"  # in the log; the caller hears it in full
    assert place(whole) == ("14 Birch Lane", "", "Madison", "Wisconsin", "53703", "US")
    assert place(at_once) == ("9 Elm Street", "apartment 3", "Austin", "Texas", "78704", "US")
    assert "couldn't make out the whole address" in partial.answers[1]
    assert "I don't want to guess" in partial.answers[2]
    assert place(partial) == place(sent)
    assert "can't be changed any more" in sent.answers[0]

    assert called.answers[0] == "Shall I have a colleague call you back in the afternoon?"
    assert "will call you back in the afternoon" in called.answers[1]
    taken = called.of(tables.callbacks, caller_id=DANA)
    assert [(row["preferred"], "tomorrow" in row["topic"]) for row in taken] == [("afternoon", True)]
    assert [row["preferred"] for row in calls.of(tables.callbacks, caller_id=DANA)] == ["morning"]
    assert "colleague" in calls.answers[3]
    assert missed.of(tables.callbacks, caller_id=DANA) == []

    assert "between Wednesday, November 25 and Thursday, November 26, with UPS" in days.answers[0]
    assert "You have 2 orders that are still open: order 83240" in days.answers[1]
    assert "no orders of yours that are cancelled" in days.answers[2]
    assert days.answers[3] == "Shall I cancel order 83240?"
