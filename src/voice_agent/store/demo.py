"""The demo people, for trying the system without callers of one's own: who may prove their identity, and how.

One list (``data/demo_callers.yaml``) says who they are, to the platform and to the demo shop. Seeding adds those who are
missing; callers that exist already, their PINs and their locks are never touched.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.store.database import Database
from voice_agent.store.tables import callers, meta

_MARK = "demo_seed"


@dataclass(frozen=True, slots=True)
class DemoCaller:
    """One demo person. ``country`` (ISO 3166) is where they live; ``pin_hash`` is that of ``pin``."""

    caller_id: str
    name: str
    locale: str
    country: str
    pin: str
    pin_hash: str


def demo_callers() -> tuple[DemoCaller, ...]:
    """The list, in its order. Takes some ten milliseconds."""
    return _read(_text())


async def seed_demo(database: Database) -> int:
    """Puts the demo people into the database; gives how many were added. A database that has the list as it is now is left
    alone. Safe when two processes start at once. Raises ``StoreError``."""
    text = _text()
    mark = hashlib.sha256(text.encode()).hexdigest()
    async with database.begin() as connection:
        if await _marked(connection) == mark:
            return 0
    people = await asyncio.to_thread(_read, text)
    async with database.begin() as connection:
        # A lock on this row lets one process seed at a time; who waited sees what the other has done.
        await connection.execute(update(meta).where(meta.c.key == "schema_version").values(value=meta.c.value))
        if await _marked(connection) == mark:
            return 0
        known = set((await connection.execute(select(callers.c.caller_id))).scalars())
        columns = set(callers.columns.keys())
        rows: list[dict[str, Any]] = [
            {name: value for name, value in asdict(person).items() if name in columns}
            for person in people
            if person.caller_id not in known
        ]
        if rows:
            await connection.execute(insert(callers), rows)
        await connection.execute(delete(meta).where(meta.c.key == _MARK))
        await connection.execute(insert(meta).values(key=_MARK, value=mark))
    return len(rows)


def _text() -> str:
    return resources.files("voice_agent").joinpath("data", "demo_callers.yaml").read_text("utf-8")


def _read(text: str) -> tuple[DemoCaller, ...]:
    import yaml

    entries = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    return tuple(DemoCaller(**entry) for entry in entries)


async def _marked(connection: AsyncConnection) -> str | None:
    """Which list the database was seeded with."""
    found = await connection.execute(select(meta.c.value).where(meta.c.key == _MARK))
    mark: str | None = found.scalar_one_or_none()
    return mark
