"""Orders in our own database: the order client of the demo, and of a shop that keeps its orders here."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Row, Select, select

from voice_agent.store.callers import caller_key
from voice_agent.store.database import Database
from voice_agent.store.records import Order, OrderItem, OrderStatus
from voice_agent.store.tables import order_items, orders

#: A caller with more orders than this is served the newest ones; nobody hears more than a few by telephone.
_MOST_ORDERS = 200


class DatabaseOrders:
    """Reads a caller's orders. Every query is bound to the caller, so another caller's order looks like none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def orders_of(self, caller_id: str) -> tuple[Order, ...]:
        """The caller's orders, newest first, at most 200. Raises ``StoreError``."""
        newest = (
            select(orders.c.order_id)
            .where(orders.c.caller_id == caller_key(caller_id))
            .order_by(orders.c.placed_on.desc(), orders.c.order_id.desc())
            .limit(_MOST_ORDERS)
        )
        return await self._read(_with_items().where(orders.c.order_id.in_(newest)))

    async def order(self, caller_id: str, order_id: str) -> Order | None:
        """The caller's order of that number; ``None`` if there is none or it is not theirs. Raises ``StoreError``."""
        found = await self._read(
            _with_items().where(orders.c.order_id == order_id, orders.c.caller_id == caller_key(caller_id))
        )
        return found[0] if found else None

    async def _read(self, query: Select[tuple[object, ...]]) -> tuple[Order, ...]:
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(_fold(rows))


def _with_items() -> Select[tuple[object, ...]]:
    return (
        select(orders, order_items.c.name, order_items.c.quantity)
        .outerjoin(order_items, order_items.c.order_id == orders.c.order_id)
        .order_by(orders.c.placed_on.desc(), orders.c.order_id.desc(), order_items.c.position)
    )


def _fold(rows: Iterable[Row[tuple[object, ...]]]) -> Iterable[Order]:
    """One order per run of joined rows."""
    heads: dict[str, Row[tuple[object, ...]]] = {}
    items: dict[str, list[OrderItem]] = {}
    for row in rows:
        heads.setdefault(row.order_id, row)
        listed = items.setdefault(row.order_id, [])
        if row.name is not None:
            listed.append(OrderItem(row.name, row.quantity))
    for order_id, row in heads.items():
        yield Order(
            order_id=order_id,
            caller_id=row.caller_id,
            status=OrderStatus(row.status),
            placed_on=row.placed_on,
            items=tuple(items[order_id]),
            total_cents=row.total_cents,
            currency=row.currency,
            carrier=row.carrier,
            estimated_delivery=row.estimated_delivery,
            delivered_on=row.delivered_on,
        )
