"""The relational tables. Portable SQL only: the same definitions serve SQLite and PostgreSQL.

Moments are Unix seconds (UTC) in double precision and days are dates, so that no database's idea of time zones matters.
``SCHEMA_VERSION`` grows with every change of a table's shape; ``database.py`` refuses a database of another version. A
table that is missing is made: one more of them changes no other.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_VERSION = 1

#: Longest caller id stored as it is; ``callers.caller_key`` shortens longer ones.
CALLER_ID_CHARS = 72

metadata = MetaData()

#: Facts about the database itself: ``schema_version``, ``demo_seed``.
meta = Table(
    "meta",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)

callers = Table(
    "callers",
    metadata,
    Column("caller_id", String(CALLER_ID_CHARS), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("locale", String(16), nullable=False),
    Column("pin_hash", String(200), nullable=False),
)

#: Tries since the last success. No foreign key: tries under an unknown id are counted as well, or the lock itself
#: would tell which ids exist.
pin_attempts = Table(
    "pin_attempts",
    metadata,
    Column("caller_id", String(CALLER_ID_CHARS), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("locked_until_s", Double),
)

#: Secrets of time-based codes, sealed (``totp_secrets``). ``last_step``: the newest time step whose code was accepted.
totp_secrets = Table(
    "totp_secrets",
    metadata,
    Column("caller_id", ForeignKey("callers.caller_id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", String(200), nullable=False),
    Column("last_step", BigInteger),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", String(32), primary_key=True),
    Column("caller_id", ForeignKey("callers.caller_id"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("placed_on", Date, nullable=False),
    Column("estimated_delivery", Date),
    Column("delivered_on", Date),
    Column("carrier", String(60), nullable=False),
    Column("total_cents", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Index("orders_of_caller", "caller_id", "placed_on"),
)

order_items = Table(
    "order_items",
    metadata,
    Column("order_id", ForeignKey("orders.order_id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("quantity", Integer, CheckConstraint("quantity > 0"), nullable=False),
)

#: Callers whom a human is to call back or take over, with the masked context packet.
handovers = Table(
    "handovers",
    metadata,
    Column("reference", String(16), primary_key=True),
    Column("call_id", String(80), nullable=False, unique=True),
    Column("caller_id", String(CALLER_ID_CHARS), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("created_at_s", Double, nullable=False, index=True),
    Column("packet", JSON, nullable=False),
)
