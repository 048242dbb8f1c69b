"""The way out for tools: an HTTP client that reaches the hosts that were listed, at addresses of the kind they were listed
with, and nothing else.

Server-side request forgery is kept out where connections are made, so that no URL, redirect or name server can get around
it (OWASP, *Server-Side Request Forgery Prevention*):

1. Only a listed host and port is connected to. No redirect is followed, no proxy of the environment is used.
2. A host's name is resolved here; every address it has must be of the listed kind, or none is used; the connection goes to
   an address that was checked (the name server is not asked again). TLS still checks the certificate of the name.
3. Addresses inside other addresses (IPv4-mapped, NAT64, 6to4, Teredo) are judged by what they lead to. Link-local ones and
   those where clouds serve their machines' credentials are never used.
4. An answer is read up to a limit; what is longer is an error.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpcore2 import SOCKET_OPTION

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_KEEP_ALIVE_S = 300.0
_MAX_CONNECTIONS = 100

# Metadata and machine agents of clouds that are not link-local (AWS on IPv6, Alibaba, Azure, Oracle).
_NEVER = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


class Reach(StrEnum):
    """What kind of addresses a listed host may have."""

    PUBLIC = "public"  # globally routable ones
    INTERNAL = "internal"  # those of private networks too
    LOOPBACK = "loopback"  # this machine only; plain http may be used


def host_of(url: str) -> tuple[str, str]:
    """(scheme, "host:port") of a URL, lower case. Raises ``ValueError`` for one that is no http or https URL, or that holds
    a user name or a password."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError("is not a valid URL") from None
    if parsed.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(parsed.raw_host.decode("ascii")):
        raise ValueError("must be an https:// or http:// URL with a host")
    if parsed.userinfo:
        raise ValueError("must not hold a user name or password")
    return parsed.scheme, _place(parsed.raw_host.decode("ascii"), parsed.port or _DEFAULT_PORTS[parsed.scheme])


def listed_host(text: str) -> str:
    """A listed ``host`` or ``host:port`` as "host:port"; without a port it is that of https. Raises ``ValueError``."""
    if set(text) & set("/?#@\\"):
        raise ValueError("must be a host name, or host:port")
    return host_of(f"https://{text}")[1]


def _place(host: str, port: int) -> str:
    return f"{host.lower().rstrip('.').strip('[]')}:{port}"


def allowed(address: Address, reach: Reach) -> bool:
    """Whether a host of that kind may have this address."""
    if address in _NEVER or address.is_link_local:
        return False
    essence = _essence(address)
    if essence is not address:
        return reach is not Reach.LOOPBACK and allowed(essence, reach)
    if reach is Reach.LOOPBACK:
        return address.is_loopback
    if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address) and address in _THIS_NETWORK:
        return False
    return address.is_global or reach is Reach.INTERNAL


def _essence(address: Address) -> Address:
    """The address that packets to this one may end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens connections to ``hosts`` ("host:port" to kind) and nowhere else."""

    def __init__(self, hosts: Mapping[str, Reach]) -> None:
        self._hosts = dict(hosts)
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's own
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        reach = self._hosts.get(_place(host, port))
        if reach is None:
            raise httpcore2.ConnectError("this host is not in the list of hosts that tools may reach")
        error: Exception | None = None
        for address in await self._addresses(host, port, reach, timeout):
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                error = failed
        raise error or httpcore2.ConnectError("the host has no address")

    async def connect_unix_socket(self, path: str, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("tools reach no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    async def _addresses(self, host: str, port: int, reach: Reach, timeout_s: float | None) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the host's name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError("the host's name cannot be resolved") from None
        addresses = list(dict.fromkeys(ipaddress.ip_address(info[4][0]) for info in infos))
        if any(not allowed(address, reach) for address in addresses):
            raise httpcore2.ConnectError(f"the host has an address that is not {reach.value}")
        return addresses


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Sends an ``httpx2.AsyncClient``'s requests over a ``CheckedNetwork``. Answers are read up to ``answer_max_bytes``, and
    come as they are: one that is compressed (it could be any size) is refused."""

    def __init__(self, hosts: Mapping[str, Reach], *, tls: ssl.SSLContext, answer_max_bytes: int) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEP_ALIVE_S,
            network_backend=CheckedNetwork(hosts),
        )
        self._answer_max_bytes = answer_max_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _translated():
            answer = await self._pool.handle_async_request(
                httpcore2.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        response = httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Limited(answer, self._answer_max_bytes),
            extensions=answer.extensions,
        )
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for")
        return response

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Limited(httpx2.AsyncByteStream):
    """An answer's body, up to a limit."""

    def __init__(self, answer: httpcore2.Response, max_bytes: int) -> None:
        self._answer = answer
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        with _translated():
            async for piece in self._answer.aiter_stream():
                total += len(piece)
                if total > self._max_bytes:
                    raise httpx2.ReadError(f"the answer is longer than {self._max_bytes} bytes")
                yield piece

    async def aclose(self) -> None:
        with _translated():
            await self._answer.aclose()


def checked_client(
    hosts: Mapping[str, Reach], *, tls: ssl.SSLContext, answer_max_bytes: int, headers: Mapping[str, str] | None = None
) -> httpx2.AsyncClient:
    """A client that reaches ``hosts`` only. Close it."""
    return httpx2.AsyncClient(
        transport=CheckedTransport(hosts, tls=tls, answer_max_bytes=answer_max_bytes),
        headers={"accept-encoding": "identity", "user-agent": "voice-agent", **(headers or {})},
        follow_redirects=False,
        trust_env=False,
    )


@contextmanager
def _translated() -> Iterator[None]:
    """The connection library's errors as those of the client."""
    try:
        yield
    except httpcore2.ConnectTimeout as error:
        raise httpx2.ConnectTimeout(str(error)) from None
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(str(error)) from None
    except httpcore2.ConnectError as error:
        raise httpx2.ConnectError(str(error)) from None
    except httpcore2.NetworkError as error:
        raise httpx2.ReadError(str(error)) from None
    except httpcore2.ProtocolError as error:
        raise httpx2.RemoteProtocolError(str(error)) from None
