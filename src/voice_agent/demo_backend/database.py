"""The shop's database: a SQLite file, or PostgreSQL by its URL; opened with checks, its tables made where they are missing.

SQLite lets a transaction that began by reading fail when it comes to write. So ``write`` takes SQLite's write lock at its
beginning, and waits for it; writers of one process queue up before, for those who wait at the file look only now and then.
Under PostgreSQL a write locks the rows it reads (``FOR UPDATE``, which SQLite ignores).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.demo_backend.tables import SCHEMA_VERSION, meta, metadata
from voice_agent.errors import ConfigError
from voice_agent.store.engine import DatabaseKind, OpenEngine, opened_engine

SQLITE_FILE = "shop.db"
_KIND = DatabaseKind("the shop's database", "SHOP_DATABASE_URL", SQLITE_FILE)
_WRITES = "shop_writes"


class ShopDatabase:
    """An open database. Transactions are committed on a clean exit, rolled back on any other."""

    def __init__(self, opened: OpenEngine) -> None:
        self._opened = opened
        self._one_writer = asyncio.Lock() if opened.engine.dialect.name == "sqlite" else None
        self.name = opened.name

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that only reads. Raises ``StoreError``."""
        return self._opened.begin()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write. Raises ``StoreError``; ``IntegrityError`` passes: it is an answer ("exists")."""
        async with self._one_writer or nullcontext(), self._opened.begin(**{_WRITES: True}) as connection:
            yield connection


@asynccontextmanager
async def open_shop_database(configured: str, state_dir: Path) -> AsyncIterator[ShopDatabase]:
    """Opens the database of this URL; an empty one means the file ``shop.db`` in ``state_dir``.

    Raises ``ConfigError`` for a bad URL, a missing driver, a place that cannot be used and a schema of another version.
    """
    async with opened_engine(_KIND, configured, state_dir) as opened:
        if opened.engine.dialect.name == "sqlite":
            event.listen(opened.engine.sync_engine, "connect", _begin_by_hand)
            event.listen(opened.engine.sync_engine, "begin", _begin_sqlite)
        database = ShopDatabase(opened)

        async def create() -> None:
            async with database.write() as connection:
                await connection.run_sync(_create, database.name)

        await opened.prepare(create)
        yield database


def _begin_by_hand(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions by itself: _begin_sqlite does


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _create(connection: Connection, name: str) -> None:
    version = None
    if meta.name in inspect(connection).get_table_names():
        version = connection.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
        if version != str(SCHEMA_VERSION):
            raise ConfigError(
                f"the shop's database {name} has schema version {version}, this program needs {SCHEMA_VERSION}. Move it "
                "away: the demonstration's data is made anew."
            )
    metadata.create_all(connection)
    if version is None:
        connection.execute(insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))
