"""Callers and their PINs.

Rules of PIN checking:

- PINs are stored as argon2id hashes (t=2, m=19 MiB, p=1: the OWASP password storage minimum) and compared by argon2's
  own constant-time comparison, in a thread: one check takes 20–60 ms of processor time.
- A try is counted before it is checked, and the last one locks: see ``tries``. A right PIN forgets the wrong ones before
  it where it is the whole proof; where a second factor follows, it only takes its own try back.
- An unknown caller id costs the same work (a comparison against a dummy hash) and is counted and locked the same way.
- The PIN is never part of an exception, a log line, a representation or an SQL parameter.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import select

from voice_agent.clock import Clock
from voice_agent.config import IdentitySettings
from voice_agent.errors import StoreError
from voice_agent.models import SecretOutcome
from voice_agent.store.database import Database
from voice_agent.store.tables import CALLER_ID_CHARS, callers
from voice_agent.store.tries import TryCount

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_PHONE = re.compile(r"\+?[\d\s().\-/]+")
_PHONE_MIN_DIGITS = 7

#: What some databases do not take as text.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

#: Concurrent hash computations: each holds 19 MiB and one core.
_HASH_THREADS = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """A known caller. ``name`` is the full name."""

    caller_id: str
    name: str
    locale: str


def caller_key(caller_id: str) -> str:
    """The form under which a caller id is stored and looked up.

    Phone numbers become "+" and digits; a "+" lost in a query string (where it decodes to a space) and a leading "00"
    make no difference. Other ids are trimmed. Ids that do not fit into the column are replaced by their digest.
    """
    trimmed = caller_id.strip()
    if len(trimmed) > CALLER_ID_CHARS or _UNSTORABLE.search(trimmed):
        return "sha256:" + hashlib.sha256(trimmed.encode("utf-8", "surrogatepass")).hexdigest()
    if _PHONE.fullmatch(trimmed):
        digits = re.sub(r"\D", "", trimmed)
        if len(digits) >= _PHONE_MIN_DIGITS:
            return "+" + (digits if trimmed.startswith("+") else digits.removeprefix("00"))
    return trimmed


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_pin(pin: str) -> str:
    """The hash to store. Takes 20–60 ms: not for the event loop."""
    return _hasher().hash(pin)


@cache
def _dummy_hash() -> str:
    return hash_pin("no caller has this")


def _matches(pin_hash: str | None, pin: str) -> bool:
    """Whether the PIN fits; without a hash, False for the same work. Raises ``StoreError`` for a damaged hash."""
    from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

    try:
        _hasher().verify(pin_hash or _dummy_hash(), pin)
    except VerifyMismatchError:
        return False
    except (Argon2Error, InvalidHashError, UnicodeError) as error:
        raise StoreError(f"a stored PIN hash cannot be checked: {type(error).__name__}") from None
    return pin_hash is not None


class CallerDirectory:
    """Known callers and the check of their PINs. One per process; ``close`` ends its threads."""

    def __init__(self, database: Database, settings: IdentitySettings, clock: Clock) -> None:
        self._database = database
        self._tries = TryCount(database, settings, clock)
        self._is_whole_proof = not settings.second_factor
        self._threads = ThreadPoolExecutor(_HASH_THREADS, thread_name_prefix="pin")

    async def warm_up(self) -> None:
        """Loads argon2 and makes the dummy hash, so that no first check is slower than another."""
        await asyncio.get_running_loop().run_in_executor(self._threads, _dummy_hash)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def find(self, caller_id: str) -> Caller | None:
        """The caller's record. Raises ``StoreError``."""
        async with self._database.begin() as connection:
            row = (
                await connection.execute(
                    select(callers.c.caller_id, callers.c.name, callers.c.locale).where(
                        callers.c.caller_id == caller_key(caller_id)
                    )
                )
            ).one_or_none()
        return None if row is None else Caller(row.caller_id, row.name, row.locale)

    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        """Checks a PIN; gives the outcome and the tries left before the lock.

        The wrong try that uses up the last attempt already gives ``LOCKED``. A database that cannot be asked gives
        ``UNAVAILABLE``; this method raises nothing of its own. Cancellation is safe; the try stays counted.
        """
        key = caller_key(caller_id)
        try:
            failures = await self._tries.count(key)
            if failures is None:
                return SecretOutcome.LOCKED, 0
            pin_hash = await self._pin_hash(key)
            loop = asyncio.get_running_loop()
            if await loop.run_in_executor(self._threads, _matches, pin_hash, pin):
                if self._is_whole_proof:
                    await self._tries.forget(key)
                    return SecretOutcome.VERIFIED, self._tries.most
                await self._tries.take_back(key)
                return SecretOutcome.VERIFIED, self._tries.most - failures + 1
        except StoreError:
            return SecretOutcome.UNAVAILABLE, 0
        attempts_left = max(0, self._tries.most - failures)
        if not attempts_left:
            return SecretOutcome.LOCKED, 0
        return (SecretOutcome.UNKNOWN_CALLER if pin_hash is None else SecretOutcome.WRONG), attempts_left

    async def _pin_hash(self, key: str) -> str | None:
        async with self._database.begin() as connection:
            found = await connection.execute(select(callers.c.pin_hash).where(callers.c.caller_id == key))
            return found.scalar_one_or_none()
