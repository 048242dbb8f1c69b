"""What an operator does with callers: add them, give them PINs, take locks off, remove them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from voice_agent.clock import Clock
from voice_agent.config import IdentitySettings
from voice_agent.errors import ConfigError
from voice_agent.store.callers import caller_key, hash_pin
from voice_agent.store.database import Database
from voice_agent.store.tables import callers, pin_attempts, totp_secrets
from voice_agent.store.totp_secrets import TotpSecrets

_ASCENDING = "0123456789"


@dataclass(frozen=True, slots=True)
class CallerRow:
    """One caller as an operator sees it. ``locked_s``: seconds until the lock ends, 0 without one; ``has_totp``: whether
    there is a secret for time-based codes."""

    caller_id: str
    name: str
    locale: str
    failures: int
    locked_s: float
    has_totp: bool


def weakness(pin: str, digits: int) -> str:
    """Why ``pin`` should not be one; empty where nothing is wrong. Never quotes it."""
    if not (pin.isascii() and pin.isdigit()) or len(pin) != digits:
        return f"a PIN has {digits} digits and nothing else."
    if len(set(pin)) == 1:
        return "the same digit repeated is the first thing that is tried."
    if pin in _ASCENDING * 2 or pin[::-1] in _ASCENDING * 2:
        return "digits in a row are among the first things that are tried."
    return ""


class CallerAdmin:
    """The callers of one database. Every method raises ``StoreError``; unknown callers are ``ConfigError``."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, caller_id: str, name: str, locale: str, pin: str) -> str:
        """Adds a caller; gives the id as it is kept. Raises ``ConfigError`` for one that exists."""
        key = caller_key(caller_id)
        row = {"caller_id": key, "name": name, "locale": locale, "pin_hash": await asyncio.to_thread(hash_pin, pin)}
        try:
            async with self._database.begin() as connection:
                await connection.execute(insert(callers).values(row))
        except IntegrityError:
            raise ConfigError(
                f"{key} exists already: change its PIN with 'voice-agent callers set-pin {key}'."
            ) from None
        return key

    async def set_pin(self, caller_id: str, pin: str) -> str:
        """Replaces the PIN and takes off a lock."""
        key = caller_key(caller_id)
        hashed = await asyncio.to_thread(hash_pin, pin)
        change = update(callers).where(callers.c.caller_id == key).values(pin_hash=hashed)
        async with self._database.begin() as connection:
            if (await connection.execute(change)).rowcount != 1:
                raise _unknown(key)
            await connection.execute(delete(pin_attempts).where(pin_attempts.c.caller_id == key))
        return key

    async def unlock(self, caller_id: str) -> str:
        """Forgets failed tries and the lock."""
        key = caller_key(caller_id)
        async with self._database.begin() as connection:
            known = await connection.execute(select(callers.c.caller_id).where(callers.c.caller_id == key))
            if known.one_or_none() is None:
                raise _unknown(key)
            await connection.execute(delete(pin_attempts).where(pin_attempts.c.caller_id == key))
        return key

    async def remove(self, caller_id: str) -> str:
        """Forgets a caller. ``ConfigError`` too where a table that is not ours refers to them."""
        key = caller_key(caller_id)
        try:
            async with self._database.begin() as connection:
                if (await connection.execute(delete(callers).where(callers.c.caller_id == key))).rowcount != 1:
                    raise _unknown(key)
                await connection.execute(delete(pin_attempts).where(pin_attempts.c.caller_id == key))
        except IntegrityError:
            raise ConfigError(
                f"{key} cannot be removed: a table that is not ours refers to it ('orders', of an earlier version, if it is "
                "there). Drop that table, or give the caller another PIN."
            ) from None
        return key

    async def set_totp(self, caller_id: str, secret: bytes, settings: IdentitySettings) -> str:
        """Gives the caller a secret for time-based codes, in place of an older one. Raises ``ConfigError`` without an
        ``IDENTITY_KEY``."""
        return await TotpSecrets(self._database, settings).put(caller_id, secret)

    async def remove_totp(self, caller_id: str) -> str:
        """Takes the secret for time-based codes away."""
        key = caller_key(caller_id)
        async with self._database.begin() as connection:
            gone = await connection.execute(delete(totp_secrets).where(totp_secrets.c.caller_id == key))
            if gone.rowcount != 1:
                raise ConfigError(f"{key} has no TOTP secret: see 'voice-agent callers list'.")
        return key

    async def all(self) -> list[CallerRow]:
        """Every caller, by id."""
        now_s = self._clock.wall().timestamp()
        tries = pin_attempts.c
        query = (
            select(
                callers.c.caller_id,
                callers.c.name,
                callers.c.locale,
                func.coalesce(tries.failures, 0),
                func.coalesce(tries.locked_until_s, 0.0),
                totp_secrets.c.caller_id.is_not(None),
            )
            .select_from(
                callers.outerjoin(pin_attempts, tries.caller_id == callers.c.caller_id).outerjoin(totp_secrets)
            )
            .order_by(callers.c.caller_id)
        )
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return [
            CallerRow(key, name, locale, tried, max(0.0, until - now_s), bool(has_totp))
            for key, name, locale, tried, until, has_totp in rows
        ]


def _unknown(key: str) -> ConfigError:
    return ConfigError(f"there is no caller {key}: see 'voice-agent callers list'.")
