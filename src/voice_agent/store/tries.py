"""The count of a caller's tries to prove who they are, and the lock that follows; one count for every kind of secret.

Rules:

- A try is *counted before it is checked*, by one conditional UPDATE. However many calls and processes try at once, at
  most ``pin_max_attempts`` secrets are ever compared before the lock; a try that is cancelled or crashes stays counted.
- The try that uses up the last attempt locks the caller for ``pin_lockout_s``. While the last allowed try is being
  checked, other calls of the same caller hear "locked".
- Only a whole proof forgets the wrong tries before it. A step that was right and is not the last one just takes its own
  try back: else whoever knows the PIN could guess at codes for ever.
"""

from __future__ import annotations

from sqlalchemy import case, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from voice_agent.clock import Clock
from voice_agent.config import IdentitySettings
from voice_agent.errors import StoreError
from voice_agent.store.database import Database
from voice_agent.store.tables import pin_attempts

_COUNT_ATTEMPTS = 5


class TryCount:
    """``most`` tries may be wrong before the lock. Every method takes the caller's key (``callers.caller_key``) and raises
    ``StoreError``."""

    def __init__(self, database: Database, settings: IdentitySettings, clock: Clock) -> None:
        self._database = database
        self._lockout_s = settings.pin_lockout_s
        self._clock = clock
        self.most = settings.pin_max_attempts

    async def count(self, key: str) -> int | None:
        """Adds one try and locks at the last; gives the number of tries so far, or ``None`` while locked."""
        now_s = self._clock.wall().timestamp()
        row = pin_attempts.c
        # Reached only when there is no lock or it has run out: a lock that has run out starts a new count.
        tries = case((row.locked_until_s.is_not(None), 1), else_=row.failures + 1)
        count = (
            update(pin_attempts)
            .where(row.caller_id == key, or_(row.locked_until_s.is_(None), row.locked_until_s <= now_s))
            .values(
                failures=tries,
                locked_until_s=case((tries >= self.most, now_s + self._lockout_s), else_=None),
            )
        )
        current = select(row.failures).where(row.caller_id == key)
        first = insert(pin_attempts).values(
            caller_id=key, failures=1, locked_until_s=now_s + self._lockout_s if self.most == 1 else None
        )
        for _ in range(_COUNT_ATTEMPTS):
            async with self._database.begin() as connection:
                counted = (await connection.execute(count)).rowcount == 1
                failures: int | None = (await connection.execute(current)).scalar_one_or_none()
            if failures is not None:
                return failures if counted else None
            try:
                async with self._database.begin() as connection:
                    await connection.execute(first)
            except IntegrityError:  # another call counted this caller's first try in between
                continue
            return 1
        raise StoreError("a try could not be counted")

    async def take_back(self, key: str) -> None:
        """The caller's own try was no wrong one. The lock goes with it where that try had set it: fewer tries than the
        most are counted then."""
        row = pin_attempts.c
        async with self._database.begin() as connection:
            await connection.execute(
                update(pin_attempts)
                .where(row.caller_id == key, row.failures > 0)
                .values(failures=row.failures - 1, locked_until_s=None)
            )

    async def forget(self, key: str) -> None:
        """The caller is proved: no tries, no lock."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(pin_attempts).where(pin_attempts.c.caller_id == key).values(failures=0, locked_until_s=None)
            )
