from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update
from tests.unit.store.conftest import WallClock, store_settings

from voice_agent.config import IdentitySettings
from voice_agent.errors import StoreError
from voice_agent.models import SecretOutcome
from voice_agent.store.callers import CallerDirectory, _matches
from voice_agent.store.database import Database, open_database
from voice_agent.store.demo import demo_shop, seed_demo
from voice_agent.store.orders import DatabaseOrders
from voice_agent.store.records import OrderStatus
from voice_agent.store.tables import callers, orders

TODAY = date(2026, 3, 1)
SETTINGS = IdentitySettings.model_construct(pin_digits=4, pin_max_attempts=3, pin_lockout_s=900)


def test_the_demo_shop_is_large_and_varied() -> None:
    shop = demo_shop(TODAY)
    assert len(shop.callers) >= 40
    assert len(shop.orders) >= 100
    assert len({caller["caller_id"] for caller in shop.callers}) == len(shop.callers)
    assert len({order.order_id for order in shop.orders}) == len(shop.orders)
    assert {order.status for order in shop.orders} == set(OrderStatus)
    assert shop == demo_shop(TODAY)


def test_the_callers_of_the_readme_have_exactly_their_orders() -> None:
    owned: dict[str, dict[str, str]] = {}
    for order in demo_shop(TODAY).orders:
        owned.setdefault(order.caller_id, {})[order.order_id] = order.status.value
    assert owned["+15550100"] == {"83102": "in_transit", "83117": "delivered", "83240": "processing"}
    assert owned["+15550101"] == {"84455": "delayed"}
    assert "+15550102" not in owned


@pytest.mark.parametrize("today", [TODAY, date(2028, 2, 29), date(2026, 12, 31)])
def test_every_orders_dates_make_sense_on_any_day(today: date) -> None:
    moving = {OrderStatus.PROCESSING, OrderStatus.SHIPPED, OrderStatus.IN_TRANSIT, OrderStatus.DELAYED}
    for order in demo_shop(today).orders:
        assert order.placed_on <= today
        assert order.total_cents > 0
        assert order.items
        if order.status in moving:
            assert order.estimated_delivery is not None
            assert today < order.estimated_delivery <= today + timedelta(days=7)
        if order.status is OrderStatus.OUT_FOR_DELIVERY:
            assert order.estimated_delivery == today
        if order.status in (OrderStatus.DELIVERED, OrderStatus.RETURNED):
            assert order.delivered_on is not None
            assert order.placed_on < order.delivered_on <= today
        else:
            assert order.delivered_on is None


def test_the_precomputed_hashes_fit_the_pins() -> None:
    shop = demo_shop(TODAY)
    assert Counter(_matches(caller["pin_hash"], caller["pin"]) for caller in shop.callers) == {True: len(shop.callers)}


async def test_the_seeded_callers_can_verify_themselves(database: Database, clock: WallClock) -> None:
    await seed_demo(database, TODAY)
    directory = CallerDirectory(database, SETTINGS, clock)
    for caller_id, pin in (("+15550100", "4271"), ("+15550101", "9036"), ("+15550102", "2280")):
        assert await directory.verify(caller_id, pin) == (SecretOutcome.VERIFIED, 3)
    caller = await directory.find("+15550100")
    assert caller is not None
    assert caller.name == "Dana Reyes"
    directory.close()


async def test_seeding_again_changes_nothing(database: Database) -> None:
    first = await seed_demo(database, TODAY)
    assert first.changed
    before = await DatabaseOrders(database).orders_of("+15550105")
    assert not (await seed_demo(database, TODAY)).changed
    assert await DatabaseOrders(database).orders_of("+15550105") == before


async def test_a_later_day_moves_the_dates_but_touches_no_caller(database: Database) -> None:
    await seed_demo(database, TODAY)
    async with database.begin() as connection:
        await connection.execute(update(callers).where(callers.c.caller_id == "+15550100").values(pin_hash="changed"))
    report = await seed_demo(database, TODAY + timedelta(days=40))
    assert (report.changed, report.callers) == (True, 0)
    order = await DatabaseOrders(database).order("+15550100", "83102")
    assert order is not None
    assert order.estimated_delivery == TODAY + timedelta(days=42)
    async with database.begin() as connection:
        kept = select(callers.c.pin_hash).where(callers.c.caller_id == "+15550100")
        assert (await connection.execute(kept)).scalar_one() == "changed"
        assert (await connection.execute(select(func.count()).select_from(orders))).scalar_one() == report.orders


async def test_two_processes_may_seed_at_once(tmp_path: Path) -> None:
    async def seed() -> None:
        async with open_database(store_settings(), tmp_path) as database:
            await seed_demo(database, TODAY)

    await asyncio.gather(*(seed() for _ in range(4)))
    async with open_database(store_settings(), tmp_path) as database, database.begin() as connection:
        shop = demo_shop(TODAY)
        assert (await connection.execute(select(func.count()).select_from(orders))).scalar_one() == len(shop.orders)
        assert (await connection.execute(select(func.count()).select_from(callers))).scalar_one() == len(shop.callers)


async def test_an_order_number_of_somebody_else_is_not_overwritten(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(
            insert(callers).values(caller_id="real", name="Real Customer", locale="en-US", pin_hash="-")
        )
        row = {"order_id": "83102", "caller_id": "real", "status": "shipped", "placed_on": TODAY, "carrier": ""}
        await connection.execute(insert(orders).values({**row, "total_cents": 100, "currency": "USD"}))
    with pytest.raises(StoreError, match="order numbers are taken"):
        await seed_demo(database, TODAY)
    assert await DatabaseOrders(database).order("real", "83102") is not None
