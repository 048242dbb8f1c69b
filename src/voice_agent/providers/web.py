"""The one HTTP client of the process, shared by every hosted provider: connections stay open for a call's length."""

from __future__ import annotations

from typing import Any

# Turns of a call lie seconds to minutes apart; a connection that was closed in between costs a TLS handshake.
KEEP_ALIVE_S = 300.0
MAX_CONNECTIONS = 1000


class WebClient:
    """An ``httpx2.AsyncClient``, made when it is first needed (its import costs a good part of a second).

    Requests give their own timeouts. ``aclose`` at the end of the process.
    """

    def __init__(self) -> None:
        self._client: Any = None

    @property
    def http(self) -> Any:
        """The client. Belongs to the event loop that uses it first."""
        if self._client is None:
            import httpx2

            limits = httpx2.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
            )
            self._client = httpx2.AsyncClient(limits=limits, follow_redirects=False)
        return self._client

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
