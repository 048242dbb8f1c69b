"""A write is done once, however often it is asked for with the same key.

The rules follow the IETF draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header): a key
without which nothing is written (400), the stored answer for the same key and request, 422 for the same key and another
request. A key belongs to one caller. Business answers are stored like successes; failures are not, so that the same key
may be tried again.

Work that waited for its turn until its client had given up is not begun: the client has asked again by then, or tells its
caller that nobody knows, and under load the shop would do nothing but what nobody waits for.

The key is claimed, the work done and its answer stored in one transaction. Who comes second meets the claim: SQLite lets
them wait for the write lock, PostgreSQL for the row; then they find the stored answer, or, after a failure, nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from pydantic import BaseModel
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.demo_backend.database import ShopDatabase
from voice_agent.demo_backend.problems import Code, ProblemError
from voice_agent.demo_backend.tables import idempotency_keys as keys
from voice_agent.errors import StoreError

KEPT_S = 24 * 3600.0  # longer than any call, and than a callback's follow-up on the same day
_CLAIM_ATTEMPTS = 5


# Whether the client still waits.
Wanted = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it goes out; ``replayed`` where it was given before."""

    status: int
    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One write as it was asked for: by whom, under which key, and what exactly."""

    caller_id: str
    key: str
    operation: str
    target: str
    body: BaseModel
    wanted: Wanted

    @property
    def fingerprint(self) -> str:
        whole = [self.operation, self.target, self.body.model_dump(mode="json")]
        return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


Work = Callable[[AsyncConnection], Awaitable[tuple[int, BaseModel]]]


async def write_once(database: ShopDatabase, write: Write, now_s: float, work: Work) -> Answer:
    """Does the work unless it was done. ``work`` gives status and body; what it wrote before it raised a ``ProblemError``
    is undone. Raises ``ProblemError`` for a key used otherwise and where nobody waits, ``StoreError``."""
    for _ in range(_CLAIM_ATTEMPTS):
        try:
            async with database.write() as connection:
                if not await write.wanted():
                    raise ProblemError(Code.UNAVAILABLE, "Nobody waits for this any more.")
                return await _claim_and_work(connection, write, now_s, work)
        except IntegrityError:
            continue  # somebody claimed the key at the same moment (their answer is there now), or drew the same reference
    raise StoreError("an idempotency key could not be claimed")


async def _claim_and_work(connection: AsyncConnection, write: Write, now_s: float, work: Work) -> Answer:
    await connection.execute(delete(keys).where(keys.c.created_at_s < now_s - KEPT_S))
    this = (keys.c.caller_id == write.caller_id, keys.c.key == write.key)
    known = (await connection.execute(select(keys).where(*this))).one_or_none()
    if known is not None:
        if known.fingerprint != write.fingerprint:
            raise ProblemError(Code.KEY_REUSED, "This idempotency key was used for another request.")
        return Answer(known.status_code, known.body.encode(), replayed=True)
    await connection.execute(
        insert(keys).values(caller_id=write.caller_id, key=write.key, fingerprint=write.fingerprint, created_at_s=now_s)
    )
    try:
        async with connection.begin_nested():
            status, body = await work(connection)
            answer = Answer(status, orjson.dumps(body.model_dump(mode="json")))
    except ProblemError as problem:
        answer = Answer(problem.status, orjson.dumps(problem.body()))
    await connection.execute(update(keys).where(*this).values(status_code=answer.status, body=answer.body.decode()))
    return answer
