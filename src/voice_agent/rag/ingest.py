"""Reads documents: Markdown, plain text, HTML, PDF and Word (docx), from files or from bytes that were fetched.

Each gives one ``Document`` or one clear reason why not; a folder is read through, hidden entries left out.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from voice_agent.errors import ConfigError
from voice_agent.rag.chunking import CHUNKING_VERSION, Chunk, chunk_markdown
from voice_agent.rag.readers.docx import DocxError, docx_to_markdown
from voice_agent.rag.readers.html import html_to_markdown
from voice_agent.rag.readers.pdf import PdfError, pdf_to_markdown

MARKDOWN = frozenset({".md", ".markdown"})
TEXT = frozenset({".txt", ".text"})
HTML = frozenset({".html", ".htm"})
PDF = frozenset({".pdf"})
DOCX = frozenset({".docx"})
SUFFIXES = MARKDOWN | TEXT | HTML | PDF | DOCX

#: About a thousand printed pages of text. A larger file is a data dump, whose passages would drown all others.
MAX_BYTES = 5_000_000
#: PDF and Word documents hold fonts and pictures too.
MAX_BINARY_BYTES = 50_000_000

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

    Raises ``ConfigError`` naming the file and the reason: unreadable, too large, of an unknown kind, not text, damaged,
    protected, empty.
    """
    name, suffix = str(path), path.suffix.lower()
    if suffix not in SUFFIXES:
        raise refused(name, f"its kind {suffix or '(no suffix)'!r} is not among {', '.join(sorted(SUFFIXES))}")
    try:
        _check_size(path.stat().st_size, suffix, name)
        raw = path.read_bytes()
    except OSError as error:
        raise refused(name, error.strerror or type(error).__name__) from None
    return document_from(raw, suffix, name, source or path.resolve().as_posix(), path.stem)


def document_from(raw: bytes, suffix: str, name: str, source: str, stem: str) -> Document:
    """The content of a file of the kind ``suffix`` as a document. ``name`` stands in errors; ``stem`` gives the title
    where the content has none. Raises ``ConfigError`` as ``read_document`` does."""
    _check_size(len(raw), suffix, name)
    try:
        text = _markdown(raw, suffix, name)
    except (PdfError, DocxError) as error:
        raise refused(name, str(error)) from None
    except RecursionError:
        raise refused(name, "its parts are nested too deeply") from None
    chunks = chunk_markdown(text, stem.replace("-", " ").replace("_", " ").strip().capitalize() or name)
    if not chunks:
        raise refused(name, "it has no text (headings alone are not enough)")
    digest = hashlib.sha256(f"{CHUNKING_VERSION}\n{text}".encode()).hexdigest()
    return Document(source, chunks[0].title, digest, chunks)


def refused(name: str, reason: str) -> ConfigError:
    """Why a document is left out, as one line."""
    return ConfigError(f"the document {name!r} cannot be used: {reason}.")


def _markdown(raw: bytes, suffix: str, name: str) -> str:
    if suffix in PDF:
        return pdf_to_markdown(raw)
    if suffix in DOCX:
        return docx_to_markdown(raw)
    text = _decoded(raw, name)
    if suffix in HTML:
        return html_to_markdown(text)
    return _text_to_markdown(text) if suffix in TEXT else text


def _check_size(size: int, suffix: str, name: str) -> None:
    allowed = MAX_BINARY_BYTES if suffix in PDF | DOCX else MAX_BYTES
    if size > allowed:
        raise refused(name, f"it has {size:,} bytes, and {allowed:,} are allowed; split it")


def _is_document(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and path.is_file() and not hidden


def _decoded(raw: bytes, name: str) -> str:
    encoding = next((name for bom, name in _BOMS if raw.startswith(bom)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise refused(name, f"byte {error.start} is not {encoding.upper()} text; save it as UTF-8") from None
    if "\0" in text:
        raise refused(name, "it holds zero bytes, so it is not text")
    return text


def _text_to_markdown(text: str) -> str:
    """A first line that stands alone, short and without a full stop, is the title; nothing else is a heading."""
    lines = text.strip().splitlines()
    literal = [line.lstrip().lstrip("#").lstrip() if line.lstrip().startswith("#") else line for line in lines]
    alone = len(lines) > 1 and not lines[1].strip()
    if alone and len(lines[0]) <= _TITLE_MAX_CHARS and not lines[0].rstrip().endswith((".", "!", "?", ",", ";", ":")):
        literal[0] = "# " + lines[0].lstrip("# ")
    return "\n".join(literal)
