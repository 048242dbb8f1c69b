"""Reads orders. Every query is bound to the caller, so another caller's order looks like none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.demo_backend import tables as t
from voice_agent.demo_backend.wire import (
    Address,
    Item,
    ItemHead,
    Order,
    OrderHead,
    OrderPage,
    OrderState,
    Refund,
    Return,
    Shipment,
)
from voice_agent.store.records import OrderStatus

_STATUSES = {
    OrderState.ALL: tuple(OrderStatus),
    OrderState.OPEN: (
        OrderStatus.PROCESSING,
        OrderStatus.SHIPPED,
        OrderStatus.IN_TRANSIT,
        OrderStatus.OUT_FOR_DELIVERY,
        OrderStatus.DELAYED,
    ),
    OrderState.DELIVERED: (OrderStatus.DELIVERED,),
    OrderState.CANCELLED: (OrderStatus.CANCELLED,),
    OrderState.RETURNED: (OrderStatus.RETURNED,),
}


async def page_of_orders(connection: AsyncConnection, caller_id: str, state: OrderState, limit: int) -> OrderPage:
    """The caller's newest orders of a state. Empty for a caller nobody knows."""
    theirs = [t.orders.c.caller_id == caller_id, t.orders.c.status.in_([status.value for status in _STATUSES[state]])]
    total = (await connection.execute(select(func.count()).select_from(t.orders).where(*theirs))).scalar_one()
    newest_first = (t.orders.c.placed_on.desc(), t.orders.c.order_id.desc())
    rows = (await connection.execute(select(t.orders).where(*theirs).order_by(*newest_first).limit(limit))).all()
    lines = await connection.execute(
        select(t.items.c.order_id, t.items.c.name, t.items.c.quantity)
        .where(t.items.c.order_id.in_([row.order_id for row in rows]))
        .order_by(t.items.c.order_id, t.items.c.position)
    )
    items: defaultdict[str, list[ItemHead]] = defaultdict(list)
    for line in lines:
        items[line.order_id].append(ItemHead(name=line.name, quantity=line.quantity))
    return OrderPage(orders=[OrderHead(**_head(row), items=items[row.order_id]) for row in rows], total=total)


async def read_order(connection: AsyncConnection, caller_id: str, order_id: str, *, lock: bool = False) -> Order | None:
    """The caller's order; ``None`` where there is none and where it is not theirs. ``lock``: nobody else may change it
    until the transaction ends."""
    query = select(t.orders).where(t.orders.c.order_id == order_id, t.orders.c.caller_id == caller_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        return None
    address = (await connection.execute(select(t.addresses).where(t.addresses.c.address_id == row.address_id))).one()
    returned, returns = await _returns(connection, order_id)
    items = await _items(connection, order_id, returned)
    return Order(
        **_head(row),
        items=items,
        address=Address.model_validate(address, from_attributes=True),
        shipments=await _shipments(connection, order_id, items),
        returns=returns,
        refunds=await _refunds(connection, order_id),
    )


def _head(row: Row[Any]) -> dict[str, Any]:
    return {
        "order_id": row.order_id,
        "status": OrderStatus(row.status),
        "placed_on": row.placed_on,
        "estimated_delivery": row.estimated_delivery,
        "delivered_on": row.delivered_on,
        "carrier": row.carrier or None,
        "total_cents": row.total_cents,
        "currency": row.currency,
    }


async def _items(connection: AsyncConnection, order_id: str, returned: dict[int, int]) -> list[Item]:
    rows = await connection.execute(select(t.items).where(t.items.c.order_id == order_id).order_by(t.items.c.position))
    return [
        Item(
            position=row.position,
            name=row.name,
            quantity=row.quantity,
            unit_price_cents=row.unit_price_cents,
            final_sale=row.final_sale,
            returned_quantity=returned.get(row.position, 0),
            shipment_id=row.shipment_id,
        )
        for row in rows
    ]


async def _shipments(connection: AsyncConnection, order_id: str, items: Sequence[Item]) -> list[Shipment]:
    rows = await connection.execute(
        select(t.shipments)
        .where(t.shipments.c.order_id == order_id)
        .order_by(t.shipments.c.shipped_on, t.shipments.c.shipment_id)
    )
    return [
        Shipment(
            shipment_id=row.shipment_id,
            status=OrderStatus(row.status),
            carrier=row.carrier,
            tracking_number=row.tracking_number,
            shipped_on=row.shipped_on,
            estimated_delivery=row.estimated_delivery,
            delivered_on=row.delivered_on,
            items=[
                ItemHead(name=item.name, quantity=item.quantity)
                for item in items
                if item.shipment_id == row.shipment_id
            ],
        )
        for row in rows
    ]


async def _returns(connection: AsyncConnection, order_id: str) -> tuple[dict[int, int], list[Return]]:
    """How many pieces of each line go back, and the returns."""
    heads = (await connection.execute(select(t.returns).where(t.returns.c.order_id == order_id))).all()
    if not heads:
        return {}, []
    pieces: defaultdict[int, int] = defaultdict(int)
    items: defaultdict[str, list[ItemHead]] = defaultdict(list)
    lines = await connection.execute(
        select(t.return_lines, t.items.c.name)
        .join(
            t.items,
            (t.items.c.order_id == t.return_lines.c.order_id) & (t.items.c.position == t.return_lines.c.position),
        )
        .where(t.return_lines.c.order_id == order_id)
        .order_by(t.return_lines.c.position)
    )
    for line in lines:
        pieces[line.position] += line.quantity
        items[line.return_id].append(ItemHead(name=line.name, quantity=line.quantity))
    returns = [
        Return(
            return_id=head.return_id,
            status=head.status,
            condition=head.condition,
            requested_on=head.requested_on,
            items=items[head.return_id],
        )
        for head in sorted(heads, key=lambda head: (head.requested_on, head.return_id))
    ]
    return dict(pieces), returns


async def _refunds(connection: AsyncConnection, order_id: str) -> list[Refund]:
    rows = await connection.execute(
        select(t.refunds)
        .where(t.refunds.c.order_id == order_id)
        .order_by(t.refunds.c.requested_on, t.refunds.c.refund_id)
    )
    return [Refund.model_validate(row, from_attributes=True) for row in rows]
