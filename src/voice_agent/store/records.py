"""Orders as plain records: what an order client gives, whatever system it asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class OrderStatus(StrEnum):
    """Where an order is; the words reach the language model as they stand here."""

    PROCESSING = "processing"
    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    DELAYED = "delayed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class OrderItem:
    name: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Order:
    """One order as the shop's system tells it. ``total_cents`` is in hundredths of ``currency`` (ISO 4217)."""

    order_id: str
    caller_id: str
    status: OrderStatus
    placed_on: date
    items: tuple[OrderItem, ...]
    total_cents: int
    currency: str
    carrier: str = ""
    estimated_delivery: date | None = None
    delivered_on: date | None = None
