"""The one HTTP client of the process, shared by every hosted provider: connections stay open for a call's length.

Theory of operation. HTTP/1.1 answers one request at a time on a connection, so an answer that is read to its end gives its
connection back, and one that is abandoned (the caller barged in) closes it: that is what makes the vendor stop at once. The
client keeps account of the connections that wait, so that a provider opens another before it is needed and only then.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

import structlog

from voice_agent.clock import LoopClock

# Turns of a call lie seconds to minutes apart; a connection that was closed in between costs a TLS handshake.
KEEP_ALIVE_S = 300.0
MAX_CONNECTIONS = 1000
# An answer's closing bytes come with its last event or directly after it. Waiting for them at most this long keeps the
# connection for the next request; whoever is slower is read to the end in the background, or given up.
_CLOSING_BYTES_S = 0.01
_CLOSING_BYTES_LATE_S = 1.0
_BACKGROUND_S = 0.25

_HEADERS = {"accept-encoding": "identity", "user-agent": "voice-agent"}  # a compressed stream arrives in lumps

log = structlog.get_logger(__name__)


def load_http() -> None:
    """Imports what requests need. Takes a good part of a second: for a thread, before the first request."""
    import httpx2  # noqa: F401 - only loaded here


class WebClient:
    """An ``httpx2.AsyncClient``, made when it is first needed (its import costs a good part of a second).

    Requests give their own timeouts. ``aclose`` at the end of the process. Belongs to the event loop that uses it first.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._tls: ssl.SSLContext | None = None
        self._clock = LoopClock()
        self._waiting: dict[tuple[str, Any], tuple[Any, float]] = {}  # (origin, local address) -> (connection, until)
        self._opening: Counter[str] = Counter()  # requests by origin that have no answer yet
        self._tasks: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], Awaitable[None]]] = []

    @property
    def http(self) -> Any:
        """The client. Follows no redirects; heeds the environment's proxies."""
        if self._client is None:
            import httpx2

            limits = httpx2.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
            )
            self._client = httpx2.AsyncClient(limits=limits, follow_redirects=False, headers=_HEADERS, verify=self.tls)
        return self._client

    @property
    def tls(self) -> ssl.SSLContext:
        """How servers' certificates are checked: by the system's authorities, or those of ``SSL_CERT_FILE``. Loading them
        takes milliseconds, so that WebSocket clients share it too."""
        if self._tls is None:
            import httpx2

            self._tls = httpx2.create_ssl_context()
        return self._tls

    async def open(
        self, method: str, url: str, *, headers: Mapping[str, str], connect_s: float, content: bytes | None = None
    ) -> Answer:
        """Sends a request and returns when the answer's head is there. ``connect_s`` bounds connecting, and then the TLS
        handshake; the answer itself has no deadline. Close the answer. Raises ``httpx2.HTTPError``. Safe to cancel."""
        import httpx2

        timeout = httpx2.Timeout(None, connect=connect_s, pool=connect_s)
        request = self.http.build_request(method, url, headers=headers, content=content, timeout=timeout)
        origin = origin_of(request.url)
        self._opening[origin] += 1
        try:
            response = await self.http.send(request, stream=True)
        finally:
            self._opening[origin] -= 1
        return Answer(self, origin, response)

    def has_waiting(self, url: str) -> bool:
        """Whether a request to this server would find an open connection now."""
        import httpx2

        origin = origin_of(httpx2.URL(url))
        now_s = self._clock.now()
        for key, (connection, until_s) in list(self._waiting.items()):
            if until_s <= now_s or _is_closed(connection):
                del self._waiting[key]
        return sum(key[0] == origin for key in self._waiting) > self._opening[origin]

    def in_use(self, origin: str, connection: Any) -> Any:
        """Notes that a connection is taken; gives what names it until it is closed."""
        local = connection.get_extra_info("client_addr") if connection is not None else None
        self._waiting.pop((origin, local), None)
        return local

    def waits(self, origin: str, local: Any, connection: Any) -> None:
        """Notes that a connection can be used again."""
        if local is not None:
            self._waiting[(origin, local)] = (connection, self._clock.now() + KEEP_ALIVE_S)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Runs work that nobody waits for. It ends with the client at the latest; what it raises is said in the log."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """``closer`` runs when the client is closed: for connections that are not HTTP requests."""
        self._closers.append(closer)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("background work for a provider failed", task=task.get_name(), error_type=type(error).__name__)

    async def aclose(self) -> None:
        """Closes everything. Background work has a quarter of a second to end by itself."""
        await asyncio.gather(*(closer() for closer in self._closers), return_exceptions=True)
        if tasks := list(self._tasks):
            await asyncio.wait(tasks, timeout=_BACKGROUND_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()


class Answer:
    """The answer to one request: its head, and its body as it comes. ``release`` it when its body has been understood to
    the end; ``aclose`` closes the connection at once unless that has happened."""

    def __init__(self, web: WebClient, origin: str, response: Any) -> None:
        self._web = web
        self._origin = origin
        self._response = response
        self._connection = response.extensions.get("network_stream")
        self._local = web.in_use(origin, self._connection)
        self._body: AsyncGenerator[bytes, None] = response.aiter_raw()
        self._settled = False
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def content_type(self) -> str:
        """Lower case, without parameters; empty where the server tells none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def abandoned(self) -> bool:
        """It was closed before its end, and its connection with it."""
        return self._response.is_closed and not self._settled

    def body(self) -> AsyncGenerator[bytes, None]:
        """Bytes as they arrive, each piece non-empty. Raises ``httpx2.HTTPError``."""
        return self._body

    async def head_of_body(self, limit_bytes: int, within_s: float) -> bytes:
        """The body's first ``limit_bytes``, or what came of them in time; for error messages."""
        import httpx2

        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(within_s):
                async for piece in self._body:
                    pieces.append(piece)
                    if sum(map(len, pieces)) >= limit_bytes:
                        break
                else:
                    self._settle()
        except (TimeoutError, httpx2.HTTPError):
            pass
        return b"".join(pieces)[:limit_bytes]

    async def release(self) -> None:
        """Reads what is left (closing bytes), so that the connection serves the next request. Takes 10 ms at most."""
        if self._settled or self._response.is_closed:
            self._settle()
            return
        self._settled = True
        reading = self._web.spawn(self._read_out(), "answer-closing-bytes")
        await asyncio.wait({reading}, timeout=_CLOSING_BYTES_S)

    async def _read_out(self) -> None:
        import httpx2

        try:
            async with asyncio.timeout(_CLOSING_BYTES_LATE_S), aclosing(self._body) as rest:
                async for _ in rest:
                    pass
            self._web.waits(self._origin, self._local, self._connection)
        except (TimeoutError, httpx2.HTTPError):
            pass  # the answer itself was complete
        finally:
            await self._response.aclose()

    def _settle(self) -> None:
        if not self._settled:
            self._settled = True
            self._web.waits(self._origin, self._local, self._connection)

    async def aclose(self) -> None:
        if not self._settled:
            await self._body.aclose()
            await self._response.aclose()


def _is_closed(connection: Any) -> bool:
    """A waiting connection has nothing to read unless the server has closed it."""
    try:
        return bool(connection.get_extra_info("is_readable"))
    except (OSError, ValueError):
        return True


def origin_of(url: Any) -> str:
    """Scheme, host and port of an ``httpx2.URL``."""
    return f"{url.scheme}://{url.host}:{url.port or ''}"
