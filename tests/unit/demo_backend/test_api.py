"""The shop's API through its socket, as any client sees it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs
from tests.shops import NOON, TOKEN, WallClock, open_shop

from voice_agent.demo_backend import tables as t
from voice_agent.demo_backend.server import RunningShop
from voice_agent.demo_backend.wire import Address

DANA, SAM = "+15550100", "+15550101"
ELM = {"street": "12 Elm Street", "city": "Salem", "postal_code": "97301"}
#: One after another they all succeed: an address changes before its order is cancelled.
WRITES: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/orders/83117/returns", {"condition": "unused"}, 201),
    ("PUT", "/orders/83240/address", ELM, 200),
    ("POST", "/orders/83240/cancellation", {}, 200),
    ("POST", "/callbacks", {"topic": "an invoice"}, 201),
]


@dataclass
class Client:
    http: httpx2.AsyncClient
    shop: RunningShop
    clock: WallClock

    async def ask(
        self, path: str, body: Any = None, *, method: str = "", key: str = "", caller: str = DANA, **headers: str
    ) -> httpx2.Response:
        if key:
            headers["idempotency-key"] = key
        url = f"/v1/callers/{caller.replace('+', '%2B')}{path}"
        return await self.http.request(method or ("GET" if body is None else "POST"), url, json=body, headers=headers)

    async def count(self, table: Any) -> int:
        async with self.shop.database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())

    async def effects(self) -> dict[str, int]:
        """How many rows each table has that a write adds to."""
        return {table.name: await self.count(table) for table in (t.returns, t.refunds, t.addresses, t.callbacks)}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    clock = WallClock()
    async with (
        open_shop(tmp_path, clock) as shop,
        httpx2.AsyncClient(base_url=shop.url, headers={"authorization": f"Bearer {TOKEN}"}) as http,
    ):
        yield Client(http, shop, clock)


def assert_problem(response: httpx2.Response, status: int, kind: str, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["kind"], problem["code"]) == (status, kind, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["detail"].endswith(".")
    return problem


async def test_a_callers_orders_come_newest_first_and_are_counted(client: Client) -> None:
    page = (await client.ask("/orders?limit=2")).json()
    assert [order["order_id"] for order in page["orders"]] == ["83240", "83102"]
    assert page["total"] == 3
    delivered = (await client.ask("/orders?state=delivered")).json()
    assert [order["order_id"] for order in delivered["orders"]] == ["83117"]
    assert (await client.ask("/orders", caller="+19998887777")).json() == {"orders": [], "total": 0}


async def test_an_order_tells_its_parcels_and_its_address(client: Client) -> None:
    order = (await client.ask("/orders/83102")).json()
    (parcel,) = order["shipments"]
    assert parcel["items"] == [
        {"name": "Trail Runner rain jacket", "quantity": 1},
        {"name": "wool socks", "quantity": 3},
    ]
    assert order["address"]["recipient"] == "Dana Reyes"
    assert sum(item["quantity"] * item["unit_price_cents"] for item in order["items"]) == order["total_cents"] == 17700


async def test_somebody_elses_order_and_a_missing_one_are_the_same(client: Client) -> None:
    """Byte for byte, at every endpoint about an order."""
    before = await client.effects()
    for method, path, body in [
        ("GET", "", None),
        ("GET", "/delivery", None),
        ("POST", "/returns", {"condition": "unused"}),
        ("POST", "/cancellation", {}),
        ("PUT", "/address", ELM),
    ]:
        answers = []
        for number in ("83240", "99999"):
            answer = await client.ask(
                f"/orders/{number}{path}", body, method=method, key=f"{method}{path}{number}", caller=SAM
            )
            assert_problem(answer, 404, "business", "not_found")
            headers = {name: value for name, value in answer.headers.items() if name != "date"}
            answers.append((answer.content, headers))
        assert answers[0] == answers[1]
    assert await client.effects() == before
    assert (await client.ask("/orders/83240")).json()["status"] == "processing"


async def test_cancelling_refunds_at_once_and_only_once(client: Client) -> None:
    done = (await client.ask("/orders/83240/cancellation", {}, key="a")).json()
    assert (done["status"], done["refund_cents"], done["currency"]) == ("cancelled", 62700, "USD")
    assert_problem(await client.ask("/orders/83240/cancellation", {}, key="b"), 409, "business", "already_cancelled")
    order = (await client.ask("/orders/83240")).json()
    assert (order["status"], order["estimated_delivery"]) == ("cancelled", None)
    (refund,) = order["refunds"]
    assert (refund["status"], refund["paid_on"]) == ("paid", NOON.date().isoformat())


async def test_what_was_shipped_is_too_late(client: Client) -> None:
    late = await client.ask("/orders/83102/cancellation", {}, key="a")
    assert assert_problem(late, 409, "business", "too_late")["order_status"] == "in_transit"
    late = await client.ask("/orders/83102/address", ELM, method="PUT", key="b")
    assert_problem(late, 409, "business", "too_late")


async def test_a_return_is_recorded_piece_by_piece(client: Client) -> None:
    body = {"condition": "unused", "items": [{"name": "ceramic mug", "quantity": 3}]}
    done = await client.ask("/orders/83117/returns", body, key="a")
    assert (done.status_code, done.json()["refund_cents"]) == (201, 3 * 1800)
    order = (await client.ask("/orders/83117")).json()
    assert order["items"][0]["returned_quantity"] == 3
    assert order["returns"][0]["items"] == body["items"]
    assert order["refunds"][0]["return_id"] == done.json()["return_id"]
    again = await client.ask("/orders/83117/returns", body, key="b")
    assert assert_problem(again, 409, "business", "too_many_pieces")["left"] == 1
    client.clock.pass_days(40)
    assert_problem(
        await client.ask("/orders/83117/returns", {"condition": "unused"}, key="c"), 409, "business", "too_late"
    )


async def test_a_new_address_leaves_the_old_one_on_record(client: Client) -> None:
    before = await client.count(t.addresses)
    updated = (await client.ask("/orders/83240/address", {**ELM, "extra": "Flat 2"}, method="PUT", key="a")).json()
    order = (await client.ask("/orders/83240")).json()
    assert order["address"] == updated["address"]
    assert (order["address"]["street"], order["address"]["recipient"]) == ("12 Elm Street", "Dana Reyes")
    assert (await client.ask("/orders/83102")).json()["address"] != order["address"]
    assert await client.count(t.addresses) == before + 1


async def test_callbacks_are_for_telephones_and_a_few_at_a_time(client: Client) -> None:
    body = {"topic": "an invoice", "preferred": "morning"}
    nobody = await client.ask("/callbacks", body, key="a", caller="web-visitor")
    assert_problem(nobody, 409, "business", "no_number")
    for number in range(3):
        assert (await client.ask("/callbacks", body, key=f"b{number}", caller="+447700900999")).status_code == 201
    fourth = await client.ask("/callbacks", body, key="c", caller="+447700900999")
    assert_problem(fourth, 409, "business", "too_many_callbacks")
    assert await client.count(t.callbacks) == 3


async def test_the_same_key_and_body_give_the_stored_answer(client: Client) -> None:
    for method, path, body, status in WRITES:
        first = await client.ask(path, body, method=method, key=path)
        effects = await client.effects()
        again = await client.ask(path, body, method=method, key=path)
        assert (first.status_code, again.status_code) == (status, status)
        assert again.content == first.content
        assert (first.headers.get("idempotency-replayed"), again.headers.get("idempotency-replayed")) == (None, "true")
        assert await client.effects() == effects


async def test_the_same_key_for_something_else_is_refused(client: Client) -> None:
    for method, path, body, _ in WRITES:
        await client.ask(path, body, method=method, key=path)
        effects = await client.effects()
        changed = {**body, "city": "Bend"} if method == "PUT" else {**body, "topic": "other"}
        if "/orders/" in path and method == "POST":
            changed = {**body, "reason": "other"}
        other = await client.ask(path, changed, method=method, key=path)
        assert_problem(other, 422, "request", "idempotency_key_reused")
        elsewhere = await client.ask("/orders/83102/cancellation", {}, key=path)
        assert_problem(elsewhere, 422, "request", "idempotency_key_reused")
        assert await client.effects() == effects


async def test_nothing_is_written_without_a_proper_key(client: Client) -> None:
    before = await client.effects()
    for method, path, body, _ in WRITES:
        assert_problem(await client.ask(path, body, method=method), 400, "request", "idempotency_key_missing")
        for bad in ("x" * 129, "two words"):
            refused = await client.ask(path, body, method=method, key=bad)
            assert_problem(refused, 400, "request", "bad_request")
    assert await client.effects() == before


async def test_twenty_at_once_with_one_key_write_once(client: Client) -> None:
    for method, path, body, status in WRITES:
        before = sum((await client.effects()).values())
        answers = await asyncio.gather(*(client.ask(path, body, method=method, key=path) for _ in range(20)))
        assert {(answer.status_code, answer.content) for answer in answers} == {(status, answers[0].content)}
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        one = 2 if status == 201 and "returns" in path else 1  # a return comes with its refund
        assert sum((await client.effects()).values()) == before + one


async def test_many_keys_at_once_cancel_one_order_once(client: Client) -> None:
    answers = await asyncio.gather(*(client.ask("/orders/83240/cancellation", {}, key=f"k{n}") for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert len((await client.ask("/orders/83240")).json()["refunds"]) == 1


async def test_a_business_answer_is_kept_for_its_key_too(client: Client) -> None:
    first = await client.ask("/orders/83240/returns", {"condition": "unused"}, key="k")
    assert_problem(first, 409, "business", "not_delivered")
    again = await client.ask("/orders/83240/returns", {"condition": "unused"}, key="k")
    assert (again.status_code, again.content) == (409, first.content)
    assert again.headers["content-type"] == "application/problem+json"


async def test_a_key_is_one_callers_and_lasts_a_day(client: Client) -> None:
    body = {"topic": "an invoice"}
    first = (await client.ask("/callbacks", body, key="k")).json()
    assert (await client.ask("/callbacks", body, key="k", caller=SAM)).json() != first
    client.clock.pass_days(1)
    assert (await client.ask("/callbacks", body, key="k")).json() == first
    client.clock.pass_days(1)
    assert (await client.ask("/callbacks", body, key="k")).json() != first


async def test_nobody_gets_in_without_the_token(client: Client) -> None:
    for authorization in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN):
        for path, body in (("/orders", None), ("/orders/83240/cancellation", {}), ("/no/such/thing", None)):
            refused = await client.ask(path, body, key="k", authorization=authorization)
            assert_problem(refused, 401, "request", "unauthorized")
            assert refused.headers["www-authenticate"] == "Bearer"
        headers = {"authorization": authorization}
        assert (await client.http.get("/v1/status", headers=headers)).status_code == 401
        assert (await client.http.get("/healthz", headers=headers)).status_code == 200
    assert (await client.http.get("/v1/status")).status_code == 200


UNDESCRIBED: list[tuple[str, Any]] = [
    ("/orders?limit=0", None),
    ("/orders?limit=201", None),
    ("/orders?state=stolen", None),
    ("/orders/" + "9" * 33, None),
    ("/orders/83%20102", None),
    ("/callbacks", {"topic": ""}),
    ("/callbacks", {"topic": "  "}),
    ("/callbacks", {"topic": "x" * 201}),
    ("/callbacks", {"topic": "a\0b"}),
    ("/callbacks", {"topic": "x", "phone": "+15550199"}),
    ("/callbacks", ["topic"]),
    ("/orders/83117/returns", {}),
    ("/orders/83117/returns", {"condition": "unused", "items": []}),
    ("/orders/83117/returns", {"condition": "unused", "items": [{"name": "mug", "quantity": 0}]}),
]


async def test_what_the_api_does_not_describe_is_refused_without_being_quoted(client: Client) -> None:
    before = await client.effects()
    for path, body in UNDESCRIBED:
        refused = await client.ask(path, body, key="k")
        assert_problem(refused, 400, "request", "bad_request")
        assert "+15550199" not in refused.text
    assert await client.effects() == before


async def test_a_body_has_a_limit(client: Client) -> None:
    big = json.dumps({"topic": "x", "filler": "y" * 20_000}).encode()

    async def dripped() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 1000):
            yield big[start : start + 1000]

    for content in (big, dripped()):
        refused = await client.http.post(
            "/v1/callers/%2B15550100/callbacks", content=content, headers={"idempotency-key": "k"}
        )
        assert_problem(refused, 413, "request", "too_large")


async def test_unknown_places_and_methods_are_no_business_answer(client: Client) -> None:
    """A client that mistook "no such page" for "no such order" would tell callers lies."""
    for method, path in (("GET", "/orders/83102/colour"), ("DELETE", "/orders/83102"), ("GET", "/orders/a/b/c")):
        assert_problem(await client.ask(path, method=method), 404, "request", "no_such_endpoint")


async def test_it_describes_itself(client: Client) -> None:
    description = (await client.http.get("/openapi.json")).json()
    operations = {
        operation["operationId"]: operation
        for path, item in description["paths"].items()
        if path.startswith("/v1/callers/")
        for operation in item.values()
    }
    assert set(operations) == {
        *("list_orders", "get_order", "delivery", "start_return", "cancel_order", "update_address", "callback_request")
    }
    for name, operation in operations.items():
        assert operation["security"] == [{"HTTPBearer": []}]
        assert "ProblemOut" in json.dumps(operation["responses"]["409"])
        parameters = {parameter["name"] for parameter in operation["parameters"]}
        assert ("Idempotency-Key" in parameters) == (name not in ("list_orders", "get_order", "delivery"))
        assert operation["description"]


async def test_the_fault_switch_is_there_only_when_asked_for(client: Client) -> None:
    switched = await client.http.put("/dev/faults/get_order/server_error?times=1")
    assert switched.json()["get_order"] == "server_error"
    assert_problem(await client.ask("/orders/83102"), 503, "failure", "unavailable")
    assert (await client.ask("/orders/83102")).status_code == 200
    assert (await client.http.put("/dev/faults/get_order/explode")).status_code == 400
    asked = (await client.http.get("/dev/faults/asked")).json()
    assert (asked["get_order"], asked["list_orders"]) == (2, 0)

    from voice_agent.demo_backend.api import create_api
    from voice_agent.demo_backend.shop import Shop

    api = create_api(Shop(client.shop.database, client.clock), TOKEN)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(api), base_url="http://shop") as plain:
        assert (await plain.get("/dev/faults")).status_code == 404


def test_an_address_of_a_request_fits_the_address_of_an_answer() -> None:
    from voice_agent.demo_backend.wire import AddressRequest

    assert set(AddressRequest.model_fields) == set(Address.model_fields)


async def test_the_log_tells_what_was_asked_and_never_for_whom(client: Client) -> None:
    with capture_logs() as lines:
        await client.ask("/orders/83102")
        await client.ask("/orders/99999")
        await client.ask("/orders/83240/cancellation", {}, key="a")
        await client.ask("/nowhere")
        await client.http.get("/v1/status", headers={"authorization": "Bearer wrong"})
    told = [(line["operation"], line["status"]) for line in lines]
    assert told == [("get_order", 200), ("get_order", 404), ("cancel_order", 200), ("unknown", 404), ("unknown", 401)]
    assert not re.search(r"1?5550100|83102|83240", repr([{**line, "took_ms": 0} for line in lines]))
