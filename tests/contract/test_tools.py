"""What holds for every built-in tool, run through the real router on the demo callers and the demo shop behind HTTP.

A new built-in tool joins by one line in ``built_in_tools`` and one example call in ``EXAMPLES``; one of the shop's by an
example in ``tests/shops.py``.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from tests.shops import NOON, TOKEN, TOOL_EXAMPLES, open_shop

from voice_agent.clock import LoopClock
from voice_agent.config import IdentitySettings, ShopSettings, StoreSettings, ToolSettings
from voice_agent.errors import StoreError
from voice_agent.models import (
    OUTCOME_UNKNOWN,
    CallId,
    KnowledgeAnswer,
    Passage,
    SecretOutcome,
    ToolCall,
    ToolResult,
    ToolStatus,
)
from voice_agent.providers.web import WebClient
from voice_agent.store.callers import CallerDirectory
from voice_agent.store.database import open_database
from voice_agent.store.demo import seed_demo
from voice_agent.store.records import Order, OrderStatus
from voice_agent.tools.backend_client import ShopClient
from voice_agent.tools.base import IdentityLevel, Tool, ToolContext
from voice_agent.tools.end_call import end_call_tool
from voice_agent.tools.knowledge import KnowledgeSearch, knowledge_tool
from voice_agent.tools.orders import order_status_tool
from voice_agent.tools.registry import ToolRegistry, argument_names
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.shop import shop_tools
from voice_agent.tools.transfer import transfer_tool
from voice_agent.tools.verify_pin import GuardedPinVerifier, PinVerifier, verify_pin_tool

TODAY = NOON.date()
DANA = ToolContext(CallId("call-1"), "+15550100", verified=True, locale="en-US")
SETTINGS = ToolSettings.model_construct(cb_failure_threshold=3, cb_recovery_s=30)

EXAMPLES: dict[str, dict[str, Any]] = {
    **TOOL_EXAMPLES,
    "knowledge_base": {"query": "What is your return policy?"},
    "verify_pin": {"pin": "4271"},
    "transfer_to_human": {"reason": "wants a person"},
    "end_call": {},
}


class OneAnswer:
    """A knowledge base that knows one thing."""

    async def search(self, query: str, *, locale: str, collections: tuple[str, ...] = ()) -> KnowledgeAnswer:
        return KnowledgeAnswer(True, 0.91234, (Passage("Returns", "Within 30 days.", "returns.md", 0.91234),))


class Broken:
    """A backend that is down, or hangs until it is given up."""

    def __init__(self, *, hangs: bool) -> None:
        self._hangs = hangs

    async def orders_of(self, caller_id: str) -> tuple[Order, ...]:
        return await self._fail()

    async def order(self, caller_id: str, order_id: str) -> Order | None:
        return await self._fail()

    async def search(self, query: str, *, locale: str, collections: tuple[str, ...] = ()) -> KnowledgeAnswer:
        return await self._fail()

    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        return await self._fail()

    async def _fail(self) -> Any:
        if self._hangs:
            await asyncio.get_running_loop().create_future()
        raise StoreError("the backend is down")


def built_in_tools(shop: tuple[Tool, ...], knowledge: KnowledgeSearch, pins: PinVerifier) -> tuple[Tool, ...]:
    return (*shop, knowledge_tool(knowledge), verify_pin_tool(pins), transfer_tool(), end_call_tool())


@dataclass
class Kit:
    tools: dict[str, Tool]
    router: ToolRouter

    async def run(
        self, name: str, arguments: dict[str, Any] | None = None, context: ToolContext = DANA, *, by_model: bool = True
    ) -> ToolResult:
        text = json.dumps(EXAMPLES[name] if arguments is None else arguments)
        return await self.router.run(ToolCall("t1", name, text), context, by_model=by_model, confirmed=True)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with AsyncExitStack() as stack:
        store = StoreSettings.model_construct(database_url=SecretStr(""))
        database = await stack.enter_async_context(open_database(store, tmp_path))
        await seed_demo(database)
        identity = IdentitySettings.model_construct(pin_digits=4, pin_max_attempts=3, pin_lockout_s=900)
        callers = CallerDirectory(database, identity, LoopClock())
        stack.callback(callers.close)
        shop = await stack.enter_async_context(open_shop(tmp_path))
        web = WebClient()
        stack.push_async_callback(web.aclose)
        reached = ShopSettings.model_construct(api_url=shop.url, api_token=SecretStr(TOKEN), api_timeout_ms=1500)
        yield kit_of(built_in_tools(shop_tools(ShopClient(web, reached)), OneAnswer(), callers))


def kit_of(tools: tuple[Tool, ...]) -> Kit:
    return Kit({tool.name: tool for tool in tools}, ToolRouter(ToolRegistry(*tools), SETTINGS, LoopClock()))


every_tool = pytest.mark.parametrize("name", EXAMPLES)


async def test_every_tool_has_an_example(kit: Kit) -> None:
    assert set(kit.tools) == set(EXAMPLES)


@every_tool
async def test_the_declaration_is_complete(kit: Kit, name: str) -> None:
    tool = kit.tools[name]
    assert tool.description
    assert 0 < tool.timeout_s < 5  # a turn's whole time
    assert tool.parameters["additionalProperties"] is False
    Draft202012Validator(tool.parameters).validate(EXAMPLES[name])
    # Heard, not read: one sentence without markup.
    assert tool.fallback[0].isupper()
    assert tool.fallback.endswith(".")
    assert not set(tool.fallback) & set("*_#`[]<>")


@every_tool
async def test_the_example_works_and_its_result_is_plain_json(kit: Kit, name: str) -> None:
    result = await kit.run(name, by_model=False)
    assert (result.status, result.reason) == (ToolStatus.OK, "")
    assert json.loads(json.dumps(result.data)) == result.data
    assert result.duration_ms > 0


@every_tool
async def test_unknown_arguments_are_invalid(kit: Kit, name: str) -> None:
    result = await kit.run(name, {**EXAMPLES[name], "caller_id": "+15550101"}, by_model=False)
    assert result.status is ToolStatus.INVALID
    assert "+15550101" not in result.data["error"]


def test_no_argument_of_any_tool_can_say_who_is_asking(kit: Kit) -> None:
    """Whatever it is called: the caller comes from the call, so that no argument can look up another one."""
    for tool in kit.tools.values():
        assert tool.parameters["additionalProperties"] is False
        for name in argument_names(tool.parameters):
            assert not re.search("caller|customer|client|user|account|owner|verified|identity|phone", name.lower()), (
                tool.name
            )


@every_tool
async def test_what_needs_identity_is_refused_without_it(kit: Kit, name: str) -> None:
    result = await kit.run(name, context=replace(DANA, verified=False), by_model=False)
    needs_identity = kit.tools[name].identity is IdentityLevel.VERIFIED
    assert (result.reason == "identity_required") == needs_identity
    assert needs_identity == (name in set(TOOL_EXAMPLES) - {"callback_request"})


@every_tool
async def test_only_verify_pin_is_out_of_the_models_reach(kit: Kit, name: str) -> None:
    result = await kit.run(name)
    assert (result.status is ToolStatus.DENIED) == (name == "verify_pin")


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("name", ["order_status", "knowledge_base", "verify_pin"])
async def test_a_broken_backend_gives_the_spoken_fallback(name: str, hangs: bool) -> None:
    broken = Broken(hangs=hangs)
    tools = built_in_tools((order_status_tool(broken),), broken, broken)
    if hangs:
        tools = tuple(replace(tool, timeout_s=0.05) for tool in tools)
    kit = kit_of(tools)
    result = await kit.run(name, by_model=False)
    read_reason = "timeout" if hangs else "error"
    reason = read_reason if kit.tools[name].read_only else OUTCOME_UNKNOWN
    assert (result.status, result.reason) == (ToolStatus.FAILED, reason)
    assert result.spoken == kit.tools[name].fallback


async def test_order_status_tells_one_order(kit: Kit) -> None:
    result = await kit.run("order_status", {"order_id": " #83-102 "})
    (order,) = result.data["orders"]
    assert set(order) == {
        *("order_id", "status", "placed_on", "estimated_delivery", "carrier", "items", "total", "currency")
    }
    assert (order["order_id"], order["status"], order["carrier"]) == ("83102", "in_transit", "UPS")
    assert order["items"] == [
        {"name": "Trail Runner rain jacket", "quantity": 1},
        {"name": "wool socks", "quantity": 3},
    ]
    assert (order["total"], order["currency"]) == (177.0, "USD")
    assert order["placed_on"] < TODAY.isoformat() < order["estimated_delivery"]
    assert result.data["more"] == 0


async def test_order_status_tells_the_delivery_day_once_delivered(kit: Kit) -> None:
    (order,) = (await kit.run("order_status", {"order_id": "83117"})).data["orders"]
    assert order["delivered_on"] < TODAY.isoformat()


async def test_order_status_without_a_number_lists_the_newest_first(kit: Kit) -> None:
    for arguments in ({}, {"order_id": ""}):
        result = await kit.run("order_status", arguments)
        assert [order["order_id"] for order in result.data["orders"]] == ["83240", "83102", "83117"]
        assert result.data["more"] == 0


async def test_order_status_of_a_caller_without_orders_is_an_empty_list(kit: Kit) -> None:
    result = await kit.run("order_status", {}, replace(DANA, caller_id="+15550102"))
    assert (result.status, result.data) == (ToolStatus.OK, {"orders": [], "more": 0})


async def test_another_callers_order_answers_exactly_like_a_missing_one(kit: Kit) -> None:
    sam = replace(DANA, caller_id="+15550101")
    foreign = await kit.run("order_status", {"order_id": "83102"}, sam)
    missing = await kit.run("order_status", {"order_id": "99999"}, sam)
    assert (foreign.status, foreign.reason) == (ToolStatus.BUSINESS_ERROR, "not_found")
    assert foreign.data == {"orders": [], "order_id": "83102"}
    assert missing.data == {"orders": [], "order_id": "99999"}
    assert replace(missing, data={}, duration_ms=0) == replace(foreign, data={}, duration_ms=0)


async def test_a_nonsense_order_number_is_simply_not_found(kit: Kit) -> None:
    for number in ("x" * 5_000, "'; DROP TABLE orders; --", "८३१०२ order"):
        result = await kit.run("order_status", {"order_id": number})
        assert (result.status, result.reason) == (ToolStatus.BUSINESS_ERROR, "not_found")


async def test_at_most_five_orders_are_told_and_the_rest_counted() -> None:
    order = Order("83102", DANA.caller_id, OrderStatus.SHIPPED, TODAY, (), total_cents=100, currency="USD")

    class Many(Broken):
        async def orders_of(self, caller_id: str) -> tuple[Order, ...]:
            return (order,) * 12

    many = Many(hangs=False)
    result = await kit_of(built_in_tools((order_status_tool(many),), many, many)).run("order_status", {})
    assert (len(result.data["orders"]), result.data["more"]) == (5, 7)


async def test_knowledge_base_tells_evidence_and_confidence(kit: Kit) -> None:
    result = await kit.run("knowledge_base")
    assert result.data == {
        "answerable": True,
        "confidence": 0.912,
        "passages": [{"title": "Returns", "text": "Within 30 days.", "source": "returns.md", "score": 0.912}],
    }


async def test_verify_pin_tells_outcome_and_tries_left(kit: Kit) -> None:
    right = await kit.run("verify_pin", {"pin": "4271"}, by_model=False)
    assert right.data == {"outcome": "verified", "attempts_left": 3}
    wrong = await kit.run("verify_pin", {"pin": "0000"}, by_model=False)
    assert (wrong.status, wrong.reason) == (ToolStatus.BUSINESS_ERROR, "wrong")
    assert wrong.data == {"outcome": "wrong", "attempts_left": 2}


async def test_verify_pin_never_quotes_what_it_got(kit: Kit) -> None:
    result = await kit.run("verify_pin", {"pin": "4271x"}, by_model=False)
    assert result.status is ToolStatus.INVALID
    assert "4271" not in repr(result)


async def test_the_guarded_verifier_passes_outcomes_on() -> None:
    class Says(Broken):
        async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
            return SecretOutcome.WRONG, 1

    guarded = GuardedPinVerifier(Says(hangs=False), SETTINGS, LoopClock())
    for _ in range(10):  # wrong PINs are answers: they open no breaker
        assert await guarded.verify("+15550100", "1") == (SecretOutcome.WRONG, 1)


async def test_the_guarded_verifier_stops_asking_a_broken_store() -> None:
    asked = 0

    class Counting(Broken):
        async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
            nonlocal asked
            asked += 1
            return await super().verify(caller_id, pin)

    guarded = GuardedPinVerifier(Counting(hangs=False), SETTINGS, LoopClock())
    for _ in range(10):
        assert await guarded.verify("+15550100", "1") == (SecretOutcome.UNAVAILABLE, 0)
    assert asked == SETTINGS.cb_failure_threshold


async def test_transfer_is_accepted_for_everybody(kit: Kit) -> None:
    stranger = ToolContext(CallId("call-2"), "", verified=False, locale="en-US")
    result = await kit.run("transfer_to_human", context=stranger)
    assert (result.status, result.data) == (ToolStatus.OK, {"accepted": True, "target": ""})
