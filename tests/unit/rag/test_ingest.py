from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.errors import ConfigError
from voice_agent.rag.chunking import Chunk, chunk_markdown
from voice_agent.rag.ingest import MAX_BYTES, find_documents, html_to_markdown, read_document

PAGE = """<!doctype html><html><head><title>Shop &amp; Co</title><style>p {color: red}</style>
<script>alert("no")</script></head><body><nav><a href="/">Home</a></nav>
<main><h1>Gift <em>cards</em></h1><p>They never expire.<br>Really&nbsp;never.</p>
<h2>Use</h2><ul><li>At checkout</li><li>In a <b>store</b></li></ul>
<table><tr><th>Value</th><td>10 dollars</td></tr></table></main>
<footer>Imprint</footer></body></html>"""


def test_markdown_is_read_with_its_title(tmp_path: Path) -> None:
    file = tmp_path / "returns.md"
    file.write_text("# Returns\nWithin 30 days.\n")
    document = read_document(file)
    assert (document.source, document.title) == (file.as_posix(), "Returns")
    assert document.chunks == (Chunk("Returns", "", "Within 30 days."),)
    assert read_document(file, "shop:returns.md").source == "shop:returns.md"


def test_the_digest_follows_the_text(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("One.")
    first = read_document(file).digest
    assert read_document(file).digest == first
    file.write_text("Two.")
    assert read_document(file).digest != first


@pytest.mark.parametrize(
    ("text", "title", "passage"),
    [
        ("Opening hours\n\nFrom 10 to 7.", "Opening hours", "From 10 to 7."),
        ("From 10 to 7.\n\nAnd more.", "Store info", "From 10 to 7. And more."),
        ("# 1 rule\nAlways smile.", "Store info", "1 rule Always smile."),
    ],
)
def test_a_plain_text_may_begin_with_its_title(tmp_path: Path, text: str, title: str, passage: str) -> None:
    file = tmp_path / "store-info.txt"
    file.write_text(text)
    document = read_document(file)
    assert (document.title, document.chunks[0].text) == (title, passage)


def test_html_keeps_what_is_said_and_drops_the_rest() -> None:
    assert chunk_markdown(html_to_markdown(PAGE), "x") == (
        Chunk("Gift cards", "", "They never expire. Really never."),
        Chunk("Gift cards", "Use", "At checkout. In a store. Value 10 dollars."),
    )


def test_html_without_a_heading_takes_the_pages_title() -> None:
    page = "<title>Hours</title><body><p>From 10 to 7.</p>"
    assert chunk_markdown(html_to_markdown(page), "x") == (Chunk("Hours", "", "From 10 to 7."),)


@given(st.text(max_size=300) | st.text("<>/ahp1script!-='\" \n", max_size=300))
def test_any_html_can_be_read(page: str) -> None:
    assert isinstance(html_to_markdown(page), str)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_encodings_are_understood(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.md"
    file.write_bytes("Größe: 5 €.".encode(encoding))
    assert read_document(file).chunks[0].text == "Größe: 5 €."


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("latin.md", "Größe".encode("latin-1"), "byte 2 is not UTF-8"),
        ("binary.txt", b"\x00\x01\x02", "not text"),
        ("empty.md", b"", "no text"),
        ("blank.txt", b" \n \n", "no text"),
        ("headings.md", b"# One\n## Two\n", "no text"),
        ("empty.html", b"<html><script>x</script></html>", "no text"),
        ("large.md", b"a" * (MAX_BYTES + 1), "5,000,001 bytes"),
        ("picture.png", b"png", "'.png'"),
        ("paper.pdf", b"%PDF-1.7", "damaged"),
        ("noname", b"text", "(no suffix)"),
    ],
)
def test_an_unusable_file_is_named_with_the_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_document(file)
    assert str(file) in str(caught.value)
    assert reason in str(caught.value)


def test_an_unreadable_path_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "folder.md"
    folder.mkdir()
    with pytest.raises(ConfigError, match=r"folder\.md"):
        read_document(folder)


def test_folders_are_read_through(tmp_path: Path) -> None:
    for name in ("b.md", "a.TXT", "sub/c.html", ".hidden/d.md", "sub/.e.md", "image.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = find_documents([tmp_path, tmp_path / "b.md"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.TXT", "b.md", "sub/c.html"]


def test_nothing_to_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no document"):
        find_documents([tmp_path])
    with pytest.raises(ConfigError, match="nowhere"):
        find_documents([tmp_path / "nowhere"])
