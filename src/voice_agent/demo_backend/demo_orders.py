"""What the demo shop has sold: the orders of its catalogue, and further ones from a fixed draw.

Everything but the dates is the same on every day. Around each order stands what belongs to it: parcels for what was sent
(several for some), a return and its refund for what came back, a refund for what was cancelled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from voice_agent.demo_backend.demo_people import Person, load_yaml, people
from voice_agent.store.records import Order, OrderItem, OrderStatus

_DRAW = 20261124
# Above the written orders, below 99999, which stands for a number that does not exist.
_FIRST_ID, _LAST_ID = 85_000, 98_999
# Callers of this exchange have the orders that the catalogue lists, and no others: tests and documents speak of them.
_WRITTEN_FOR = "+155501"
_FINAL_SALE_OF_100 = 8
_PARTIAL_OF_100 = 35  # of the orders with several lines that are under way


@dataclass(frozen=True, slots=True)
class _Life:
    """How an order of one status looks: age in days, then days from today (estimate) or from placing (delivery)."""

    status: OrderStatus
    weight: int
    age_days: tuple[int, int]
    estimate_days: tuple[int, int] | None = None
    delivery_days: tuple[int, int] | None = None


_LIVES = (
    _Life(OrderStatus.PROCESSING, 5, (0, 2), (3, 6)),
    _Life(OrderStatus.SHIPPED, 3, (2, 4), (2, 5)),
    _Life(OrderStatus.IN_TRANSIT, 5, (3, 6), (1, 3)),
    _Life(OrderStatus.OUT_FOR_DELIVERY, 2, (4, 7), (0, 0)),
    _Life(OrderStatus.DELIVERED, 5, (5, 32), None, (3, 4)),  # can still be returned, most of them
    _Life(OrderStatus.DELIVERED, 5, (40, 400), None, (2, 9)),
    _Life(OrderStatus.DELAYED, 2, (8, 15), (1, 6)),
    _Life(OrderStatus.CANCELLED, 2, (1, 90)),
    _Life(OrderStatus.RETURNED, 2, (25, 200), None, (3, 6)),
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoData:
    """Rows by table, as of one day."""

    people: Sequence[Person]
    orders: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)
    shipments: list[Row] = field(default_factory=list)
    returns: list[Row] = field(default_factory=list)
    return_lines: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)


def address_id_of(person_index: int) -> str:
    return f"A-{100_000 + person_index}"


def demo_data(today: date) -> DemoData:
    """Everything the shop starts with."""
    persons = people()
    data = DemoData(persons)
    catalogue = load_yaml("catalogue.yaml")
    prices = {product["name"]: product["price_cents"] for product in catalogue["products"]}
    addresses = {person.caller_id: address_id_of(index) for index, person in enumerate(persons)}
    rng = random.Random(_DRAW)  # noqa: S311 - reproducible on purpose, nothing secret
    for entry in catalogue["orders"]:
        order = _written_order(entry, prices, today)
        lines = [(item, prices[item.name], False) for item in order.items]
        _add(data, order, lines, addresses[order.caller_id], rng, partial=False)
    drawn_for = [person for person in persons if not person.caller_id.startswith(_WRITTEN_FOR)]
    for order, lines in _drawn_orders(drawn_for, prices, today, rng):
        several_under_way = len(lines) > 1 and order.status in (OrderStatus.IN_TRANSIT, OrderStatus.SHIPPED)
        partial = several_under_way and rng.randrange(100) < _PARTIAL_OF_100
        _add(data, order, lines, addresses[order.caller_id], rng, partial=partial)
    return data


Line = tuple[OrderItem, int, bool]  # what, the price of one piece in hundredths, whether it is final sale


def _written_order(entry: Mapping[str, Any], prices: Mapping[str, int], today: date) -> Order:
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


def _drawn_orders(
    persons: Sequence[Person], prices: Mapping[str, int], today: date, rng: random.Random
) -> Iterator[tuple[Order, list[Line]]]:
    owners = [person for person in persons for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4, 5, 7)))]
    numbers = rng.sample(range(_FIRST_ID, _LAST_ID + 1), len(owners))
    names = list(prices)
    for person, number in zip(owners, numbers, strict=True):
        life = rng.choices(_LIVES, [each.weight for each in _LIVES])[0]
        chosen = rng.sample(names, rng.choice((1, 1, 2, 2, 3, 4)))
        lines: list[Line] = [
            (
                OrderItem(name, rng.choice((1, 1, 1, 2, 3, 6))),
                prices[name] * person.region.cents_per_dollar // 100,
                rng.randrange(100) < _FINAL_SALE_OF_100,
            )
            for name in chosen
        ]
        placed_on = today - timedelta(days=rng.randint(*life.age_days))
        shipped = life.status not in (OrderStatus.PROCESSING, OrderStatus.CANCELLED)
        order = Order(
            order_id=str(number),
            caller_id=person.caller_id,
            status=life.status,
            placed_on=placed_on,
            items=tuple(item for item, _, _ in lines),
            total_cents=sum(item.quantity * price for item, price, _ in lines),
            currency=person.region.currency,
            carrier=rng.choice(person.region.carriers) if shipped else "",
            estimated_delivery=today + timedelta(days=rng.randint(*life.estimate_days)) if life.estimate_days else None,
            delivered_on=placed_on + timedelta(days=rng.randint(*life.delivery_days)) if life.delivery_days else None,
        )
        yield order, lines


def _add(
    data: DemoData, order: Order, lines: Sequence[Line], address_id: str, rng: random.Random, *, partial: bool
) -> None:
    """Writes down an order and what belongs to it. ``partial``: its first line came in a parcel before the others."""
    data.orders.append(
        {
            "order_id": order.order_id,
            "caller_id": order.caller_id,
            "address_id": address_id,
            "status": order.status.value,
            "placed_on": order.placed_on,
            "estimated_delivery": order.estimated_delivery,
            "delivered_on": order.delivered_on,
            "carrier": order.carrier,
            "total_cents": order.total_cents,
            "currency": order.currency,
        }
    )
    main = f"S-{order.order_id}-1" if order.carrier else None
    early = f"S-{order.order_id}-0" if partial else None
    for position, (item, price, final_sale) in enumerate(lines):
        data.items.append(
            {
                "order_id": order.order_id,
                "position": position,
                "shipment_id": early if partial and position == 0 else main,
                "name": item.name,
                "quantity": item.quantity,
                "unit_price_cents": price,
                "final_sale": final_sale,
            }
        )
    shipped_on = order.placed_on + timedelta(days=1)
    if main:
        status = OrderStatus.DELIVERED if order.delivered_on else order.status
        data.shipments.append(_parcel(order, main, status, shipped_on, order.delivered_on, rng))
    if early:
        delivered_on = shipped_on + timedelta(days=1)
        data.shipments.append(_parcel(order, early, OrderStatus.DELIVERED, shipped_on, delivered_on, rng))
    if order.status is OrderStatus.RETURNED:
        _add_return(data, order, lines)
    elif order.status is OrderStatus.CANCELLED:
        _add_refund(data, order, None, order.placed_on, order.placed_on)


def _parcel(
    order: Order, shipment_id: str, status: OrderStatus, shipped_on: date, delivered_on: date | None, rng: random.Random
) -> Row:
    return {
        "shipment_id": shipment_id,
        "order_id": order.order_id,
        "status": status.value,
        "carrier": order.carrier,
        "tracking_number": f"{order.carrier[:2].upper()}{rng.randrange(10**9, 10**10)}",
        "shipped_on": shipped_on,
        "estimated_delivery": None if delivered_on else order.estimated_delivery,
        "delivered_on": delivered_on,
    }


def _add_return(data: DemoData, order: Order, lines: Sequence[Line]) -> None:
    assert order.delivered_on is not None, "only what was delivered comes back"
    return_id = f"R-{order.order_id}"
    requested_on = order.delivered_on + timedelta(days=2)
    data.returns.append(
        {
            "return_id": return_id,
            "order_id": order.order_id,
            "status": "refunded",
            "condition": "unused",
            "reason": "",
            "requested_on": requested_on,
        }
    )
    data.return_lines.extend(
        {"return_id": return_id, "order_id": order.order_id, "position": position, "quantity": item.quantity}
        for position, (item, _, _) in enumerate(lines)
    )
    _add_refund(data, order, return_id, requested_on, requested_on + timedelta(days=7))


def _add_refund(data: DemoData, order: Order, return_id: str | None, requested_on: date, paid_on: date) -> None:
    data.refunds.append(
        {
            "refund_id": f"F-{order.order_id}",
            "order_id": order.order_id,
            "return_id": return_id,
            "amount_cents": order.total_cents,
            "status": "paid",
            "requested_on": requested_on,
            "paid_on": paid_on,
        }
    )
