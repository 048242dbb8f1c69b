"""The demo shop's callers and orders, for trying the system without connecting a real one.

Which callers and orders exist is fixed (a seeded draw on top of ``data/demo.yaml``); their dates count from the day of
seeding, so that a parcel in transit always arrives in the near future. Seeding again on the same day does nothing; on a
later day it moves the demo orders' dates. Callers that exist already, their PINs and their locks are never touched.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.errors import StoreError
from voice_agent.store.callers import hash_pin
from voice_agent.store.database import Database
from voice_agent.store.records import Order, OrderItem, OrderStatus
from voice_agent.store.tables import callers, meta, order_items, orders

_DRAW = 20261122  # the seed of the fixed draw; any constant does
_FIRST_DRAWN_ID, _LAST_DRAWN_ID = 80100, 82999  # below the hand-written orders' numbers
_MARK = "demo_seed"


@dataclass(frozen=True, slots=True)
class DemoShop:
    """What the demo data says for one day; ``callers`` are rows of the callers table without ``pin_hash`` where it is
    not precomputed, and with the PIN in clear."""

    callers: tuple[Mapping[str, str], ...]
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class SeedReport:
    """``changed`` is false where the database was up to date."""

    callers: int
    orders: int
    changed: bool


@dataclass(frozen=True, slots=True)
class _Life:
    """How an order of one status looks: age in days, then days from today (estimate) or from placing (delivery)."""

    status: OrderStatus
    weight: int
    age_days: tuple[int, int]
    estimate_days: tuple[int, int] | None
    delivery_days: tuple[int, int] | None = None
    shipped: bool = True


_LIVES = (
    _Life(OrderStatus.PROCESSING, 3, (0, 2), (4, 6), shipped=False),
    _Life(OrderStatus.SHIPPED, 2, (2, 3), (3, 4)),
    _Life(OrderStatus.IN_TRANSIT, 4, (3, 5), (1, 3)),
    _Life(OrderStatus.OUT_FOR_DELIVERY, 2, (4, 6), (0, 0)),
    _Life(OrderStatus.DELIVERED, 7, (8, 90), None, (3, 6)),
    _Life(OrderStatus.DELAYED, 2, (7, 12), (2, 5)),
    _Life(OrderStatus.CANCELLED, 1, (2, 60), None, shipped=False),
    _Life(OrderStatus.RETURNED, 1, (25, 90), None, (3, 6)),
)


def demo_shop(today: date) -> DemoShop:
    """The demo data as of ``today``."""
    import yaml

    text = resources.files("voice_agent").joinpath("data", "demo.yaml").read_text("utf-8")
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    written = tuple(_written_order(entry, data, today) for entry in data["orders"])
    named = {"+15550100", "+15550101", "+15550102"}  # exactly what the README promises, nothing drawn on top
    drawn_for = [caller["caller_id"] for caller in data["callers"] if caller["caller_id"] not in named]
    return DemoShop(tuple(data["callers"]), written + tuple(_drawn_orders(drawn_for, data, today)))


def _written_order(entry: Mapping[str, Any], data: Mapping[str, Any], today: date) -> Order:
    prices = {product["name"]: product["price_cents"] for product in data["products"]}

    def day(key: str) -> date | None:
        return today + timedelta(days=entry[key]) if key in entry else None

    return Order(
        order_id=entry["order_id"],
        caller_id=entry["caller_id"],
        status=OrderStatus(entry["status"]),
        placed_on=today + timedelta(days=entry["placed"]),
        items=tuple(OrderItem(name, quantity) for name, quantity in entry["items"].items()),
        total_cents=sum(prices[name] * quantity for name, quantity in entry["items"].items()),
        currency="USD",
        carrier=entry.get("carrier", ""),
        estimated_delivery=day("estimated_delivery"),
        delivered_on=day("delivered"),
    )


def _drawn_orders(caller_ids: list[str], data: Mapping[str, Any], today: date) -> Iterator[Order]:
    """One to five orders for each caller, the same on every day but for their dates."""
    rng = random.Random(_DRAW)  # noqa: S311 - reproducible on purpose, nothing secret
    owners = [caller_id for caller_id in caller_ids for _ in range(rng.choice((1, 2, 2, 3, 3, 4, 5)))]
    lives = rng.choices(_LIVES, [life.weight for life in _LIVES], k=len(owners))
    numbers = rng.sample(range(_FIRST_DRAWN_ID, _LAST_DRAWN_ID + 1), len(owners))
    for caller_id, life, number in zip(owners, lives, numbers, strict=True):
        chosen = rng.sample(data["products"], rng.choice((1, 1, 2, 3)))
        quantities = [rng.choice((1, 1, 1, 2, 3)) for _ in chosen]
        placed_on = today - timedelta(days=rng.randint(*life.age_days))
        carrier = rng.choice(data["carriers"])
        yield Order(
            order_id=str(number),
            caller_id=caller_id,
            status=life.status,
            placed_on=placed_on,
            items=tuple(OrderItem(p["name"], quantity) for p, quantity in zip(chosen, quantities, strict=True)),
            total_cents=sum(p["price_cents"] * quantity for p, quantity in zip(chosen, quantities, strict=True)),
            currency="USD",
            carrier=carrier if life.shipped else "",
            estimated_delivery=today + timedelta(days=rng.randint(*life.estimate_days)) if life.estimate_days else None,
            delivered_on=placed_on + timedelta(days=rng.randint(*life.delivery_days)) if life.delivery_days else None,
        )


async def seed_demo(database: Database, today: date) -> SeedReport:
    """Puts the demo data into the database, or brings its dates up to ``today``. Safe when two processes start at once.

    Raises ``StoreError``, also where an order number of the demo belongs to somebody else.
    """
    async with database.begin() as connection:
        if await _is_seeded(connection, today):
            return SeedReport(0, 0, changed=False)
        known = await _known_callers(connection)
    shop = await asyncio.to_thread(demo_shop, today)
    new_callers = await asyncio.to_thread(_hashed, [c for c in shop.callers if c["caller_id"] not in known])
    try:
        async with database.begin() as connection:
            # A lock on this row lets one process seed at a time; who waited sees what the other has done.
            await connection.execute(update(meta).where(meta.c.key == "schema_version").values(value=meta.c.value))
            if await _is_seeded(connection, today):
                return SeedReport(0, 0, changed=False)
            known = await _known_callers(connection)
            new_callers = [caller for caller in new_callers if caller["caller_id"] not in known]
            await _replace(connection, today, shop, new_callers)
    except IntegrityError:
        raise StoreError(
            f"the demo data does not fit into the database {database.name}: its order numbers are taken"
        ) from None
    return SeedReport(len(new_callers), len(shop.orders), changed=True)


async def _is_seeded(connection: AsyncConnection, today: date) -> bool:
    mark = (await connection.execute(select(meta.c.value).where(meta.c.key == _MARK))).scalar_one_or_none()
    return mark == today.isoformat()


async def _known_callers(connection: AsyncConnection) -> set[str]:
    return set((await connection.execute(select(callers.c.caller_id))).scalars())


def _hashed(entries: list[Mapping[str, str]]) -> list[dict[str, str]]:
    def row(entry: Mapping[str, str]) -> dict[str, str]:
        pin_hash = entry.get("pin_hash") or hash_pin(entry["pin"])
        return {"caller_id": entry["caller_id"], "name": entry["name"], "locale": entry["locale"], "pin_hash": pin_hash}

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(row, entries))


async def _replace(connection: AsyncConnection, today: date, shop: DemoShop, new_callers: list[dict[str, str]]) -> None:
    order_ids = [order.order_id for order in shop.orders]
    owners = [caller["caller_id"] for caller in shop.callers]
    await connection.execute(delete(meta).where(meta.c.key == _MARK))
    if new_callers:
        await connection.execute(insert(callers), new_callers)
    await connection.execute(delete(order_items).where(order_items.c.order_id.in_(order_ids)))
    await connection.execute(delete(orders).where(orders.c.order_id.in_(order_ids), orders.c.caller_id.in_(owners)))
    await connection.execute(insert(orders), [_order_row(order) for order in shop.orders])
    await connection.execute(
        insert(order_items),
        [
            {"order_id": order.order_id, "position": position, "name": item.name, "quantity": item.quantity}
            for order in shop.orders
            for position, item in enumerate(order.items)
        ],
    )
    await connection.execute(insert(meta).values(key=_MARK, value=today.isoformat()))


def _order_row(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "caller_id": order.caller_id,
        "status": order.status.value,
        "placed_on": order.placed_on,
        "estimated_delivery": order.estimated_delivery,
        "delivered_on": order.delivered_on,
        "carrier": order.carrier,
        "total_cents": order.total_cents,
        "currency": order.currency,
    }
