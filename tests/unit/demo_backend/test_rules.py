"""The shop's rules, on orders made for them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from voice_agent.demo_backend.problems import Code, ProblemError
from voice_agent.demo_backend.rules import (
    check_address,
    check_cancellable,
    delivery_of,
    needs_sending_back,
    parts_to_return,
)
from voice_agent.demo_backend.wire import Address, Condition, Item, ItemHead, Order, ReturnItem, Shipment
from voice_agent.store.records import OrderStatus

TODAY = date(2026, 11, 23)
HOME = Address(
    recipient="Dana", street="1 Main Street", extra="", city="Salem", region="OR", postal_code="97301", country="US"
)
UNDER_WAY = [OrderStatus.SHIPPED, OrderStatus.IN_TRANSIT, OrderStatus.OUT_FOR_DELIVERY, OrderStatus.DELAYED]


def item(position: int = 0, name: str = "mug", **changes: Any) -> Item:
    fields: dict[str, Any] = {
        "position": position,
        "name": name,
        "quantity": 2,
        "unit_price_cents": 1800,
        "final_sale": False,
        "returned_quantity": 0,
        "shipment_id": "S-1",
    }
    return Item(**(fields | changes))


def parcel(days_ago: int | None = None, shipment_id: str = "S-1") -> Shipment:
    """One that was delivered so many days ago, or is on its way."""
    return Shipment(
        shipment_id=shipment_id,
        status=OrderStatus.IN_TRANSIT if days_ago is None else OrderStatus.DELIVERED,
        carrier="UPS",
        tracking_number="U1",
        shipped_on=TODAY - timedelta(days=60),
        estimated_delivery=None,
        delivered_on=None if days_ago is None else TODAY - timedelta(days=days_ago),
        items=[ItemHead(name="mug", quantity=2)],
    )


def order(status: OrderStatus, *items: Item, parcels: list[Shipment] | None = None, **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": "1",
        "status": status,
        "placed_on": TODAY - timedelta(days=70),
        "estimated_delivery": None,
        "delivered_on": None,
        "carrier": None,
        "items": list(items) or [item()],
        "total_cents": 3600,
        "currency": "USD",
        "address": HOME,
        "shipments": parcels or [],
        "returns": [],
        "refunds": [],
    }
    return Order(**(fields | changes))


def delivered(days_ago: int, *items: Item) -> Order:
    return order(OrderStatus.DELIVERED, *items, parcels=[parcel(days_ago)])


def code_of(refused: pytest.ExceptionInfo[ProblemError]) -> Code:
    return refused.value.code


def test_an_order_can_be_cancelled_and_redirected_until_it_is_shipped() -> None:
    check_cancellable(order(OrderStatus.PROCESSING))
    check_address(order(OrderStatus.PROCESSING), None)
    check_address(order(OrderStatus.PROCESSING), "US")


@pytest.mark.parametrize("status", [*UNDER_WAY, OrderStatus.DELIVERED, OrderStatus.RETURNED])
def test_what_has_been_shipped_is_too_late_for_both(status: OrderStatus) -> None:
    for check in (check_cancellable, lambda sent: check_address(sent, None)):
        with pytest.raises(ProblemError) as refused:
            check(order(status))
        assert code_of(refused) is Code.TOO_LATE
        assert refused.value.facts == {"order_status": status}


def test_an_order_of_which_a_part_was_shipped_is_too_late() -> None:
    with pytest.raises(ProblemError) as refused:
        check_cancellable(order(OrderStatus.PROCESSING, parcels=[parcel()]))
    assert code_of(refused) is Code.TOO_LATE


def test_a_cancelled_order_says_so() -> None:
    cancelled = order(OrderStatus.CANCELLED, parcels=[parcel(3)])
    for attempt in (
        lambda: check_cancellable(cancelled),
        lambda: check_address(cancelled, None),
        lambda: parts_to_return(cancelled, Condition.UNUSED, None, TODAY),
    ):
        with pytest.raises(ProblemError) as refused:
            attempt()
        assert code_of(refused) is Code.ALREADY_CANCELLED


def test_no_order_goes_to_another_country() -> None:
    with pytest.raises(ProblemError) as refused:
        check_address(order(OrderStatus.PROCESSING), "CA")
    assert code_of(refused) is Code.OTHER_COUNTRY


@pytest.mark.parametrize(
    ("condition", "last_day"), [(Condition.UNUSED, 30), (Condition.WRONG_ITEM, 30), (Condition.DAMAGED, 14)]
)
def test_a_return_is_possible_until_the_last_day(condition: Condition, last_day: int) -> None:
    (part,) = parts_to_return(delivered(last_day), condition, None, TODAY)
    assert (part.item.name, part.quantity) == ("mug", 2)
    with pytest.raises(ProblemError) as refused:
        parts_to_return(delivered(last_day + 1), condition, None, TODAY)
    assert code_of(refused) is Code.TOO_LATE
    assert refused.value.facts["deadline"] == (TODAY - timedelta(days=1)).isoformat()


@pytest.mark.parametrize("status", [OrderStatus.PROCESSING, *UNDER_WAY])
def test_what_has_not_arrived_cannot_go_back(status: OrderStatus) -> None:
    parcels = [] if status is OrderStatus.PROCESSING else [parcel()]
    line = item(shipment_id="S-1" if parcels else None)
    with pytest.raises(ProblemError) as refused:
        parts_to_return(order(status, line, parcels=parcels), Condition.UNUSED, None, TODAY)
    assert code_of(refused) is Code.NOT_DELIVERED


def test_used_and_final_sale_items_stay() -> None:
    with pytest.raises(ProblemError) as refused:
        parts_to_return(delivered(3), Condition.USED, None, TODAY)
    assert (code_of(refused), refused.value.facts["why"]) == (Code.NOT_RETURNABLE, "used")
    final = delivered(3, item(final_sale=True))
    with pytest.raises(ProblemError) as refused:
        parts_to_return(final, Condition.UNUSED, None, TODAY)
    assert (code_of(refused), refused.value.facts["why"]) == (Code.NOT_RETURNABLE, "final_sale")
    assert parts_to_return(final, Condition.DAMAGED, None, TODAY)


def test_without_names_everything_goes_back_that_can() -> None:
    lines = (
        item(0, "mug", quantity=3, returned_quantity=1),
        item(1, "hat", final_sale=True),
        item(2, "tent", shipment_id="S-2"),
        item(3, "pot", returned_quantity=2),
    )
    mixed = order(OrderStatus.IN_TRANSIT, *lines, parcels=[parcel(3), parcel(None, "S-2")])
    assert [(part.item.name, part.quantity) for part in parts_to_return(mixed, Condition.UNUSED, None, TODAY)] == [
        ("mug", 2)
    ]


def test_wanted_pieces_are_found_by_name_in_any_case_and_added_up() -> None:
    wanted = [ReturnItem(name="MUG", quantity=1), ReturnItem(name=" mug ", quantity=1)]
    (part,) = parts_to_return(delivered(3), Condition.UNUSED, wanted, TODAY)
    assert (part.item.name, part.quantity) == ("mug", 2)


@pytest.mark.parametrize(
    ("line", "wanted", "code"),
    [
        (item(), ReturnItem(name="tent", quantity=1), Code.ITEM_NOT_IN_ORDER),
        (item(), ReturnItem(name="mug", quantity=3), Code.TOO_MANY_PIECES),
        (item(returned_quantity=1), ReturnItem(name="mug", quantity=2), Code.TOO_MANY_PIECES),
        (item(returned_quantity=2), ReturnItem(name="mug", quantity=1), Code.ALREADY_RETURNED),
    ],
)
def test_what_is_not_there_cannot_go_back(line: Item, wanted: ReturnItem, code: Code) -> None:
    with pytest.raises(ProblemError) as refused:
        parts_to_return(delivered(3, line), Condition.UNUSED, [wanted], TODAY)
    assert code_of(refused) is code


def test_cheap_broken_pieces_need_not_be_sent() -> None:
    cheap = parts_to_return(delivered(3, item(unit_price_cents=4999)), Condition.DAMAGED, None, TODAY)
    dear = parts_to_return(delivered(3, item(unit_price_cents=5000)), Condition.DAMAGED, None, TODAY)
    assert not needs_sending_back(cheap, Condition.DAMAGED)
    assert needs_sending_back(dear, Condition.DAMAGED)
    assert needs_sending_back(cheap, Condition.UNUSED)


@pytest.mark.parametrize(
    ("status", "slack_days"),
    [
        (OrderStatus.PROCESSING, 2),
        (OrderStatus.SHIPPED, 1),
        (OrderStatus.IN_TRANSIT, 1),
        (OrderStatus.OUT_FOR_DELIVERY, 0),
        (OrderStatus.DELAYED, 3),
    ],
)
def test_the_window_of_a_delivery_begins_with_its_estimate_and_never_in_the_past(
    status: OrderStatus, slack_days: int
) -> None:
    coming = delivery_of(order(status, estimated_delivery=TODAY + timedelta(days=2)), TODAY)
    assert coming.earliest == TODAY + timedelta(days=2)
    assert coming.latest == coming.earliest + timedelta(days=slack_days)
    overdue = delivery_of(order(status, estimated_delivery=TODAY - timedelta(days=9)), TODAY)
    assert overdue.earliest == TODAY


@pytest.mark.parametrize("status", [OrderStatus.DELIVERED, OrderStatus.CANCELLED, OrderStatus.RETURNED])
def test_what_is_over_has_no_window(status: OrderStatus) -> None:
    over = delivery_of(order(status, estimated_delivery=TODAY), TODAY)
    assert (over.earliest, over.latest) == (None, None)
