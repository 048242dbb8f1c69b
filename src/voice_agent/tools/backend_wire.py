"""The answers of the shop's API as this side understands them: what is used, checked strictly; the rest is ignored.

Days are ISO dates, money is hundredths of ``currency`` (ISO 4217). Sizes are limited, so that no answer floods a prompt.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from voice_agent.store.records import Order, OrderItem, OrderStatus

_Text = Annotated[str, StringConstraints(max_length=200)]
_Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,40}$")]
_Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
_Cents = Annotated[int, Field(ge=0, lt=10**12)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class ItemAnswer(_Answer):
    name: _Text
    quantity: int = Field(gt=0, lt=100_000)


_Items = Annotated[list[ItemAnswer], Field(max_length=100)]


class OrderAnswer(_Answer):
    order_id: _Reference
    status: OrderStatus
    placed_on: date
    estimated_delivery: date | None
    delivered_on: date | None
    carrier: _Text | None
    items: _Items
    total_cents: _Cents
    currency: _Currency

    def record(self, caller_id: str) -> Order:
        return Order(
            order_id=self.order_id,
            caller_id=caller_id,
            status=self.status,
            placed_on=self.placed_on,
            items=tuple(OrderItem(item.name, item.quantity) for item in self.items),
            total_cents=self.total_cents,
            currency=self.currency,
            carrier=self.carrier or "",
            estimated_delivery=self.estimated_delivery,
            delivered_on=self.delivered_on,
        )


class PageAnswer(_Answer):
    orders: list[OrderAnswer] = Field(max_length=200)
    total: int = Field(ge=0)


class ParcelAnswer(_Answer):
    status: OrderStatus
    carrier: _Text
    tracking_number: _Text
    estimated_delivery: date | None
    delivered_on: date | None
    items: _Items


class DeliveryAnswer(_Answer):
    order_id: _Reference
    status: OrderStatus
    earliest: date | None
    latest: date | None
    delivered_on: date | None
    carrier: _Text | None
    shipments: list[ParcelAnswer] = Field(max_length=50)


class ReturnAnswer(_Answer):
    order_id: _Reference
    return_id: _Reference
    items: _Items
    refund_cents: _Cents
    currency: _Currency
    send_back: bool


class CancelAnswer(_Answer):
    order_id: _Reference
    status: OrderStatus
    refund_cents: _Cents
    currency: _Currency


class PlaceAnswer(_Answer):
    recipient: _Text
    street: _Text
    extra: _Text
    city: _Text
    region: _Text
    postal_code: _Text
    country: _Text


class AddressAnswer(_Answer):
    order_id: _Reference
    address: PlaceAnswer


class CallbackAnswer(_Answer):
    callback_id: _Reference
    preferred: _Text


class StatusAnswer(_Answer):
    status: _Text


class ProblemAnswer(_Answer):
    """RFC 9457 with the shop's own members. Those beyond these are facts about a refusal."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    kind: _Text
    code: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]
    detail: _Text = ""

    def facts(self) -> dict[str, Any]:
        """Further members that a caller may be told: texts and numbers, and lists of texts."""
        told = {name: value for name, value in (self.model_extra or {}).items() if name not in _STANDARD_MEMBERS}
        return {name: value for name, value in told.items() if _is_plain(value)}


_STANDARD_MEMBERS = frozenset({"type", "title", "status", "instance"})


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= 200
    if isinstance(value, list):
        return len(value) <= 100 and all(isinstance(each, str) and len(each) <= 200 for each in value)
    return isinstance(value, int | float)
