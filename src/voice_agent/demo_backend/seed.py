"""Fills the shop's database with the demonstration's data, and keeps its calendar on today.

The data is written once, into an empty database. On a later day every date moves by the days that have passed, with what
callers have done meanwhile: a parcel that was to come in two days still does, and an order cancelled then stays cancelled.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.demo_backend import tables as t
from voice_agent.demo_backend.database import ShopDatabase
from voice_agent.demo_backend.demo_orders import DemoData, address_id_of, demo_data

_CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class ShopSize:
    callers: int
    orders: int


async def seed_shop(database: ShopDatabase, today: date) -> ShopSize:
    """Fills the database if it is empty, moves its calendar to ``today`` if it is not. Safe when two processes start at
    once. Raises ``StoreError``."""
    async with database.write() as connection:
        # A lock on this row lets one process do it; who waited sees what the other has done.
        await connection.execute(update(t.meta).where(t.meta.c.key == "schema_version").values(value=t.meta.c.value))
        calendar = (
            await connection.execute(select(t.meta.c.value).where(t.meta.c.key == _CALENDAR))
        ).scalar_one_or_none()
        if calendar is None:
            await _fill(connection, await asyncio.to_thread(demo_data, today))
            await connection.execute(insert(t.meta).values(key=_CALENDAR, value=today.isoformat()))
        elif calendar != today.isoformat():
            await _move(connection, today - date.fromisoformat(calendar))
            await connection.execute(update(t.meta).where(t.meta.c.key == _CALENDAR).values(value=today.isoformat()))
        return ShopSize(await _count(connection, t.callers), await _count(connection, t.orders))


async def _fill(connection: AsyncConnection, data: DemoData) -> None:
    await connection.execute(
        insert(t.callers),
        [{"caller_id": person.caller_id, "name": person.name, "locale": person.locale} for person in data.people],
    )
    await connection.execute(
        insert(t.addresses),
        [
            {"address_id": address_id_of(index), "caller_id": person.caller_id, **person.home.model_dump()}
            for index, person in enumerate(data.people)
        ],
    )
    await connection.execute(insert(t.orders), data.orders)
    await connection.execute(insert(t.shipments), data.shipments)
    await connection.execute(insert(t.items), data.items)
    await connection.execute(insert(t.returns), data.returns)
    await connection.execute(insert(t.return_lines), data.return_lines)
    await connection.execute(insert(t.refunds), data.refunds)


async def _move(connection: AsyncConnection, by: timedelta) -> None:
    """Row by row: databases do not agree on how days are added."""
    for table, columns in t.DAY_COLUMNS.items():
        (key,) = table.primary_key.columns
        rows = (await connection.execute(select(key, *columns))).all()
        moved = [
            {"moved_key": row[0]}
            | {f"to_{column.name}": day and day + by for column, day in zip(columns, row[1:], strict=True)}
            for row in rows
        ]
        if moved:
            values: dict[str, Any] = {column.name: bindparam(f"to_{column.name}") for column in columns}
            await connection.execute(update(table).where(key == bindparam("moved_key")).values(values), moved)


async def _count(connection: AsyncConnection, table: Table) -> int:
    return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())
