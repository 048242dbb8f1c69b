"""Fetches documents from web addresses: https only, from hosts that the operator has listed, with bounds on everything.

An address in a document set must not become a way into the operator's network. So a host has to be listed
(``KB_ALLOWED_HOSTS``); the connection goes to an address that was checked after it was looked up (a name that changes its
address in between gains nothing); private, loopback and other special addresses are refused unless they are listed
themselves; and a redirect is followed only to a listed host, through the same checks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from voice_agent.errors import ConfigError
from voice_agent.rag.ingest import MAX_BINARY_BYTES, SUFFIXES, Document, document_from, refused

_TOTAL_S = 30.0  # for one document, redirects included
_CONNECT_S = 5.0
_REDIRECTS = 3
_GONE = frozenset({404, 410})
_KINDS = {
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class GoneError(ConfigError):
    """The host says that there is no such document (any more)."""


def is_url(text: str) -> bool:
    return "://" in text


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """What may be fetched from. ``names`` are host names, and ``.example.com`` for any below that; ``networks`` are
    addresses that may be reached although they are private."""

    names: frozenset[str]
    networks: tuple[_Network, ...]

    @classmethod
    def parse(cls, listed: Sequence[str]) -> AllowedHosts:
        """From names, addresses and networks ("10.0.0.0/8"). Raises ``ConfigError``."""
        names: set[str] = set()
        networks: list[_Network] = []
        for entry in (part.strip().lower().rstrip(".") for part in listed):
            if not entry:
                continue
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]")))
            except ValueError:
                if not all(char.isalnum() or char in ".-" for char in entry):
                    raise ConfigError(
                        f"KB_ALLOWED_HOSTS: {entry!r} is neither a host name (docs.example.com, or .example.com for all "
                        "below it) nor an address or network (10.0.0.0/8)."
                    ) from None
                names.add(entry)
        return cls(frozenset(names), tuple(networks))

    def admits_host(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        try:
            return self._listed(ipaddress.ip_address(host))
        except ValueError:
            parts = host.split(".")
            return host in self.names or any("." + ".".join(parts[n:]) in self.names for n in range(1, len(parts)))

    def admits_address(self, address: _Address) -> bool:
        """Whether a looked-up address may be connected to."""
        address = _led_to(address)
        return (address.is_global and not address.is_multicast) or self._listed(address)

    def _listed(self, address: _Address) -> bool:
        return any(address in network for network in self.networks if network.version == address.version)


class Fetcher:
    """Reads one document after another. ``tls`` replaces the system's certificate authorities."""

    def __init__(self, allowed: AllowedHosts, *, tls: ssl.SSLContext | None = None, total_s: float = _TOTAL_S) -> None:
        self._allowed = allowed
        self._tls = tls
        self._total_s = total_s

    async def read(self, url: str) -> Document:
        """The document at ``url``, which is also its source.

        Raises ``GoneError`` if it does not exist, ``ConfigError`` for everything else that keeps it out, each naming the
        address and the reason. Cancellation is safe.
        """
        try:
            async with asyncio.timeout(self._total_s):
                raw, suffix = await self._fetch(url)
        except TimeoutError:
            raise refused(url, f"it did not arrive within {self._total_s:g} seconds") from None
        stem = unquote(urlsplit(url).path).rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
        return await asyncio.to_thread(document_from, raw, suffix, url, url, stem or urlsplit(url).hostname or url)

    async def _fetch(self, url: str) -> tuple[bytes, str]:
        import httpx2

        # Proxies of the environment would look the host up by themselves, past the checks here.
        verify: Any = self._tls or ssl.create_default_context()
        timeout = httpx2.Timeout(self._total_s, connect=_CONNECT_S)
        async with httpx2.AsyncClient(
            verify=verify, trust_env=False, follow_redirects=False, timeout=timeout
        ) as client:
            current = url
            try:
                for _ in range(_REDIRECTS + 1):
                    location, raw, suffix = await self._once(client, url, current)
                    if not location:
                        return raw, suffix
                    current = urljoin(current, location)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise refused(url, f"the connection failed ({type(error).__name__}: {error})") from None
        raise refused(url, f"it redirects more than {_REDIRECTS} times")

    async def _once(self, client: Any, url: str, current: str) -> tuple[str, bytes, str]:
        """One request: where it redirects to, or the content and its kind. ``url`` is named in errors."""
        host, port, address = await self._checked(url, current)
        parts = urlsplit(current)
        netloc = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        target = f"https://{netloc}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
        request = client.build_request(
            "GET",
            target,
            headers={"Host": host if port == 443 else f"{host}:{port}", "Accept-Encoding": "identity"},
            extensions={"sni_hostname": host},  # the certificate is checked against the name, not the address
        )
        response = await client.send(request, stream=True)
        try:
            if response.is_redirect:
                return response.headers.get("location", ""), b"", ""
            if response.status_code in _GONE:
                raise GoneError(f"the document {url!r} does not exist: the host answered {response.status_code}.")
            if response.status_code != 200:
                raise refused(url, f"the host answered {response.status_code}")
            suffix = _kind(response.headers.get("content-type", ""), parts.path, url)
            raw = bytearray()
            async for part in response.aiter_bytes():
                raw += part
                if len(raw) > MAX_BINARY_BYTES:
                    raise refused(url, f"it has more than {MAX_BINARY_BYTES:,} bytes")
            return "", bytes(raw), suffix
        finally:
            await response.aclose()

    async def _checked(self, url: str, current: str) -> tuple[str, int, _Address]:
        """The host, port and address to connect to; raises ``ConfigError`` where they are not allowed."""
        via = "" if url == current else f"it redirects to {current!r}, and "
        try:
            parts = urlsplit(current)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError as error:
            raise refused(url, f"{via}the address is not valid ({error})") from None
        if parts.scheme != "https" or not host:
            raise refused(url, f"{via}only https addresses are fetched")
        if parts.username is not None or parts.password is not None:
            raise refused(url, f"{via}addresses with a user name or password are not fetched")
        if not self._allowed.admits_host(host):
            raise refused(url, f"{via}the host {host!r} is not in KB_ALLOWED_HOSTS")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise refused(url, f"{via}the host {host!r} cannot be looked up ({error.strerror or error})") from None
        addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
        return host, port, self._safe(addresses, host, url, via)

    def _safe(self, addresses: Sequence[_Address], host: str, url: str, via: str) -> _Address:
        for address in addresses:
            if not self._allowed.admits_address(address):
                raise refused(
                    url,
                    f"{via}the host {host!r} stands at the special address {address}, not listed in KB_ALLOWED_HOSTS",
                )
        if not addresses:
            raise refused(url, f"{via}the host {host!r} has no address")
        return min(addresses, key=lambda address: address.version)  # machines without IPv6 are still common


def _led_to(address: _Address) -> _Address:
    """The IPv4 address inside of one that leads there: mapped (RFC 4291), NAT64 (RFC 6052) or 6to4 (RFC 3056)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _kind(content_type: str, path: str, url: str) -> str:
    """The suffix for what the host says it sends, or for the address where it says nothing telling."""
    media = content_type.split(";")[0].strip().lower()
    suffix = "." + path.rsplit("/", 1)[-1].rsplit(".", 1)[-1].lower() if "." in path.rsplit("/", 1)[-1] else ""
    if media in ("", "text/plain", "application/octet-stream") and suffix in SUFFIXES:
        return suffix
    if media in _KINDS:
        return _KINDS[media]
    raise refused(url, f"its kind {media or 'unknown'!r} is not among {', '.join(sorted(SUFFIXES))}")
