"""The platform's database: one connection pool, opened with checks that turn a bad one into one clear line at the start.

The default is a SQLite file ``voice_agent.db`` in the state directory; any SQLAlchemy URL works (``engine.py``). Tables are
made with ``create_all``; a database of another schema version is refused, never changed. Tables that are not ours, those of
earlier versions among them, are left alone.

SQLite starts a transaction at the first write and fails if the data read before it has changed meanwhile. So every
transaction here that writes begins with its write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, insert, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.config import StoreSettings
from voice_agent.errors import ConfigError
from voice_agent.store.engine import DatabaseKind, OpenEngine, opened_engine
from voice_agent.store.tables import SCHEMA_VERSION, meta, metadata

SQLITE_FILE = "voice_agent.db"
_KIND = DatabaseKind("the database", "DATABASE_URL", SQLITE_FILE)


class Database:
    """An open database. ``begin`` gives a connection inside a transaction, committed on a clean exit."""

    def __init__(self, opened: OpenEngine) -> None:
        self._opened = opened
        self.name = opened.name

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One transaction; rolled back on an exception or cancellation.

        Raises ``StoreError`` where the database fails. ``IntegrityError`` passes through: it is an answer ("exists").
        """
        return self._opened.begin()


@asynccontextmanager
async def open_database(settings: StoreSettings, state_dir: Path) -> AsyncIterator[Database]:
    """Opens, checks and, where empty, creates the database.

    Raises ``ConfigError`` for a bad URL, a missing driver, a path that cannot be written, a file that is not a
    database, a server that does not answer, and a schema of another version.
    """
    async with opened_engine(_KIND, settings.database_url.get_secret_value(), state_dir) as opened:

        async def create() -> None:
            async with opened.begin() as connection:
                await connection.run_sync(_create, opened.name)

        await opened.prepare(create)
        yield Database(opened)


def _create(connection: Connection, name: str) -> None:
    existing = set(inspect(connection).get_table_names())
    if meta.name not in existing:
        foreign = sorted(existing & set(metadata.tables))
        if foreign:
            raise ConfigError(
                f"the database {name} has a table {foreign[0]!r} that this program did not make. "
                "Point DATABASE_URL at a database of its own."
            )
        meta.create(connection)
    version = connection.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    if version is None:
        connection.execute(insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))
    elif version != str(SCHEMA_VERSION):
        raise ConfigError(
            f"the database {name} has schema version {version}, this program needs {SCHEMA_VERSION}. Use the program "
            "version that made it, or move the database away and start afresh."
        )
    metadata.create_all(connection)
    # Changes nothing, but fails where we may only read.
    connection.execute(update(meta).where(meta.c.key == "schema_version").values(value=meta.c.value))
