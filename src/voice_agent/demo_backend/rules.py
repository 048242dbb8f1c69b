"""The shop's rules, as its help pages tell them: pure functions of an order and a day. What is not allowed raises
``ProblemError`` with a business code.

- An order can be cancelled, and sent elsewhere within its country, until it is shipped.
- What was delivered can be returned within 30 days of its delivery if it is unused; final sale items cannot.
- What arrived damaged is reported within 14 days, a wrong item within 30, final sale or not. Nobody sends back a broken
  piece that cost less than 50 of the currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from voice_agent.demo_backend.problems import Code, ProblemError
from voice_agent.demo_backend.wire import Condition, Delivery, Item, Order, ReturnItem
from voice_agent.store.records import OrderStatus

RETURN_WITHIN = timedelta(days=30)
REPORT_DAMAGE_WITHIN = timedelta(days=14)
KEEP_BROKEN_BELOW_CENTS = 5_000
CALLBACKS_OPEN_MAX = 3  # of one caller: who waits for three calls needs no fourth

#: How many days later than estimated an order of this status may come.
_SLACK_DAYS = {
    OrderStatus.PROCESSING: 2,
    OrderStatus.SHIPPED: 1,
    OrderStatus.IN_TRANSIT: 1,
    OrderStatus.OUT_FOR_DELIVERY: 0,
    OrderStatus.DELAYED: 3,
}


def not_found() -> ProblemError:
    """The same for an order that does not exist and for somebody else's."""
    return ProblemError(Code.NOT_FOUND, "You have no order with this number.")


def check_cancellable(order: Order) -> None:
    if order.status is OrderStatus.CANCELLED:
        raise ProblemError(Code.ALREADY_CANCELLED, "The order has been cancelled already.")
    if order.status is not OrderStatus.PROCESSING or order.shipments:
        raise ProblemError(
            Code.TOO_LATE, "The order has been shipped, so it can no longer be cancelled.", order_status=order.status
        )


def check_address(order: Order, country: str | None) -> None:
    if order.status is OrderStatus.CANCELLED:
        raise ProblemError(Code.ALREADY_CANCELLED, "The order has been cancelled.")
    if order.status is not OrderStatus.PROCESSING or order.shipments:
        raise ProblemError(
            Code.TOO_LATE, "The order has been shipped, so its address can no longer change.", order_status=order.status
        )
    if country is not None and country != order.address.country:
        raise ProblemError(
            Code.OTHER_COUNTRY, "An order cannot be sent to another country than it was bought for.", country=country
        )


@dataclass(frozen=True, slots=True)
class ReturnPart:
    """``quantity`` pieces of one line of an order."""

    item: Item
    quantity: int


def parts_to_return(
    order: Order, condition: Condition, wanted: Sequence[ReturnItem] | None, today: date
) -> list[ReturnPart]:
    """What goes back: the wanted pieces, or all that still can. Never empty."""
    if order.status is OrderStatus.CANCELLED:
        raise ProblemError(Code.ALREADY_CANCELLED, "The order has been cancelled.")
    if condition is Condition.USED:
        raise ProblemError(Code.NOT_RETURNABLE, "Only unused items can be returned.", why="used")
    if wanted is not None:
        return [_wanted_part(order, condition, item, today) for item in _merged(wanted)]
    parts: list[ReturnPart] = []
    refusal: ProblemError | None = None
    for item in order.items:
        try:
            _check_returnable(order, item, condition, today)
            parts.append(ReturnPart(item, item.quantity - item.returned_quantity))
        except ProblemError as problem:
            refusal = problem
    if not parts:
        raise refusal or ProblemError(Code.NOT_RETURNABLE, "There is nothing in the order.", why="empty")
    return parts


def needs_sending_back(parts: Sequence[ReturnPart], condition: Condition) -> bool:
    return condition is not Condition.DAMAGED or any(
        part.item.unit_price_cents >= KEEP_BROKEN_BELOW_CENTS for part in parts
    )


def delivery_of(order: Order, today: date) -> Delivery:
    """The window in which the order comes. An estimate that has passed counts from today."""
    earliest = latest = None
    if order.status in _SLACK_DAYS and order.estimated_delivery is not None:
        earliest = max(order.estimated_delivery, today)
        latest = earliest + timedelta(days=_SLACK_DAYS[order.status])
    return Delivery(
        order_id=order.order_id,
        status=order.status,
        earliest=earliest,
        latest=latest,
        delivered_on=order.delivered_on,
        carrier=order.carrier,
        shipments=order.shipments,
    )


def _merged(wanted: Sequence[ReturnItem]) -> list[ReturnItem]:
    """Each name once: "a mug and another mug" is two mugs."""
    pieces: dict[str, ReturnItem] = {}
    for item in wanted:
        key = item.name.casefold()
        known = pieces[key].quantity if key in pieces else 0
        pieces[key] = ReturnItem.model_construct(name=item.name, quantity=item.quantity + known)
    return list(pieces.values())


def _wanted_part(order: Order, condition: Condition, wanted: ReturnItem, today: date) -> ReturnPart:
    item = next((item for item in order.items if item.name.casefold() == wanted.name.casefold()), None)
    if item is None:
        names = [item.name for item in order.items]
        raise ProblemError(Code.ITEM_NOT_IN_ORDER, "There is no such item in the order.", items_in_order=names)
    _check_returnable(order, item, condition, today)
    left = item.quantity - item.returned_quantity
    if wanted.quantity > left:
        raise ProblemError(
            Code.TOO_MANY_PIECES, "There are fewer pieces than that to return.", item=item.name, left=left
        )
    return ReturnPart(item, wanted.quantity)


def _check_returnable(order: Order, item: Item, condition: Condition, today: date) -> None:
    delivered_on = _delivered_on(order, item)
    if item.returned_quantity >= item.quantity:
        raise ProblemError(Code.ALREADY_RETURNED, "It is being returned already.", item=item.name)
    if delivered_on is None:
        raise ProblemError(Code.NOT_DELIVERED, "What has not been delivered cannot be returned.", item=item.name)
    if item.final_sale and condition is Condition.UNUSED:
        raise ProblemError(
            Code.NOT_RETURNABLE, "Final sale items cannot be returned.", item=item.name, why="final_sale"
        )
    deadline = delivered_on + (REPORT_DAMAGE_WITHIN if condition is Condition.DAMAGED else RETURN_WITHIN)
    if today > deadline:
        raise ProblemError(
            Code.TOO_LATE, "The time to return it is over.", item=item.name, deadline=deadline.isoformat()
        )


def _delivered_on(order: Order, item: Item) -> date | None:
    return next((parcel.delivered_on for parcel in order.shipments if parcel.shipment_id == item.shipment_id), None)
