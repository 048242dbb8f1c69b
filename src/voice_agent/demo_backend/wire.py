"""What the shop's API takes and gives: the models its OpenAPI description is made from.

Days are ISO dates, money is hundredths of ``currency`` (ISO 4217). Everything that comes in is limited in length.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from voice_agent.store.records import OrderStatus


class OrderState(StrEnum):
    """What a list of orders may be narrowed to."""

    ALL = "all"
    OPEN = "open"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Condition(StrEnum):
    """How the pieces are that somebody wants to send back."""

    UNUSED = "unused"
    USED = "used"
    DAMAGED = "damaged"  # arrived so
    WRONG_ITEM = "wrong_item"


class Preferred(StrEnum):
    """When somebody wants to be called."""

    SOON = "soon"
    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


def _without_controls(text: str) -> str:
    """PostgreSQL takes no NUL, and nobody says the others."""
    if any(char < " " or char == "\x7f" for char in text):
        raise ValueError("control characters are not allowed")
    return text


_PLAIN = AfterValidator(_without_controls)


class _In(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ItemHead(_Out):
    name: str
    quantity: int


class OrderHead(_Out):
    """``estimated_delivery`` and ``carrier`` are null where there is none."""

    order_id: str
    status: OrderStatus
    placed_on: date
    estimated_delivery: date | None
    delivered_on: date | None
    carrier: str | None
    items: list[ItemHead]
    total_cents: int
    currency: str


class OrderPage(_Out):
    """Newest first. ``total`` counts all that match, told or not."""

    orders: list[OrderHead]
    total: int


class Item(ItemHead):
    position: int
    unit_price_cents: int
    final_sale: bool
    returned_quantity: int
    shipment_id: str | None


class Shipment(_Out):
    shipment_id: str
    status: OrderStatus
    carrier: str
    tracking_number: str
    shipped_on: date
    estimated_delivery: date | None
    delivered_on: date | None
    items: list[ItemHead]


class Return(_Out):
    return_id: str
    status: str
    condition: Condition
    requested_on: date
    items: list[ItemHead]


class Refund(_Out):
    refund_id: str
    return_id: str | None
    amount_cents: int
    status: str
    requested_on: date
    paid_on: date | None


class Address(_Out):
    recipient: str
    street: str
    extra: str
    city: str
    region: str
    postal_code: str
    country: str


class Order(OrderHead):
    """One order with everything that happened to it."""

    items: list[Item]  # type: ignore[assignment]  # each item of an order tells more than that of a list
    address: Address
    shipments: list[Shipment]
    returns: list[Return]
    refunds: list[Refund]


class Delivery(_Out):
    """When an order comes. ``earliest`` and ``latest`` are null where nothing is under way any more."""

    order_id: str
    status: OrderStatus
    earliest: date | None
    latest: date | None
    delivered_on: date | None
    carrier: str | None
    shipments: list[Shipment]


_Text = Annotated[str, StringConstraints(max_length=200), _PLAIN]
_Line = Annotated[str, StringConstraints(min_length=1, max_length=120), _PLAIN]


class ReturnItem(_In):
    name: _Line
    quantity: int = Field(ge=1, le=1000)


class ReturnRequest(_In):
    """Without ``items``: everything that can still be sent back."""

    condition: Condition
    items: list[ReturnItem] | None = Field(None, min_length=1, max_length=50)
    reason: _Text = ""


class ReturnStarted(_Out):
    """``send_back`` is false where the shop does not want the pieces (cheap and broken)."""

    order_id: str
    return_id: str
    items: list[ItemHead]
    refund_cents: int
    currency: str
    send_back: bool


class CancelRequest(_In):
    reason: _Text = ""


class OrderCancelled(_Out):
    order_id: str
    status: OrderStatus
    refund_id: str
    refund_cents: int
    currency: str


class AddressRequest(_In):
    """``recipient``, ``region`` and ``country`` stay as they are where they are not given."""

    street: _Line
    city: Annotated[str, StringConstraints(min_length=1, max_length=80), _PLAIN]
    postal_code: Annotated[
        str, StringConstraints(min_length=2, max_length=16, pattern=r"^[A-Za-z0-9][A-Za-z0-9 \-]*[A-Za-z0-9]$")
    ]
    extra: Annotated[str, StringConstraints(max_length=120), _PLAIN] = ""
    region: Annotated[str, StringConstraints(max_length=40), _PLAIN] | None = None
    recipient: _Line | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None


class AddressUpdated(_Out):
    order_id: str
    address: Address


class CallbackRequest(_In):
    topic: Annotated[str, StringConstraints(min_length=1, max_length=200), _PLAIN]
    preferred: Preferred = Preferred.SOON


class CallbackTaken(_Out):
    callback_id: str
    preferred: Preferred


class ProblemOut(BaseModel):
    """RFC 9457; some answers carry further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    kind: str
    code: str
    detail: str


#: Every answer that is not a success has this shape.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemOut, "description": what}
    for status, what in {
        400: "The request is not as described here.",
        401: "The bearer token is missing or wrong.",
        404: "The caller has no such order.",
        409: "A business answer: it cannot be done, and why.",
        413: "The request is too large.",
        422: "The idempotency key was used for another request.",
        500: "The shop failed.",
        503: "The shop is not available.",
    }.items()
}
