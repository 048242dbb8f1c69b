"""What the demo shop starts with."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.shops import NOON, WallClock, open_shop, seeded_copy

from voice_agent.demo_backend import tables as t
from voice_agent.demo_backend.database import open_shop_database
from voice_agent.demo_backend.demo_orders import DemoData, Row, demo_data
from voice_agent.demo_backend.seed import seed_shop
from voice_agent.store.demo import demo_callers
from voice_agent.store.records import OrderStatus

TODAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def data() -> DemoData:
    return demo_data(TODAY)


def by_order(rows: list[Row]) -> defaultdict[str, list[Row]]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["order_id"]].append(row)
    return grouped


def test_there_are_many_callers_and_orders_of_every_kind(data: DemoData) -> None:
    assert len({person.caller_id for person in data.people}) == len(data.people) >= 200
    assert len({row["order_id"] for row in data.orders}) == len(data.orders) >= 600
    statuses = Counter(row["status"] for row in data.orders)
    assert set(statuses) == set(OrderStatus)
    assert min(statuses.values()) >= 20
    assert len({row["carrier"] for row in data.orders}) >= 10
    assert {row["currency"] for row in data.orders} == {"USD", "EUR", "GBP", "JPY"}
    assert {person.home.country for person in data.people} == {"US", "GB", "DE", "FR", "ES", "EG", "JP"}
    assert sum(not person.name.isascii() for person in data.people) >= 30
    assert sum(not person.home.street.isascii() for person in data.people) >= 20
    parcels = by_order(data.shipments)
    assert sum(len(sent) > 1 for sent in parcels.values()) >= 15
    assert sum(row["final_sale"] for row in data.items) >= 20
    owners = Counter(row["caller_id"] for row in data.orders)
    assert sum(person.caller_id not in owners for person in data.people) >= 10


def test_the_same_is_drawn_on_every_day_but_for_the_dates(data: DemoData) -> None:
    assert demo_data(TODAY) == data
    later = demo_data(TODAY + timedelta(days=40))
    assert [row["order_id"] for row in later.orders] == [row["order_id"] for row in data.orders]
    assert later.items == data.items
    shifts = {new["placed_on"] - old["placed_on"] for new, old in zip(later.orders, data.orders, strict=True)}
    assert shifts == {timedelta(days=40)}


def test_the_callers_of_the_readme_have_exactly_their_orders(data: DemoData) -> None:
    owned: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in data.orders:
        owned[row["caller_id"]][row["order_id"]] = row["status"]
    assert owned["+15550100"] == {"83102": "in_transit", "83117": "delivered", "83240": "processing"}
    assert owned["+15550101"] == {"84455": "delayed"}
    assert owned["+15550102"] == {}
    assert "99999" not in {
        row["order_id"] for row in data.orders
    }  # other tests' number of an order that does not exist
    (jacket,) = [row for row in data.orders if row["order_id"] == "83102"]
    assert (jacket["carrier"], jacket["total_cents"], jacket["currency"]) == ("UPS", 17_700, "USD")


def test_its_customers_are_those_whom_the_platform_can_prove(data: DemoData) -> None:
    assert [(person.caller_id, person.name, person.locale) for person in data.people] == [
        (caller.caller_id, caller.name, caller.locale) for caller in demo_callers()
    ]


@pytest.mark.parametrize("today", [TODAY, date(2028, 2, 29), date(2026, 12, 31)])
def test_what_is_under_way_comes_within_days_on_any_day(today: date) -> None:
    moving = {OrderStatus.PROCESSING, OrderStatus.SHIPPED, OrderStatus.IN_TRANSIT, OrderStatus.DELAYED}
    for row in demo_data(today).orders:
        if OrderStatus(row["status"]) in moving:
            assert today < row["estimated_delivery"] <= today + timedelta(days=7)
        elif row["status"] == OrderStatus.OUT_FOR_DELIVERY:
            assert row["estimated_delivery"] == today


def test_every_order_is_consistent_in_itself(data: DemoData) -> None:
    lines, parcels = by_order(data.items), by_order(data.shipments)
    refunds, returns = by_order(data.refunds), by_order(data.returns)
    for order in data.orders:
        order_id, status = order["order_id"], OrderStatus(order["status"])
        assert order["total_cents"] == sum(line["quantity"] * line["unit_price_cents"] for line in lines[order_id])
        assert order["placed_on"] <= TODAY
        sent = {parcel["shipment_id"]: parcel for parcel in parcels[order_id]}
        waiting = status in (OrderStatus.PROCESSING, OrderStatus.CANCELLED)
        assert bool(sent) != waiting, order_id
        assert {line["shipment_id"] for line in lines[order_id]} == (set(sent) or {None})
        for parcel in sent.values():
            assert order["placed_on"] < parcel["shipped_on"] <= TODAY
            assert (parcel["delivered_on"] is not None) == (parcel["status"] == "delivered")
            assert parcel["delivered_on"] is None or parcel["shipped_on"] <= parcel["delivered_on"] <= TODAY
        assert (order["delivered_on"] is not None) == (status in (OrderStatus.DELIVERED, OrderStatus.RETURNED))
        assert bool(refunds[order_id]) == (status in (OrderStatus.CANCELLED, OrderStatus.RETURNED))
        assert bool(returns[order_id]) == (status is OrderStatus.RETURNED)


def test_telephone_numbers_are_those_set_aside_for_fiction(data: DemoData) -> None:
    for person in data.people:
        number = person.caller_id
        fictional = (number.startswith("+1") and number[-7:-4] == "555" and number[-4:-2] == "01") or number.startswith(
            ("+447700900", "+493023125", "+3319900")
        )
        assert fictional or number.startswith("+155501"), number


async def test_a_second_start_on_the_same_day_changes_nothing(tmp_path: Path) -> None:
    seeded_copy(tmp_path)
    async with open_shop_database("", tmp_path) as database:
        async with database.read() as connection:
            before = (await connection.execute(select(t.orders))).all()
        size = await seed_shop(database, NOON.date())
        async with database.read() as connection:
            assert (await connection.execute(select(t.orders))).all() == before
    assert (size.callers, size.orders) == (230, len(before))


async def test_on_a_later_day_the_calendar_moves_with_what_callers_did(tmp_path: Path) -> None:
    clock = WallClock()
    async with open_shop(tmp_path, clock) as shop, shop.database.write() as connection:
        mark = {"status": "cancelled", "estimated_delivery": None}
        await connection.execute(t.orders.update().where(t.orders.c.order_id == "83240").values(mark))
        before = {row.order_id: row for row in await connection.execute(select(t.orders))}
        parcels = {row.shipment_id: row for row in await connection.execute(select(t.shipments))}
    clock.pass_days(17)
    async with open_shop(tmp_path, clock) as shop, shop.database.read() as connection:
        after = {row.order_id: row for row in await connection.execute(select(t.orders))}
        moved_parcels = {row.shipment_id: row for row in await connection.execute(select(t.shipments))}
    assert after["83240"].status == "cancelled"
    for order_id, row in after.items():
        for name in ("placed_on", "estimated_delivery", "delivered_on"):
            old = getattr(before[order_id], name)
            assert getattr(row, name) == (old and old + timedelta(days=17)), order_id
    assert all(row.shipped_on == parcels[key].shipped_on + timedelta(days=17) for key, row in moved_parcels.items())
