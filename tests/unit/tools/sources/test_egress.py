from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.tools.sources.far_side import answer, far_side

from voice_agent.tools.sources.egress import Reach, allowed, checked_client, host_of, listed_host

Resolve = Callable[[dict[str, list[str]]], list[str]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """A name server that knows only these names; the list that is given holds every name it was asked for."""

    def install(names: dict[str, list[str]]) -> list[str]:
        asked: list[str] = []

        async def getaddrinfo(host: str, port: int, **kwargs: Any) -> list[Any]:
            asked.append(host)
            if host not in names:
                raise socket.gaierror("unknown")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return asked

    return install


def client(hosts: dict[str, Reach], tls: ssl.SSLContext | None = None, limit: int = 10_000) -> httpx2.AsyncClient:
    return checked_client(hosts, tls=tls or ssl.create_default_context(), answer_max_bytes=limit)


PUBLIC, INTERNAL, LOOPBACK = Reach.PUBLIC, Reach.INTERNAL, Reach.LOOPBACK


@pytest.mark.parametrize(
    ("address", "reaches"),
    [
        ("93.184.215.14", {PUBLIC, INTERNAL}),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", {PUBLIC, INTERNAL}),
        ("10.0.0.7", {INTERNAL}),
        ("172.16.4.1", {INTERNAL}),
        ("192.168.1.1", {INTERNAL}),
        ("100.64.0.1", {INTERNAL}),
        ("fd12:3456::1", {INTERNAL}),
        ("127.0.0.1", {LOOPBACK}),
        ("127.8.8.8", {LOOPBACK}),
        ("::1", {LOOPBACK}),
        ("0.0.0.0", set()),
        ("0.1.2.3", set()),
        ("::", set()),
        ("169.254.169.254", set()),
        ("fe80::1", set()),
        ("fd00:ec2::254", set()),
        ("100.100.100.200", set()),
        ("168.63.129.16", set()),
        ("224.0.0.1", set()),
        ("255.255.255.255", set()),
        ("ff02::1", set()),
        ("::ffff:127.0.0.1", set()),
        ("::ffff:10.0.0.7", {INTERNAL}),
        ("::ffff:169.254.169.254", set()),
        ("::127.0.0.1", set()),
        ("64:ff9b::7f00:1", set()),
        ("64:ff9b::a00:7", {INTERNAL}),
        ("64:ff9b::5db8:d70e", {PUBLIC, INTERNAL}),
        ("2002:7f00:1::", set()),
        ("2002:a9fe:a9fe::", set()),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", set()),  # Teredo for 127.0.0.1
    ],
)
def test_an_address_is_judged_by_where_it_leads(address: str, reaches: set[Reach]) -> None:
    assert {reach for reach in Reach if allowed(ipaddress.ip_address(address), reach)} == reaches


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://API.example.com/x", ("https", "api.example.com:443")),
        ("http://[::1]:9300/", ("http", "::1:9300")),
        ("https://bücher.example./", ("https", "xn--bcher-kva.example:443")),
        ("https://api.example.com:8443", ("https", "api.example.com:8443")),
    ],
)
def test_a_host_is_named_in_one_way(url: str, found: tuple[str, str]) -> None:
    assert host_of(url) == found


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("API.example.com", "api.example.com:443"),
        ("127.0.0.1:9300", "127.0.0.1:9300"),
        ("[::1]:9300", "::1:9300"),
        ("bücher.example.", "xn--bcher-kva.example:443"),
    ],
)
def test_a_listed_host_is_named_in_the_same_way(host: str, found: str) -> None:
    assert listed_host(host) == found


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example", "https://", "a.example", "https://user:pw@a.example/", "https://a b/", "https://a.example:x/"],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|valid"):
        host_of(url)


@pytest.mark.parametrize("host", ["a.example/x", "u@a.example", "a.example?x", ""])
def test_what_is_no_host_is_not_listed(host: str) -> None:
    with pytest.raises(ValueError, match=r"must|valid"):
        listed_host(host)


async def test_a_listed_host_answers_over_one_connection() -> None:
    async with far_side(answer({"a": 1})) as far, client({f"127.0.0.1:{far.port}": LOOPBACK}) as http:
        for _ in range(2):
            assert (await http.get(f"http://127.0.0.1:{far.port}/x")).json() == {"a": 1}
        assert [asked.headers["accept-encoding"] for asked in far.asked] == ["identity"] * 2


@pytest.mark.parametrize("reach", [PUBLIC, INTERNAL])
async def test_a_name_that_leads_to_this_machine_is_not_followed(resolve: Resolve, reach: Reach) -> None:
    async with far_side(answer({})) as far, client({f"shop.example:{far.port}": reach}) as http:
        resolve({"shop.example": ["127.0.0.1"]})
        with pytest.raises(httpx2.ConnectError, match="not " + reach.value):
            await http.get(f"http://shop.example:{far.port}/")
        resolve({"shop.example": ["93.184.215.14", "127.0.0.1"]})
        with pytest.raises(httpx2.ConnectError, match="not " + reach.value):
            await http.get(f"http://shop.example:{far.port}/")
        assert far.asked == []


async def test_the_name_server_is_asked_once_and_has_no_second_chance(resolve: Resolve) -> None:
    async with far_side(answer({})) as far, client({f"shop.example:{far.port}": LOOPBACK}) as http:
        names = {"shop.example": ["127.0.0.1"]}
        asked = resolve(names)
        await http.get(f"http://shop.example:{far.port}/")
        # The library below gets an address: a name that changes its mind between check and use changes nothing.
        assert [name for name in asked if name == "shop.example"] == ["shop.example"]
        assert far.asked[0].headers["host"] == f"shop.example:{far.port}"


async def test_a_host_that_is_not_listed_is_not_asked() -> None:
    async with far_side(answer({})) as far, client({"127.0.0.1:1": LOOPBACK}) as http:
        for host in ("127.0.0.1", "localhost", "[::1]"):
            with pytest.raises(httpx2.ConnectError, match="not in the list"):
                await http.get(f"http://{host}:{far.port}/")
        assert far.asked == []


async def test_redirects_are_not_followed_even_where_a_request_asks_for_it() -> None:
    async with far_side(answer({"secret": 1})) as secret:
        away = answer(status=302, location=f"http://127.0.0.1:{secret.port}/")
        async with far_side(away) as far, client({f"127.0.0.1:{far.port}": LOOPBACK}) as http:
            assert (await http.get(f"http://127.0.0.1:{far.port}/")).status_code == 302
            with pytest.raises(httpx2.ConnectError, match="not in the list"):
                await http.get(f"http://127.0.0.1:{far.port}/", follow_redirects=True)
        assert secret.asked == []


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with far_side(answer({"a": 1})) as far, far_side(answer({})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with client({f"127.0.0.1:{far.port}": LOOPBACK}) as http:
            assert (await http.get(f"http://127.0.0.1:{far.port}/")).json() == {"a": 1}
        assert proxy.asked == []


async def test_an_answer_is_read_up_to_its_limit() -> None:
    endless = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n" + b"2710\r\n" + b"x" * 10_000 + b"\r\n1\r\ny\r\n"
    answers = (answer(b"x" * 10_000), answer(b"x" * 10_001), endless)
    async with far_side(*answers) as far, client({f"127.0.0.1:{far.port}": LOOPBACK}) as http:
        assert len((await http.get(f"http://127.0.0.1:{far.port}/")).content) == 10_000
        for _ in range(2):
            with pytest.raises(httpx2.ReadError, match="longer than 10000 bytes"):
                await http.get(f"http://127.0.0.1:{far.port}/")


async def test_a_compressed_answer_is_refused_before_it_grows() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)[:9_000]
    packed = answer(bomb, content_encoding="gzip")
    async with far_side(packed) as far, client({f"127.0.0.1:{far.port}": LOOPBACK}) as http:
        with pytest.raises(httpx2.RemoteProtocolError, match="compressed"):
            await http.get(f"http://127.0.0.1:{far.port}/")


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's side of TLS for a host of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_tls_checks_the_name_although_the_connection_goes_to_an_address(resolve: Resolve, tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "shop.example")
    async with far_side(answer({"a": 1}), tls=server) as far:
        hosts = {f"shop.example:{far.port}": LOOPBACK, f"other.example:{far.port}": LOOPBACK}
        resolve({"shop.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
        async with client(hosts, trusting) as http:
            assert (await http.get(f"https://shop.example:{far.port}/")).json() == {"a": 1}
            with pytest.raises(httpx2.ConnectError, match="certificate"):
                await http.get(f"https://other.example:{far.port}/")
        async with client(hosts) as http:
            with pytest.raises(httpx2.ConnectError, match="certificate"):
                await http.get(f"https://shop.example:{far.port}/")
