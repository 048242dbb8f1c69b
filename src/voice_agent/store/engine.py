"""How a database is opened, whichever it is: by its URL, a SQLite file where none is configured, with one clear line for
what cannot work.

``sqlite:`` and ``postgresql:`` URLs get their asynchronous driver by themselves. SQLite runs in write-ahead mode, so that
several processes may use a file. Parameters hold callers' data: they stay out of exceptions and logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from voice_agent.errors import ConfigError, StoreError

#: How long SQLite waits for another writer. Our transactions take about a millisecond, a first start's seeding a second.
_BUSY_TIMEOUT_MS = 5_000

#: Two processes that start together may both create tables; the loser looks again.
_CREATE_ATTEMPTS = 5

_THREAD_END_S = 2.0

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """One of this program's databases as messages speak of it: what it is ("the database"), the variable with its URL, and
    its file in the state directory where that is empty."""

    noun: str
    variable: str
    sqlite_file: str


@dataclass(frozen=True, slots=True)
class OpenEngine:
    """``name``: a path, or a URL without its password and query."""

    kind: DatabaseKind
    name: str
    engine: AsyncEngine

    @asynccontextmanager
    async def begin(self, **options: Any) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed on a clean exit, rolled back on an exception or cancellation. ``options`` are
        SQLAlchemy's execution options.

        Raises ``StoreError`` where the database fails. ``IntegrityError`` passes through: it is an answer ("exists").
        """
        engine = self.engine.execution_options(**options) if options else self.engine
        try:
            async with engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"{self.kind.noun} {self.name} failed: {_cause(error)}") from error

    async def prepare(self, create: Callable[[], Awaitable[None]]) -> None:
        """Runs ``create``, which makes the tables that are missing. Raises ``ConfigError`` where that cannot be done."""
        for attempt in range(1, _CREATE_ATTEMPTS + 1):
            try:
                await create()
            except (StoreError, IntegrityError) as error:
                if attempt == _CREATE_ATTEMPTS:
                    raise ConfigError(
                        f"{self.kind.noun} {self.name} cannot be used: {_cause(error.__cause__ or error)}. Check "
                        f"{self.kind.variable} (or STATE_DIR), that the place can be written and, for a file, that it is "
                        "an undamaged SQLite database."
                    ) from None
            else:
                return


@asynccontextmanager
async def opened_engine(kind: DatabaseKind, configured: str, state_dir: Path) -> AsyncIterator[OpenEngine]:
    """The engine of this URL, nothing connected yet; an empty one means the kind's file in ``state_dir``.

    Raises ``ConfigError`` for a bad URL, a missing driver and a folder that cannot be made.
    """
    url = _url(kind, configured, state_dir)
    name = _shown(url)
    threads = _SqliteThreads()
    engine = _engine(kind, url, name, threads)
    try:
        yield OpenEngine(kind, name, engine)
    finally:
        await engine.dispose()
        await threads.ended()


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


def _url(kind: DatabaseKind, configured: str, state_dir: Path) -> URL:
    if not configured:
        return URL.create("sqlite+aiosqlite", database=str(state_dir / kind.sqlite_file))
    try:
        url = make_url(configured)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise ConfigError(
            f"{kind.variable} (hidden) is not a database URL: expected something like "
            f"postgresql://user:password@host/name or sqlite:///path/to/{kind.sqlite_file}."
        ) from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return repr(url.database or ":memory:")
    return repr(url.set(query={}).render_as_string(hide_password=True))


def _engine(kind: DatabaseKind, url: URL, name: str, threads: _SqliteThreads) -> AsyncEngine:
    options: dict[str, Any] = {"hide_parameters": True}
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite:
        _make_folder(kind, url)
        options["connect_args"] = {"async_creator_fn": threads.connect}
    else:
        options |= {"pool_pre_ping": True, "pool_timeout": 5, "pool_recycle": 1800}
    try:
        engine = create_async_engine(url, **options)
    except NoSuchModuleError:
        raise ConfigError(f"{kind.variable} names the unknown database kind {url.drivername!r}.") from None
    except ImportError as error:
        raise ConfigError(
            f"{kind.variable} needs the Python package {error.name!r} for {name}, which is not installed."
        ) from None
    except SQLAlchemyError as error:
        raise ConfigError(f"{kind.variable} for {name} cannot be used: {_cause(error)}.") from None
    if sqlite:
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
    return engine


def _make_folder(kind: DatabaseKind, url: URL) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {str(folder)!r} for {kind.noun} cannot be made: {error.strerror}. "
            f"Set STATE_DIR (or {kind.variable}) to a place that can be written."
        ) from None


def _tune_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    # Safe with write-ahead logging: a power cut may lose the last commits, never the file.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _cause(error: BaseException) -> str:
    """The driver's own words in one line, without the statement SQLAlchemy adds."""
    origin = getattr(error, "orig", None) or error
    words = str(origin) or type(origin).__name__
    return words.splitlines()[0]
