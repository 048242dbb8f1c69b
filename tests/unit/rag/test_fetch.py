from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.rag.conftest import knowledge_settings
from tests.unit.tools.sources.far_side import answer, far_side

from voice_agent.errors import ConfigError
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.rag.calibration import CALIBRATIONS
from voice_agent.rag.fetch import AllowedHosts, Fetcher, GoneError
from voice_agent.rag.ingest import MAX_BYTES
from voice_agent.rag.pipeline import KnowledgeBase

HERE = ("localhost", "127.0.0.0/8", "::1")
PAGE = answer(b"# Hours\nFrom 10 to 7.\n", content_type="text/markdown; charset=utf-8")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's side for the host "localhost"."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=pem.decode())


def fetcher(client: ssl.SSLContext, *hosts: str, total_s: float = 20) -> Fetcher:
    return Fetcher(AllowedHosts.parse(hosts or HERE), tls=client, total_s=total_s)


async def refusal(reader: Fetcher, url: str) -> str:
    with pytest.raises(ConfigError) as caught:
        await reader.read(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_page_becomes_a_document(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with far_side(PAGE, tls=tls[0]) as far:
        url = f"https://localhost:{far.port}/help/hours.md?v=2"
        document = await fetcher(tls[1]).read(url)
        assert (document.source, document.title) == (url, "Hours")
        assert document.chunks[0].text == "From 10 to 7."
        (asked,) = far.asked
        assert asked.target == "/help/hours.md?v=2"
        assert asked.headers["host"] == f"localhost:{far.port}"


@pytest.mark.parametrize(
    ("content_type", "path", "body"),
    [
        ("text/html", "/a", b"<title>Hours</title><p>From 10 to 7.</p>"),
        ("text/plain", "/hours.txt", b"Hours\n\nFrom 10 to 7."),
        ("application/octet-stream", "/x.md", b"# Hours\nFrom 10 to 7."),
    ],
)
async def test_the_kind_is_what_the_host_says(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], content_type: str, path: str, body: bytes
) -> None:
    async with far_side(answer(body, content_type=content_type), tls=tls[0]) as far:
        document = await fetcher(tls[1]).read(f"https://localhost:{far.port}{path}")
    assert (document.title, document.chunks[0].text) == ("Hours", "From 10 to 7.")


async def test_redirects_are_followed_to_listed_hosts_only(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with far_side(answer(status=302, location="/new.md"), PAGE, tls=tls[0]) as far:
        url = f"https://localhost:{far.port}/old.md"
        document = await fetcher(tls[1]).read(url)
        assert document.source == url
        assert [asked.target for asked in far.asked] == ["/old.md", "/new.md"]
    for target, reason in (
        ("https://elsewhere.example/x", "'elsewhere.example' is not in KB_ALLOWED_HOSTS"),
        ("http://localhost/x", "only https"),
        ("https://[fd00::1]/x", "'fd00::1' is not in KB_ALLOWED_HOSTS"),
    ):
        async with far_side(answer(status=301, location=target), tls=tls[0]) as far:
            assert reason in await refusal(fetcher(tls[1]), f"https://localhost:{far.port}/a.md")
    async with far_side(answer(status=302, location="/again"), tls=tls[0]) as far:
        assert "more than 3 times" in await refusal(fetcher(tls[1]), f"https://localhost:{far.port}/a.md")
        assert len(far.asked) == 4


async def test_a_listed_name_at_a_private_address_is_refused(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with far_side(PAGE, tls=tls[0]) as far:
        message = await refusal(fetcher(tls[1], "localhost"), f"https://localhost:{far.port}/a.md")
        assert "special address" in message
        assert far.asked == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost/a.md", "only https"),
        ("ftp://localhost/a.md", "only https"),
        ("file:///etc/passwd", "only https"),
        ("https://user:secret@localhost/a.md", "user name or password"),
        ("https://localhost:99999/a.md", "not valid"),
        ("https://10.1.2.3/a.md", "not in KB_ALLOWED_HOSTS"),
        ("https://localhost.evil.example/a.md", "not in KB_ALLOWED_HOSTS"),
    ],
)
async def test_other_addresses_are_refused(tls: tuple[ssl.SSLContext, ssl.SSLContext], url: str, reason: str) -> None:
    assert reason in await refusal(fetcher(tls[1]), url)


async def test_what_cannot_be_used_is_told(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    for reply, reason in (
        (answer(b"x", status=500), "answered 500"),
        (answer(b"x", content_type="image/png"), "'image/png'"),
        (answer(b"a" * (MAX_BYTES + 1), content_type="text/markdown"), "5,000,001 bytes"),
        (answer(b"\xff\xfe\xff", content_type="text/markdown"), "not UTF-16"),
        (b"nonsense\r\n\r\n", "connection failed"),
    ):
        async with far_side(reply, tls=tls[0]) as far:
            assert reason in await refusal(fetcher(tls[1]), f"https://localhost:{far.port}/a.md")
    async with far_side(None, tls=tls[0]) as far:
        message = await refusal(fetcher(tls[1], total_s=0.3), f"https://localhost:{far.port}/a.md")
        assert "within 0.3 seconds" in message


async def test_the_certificate_must_be_trusted(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with far_side(PAGE, tls=tls[0]) as far:
        reader = fetcher(ssl.create_default_context())
        assert "certificate" in await refusal(reader, f"https://localhost:{far.port}/a.md")


async def test_an_address_is_added_updated_and_removed_when_it_is_gone(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path, embedder: MiniLmEmbedder
) -> None:
    calibration = next(iter(CALIBRATIONS.values()))
    knowledge = KnowledgeBase(knowledge_settings(), tmp_path, embedder, calibration, fetcher(tls[1]), "en-US")
    await knowledge.open()
    gone = answer(status=410)
    changed = answer(b"# Hours\nFrom 9 to 5.\n", content_type="text/markdown")
    broken = answer(status=503)
    try:
        async with far_side(PAGE, PAGE, changed, broken, gone, tls=tls[0]) as far:
            url = f"https://localhost:{far.port}/hours.md"
            assert (await knowledge.add([], [url])).added == (url,)
            assert (await knowledge.add([], [url])).unchanged == (url,)
            assert (await knowledge.add([], [url])).updated == (url,)
            ((failed, _),) = (await knowledge.add([], [url])).failed
            assert failed == url
            assert "9 to 5" in (await knowledge.search("from when are you open")).passages[0].text
            assert (await knowledge.add([], [url])).removed == (url,)
            assert await knowledge.documents() == ()
            ((failed, reason),) = (await knowledge.add([], [url])).failed
            assert "does not exist" in reason
            with pytest.raises(GoneError):
                await knowledge.fetch(url)
    finally:
        knowledge.close()


def test_names_cover_themselves_or_what_is_below_them() -> None:
    allowed = AllowedHosts.parse(["Docs.example.com", ".wiki.example", "10.0.0.0/8", "[fd00::1]"])
    assert allowed.admits_host("docs.EXAMPLE.com.")
    assert not allowed.admits_host("example.com")
    assert not allowed.admits_host("evil-docs.example.com")
    assert allowed.admits_host("a.b.wiki.example")
    assert not allowed.admits_host("wiki.example")
    assert allowed.admits_host("10.9.8.7")
    assert not allowed.admits_host("192.168.0.1")
    assert allowed.admits_host("fd00::1")
    for wrong in ("https://docs.example.com", "a b", "10.0.0.0/99"):
        with pytest.raises(ConfigError, match="KB_ALLOWED_HOSTS"):
            AllowedHosts.parse([wrong])


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 10.0.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 ::1 fe80::1 fd00::1 "
    "::ffff:127.0.0.1 64:ff9b::a00:1 2002:7f00:1::".split(),
)
def test_special_addresses_need_listing(address: str) -> None:
    assert not AllowedHosts.parse(["docs.example.com"]).admits_address(ipaddress.ip_address(address))
    assert AllowedHosts.parse(["docs.example.com"]).admits_address(ipaddress.ip_address("93.184.216.34"))
