"""What goes wrong with an OpenAI-shaped server, in our categories and in plain words.

A server's own message may quote the key or what the caller said, so it never becomes part of ours; its codes do
(https://platform.openai.com/docs/guides/error-codes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from voice_agent.clock import LoopClock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.peer import Peer

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,64}")
_NO_MONEY: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded", "insufficient_balance"}
)
_BAD_KEY: Final = frozenset({"invalid_api_key", "authentication_error", "invalid_authentication", "permission_denied"})
_TOO_MANY: Final = frozenset({"rate_limit_exceeded", "rate_limit_error", "requests", "tokens"})
_THEIR_FAULT: Final = frozenset({"server_error", "internal_error", "internal_server_error", "overloaded_error"})
_SESSION_OVER: Final = "session_expired"  # a Realtime session reached its age
_MAX_RETRY_AFTER_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that the server told. ``status`` is 0 where it came inside a stream; ``text`` is its whole body, for
    recognising what it is about, never for showing."""

    status: int
    code: str = ""
    kind: str = ""
    param: str = ""
    retry_after_s: float | None = None
    text: str = ""

    def error(self, peer: Peer, *, model: str, model_variable: str) -> ProviderError:
        """The failure as a ``ProviderError``."""
        told = self._told()
        names = {self.code, self.kind}
        if self.status == 402 or names & _NO_MONEY:
            return ProviderError(
                f"{peer.name}'s account has no credit or quota left{told}: check its plan and billing.",
                category=ProviderFault.QUOTA,
                retryable=False,
            )
        if self.status in (401, 403) or names & _BAD_KEY:
            return ProviderError(
                f"{peer.name} at {peer.url} does not accept the key{told}: check {peer.key_variable}.",
                category=ProviderFault.AUTH,
                retryable=False,
            )
        if self.status == 429 or names & _TOO_MANY:
            return ProviderError(
                f"{peer.name} takes no more requests at the moment{told}.",
                category=ProviderFault.RATE,
                retry_after_s=self.retry_after_s,
            )
        if self.status >= 500 or self.status in (408, 409) or names & _THEIR_FAULT:
            network = self.status in (502, 504)
            return ProviderError(
                f"{peer.name} failed{told}.",
                category=ProviderFault.NETWORK if network else ProviderFault.INTERNAL,
                retry_after_s=self.retry_after_s,
            )
        if self.code == _SESSION_OVER:
            return ProviderError(f"{peer.name} ended the session{told}.", category=ProviderFault.NETWORK)
        return ProviderError(
            f"{peer.name} at {peer.url} refused the request for model {model!r}{told}: check {model_variable} and "
            f"{peer.url_variable}.",
            category=ProviderFault.PROTOCOL,
            retryable=False,
        )

    def _told(self) -> str:
        parts = [f"HTTP {self.status}"] if self.status else []
        parts += [name for name in (self.code, self.kind, self.param) if name]
        return f" ({', '.join(dict.fromkeys(parts))})" if parts else ""


def failure_of(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Reads an error answer: OpenAI's ``{"error": {…}}``, or the looser shapes of other servers."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    told = content.get("error", content.get("detail")) if isinstance(content, dict) else None
    return _failure(told, status, _retry_after_s(headers), body.decode(errors="replace"))


def told_failure(told: Any) -> Failure:
    """Reads an error that comes as a value inside a stream."""
    status = told.get("code") if isinstance(told, dict) else 0  # LiteLLM and vLLM put the status there
    number = int(status) if isinstance(status, int | str) and str(status).isdecimal() else 0
    return _failure(told, number if 400 <= number < 600 else 0, None, "")


def _failure(told: Any, status: int, retry_after_s: float | None, text: str) -> Failure:
    fields = told if isinstance(told, dict) else {}
    return Failure(
        status,
        _identifier(fields.get("code")),
        _identifier(fields.get("type")),
        _identifier(fields.get("param")),
        retry_after_s,
        text,
    )


def _identifier(value: object) -> str:
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds: ``retry-after-ms`` before ``retry-after``, which is seconds or an HTTP date (RFC 9110 §10.2.3)."""
    try:
        seconds = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        value = headers.get("retry-after", "")
        try:
            seconds = float(value)
        except ValueError:
            seconds = _seconds_until(value)
    return min(seconds, _MAX_RETRY_AFTER_S) if seconds >= 0 else None  # false for a NaN too


def _seconds_until(date: str) -> float:
    try:
        return (parsedate_to_datetime(date) - LoopClock().wall()).total_seconds()
    except (ValueError, TypeError):
        return -1.0
