"""WebSocket connections to Deepgram: dialled within a deadline, every error translated, left without waiting.

Sources: https://developers.deepgram.com/docs/stt-troubleshooting-websocket-data-and-net-errors and
https://developers.deepgram.com/reference/errors (status codes at the handshake, reasons of a close).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from voice_agent.config import DeepgramSettings
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.addresses import checked

Params = tuple[tuple[str, str], ...]

# A connection whose far side does not even answer pings is dead; stages have far shorter deadlines of their own.
_PING_S: Final = 10.0
_FAREWELL_S: Final = 0.02  # leaving may take this long; then the connection is cut
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DEAD_ACCOUNT: Final = {
    401: (ProviderFault.AUTH, "the key is not accepted: check DEEPGRAM_API_KEY"),
    402: (ProviderFault.QUOTA, "the account has no credit left"),
    403: (ProviderFault.AUTH, "the key may not use this model or feature"),
}


class Dialer:
    """Opens connections with one account. Makes its TLS context once (10 to 20 ms, most of it reading certificates).
    Raises ``ConfigError`` for an address that is none."""

    def __init__(self, settings: DeepgramSettings) -> None:
        schemes = ("http", "https", "ws", "wss")
        parts = checked("DEEPGRAM_URL", settings.url, schemes=schemes, example="https://api.deepgram.com")
        self._tls = parts.scheme in ("https", "wss")
        self._base = f"{'wss' if self._tls else 'ws'}://{parts.netloc}{parts.path.rstrip('/')}"
        self._host = parts.hostname or ""
        self._key = settings.api_key
        self._context: ssl.SSLContext | None = None

    def prepare(self) -> None:
        """Reads the certificates, so that the first call need not."""
        if self._tls and self._context is None:
            self._context = ssl.create_default_context()

    async def dial(self, path: str, params: Params, *, within_s: float) -> ClientConnection:
        """An open connection. Safe to cancel. Raises ``ProviderError``; ``TIMEOUT`` when it takes longer than
        ``within_s`` for TCP, TLS and the handshake together."""
        self.prepare()
        try:
            async with asyncio.timeout(within_s):
                return await _Connect(
                    f"{self._base}{path}?{urlencode(params)}",
                    additional_headers={"Authorization": f"Token {self._key.get_secret_value()}"},
                    compression=None,  # deflating PCM costs 88 us a frame and saves 1 %
                    proxy=None if self._host in _LOOPBACK else True,
                    open_timeout=None,
                    close_timeout=_FAREWELL_S,
                    ping_interval=_PING_S,
                    ping_timeout=_PING_S,
                    ssl=self._context,
                )
        except TimeoutError:
            raise ProviderError(
                f"Deepgram ({self._host}) did not accept a connection within {within_s * 1000:.0f} ms",
                category=ProviderFault.TIMEOUT,
            ) from None
        except InvalidStatus as refused:
            raise _refusal(refused) from None
        except (InvalidURI, InvalidProxy) as wrong:
            raise ProviderError(
                f"Deepgram cannot be reached at DEEPGRAM_URL ({self._host!r}): {type(wrong).__name__}",
                category=ProviderFault.PROTOCOL,
                retryable=False,
            ) from None
        except ssl.SSLError as failed:
            raise ProviderError(
                f"TLS with Deepgram ({self._host}) failed: {failed.reason or type(failed).__name__}",
                category=ProviderFault.NETWORK,
            ) from failed
        except (OSError, EOFError, InvalidHandshake, WebSocketException) as failed:
            broken = isinstance(failed, OSError | EOFError) or isinstance(failed.__cause__, OSError | EOFError)
            raise ProviderError(
                f"no connection to Deepgram ({self._host}): {type(failed).__name__}: {failed}",
                category=ProviderFault.NETWORK if broken else ProviderFault.PROTOCOL,
            ) from failed


class _Connect(connect):
    """Follows no redirect: the API has none, and one would carry the caller's audio elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _refusal(refused: InvalidStatus) -> ProviderError:
    response = refused.response
    status = response.status_code
    code = _error_code(response.body)
    said = f"Deepgram refused the connection with {status}{f' {code}' if code else ''}"
    if status in _DEAD_ACCOUNT:
        category, reason = _DEAD_ACCOUNT[status]
        return ProviderError(f"{said}: {reason}", category=category, retryable=False)
    if status == 429:
        after = response.headers.get("retry-after", "")
        return ProviderError(
            f"{said}: too many connections at once",
            category=ProviderFault.RATE,
            retry_after_s=float(after) if after.isascii() and after.isdigit() else None,
        )
    if status >= 500:
        return ProviderError(said, category=ProviderFault.INTERNAL)
    return ProviderError(
        f"{said}: a model, language or option it does not offer", category=ProviderFault.PROTOCOL, retryable=False
    )


def _error_code(body: bytes | bytearray | None) -> str:
    """The vendor's ``err_code``; its prose may repeat the request and is left out."""
    try:
        answer = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return ""
    code = answer.get("err_code") if isinstance(answer, dict) else None
    return code[:60] if isinstance(code, str) and code.replace("_", "").isalnum() else ""


def ended(closed: ConnectionClosed) -> ProviderError:
    """Why a session is over, as an error; the session may be opened again."""
    frame = closed.rcvd
    if frame is None:
        return ProviderError("the connection to Deepgram broke", category=ProviderFault.NETWORK)
    reason = frame.reason
    if "data0000" in reason.replace("-", "").lower():
        return ProviderError(
            "Deepgram could not decode the audio (DATA-0000)", category=ProviderFault.PROTOCOL, retryable=False
        )
    return ProviderError(f"Deepgram ended the session ({frame.code}: {reason[:120]})", category=ProviderFault.NETWORK)


def parsed(message: bytes | str) -> dict[str, Any]:
    """A JSON object from the vendor. Raises ``ProviderError`` for anything else."""
    try:
        answer = orjson.loads(message)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise ProviderError("Deepgram sent a message that is no JSON object", category=ProviderFault.PROTOCOL)
    return answer


def said_error(answer: dict[str, Any]) -> ProviderError:
    """What an ``Error`` message of any of the APIs means. Only its codes are taken over, never its prose."""
    code = next((value for key in ("code", "variant", "err_code") if isinstance(value := answer.get(key), str)), "")
    return ProviderError(f"Deepgram reports an error: {code[:80] or 'no code'}", category=ProviderFault.PROTOCOL)


async def hang_up(line: ClientConnection, farewell: str = "") -> None:
    """Says good-bye, without waiting for more than 20 ms; afterwards nothing of the connection is left."""
    try:
        async with asyncio.timeout(_FAREWELL_S):
            if farewell:
                await line.send(farewell)
            await line.close()
    except (TimeoutError, ConnectionClosed):
        pass
    finally:
        line.transport.abort()
