"""The shop's relational tables. Portable SQL only: the same definitions serve SQLite and PostgreSQL.

Days are dates, moments are Unix seconds (UTC), money is hundredths of the order's currency. The names carry a prefix, so
that the shop may live in one database with the platform. ``SCHEMA_VERSION`` grows with every change of shape.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_VERSION = 1

CALLER_ID_CHARS = 72
KEY_CHARS = 128

metadata = MetaData()

#: Facts about the database itself: ``schema_version``, and ``calendar``: the day its dates count from.
meta = Table(
    "shop_meta",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)

callers = Table(
    "shop_callers",
    metadata,
    Column("caller_id", String(CALLER_ID_CHARS), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("locale", String(16), nullable=False),
)

#: Never changed once written: an order that is redirected gets another one, and the old one stays on record.
addresses = Table(
    "shop_addresses",
    metadata,
    Column("address_id", String(16), primary_key=True),
    Column("caller_id", ForeignKey("shop_callers.caller_id"), nullable=False, index=True),
    Column("recipient", String(120), nullable=False),
    Column("street", String(120), nullable=False),
    Column("extra", String(120), nullable=False),
    Column("city", String(80), nullable=False),
    Column("region", String(40), nullable=False),
    Column("postal_code", String(16), nullable=False),
    Column("country", String(2), nullable=False),
)

orders = Table(
    "shop_orders",
    metadata,
    Column("order_id", String(32), primary_key=True),
    Column("caller_id", ForeignKey("shop_callers.caller_id"), nullable=False),
    Column("address_id", ForeignKey("shop_addresses.address_id"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("placed_on", Date, nullable=False),
    Column("estimated_delivery", Date),
    Column("delivered_on", Date),
    Column("carrier", String(60), nullable=False),
    Column("total_cents", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Index("shop_orders_of_caller", "caller_id", "placed_on"),
)

shipments = Table(
    "shop_shipments",
    metadata,
    Column("shipment_id", String(16), primary_key=True),
    Column("order_id", ForeignKey("shop_orders.order_id"), nullable=False, index=True),
    Column("status", String(20), nullable=False),
    Column("carrier", String(60), nullable=False),
    Column("tracking_number", String(40), nullable=False),
    Column("shipped_on", Date, nullable=False),
    Column("estimated_delivery", Date),
    Column("delivered_on", Date),
)

#: One line of an order. ``shipment_id`` is empty until it is sent; a line travels in one parcel.
items = Table(
    "shop_items",
    metadata,
    Column("order_id", ForeignKey("shop_orders.order_id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("shipment_id", ForeignKey("shop_shipments.shipment_id")),
    Column("name", Text, nullable=False),
    Column("quantity", Integer, CheckConstraint("quantity > 0"), nullable=False),
    Column("unit_price_cents", Integer, nullable=False),
    Column("final_sale", Boolean, nullable=False),
)

returns = Table(
    "shop_returns",
    metadata,
    Column("return_id", String(16), primary_key=True),
    Column("order_id", ForeignKey("shop_orders.order_id"), nullable=False, index=True),
    Column("status", String(20), nullable=False),
    Column("condition", String(20), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("requested_on", Date, nullable=False),
)

return_lines = Table(
    "shop_return_lines",
    metadata,
    Column("return_id", ForeignKey("shop_returns.return_id"), primary_key=True),
    Column("order_id", String(32), nullable=False),
    Column("position", Integer, primary_key=True),
    Column("quantity", Integer, CheckConstraint("quantity > 0"), nullable=False),
    ForeignKeyConstraint(["order_id", "position"], ["shop_items.order_id", "shop_items.position"]),
)

refunds = Table(
    "shop_refunds",
    metadata,
    Column("refund_id", String(16), primary_key=True),
    Column("order_id", ForeignKey("shop_orders.order_id"), nullable=False, index=True),
    Column("return_id", ForeignKey("shop_returns.return_id")),
    Column("amount_cents", Integer, CheckConstraint("amount_cents >= 0"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("requested_on", Date, nullable=False),
    Column("paid_on", Date),
)

#: No foreign key to a caller: somebody without an account may ask to be called as well.
callbacks = Table(
    "shop_callbacks",
    metadata,
    Column("callback_id", String(16), primary_key=True),
    Column("caller_id", String(CALLER_ID_CHARS), nullable=False, index=True),
    Column("topic", String(200), nullable=False),
    Column("preferred", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_at_s", Double, nullable=False),
)

#: One row per write that was asked for. ``status_code`` is empty while the work is under way, in a transaction that
#: nobody else sees; so a row that can be read is complete.
idempotency_keys = Table(
    "shop_idempotency_keys",
    metadata,
    Column("caller_id", String(CALLER_ID_CHARS), primary_key=True),
    Column("key", String(KEY_CHARS), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status_code", Integer),
    Column("body", Text),
    Column("created_at_s", Double, nullable=False, index=True),
)

#: Every column that holds a day, by table: what moves when the demonstration's calendar moves.
DAY_COLUMNS = {
    table: tuple(column for column in table.columns if isinstance(column.type, Date))
    for table in (orders, shipments, returns, refunds)
}
