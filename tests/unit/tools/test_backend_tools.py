"""The tools on the shop's order system: the real router, the real client, a real socket, the real shop behind it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from sqlalchemy import func, select
from tests.shops import ELM, NOON, TOKEN, open_shop
from tests.shops import TOOL_EXAMPLES as EXAMPLES

from voice_agent.clock import LoopClock
from voice_agent.config import ShopSettings, ToolSettings
from voice_agent.conversation.spoken_forms.speakable import speakable
from voice_agent.demo_backend import tables as t
from voice_agent.demo_backend.faults import Endpoint, Fault
from voice_agent.demo_backend.server import RunningShop
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import CallId, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.web import WebClient
from voice_agent.tools.backend_client import Refusal, ShopClient
from voice_agent.tools.base import IdentityLevel, Tool, ToolContext
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.shop import shop_tools

DANA = ToolContext(CallId("call-1"), "+15550100", verified=True, locale="en-US")
SAM = replace(DANA, caller_id="+15550101")
ROUTER = ToolSettings.model_construct(cb_failure_threshold=5, cb_recovery_s=30)
ENDPOINTS = {
    "order_status": Endpoint.GET_ORDER,
    "list_orders": Endpoint.LIST_ORDERS,
    "delivery_estimate": Endpoint.DELIVERY,
    "start_return": Endpoint.START_RETURN,
    "update_address": Endpoint.UPDATE_ADDRESS,
    "cancel_order": Endpoint.CANCEL_ORDER,
    "callback_request": Endpoint.CALLBACK_REQUEST,
}
WRITING = {"start_return", "update_address", "cancel_order", "callback_request"}


@dataclass
class Kit:
    shop: RunningShop
    web: WebClient
    client: ShopClient
    tools: dict[str, Tool]
    router: ToolRouter

    async def run(
        self, name: str, arguments: dict[str, Any] | None = None, context: ToolContext = DANA, *, confirmed: bool = True
    ) -> ToolResult:
        text = json.dumps(EXAMPLES[name] if arguments is None else arguments)
        return await self.router.run(ToolCall("t1", name, text), context, confirmed=confirmed)

    def client_with(self, **settings: Any) -> ShopClient:
        values = {"api_url": self.shop.url, "api_token": SecretStr(TOKEN), "api_timeout_ms": 1500, **settings}
        return ShopClient(self.web, ShopSettings.model_construct(**values))

    def router_with(self, client: ShopClient) -> ToolRouter:
        return ToolRouter(ToolRegistry(*shop_tools(client)), ROUTER, LoopClock(), jitter=lambda: 0.0)

    def strike(self, endpoint: Endpoint, fault: Fault | None, **options: Any) -> None:
        assert self.shop.faults is not None
        self.shop.faults.set(endpoint, fault, **options)

    async def effects(self) -> int:
        """How many rows writes have added."""
        tables = (t.returns, t.return_lines, t.refunds, t.addresses, t.callbacks, t.idempotency_keys)
        async with self.shop.database.read() as connection:
            counts = [
                (await connection.execute(select(func.count()).select_from(table))).scalar_one() for table in tables
            ]
        return sum(counts)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_shop(tmp_path) as shop:
        web = WebClient()
        settings = ShopSettings.model_construct(api_url=shop.url, api_token=SecretStr(TOKEN), api_timeout_ms=1500)
        client = ShopClient(web, settings)
        tools = {tool.name: tool for tool in shop_tools(client)}
        router = ToolRouter(ToolRegistry(*tools.values()), ROUTER, LoopClock(), jitter=lambda: 0.0)
        try:
            yield Kit(shop, web, client, tools, router)
        finally:
            await web.aclose()


async def test_every_tool_is_declared_completely(kit: Kit) -> None:
    assert set(kit.tools) == set(EXAMPLES)
    for name, tool in kit.tools.items():
        assert 0 < tool.timeout_s < 5  # a turn's whole time
        assert tool.parameters["additionalProperties"] is False
        Draft202012Validator(tool.parameters).validate(EXAMPLES[name])
        assert not any("caller" in parameter or "phone" in parameter for parameter in tool.parameters["properties"])
        assert tool.fallback[0].isupper()
        assert tool.fallback.endswith(".")
        assert tool.summary is not None
        assert tool.read_only == (name not in WRITING)
        assert (tool.identity is IdentityLevel.VERIFIED) == (name != "callback_request")
        assert (tool.read_back is not None) == (name in WRITING)


async def test_every_example_works_and_its_summary_can_be_spoken(kit: Kit) -> None:
    for name in EXAMPLES:
        result = await kit.run(name)
        assert (result.status, result.reason) == (ToolStatus.OK, ""), name
        assert json.loads(json.dumps(result.data)) == result.data
        summary = kit.tools[name].summary
        assert summary is not None
        said = speakable(summary(result.data), locale="en-US")
        assert said.endswith(".")
        assert not re.search(r"[\d$_{}\[\]]|None", said), said


async def test_the_caller_is_found_however_the_number_is_written_and_an_id_that_is_none_has_no_orders(kit: Kit) -> None:
    for caller_id in ("1 555 0100", "001 555 0100", "+1 (555) 0100"):
        result = await kit.run("order_status", {}, replace(DANA, caller_id=caller_id))
        assert len(result.data["orders"]) == 3, caller_id
    for caller_id in ("", "nobody", "a/../b", "\0", "..", "x" * 500):
        stranger = replace(DANA, caller_id=caller_id)
        assert (await kit.run("order_status", {}, stranger)).data == {"orders": [], "more": 0}
        assert (await kit.run("order_status", {"order_id": "83102"}, stranger)).reason == "not_found"


async def test_list_orders_tells_how_many_more_there_are(kit: Kit) -> None:
    result = await kit.run("list_orders", {"limit": 1})
    assert [order["order_id"] for order in result.data["orders"]] == ["83240"]
    assert result.data["more"] == 2
    assert (await kit.run("list_orders", {"state": "returned"})).data == {"orders": [], "more": 0}


async def test_delivery_estimate_tells_each_parcel(kit: Kit) -> None:
    async with kit.shop.database.read() as connection:
        early = (await connection.execute(select(t.shipments).where(t.shipments.c.shipment_id.like("%-0")))).first()
        assert early is not None
        owner = select(t.orders.c.caller_id).where(t.orders.c.order_id == early.order_id)
        caller_id = (await connection.execute(owner)).scalar_one()
    partial = replace(DANA, caller_id=caller_id)
    data = (await kit.run("delivery_estimate", {"order_id": early.order_id}, partial)).data
    assert sorted(parcel["delivered_on"] is None for parcel in data["parcels"]) == [False, True]
    assert NOON.date().isoformat() < data["earliest"] < data["latest"]
    summary = kit.tools["delivery_estimate"].summary
    assert summary is not None
    assert "One part, " in summary(data)


async def test_what_was_written_is_what_the_shop_then_tells(kit: Kit) -> None:
    done = await kit.run("start_return")
    assert (done.data["refund"], done.data["send_back"]) == (36.0, True)
    moved = await kit.run("update_address")
    assert moved.data["address"] == {**ELM, "recipient": "Dana Reyes", "extra": "", "country": "US"}
    cancelled = await kit.run("cancel_order")
    assert (cancelled.data["status"], cancelled.data["refund"]) == ("cancelled", 627.0)
    (order,) = (await kit.run("order_status", {"order_id": "83240"})).data["orders"]
    assert (order["status"], order["estimated_delivery"]) == ("cancelled", None)


REFUSALS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("cancel_order", {"order_id": "83102"}, "too_late", {"order_status": "in_transit"}),
    ("update_address", {"order_id": "83102", **ELM}, "too_late", {"order_status": "in_transit"}),
    ("start_return", {"order_id": "83240", "condition": "unused"}, "not_delivered", {}),
    ("start_return", {"order_id": "83117", "condition": "used"}, "not_returnable", {"why": "used"}),
    (
        "start_return",
        {"order_id": "83117", "condition": "unused", "items": [{"name": "tent", "quantity": 1}]},
        "item_not_in_order",
        {"items_in_order": ["ceramic mug"]},
    ),
]


async def test_a_business_answer_is_an_answer(kit: Kit) -> None:
    for name, arguments, reason, facts in REFUSALS:
        for _ in range(ROUTER.cb_failure_threshold + 1):  # and opens no breaker
            result = await kit.run(name, arguments)
            assert (result.status, result.reason) == (ToolStatus.BUSINESS_ERROR, reason)
        assert result.data["order_id"] == arguments["order_id"]
        assert result.data["detail"].endswith(".")
        assert facts.items() <= result.data.items()


async def test_nobody_reaches_another_callers_order_by_any_argument(kit: Kit) -> None:
    before = await kit.effects()
    tricks = [
        "83240",
        "../../+15550100/orders/83240",
        "%2B15550100/orders/83240",
        "83240?caller_id=+15550100",
        "83240#",
    ]
    for trick in tricks:
        for name in ("order_status", "delivery_estimate", "start_return", "update_address", "cancel_order"):
            result = await kit.run(name, {**EXAMPLES[name], "order_id": trick}, SAM)
            assert (result.status, result.reason) == (ToolStatus.BUSINESS_ERROR, "not_found"), (name, trick)
    for name in EXAMPLES:
        for extra in ("caller_id", "phone", "customer", "caller"):
            result = await kit.run(name, {**EXAMPLES[name], extra: "+15550100"}, SAM)
            assert result.status is ToolStatus.INVALID
    assert await kit.effects() == before + 5 * 3  # the keys under which nothing was done


async def test_what_needs_identity_or_a_yes_does_not_reach_the_shop_without(kit: Kit) -> None:
    before = await kit.effects()
    for name in EXAMPLES:
        if name != "callback_request":
            assert (await kit.run(name, context=replace(DANA, verified=False))).reason == "identity_required"
        if kit.tools[name].read_back:
            asked = await kit.run(name, confirmed=False)
            assert asked.status is ToolStatus.DENIED
            assert EXAMPLES[name].get("order_id", "in the evening") in asked.spoken
    assert await kit.effects() == before
    assert (await kit.run("callback_request", context=replace(DANA, verified=False))).status is ToolStatus.OK


async def test_a_read_back_is_one_question_in_the_callers_language(kit: Kit) -> None:
    said = {
        locale: [tool.read_back(EXAMPLES[name], locale) for name, tool in kit.tools.items() if tool.read_back]
        for locale in ("en-US", "es-ES", "fr-FR", "ar-EG", "de-DE")
    }
    for questions in said.values():
        assert all(question.rstrip()[-1] in "?؟" and question.count("?") <= 1 for question in questions)
    assert said["de-DE"] == said["en-US"]
    assert len({questions[0] for questions in said.values()}) == 4
    assert "2 ceramic mug del" in said["es-ES"][0]
    assert said["en-US"][0] == "Shall I start a return for 2 ceramic mugs from order 83117, as unused?"
    assert all(part in said["en-US"][2] for part in ("12 Elm Street", "Salem", "97301")), said["en-US"]


@pytest.mark.parametrize("locale", ["en-US", "es-ES", "fr-FR", "ar-EG"])
@pytest.mark.parametrize("items", [{}, {"items": [{"name": "ceramic mug", "quantity": 2}]}])
async def test_a_return_is_read_back_with_its_condition(kit: Kit, locale: str, items: dict[str, Any]) -> None:
    ask, schema = kit.tools["start_return"].read_back, kit.tools["start_return"].parameters
    assert ask is not None
    conditions = schema["properties"]["condition"]["enum"]
    questions = {ask({"order_id": "83117", "condition": condition, **items}, locale) for condition in conditions}
    assert len(questions) == len(conditions)


async def test_the_same_key_writes_once_and_tells_the_same(kit: Kit) -> None:
    for name in [*sorted(WRITING - {"cancel_order"}), "cancel_order"]:
        context = replace(DANA, idempotency_key=f"call-1:{name}:é")  # not as a header takes it
        first = await kit.run(name, context=context)
        effects = await kit.effects()
        again = await kit.run(name, context=context)
        assert (first.status, again.status) == (ToolStatus.OK, ToolStatus.OK)
        assert again.data == first.data
        assert await kit.effects() == effects


@pytest.mark.parametrize(
    "fault",
    [
        Fault.LOST_ANSWER,
        Fault.ERROR_AFTER,
        Fault.SERVER_ERROR,
        Fault.GARBAGE,
        Fault.WRONG_SCHEMA,
        Fault.EMPTY,
        Fault.HUGE,
    ],
)
async def test_a_write_that_fails_once_is_done_once_and_told(kit: Kit, fault: Fault) -> None:
    for name in (name for name in EXAMPLES if name in WRITING):
        kit.strike(ENDPOINTS[name], fault, times=1)
        before = await kit.effects()
        result = await kit.run(name)
        assert result.status is ToolStatus.OK
        rows = 4 if name == "start_return" else 2  # what was done and its key; a return has a line and a refund too
        assert await kit.effects() == before + rows


async def test_a_write_whose_client_gave_up_before_its_turn_is_not_made(kit: Kit) -> None:
    impatient = kit.client_with(api_timeout_ms=100)
    async with kit.shop.database.write():  # somebody else writes
        with pytest.raises(ProviderError) as failed:
            await impatient.cancel("+15550100", "83240", {}, idempotency_key="call-1:1")
        assert (failed.value.category, failed.value.undone) == (ProviderFault.TIMEOUT, False)
    assert not isinstance(await kit.client.cancel("+15550100", "83240", {}, idempotency_key="call-1:2"), Refusal)


FAULTS: list[tuple[Fault, ProviderFault]] = [
    (Fault.SERVER_ERROR, ProviderFault.INTERNAL),
    (Fault.GARBAGE, ProviderFault.PROTOCOL),
    (Fault.WRONG_SCHEMA, ProviderFault.PROTOCOL),
    (Fault.EMPTY, ProviderFault.PROTOCOL),
    (Fault.HUGE, ProviderFault.PROTOCOL),
    (Fault.REFUSED, ProviderFault.AUTH),
    (Fault.HANG, ProviderFault.TIMEOUT),
    (Fault.SLOW, ProviderFault.TIMEOUT),
    (Fault.LOST_ANSWER, ProviderFault.NETWORK),
    (Fault.HANG_AFTER, ProviderFault.TIMEOUT),
    (Fault.ERROR_AFTER, ProviderFault.INTERNAL),
]


@pytest.mark.parametrize(("fault", "category"), FAULTS)
async def test_each_fault_has_its_category_and_the_tool_its_fallback(
    kit: Kit, fault: Fault, category: ProviderFault
) -> None:
    # Short only where nothing is to come in time: a busy machine must not turn another fault into a timeout.
    client = kit.client_with(api_timeout_ms=100) if category is ProviderFault.TIMEOUT else kit.client
    asked: dict[Endpoint, Callable[[], Any]] = {
        Endpoint.LIST_ORDERS: lambda: client.orders_of("+15550100"),
        Endpoint.GET_ORDER: lambda: client.order("+15550100", "83102"),
        Endpoint.CANCEL_ORDER: lambda: client.cancel("+15550100", "83240", {}),
    }
    for endpoint, ask in asked.items():
        kit.strike(endpoint, fault, slow_s=0.4)
        with pytest.raises(ProviderError) as failed:
            await ask()
        assert failed.value.category is category
        assert TOKEN not in str(failed.value)
        assert "ceramic" not in str(failed.value)
    router = kit.router_with(client)
    turned_away = fault is Fault.REFUSED  # of any other failed write nobody can be sure
    for name in ("order_status", "cancel_order"):
        result = await router.run(ToolCall("t1", name, json.dumps(EXAMPLES[name])), DANA, confirmed=True)
        tool = kit.tools[name]
        spoken = tool.fallback if tool.read_only or turned_away else tool.unsure
        assert (result.status, result.spoken) == (ToolStatus.FAILED, spoken)
    for endpoint in asked:
        kit.strike(endpoint, None)
    assert len(await kit.client.orders_of("+15550100")) == 3


async def test_a_shop_that_is_down_or_is_no_shop_is_said_clearly(kit: Kit) -> None:
    down = kit.client_with(api_url="http://127.0.0.1:1")
    with pytest.raises(ProviderError, match="refused") as failed:
        await down.orders_of("+15550100")
    assert failed.value.category is ProviderFault.NETWORK
    nothing_done = await kit.router_with(down).run(
        ToolCall("t1", "cancel_order", json.dumps(EXAMPLES["cancel_order"])), DANA, confirmed=True
    )
    assert (nothing_done.reason, nothing_done.spoken) == ("error", kit.tools["cancel_order"].fallback)
    stranger = kit.client_with(api_token=SecretStr("wrong"))
    with pytest.raises(ProviderError, match="SHOP_API_TOKEN"):
        await stranger.warm()
    elsewhere = kit.client_with(api_url=f"{kit.shop.url}/somewhere")
    with pytest.raises(ProviderError, match="SHOP_API_URL") as failed:  # its 404 is not "no such order"
        await elsewhere.order("+15550100", "83102")
    assert (failed.value.category, failed.value.retryable) == (ProviderFault.PROTOCOL, False)


async def test_requests_share_one_connection(kit: Kit) -> None:
    await kit.client.warm()
    pool = kit.web.http._transport._pool
    (opened,) = pool.connections
    for name in ("order_status", "list_orders", "delivery_estimate", "callback_request", "cancel_order"):
        await kit.run(name)
    await kit.run("order_status", {"order_id": "99999"})  # a refusal gives its connection back too
    assert pool.connections == [opened]


async def test_cancelling_a_call_leaves_the_client_usable(kit: Kit) -> None:
    assert kit.shop.faults is not None
    kit.strike(Endpoint.GET_ORDER, Fault.HANG, times=1)
    waiting = asyncio.create_task(kit.client.order("+15550100", "83102"))
    async with asyncio.timeout(5):
        while kit.shop.faults.current(Endpoint.GET_ORDER):  # noqa: ASYNC110 - the shop tells nobody that it has it
            await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await kit.client.order("+15550100", "83102") is not None


async def test_the_models_text_of_any_kind_is_either_refused_or_written(kit: Kit) -> None:
    """Nothing a model writes may look like a failure of the shop, or it would open the breaker."""
    for topic in (
        "ok",
        " ",
        "",
        "a\0b",
        "tab\there",
        "x" * 200,
        "x" * 201,
        "日本語",
        "\u200fمرحبا",
        "a\u200db",
        "\x7f",
        "'; --",
    ):
        result = await kit.run("callback_request", {"topic": topic}, replace(DANA, caller_id="+15550199"))
        assert result.status in (ToolStatus.OK, ToolStatus.INVALID, ToolStatus.BUSINESS_ERROR), repr(topic)
    for code in ("97301", "EH1 1YZ", "1", "12 ", " 12", "12\n", "ab-12", "-", "１２３４５", "1" * 17):
        result = await kit.run("update_address", {"order_id": "83240", **ELM, "postal_code": code})
        assert result.status in (ToolStatus.OK, ToolStatus.INVALID), repr(code)
