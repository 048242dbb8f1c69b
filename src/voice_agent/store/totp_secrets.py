"""Secrets of time-based codes, one a caller, and which of their codes were used.

A TOTP secret must be had back to compute a code, so it cannot be hashed. It is sealed with AES-256-GCM under
``IDENTITY_KEY``, with the caller's id as associated data: without the key the database tells no secret, and a sealed one
that is copied to another caller does not open.
"""

from __future__ import annotations

import base64
import os
from contextlib import suppress

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from voice_agent.config import IdentitySettings
from voice_agent.errors import ConfigError, StoreError
from voice_agent.store.callers import caller_key
from voice_agent.store.database import Database
from voice_agent.store.tables import totp_secrets

_NONCE_BYTES = 12
_FORM = "1:"  # AES-256-GCM, nonce first


class TotpSecrets:
    """Raises ``ConfigError`` where there is no ``IDENTITY_KEY``. Every method raises ``StoreError``; a secret's bytes are in
    no exception."""

    def __init__(self, database: Database, settings: IdentitySettings) -> None:
        key = settings.sealing_key
        if key is None:
            raise ConfigError(
                "IDENTITY_KEY is empty, which seals TOTP secrets: set it to what 'openssl rand -base64 32' prints."
            )
        self._database = database
        self._key = key

    async def put(self, caller_id: str, secret: bytes) -> str:
        """Gives a caller a secret, in place of an older one; gives the id as it is kept. Raises ``ConfigError`` for an
        unknown caller."""
        key = caller_key(caller_id)
        row = {"sealed": self._seal(key, secret), "last_step": None}
        try:
            async with self._database.begin() as connection:
                await connection.execute(delete(totp_secrets).where(totp_secrets.c.caller_id == key))
                await connection.execute(insert(totp_secrets).values(caller_id=key, **row))
        except IntegrityError:
            raise ConfigError(f"there is no caller {key}: see 'voice-agent callers list'.") from None
        return key

    async def has(self, caller_id: str) -> bool:
        """Whether the caller has a secret. Raises ``StoreError`` for one that this key does not open."""
        return await self.get(caller_id) is not None

    async def get(self, caller_id: str) -> bytes | None:
        """The caller's secret."""
        key = caller_key(caller_id)
        async with self._database.begin() as connection:
            found = await connection.execute(select(totp_secrets.c.sealed).where(totp_secrets.c.caller_id == key))
            sealed = found.scalar_one_or_none()
        return None if sealed is None else self._open(key, sealed)

    async def spend(self, caller_id: str, step: int) -> bool:
        """Marks the code of a time step as used; False where it, or a later one, was used already, in whatever call or
        process (RFC 6238 §5.2)."""
        row = totp_secrets.c
        spent = (
            update(totp_secrets)
            .where(row.caller_id == caller_key(caller_id), or_(row.last_step.is_(None), row.last_step < step))
            .values(last_step=step)
        )
        async with self._database.begin() as connection:
            return (await connection.execute(spent)).rowcount == 1

    async def sealed_otherwise(self) -> tuple[int, int]:
        """How many secrets there are, and how many of them this key does not open."""
        async with self._database.begin() as connection:
            rows = (await connection.execute(select(totp_secrets.c.caller_id, totp_secrets.c.sealed))).all()
        return len(rows), sum(not self._opens(key, sealed) for key, sealed in rows)

    def _opens(self, key: str, sealed: str) -> bool:
        try:
            self._open(key, sealed)
        except StoreError:
            return False
        return True

    def _seal(self, key: str, secret: bytes) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        return _FORM + base64.b64encode(nonce + AESGCM(self._key).encrypt(nonce, secret, _bound_to(key))).decode()

    def _open(self, key: str, sealed: str) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            raw = base64.b64decode(sealed.removeprefix(_FORM), validate=True)
            return AESGCM(self._key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(key))
        except (InvalidTag, ValueError):
            raise StoreError("a stored TOTP secret cannot be opened with this IDENTITY_KEY") from None


def _bound_to(key: str) -> bytes:
    return b"totp:" + key.encode()


def warm_sealing() -> None:
    """Imports the cipher (some 20 ms) and runs it once, so that no call pays for it. Blocks: call it in a thread."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    with suppress(InvalidTag):
        AESGCM(bytes(32)).decrypt(bytes(_NONCE_BYTES), bytes(16), b"")
