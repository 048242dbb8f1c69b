"""Reads documents from files: Markdown, plain text and HTML.

Each file gives one ``Document`` or one clear reason why not; a folder is read through, hidden entries left out.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from voice_agent.errors import ConfigError
from voice_agent.rag.chunking import CHUNKING_VERSION, Chunk, chunk_markdown

MARKDOWN = frozenset({".md", ".markdown"})
TEXT = frozenset({".txt", ".text"})
HTML = frozenset({".html", ".htm"})
SUFFIXES = MARKDOWN | TEXT | HTML

#: About a thousand printed pages. A larger file is a data dump, whose passages would drown all others.
MAX_BYTES = 5_000_000

_TITLE_MAX_CHARS = 80
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Document:
    """One document, cut into passages. ``digest`` changes when its text or the way of cutting changes."""

    source: str
    title: str
    digest: str
    chunks: tuple[Chunk, ...]


def find_documents(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files meant by files and folders, sorted, each once. Folders give their readable kinds of file only.

    Raises ``ConfigError`` for a path that does not exist and for a folder without any document.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if _is_document(p, path))
            if not inside:
                raise ConfigError(f"the folder {str(path)!r} holds no document ({', '.join(sorted(SUFFIXES))}).")
            found.update((p.resolve(), None) for p in inside)
        elif path.exists():
            found[path.resolve()] = None
        else:
            raise ConfigError(f"there is no file or folder {str(path)!r}.")
    return tuple(found)


def read_document(path: Path, source: str | None = None) -> Document:
    """One file as a document; ``source`` names it in answers (default: its absolute path).

    Raises ``ConfigError`` naming the file and the reason: unreadable, too large, of an unknown kind, not text, empty.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise _refused(path, f"its kind {suffix or '(no suffix)'!r} is not among {', '.join(sorted(SUFFIXES))}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _refused(path, f"it has {size:,} bytes, and {MAX_BYTES:,} are allowed; split it")
        raw = path.read_bytes()
    except OSError as error:
        raise _refused(path, error.strerror or type(error).__name__) from None
    text = _decoded(raw, path)
    if suffix in HTML:
        text = html_to_markdown(text)
    elif suffix in TEXT:
        text = _text_to_markdown(text)
    chunks = chunk_markdown(text, path.stem.replace("-", " ").replace("_", " ").strip().capitalize() or path.name)
    if not chunks:
        raise _refused(path, "it has no text (headings alone are not enough)")
    digest = hashlib.sha256(f"{CHUNKING_VERSION}\n{text}".encode()).hexdigest()
    return Document(source or path.resolve().as_posix(), chunks[0].title, digest, chunks)


def _is_document(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and path.is_file() and not hidden


def _refused(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"the document {str(path)!r} cannot be used: {reason}.")


def _decoded(raw: bytes, path: Path) -> str:
    encoding = next((name for bom, name in _BOMS if raw.startswith(bom)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise _refused(path, f"byte {error.start} is not {encoding.upper()} text; save it as UTF-8") from None
    if "\0" in text:
        raise _refused(path, "it holds zero bytes, so it is not text")
    return text


def _text_to_markdown(text: str) -> str:
    """A first line that stands alone, short and without a full stop, is the title; nothing else is a heading."""
    lines = text.strip().splitlines()
    literal = [line.lstrip().lstrip("#").lstrip() if line.lstrip().startswith("#") else line for line in lines]
    alone = len(lines) > 1 and not lines[1].strip()
    if alone and len(lines[0]) <= _TITLE_MAX_CHARS and not lines[0].rstrip().endswith((".", "!", "?", ",", ";", ":")):
        literal[0] = "# " + lines[0].lstrip("# ")
    return "\n".join(literal)


class _MarkdownWriter(HTMLParser):
    """Keeps headings and text blocks; drops what is not content."""

    _DROPPED = frozenset({"script", "style", "nav", "header", "footer", "template", "noscript", "svg", "form", "aside"})
    _BLOCKS = frozenset({"p", "div", "section", "article", "main", "ul", "ol", "table", "tr", "br", "hr", "blockquote"})
    _HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.page_title = ""
        self._dropping: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._DROPPED:
            self._dropping.append(tag)
        elif tag == "title":
            self._in_title = True
        elif tag in self._HEADINGS:
            self.parts.append("\n\n" + "#" * int(tag[1]) + " ")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag in self._BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._dropping:
            # Closing an outer element closes what was left open inside it.
            del self._dropping[len(self._dropping) - 1 - self._dropping[::-1].index(tag) :]
        elif tag == "title":
            self._in_title = False
        elif tag in self._HEADINGS or tag in self._BLOCKS or tag == "li":
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if self._in_title:
            self.page_title += data
        elif words and not self._dropping:
            before = " " if data[:1].isspace() else ""
            after = " " if data[-1:].isspace() else ""
            self.parts.append(before + words + after)


def html_to_markdown(html: str) -> str:
    """The content of a page as simple Markdown; its title is the first ``h1``, else ``title``."""
    writer = _MarkdownWriter()
    writer.feed(html)
    writer.close()
    text = "".join(writer.parts).strip()
    has_title = any(line.startswith("# ") for line in text.splitlines())
    title = " ".join(writer.page_title.split())
    return text if has_title or not title else f"# {title}\n\n{text}"
