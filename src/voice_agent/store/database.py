"""The database: one connection pool, opened with checks that turn a bad one into one clear line at the start.

The default is a SQLite file ``voice_agent.db`` in the state directory, in write-ahead mode, so that several processes
may use it. Any SQLAlchemy URL works; ``sqlite:`` and ``postgresql:`` URLs get their asynchronous driver by themselves.
Tables are made with ``create_all``; a database of another schema version is refused, never changed.

SQLite starts a transaction at the first write and fails if the data read before it has changed meanwhile. So every
transaction here that writes begins with its write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, event, insert, inspect, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from voice_agent.config import StoreSettings
from voice_agent.errors import ConfigError, StoreError
from voice_agent.store.tables import SCHEMA_VERSION, meta, metadata

SQLITE_FILE = "voice_agent.db"

#: How long SQLite waits for another writer. Our transactions take about a millisecond; a first start's seeding tens.
_BUSY_TIMEOUT_MS = 5_000

#: Two processes that start together may both create tables; the loser looks again.
_CREATE_ATTEMPTS = 5

_THREAD_END_S = 2.0

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class Database:
    """An open database. ``begin`` gives a connection inside a transaction, committed on a clean exit."""

    def __init__(self, engine: AsyncEngine, name: str, threads: _SqliteThreads) -> None:
        self._engine = engine
        self._threads = threads
        self.name = name

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction; rolled back on an exception or cancellation.

        Raises ``StoreError`` where the database fails. ``IntegrityError`` passes through: it is an answer ("exists").
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the database {self.name} failed: {_cause(error)}") from error

    async def close(self) -> None:
        await self._engine.dispose()
        await self._threads.ended()


class _SqliteThreads:
    """Opens SQLite connections and waits, at the end, for their threads.

    aiosqlite runs each connection in a thread and does not wait for that of one which failed to open or was dropped by a
    cancellation. Such a thread still reports to the event loop, which must not be closed before it has.
    """

    def __init__(self) -> None:
        self._threads: WeakSet[Thread] = WeakSet()

    async def connect(self, *args: Any, **options: Any) -> Any:
        """A connection of aiosqlite; takes what ``sqlite3.connect`` takes."""
        import aiosqlite

        connection: Any = aiosqlite.connect(*args, **options)
        thread = getattr(connection, "_thread", connection)  # before aiosqlite 0.22 the connection itself is the thread
        thread.daemon = True  # as SQLAlchemy does: a stuck disk must not keep the process from ending
        self._threads.add(thread)
        return await connection

    async def ended(self) -> None:
        """Waits for the threads, two seconds each at most."""
        for thread in list(self._threads):
            await asyncio.to_thread(thread.join, _THREAD_END_S)


@asynccontextmanager
async def open_database(settings: StoreSettings, state_dir: Path) -> AsyncIterator[Database]:
    """Opens, checks and, where empty, creates the database.

    Raises ``ConfigError`` for a bad URL, a missing driver, a path that cannot be written, a file that is not a
    database, a server that does not answer, and a schema of another version.
    """
    url = _url(settings.database_url.get_secret_value(), state_dir)
    name = _shown(url)
    threads = _SqliteThreads()
    database = Database(_engine(url, name, threads), name, threads)
    try:
        await _prepare(database)
        yield database
    finally:
        await database.close()


def _url(configured: str, state_dir: Path) -> URL:
    if not configured:
        return URL.create("sqlite+aiosqlite", database=str(state_dir / SQLITE_FILE))
    try:
        url = make_url(configured)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise ConfigError(
            "DATABASE_URL (hidden) is not a database URL: expected something like "
            "postgresql://user:password@host/name or sqlite:///path/to/file.db."
        ) from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _shown(url: URL) -> str:
    """How messages call the database: a path, or a URL without its password and query."""
    if url.get_backend_name() == "sqlite":
        return repr(url.database or ":memory:")
    return repr(url.set(query={}).render_as_string(hide_password=True))


def _engine(url: URL, name: str, threads: _SqliteThreads) -> AsyncEngine:
    # Parameters may hold callers' data, so they stay out of exceptions and logs.
    options: dict[str, Any] = {"hide_parameters": True}
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite:
        _make_folder(url)
        options["connect_args"] = {"async_creator_fn": threads.connect}
    else:
        options |= {"pool_pre_ping": True, "pool_timeout": 5, "pool_recycle": 1800}
    try:
        engine = create_async_engine(url, **options)
    except NoSuchModuleError:
        raise ConfigError(f"DATABASE_URL names the unknown database kind {url.drivername!r}.") from None
    except ImportError as error:
        raise ConfigError(
            f"DATABASE_URL needs the Python package {error.name!r} for {name}, which is not installed."
        ) from None
    except SQLAlchemyError as error:
        raise ConfigError(f"DATABASE_URL for {name} cannot be used: {error}") from None
    if sqlite:
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
    return engine


def _make_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {str(folder)!r} for the database cannot be made: {error.strerror}. "
            "Set STATE_DIR (or DATABASE_URL) to a place that can be written."
        ) from None


def _tune_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    # Safe with write-ahead logging: a power cut may lose the last commits, never the file.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


async def _prepare(database: Database) -> None:
    """Checks that the database can be read and written and is ours; creates what is missing."""
    try:
        for attempt in range(1, _CREATE_ATTEMPTS + 1):
            try:
                async with database._engine.begin() as connection:
                    await connection.run_sync(_create, database.name)
                break
            except SQLAlchemyError:
                if attempt == _CREATE_ATTEMPTS:
                    raise
    except (SQLAlchemyError, OSError) as error:
        raise ConfigError(
            f"the database {database.name} cannot be used: {_cause(error)}. Check DATABASE_URL (or STATE_DIR), that "
            "the place can be written and, for a file, that it is an undamaged SQLite database."
        ) from None


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


def _cause(error: BaseException) -> str:
    """The driver's own words in one line, without the statement SQLAlchemy adds."""
    origin = getattr(error, "orig", None) or error
    words = str(origin) or type(origin).__name__
    return words.splitlines()[0]
