"""Time-based one-time codes (RFC 6238) as a second factor: no network, and a code is taken once.

Six digits, SHA-1 and thirty seconds, which every authenticator app can do. A code of the step before or after is taken
too (RFC 6238 §5.2: clocks differ, and saying six digits takes its time), each step once and none older than the newest
one used.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from hashlib import sha1
from typing import Final
from urllib.parse import quote, urlencode

from voice_agent.clock import Clock
from voice_agent.errors import ConfigError
from voice_agent.models import SecretOutcome
from voice_agent.store.totp_secrets import TotpSecrets
from voice_agent.tools.second_factor import FactorChallenge, FactorResult

STEP_S: Final = 30
DIGITS: Final = 6
_WINDOW: Final = (0, -1, 1)
_NEW_SECRET_BYTES: Final = 20  # RFC 4226 §4, R6: 160 bits are recommended, 128 the least
_LEAST_SECRET_BYTES, _MOST_SECRET_BYTES = 16, 64

_SENTENCES: Final = {
    "en": "I also need the code from your authenticator app.",
    "es": "También necesito el código de su aplicación de autenticación.",
    "fr": "Il me faut aussi le code de votre application d'authentification.",
    "ar": "أحتاج أيضاً إلى الرمز من تطبيق المصادقة لديك.",
}


def totp_code(secret: bytes, step: int, *, digits: int = DIGITS) -> str:
    """The code of a time step (RFC 6238 §4, RFC 4226 §5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}}"


def new_secret() -> bytes:
    return secrets.token_bytes(_NEW_SECRET_BYTES)


def secret_from(written: str) -> bytes:
    """A secret as apps and servers write it: base32, spaces and case do not matter. Raises ``ConfigError``, which quotes
    nothing of it."""
    letters = "".join(written.split()).replace("-", "").rstrip("=").upper()
    try:
        secret = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError):
        raise ConfigError("this secret is not taken: it is no base32 (letters A to Z and digits 2 to 7).") from None
    if not _LEAST_SECRET_BYTES <= len(secret) <= _MOST_SECRET_BYTES:
        raise ConfigError(
            f"this secret is not taken: it has {len(secret)} bytes, allowed are {_LEAST_SECRET_BYTES} to "
            f"{_MOST_SECRET_BYTES} (26 to 103 letters)."
        )
    return secret


def provisioning_uri(secret: bytes, *, account: str, issuer: str) -> str:
    """What an authenticator app reads, usually from a QR code (the "Key URI Format" of Google Authenticator)."""
    written = base64.b32encode(secret).decode().rstrip("=")
    query = urlencode(
        {"secret": written, "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_S}, quote_via=quote
    )
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?{query}"


class TotpFactor:
    """A ``SecondFactor`` over the secrets in the database; callers without one need none. ``clock``'s wall time decides, so
    the machine's clock must be right to some seconds."""

    code_lengths = frozenset({DIGITS})

    def __init__(self, stored: TotpSecrets, clock: Clock) -> None:
        self._stored = stored
        self._clock = clock

    async def begin(self, caller_id: str, call_id: str, locale: str) -> FactorChallenge | None:
        """Raises ``StoreError``, as ``check`` does."""
        return FactorChallenge(DIGITS, _SENTENCES) if await self._stored.has(caller_id) else None

    async def check(self, caller_id: str, call_id: str, code: str) -> FactorResult:
        secret = await self._stored.get(caller_id)
        if secret is None:  # taken away since the code was asked for
            return FactorResult(SecretOutcome.UNAVAILABLE)
        now_step = int(self._clock.wall().timestamp()) // STEP_S
        given = code.encode("utf-8", "replace")
        # All are compared, so that the time tells nothing.
        fits = [
            now_step + shift
            for shift in _WINDOW
            if hmac.compare_digest(totp_code(secret, now_step + shift).encode(), given)
        ]
        if fits and await self._stored.spend(caller_id, fits[0]):
            return FactorResult(SecretOutcome.VERIFIED)
        return FactorResult(SecretOutcome.WRONG)
