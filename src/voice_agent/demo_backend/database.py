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
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from voice_agent.demo_backend.tables import SCHEMA_VERSION, meta, metadata
from voice_agent.errors import ConfigError, StoreError

SQLITE_FILE = "shop.db"
_BUSY_TIMEOUT_MS = 5_000  # transactions here take a millisecond or two, the first start's seeding a second
_CREATE_ATTEMPTS = 3  # two processes that start together may both create tables; the loser looks again
_WRITES = "shop_writes"
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class ShopDatabase:
    """An open database. Transactions are committed on a clean exit, rolled back on any other."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**{_WRITES: True})
        self._one_writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        self.name = name

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that only reads. Raises ``StoreError``."""
        return self._begin(self._engine)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write. Raises ``StoreError``; ``IntegrityError`` passes: it is an answer ("exists")."""
        async with self._one_writer or nullcontext(), self._begin(self._writing) as connection:
            yield connection

    @asynccontextmanager
    async def _begin(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        try:
            async with engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the shop's database {self.name} failed: {_cause(error)}") from error


@asynccontextmanager
async def open_shop_database(configured: str, state_dir: Path) -> AsyncIterator[ShopDatabase]:
    """Opens the database of this URL; an empty one means the file ``shop.db`` in ``state_dir``.

    Raises ``ConfigError`` for a bad URL, a missing driver, a place that cannot be used and a schema of another version.
    """
    url = _url(configured, state_dir)
    name = _shown(url)
    engine = _engine(url, name)
    database = ShopDatabase(engine, name)
    try:
        await _prepare(database)
        yield database
    finally:
        await engine.dispose()


def _url(configured: str, state_dir: Path) -> URL:
    if not configured:
        return URL.create("sqlite+aiosqlite", database=str(state_dir / SQLITE_FILE))
    try:
        url = make_url(configured)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise ConfigError(
            "SHOP_DATABASE_URL (hidden) is not a database URL: expected something like "
            "postgresql://user:password@host/name or sqlite:///path/to/shop.db."
        ) from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _shown(url: URL) -> str:
    """How messages call the database: a path, or a URL without its password and query."""
    if url.get_backend_name() == "sqlite":
        return repr(url.database or ":memory:")
    return repr(url.set(query={}).render_as_string(hide_password=True))


def _engine(url: URL, name: str) -> AsyncEngine:
    options: dict[str, Any] = {"hide_parameters": True}  # they hold callers' data: not for exceptions and logs
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the folder of the shop's database {name} cannot be made: {error.strerror}.") from None
    elif not sqlite:
        options |= {"pool_pre_ping": True, "pool_timeout": 5, "pool_recycle": 1800}
    try:
        engine = create_async_engine(url, **options)
    except NoSuchModuleError:
        raise ConfigError(f"SHOP_DATABASE_URL names the unknown database kind {url.drivername!r}.") from None
    except ImportError as error:
        raise ConfigError(
            f"SHOP_DATABASE_URL needs the Python package {error.name!r} for {name}, which is not installed."
        ) from None
    except SQLAlchemyError as error:
        raise ConfigError(f"SHOP_DATABASE_URL for {name} cannot be used: {_cause(error)}.") from None
    if sqlite:
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions by itself: _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    # Safe with write-ahead logging: a power cut may lose the last commits, never the file.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


async def _prepare(database: ShopDatabase) -> None:
    """Creates what is missing. Raises ``ConfigError``."""
    for attempt in range(1, _CREATE_ATTEMPTS + 1):
        try:
            async with database.write() as connection:
                await connection.run_sync(_create, database.name)
        except (StoreError, IntegrityError) as error:
            if attempt == _CREATE_ATTEMPTS:
                raise ConfigError(
                    f"{error}. Check SHOP_DATABASE_URL (or STATE_DIR), and that the place can be written."
                ) from None
        else:
            return


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


def _cause(error: BaseException) -> str:
    """The driver's own words in one line, without the statement SQLAlchemy adds."""
    origin = getattr(error, "orig", None) or error
    words = str(origin) or type(origin).__name__
    return words.splitlines()[0]
