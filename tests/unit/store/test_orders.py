from __future__ import annotations

from datetime import date

from sqlalchemy import delete

from voice_agent.store.database import Database
from voice_agent.store.demo import seed_demo
from voice_agent.store.orders import DatabaseOrders
from voice_agent.store.records import OrderItem, OrderStatus
from voice_agent.store.tables import order_items

TODAY = date(2026, 3, 1)
DANA, SAM, LENA = "+15550100", "+15550101", "+15550102"


async def test_a_callers_orders_come_newest_first_with_their_items(database: Database) -> None:
    await seed_demo(database, TODAY)
    orders = await DatabaseOrders(database).orders_of(DANA)
    assert [order.order_id for order in orders] == ["83240", "83102", "83117"]
    assert orders[0].items == (OrderItem("two-person tent", 1), OrderItem("down sleeping bag", 2))
    assert orders[0].total_cents == 24_900 + 2 * 18_900
    assert {order.caller_id for order in orders} == {DANA}


async def test_one_order_is_read_whole(database: Database) -> None:
    await seed_demo(database, TODAY)
    order = await DatabaseOrders(database).order(DANA, "83117")
    assert order is not None
    assert (order.status, order.placed_on) == (OrderStatus.DELIVERED, date(2026, 2, 17))
    assert (order.delivered_on, order.estimated_delivery) == (date(2026, 2, 21), date(2026, 2, 22))
    assert (order.carrier, order.currency, order.items) == ("USPS", "USD", (OrderItem("ceramic mug", 4),))


async def test_another_callers_order_looks_like_a_missing_one(database: Database) -> None:
    await seed_demo(database, TODAY)
    orders = DatabaseOrders(database)
    assert await orders.order(SAM, "83102") is None
    assert await orders.order(SAM, "99999") is None
    assert await orders.order("nobody", "83102") is None


async def test_a_caller_without_orders_has_none(database: Database) -> None:
    await seed_demo(database, TODAY)
    orders = DatabaseOrders(database)
    assert await orders.orders_of(LENA) == ()
    assert await orders.orders_of("nobody") == ()


async def test_an_order_without_items_is_still_an_order(database: Database) -> None:
    await seed_demo(database, TODAY)
    async with database.begin() as connection:
        await connection.execute(delete(order_items).where(order_items.c.order_id == "83102"))
    order = await DatabaseOrders(database).order(DANA, "83102")
    assert order is not None
    assert order.items == ()
