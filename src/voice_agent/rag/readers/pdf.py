"""Reads the text of a PDF document (ISO 32000) as simple Markdown.

A PDF says where glyphs stand, not what they mean, so structure is guessed from sizes: a short line clearly larger than
most of the text is a heading, the largest one at the beginning the title. Lines that most pages begin or end with, and
page numbers, are left out; words divided at a line's end are joined. Scanned pages have no text and are not recognised.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_PAGES = 1000
_HEADING_SIZE = 1.15  # times the size of most of the text
_HEADING_WORDS = 14
_REPEATS = 3  # pages that must share a first or last line before it counts as a running one
_BULLET = re.compile(r"^[•‣◦▪●\uf0b7\-–*]\s+")
_NUMBER_LINE = re.compile(r"^(?:page\s+)?\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?$", re.IGNORECASE)


class PdfError(Exception):
    """Why the file cannot be read."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float


def pdf_to_markdown(raw: bytes) -> str:
    """The document's text as simple Markdown. Raises ``PdfError``."""
    try:
        pages, title = _extract(raw)
    except PdfError:
        raise
    except Exception as error:  # damaged files make pypdf raise almost anything, as recursion and key errors
        raise PdfError(f"it is damaged ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from None
    if not any(pages):
        raise PdfError("its pages hold no text; scanned pages must be recognised (OCR) first")
    return _markdown(_without_running_lines(pages), " ".join(title.split()))


def _extract(raw: bytes) -> tuple[list[list[_Line]], str]:
    """Each page's lines, and the title that the file states."""
    try:
        import pypdf
    except ImportError as error:
        raise PdfError(f"the package pypdf is missing ({error}): install voice-agent with its 'rag' extra") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of every oddity; we say in one line what matters
    reader = pypdf.PdfReader(io.BytesIO(raw))
    if reader.is_encrypted and not reader.decrypt(""):
        raise PdfError("it is protected with a password")
    if len(reader.pages) > _MAX_PAGES:
        raise PdfError(f"it has {len(reader.pages):,} pages, and {_MAX_PAGES:,} are allowed; split it")
    title = reader.metadata.title if reader.metadata is not None else None
    return [_page_lines(page) for page in reader.pages], title or ""


def _page_lines(page: object) -> list[_Line]:
    fragments: list[tuple[str, float]] = []

    def visit(text: str, _matrix: object, text_matrix: Sequence[float], _font: object, size: float) -> None:
        # The matrix may scale the font: its vertical stretch counts.
        stretch = (float(text_matrix[2]) ** 2 + float(text_matrix[3]) ** 2) ** 0.5
        fragments.append((text, float(size) * stretch))

    page.extract_text(visitor_text=visit)  # type: ignore[attr-defined]
    lines: list[_Line] = []
    held: list[tuple[str, float]] = []
    for text, size in fragments:
        first, *rest = text.split("\n")
        held.append((first, size))
        for part in rest:
            _end_line(held, lines)
            held = [(part, size)]
    _end_line(held, lines)
    return lines


def _end_line(fragments: Sequence[tuple[str, float]], lines: list[_Line]) -> None:
    text = " ".join("".join(text for text, _ in fragments).replace("\0", "").split())
    if text:
        widths: Counter[float] = Counter()
        for part, size in fragments:
            widths[round(size, 1)] += len(part.strip())
        lines.append(_Line(text, widths.most_common(1)[0][0]))


def _without_running_lines(pages: Sequence[Sequence[_Line]]) -> list[_Line]:
    edges = Counter(_shape(line) for page in pages if page for line in {page[0], page[-1]})
    running = {shape for shape, pages_with in edges.items() if pages_with >= max(_REPEATS, len(pages) // 2)}
    kept: list[_Line] = []
    for page in pages:
        for position, line in enumerate(page):
            at_edge = position in (0, len(page) - 1)
            if not (at_edge and (_shape(line) in running or _NUMBER_LINE.match(line.text))):
                kept.append(line)
    return kept


def _shape(line: _Line) -> str:
    return re.sub(r"\d+", "0", line.text)


def _markdown(lines: Sequence[_Line], title: str) -> str:
    letters: Counter[float] = Counter()
    for line in lines:
        letters[line.size] += len(line.text)
    body = letters.most_common(1)[0][0] if letters else 0.0
    largest = max((line.size for line in lines), default=0.0)
    blocks: list[str] = []
    continuing = ""  # the kind of block that the next line may continue
    titled = False
    for line in lines:
        text = line.text.lstrip("#|>").lstrip().replace("<!--", "")
        large = line.size > body * _HEADING_SIZE and len(text.split()) <= _HEADING_WORDS
        if not text:
            continue
        if large and not text.endswith((".", ",", ";")):
            mark = "#" if not titled and line.size == largest and len(blocks) < 2 else "##"
            if continuing == f"{mark}{line.size}":  # a heading of two lines
                blocks[-1] += " " + text
            else:
                blocks.append(f"{mark} {text}")
            titled = titled or mark == "#"
            continuing = f"{mark}{line.size}"
        elif _BULLET.match(text):
            blocks.append("- " + _BULLET.sub("", text))
            continuing = "text"
        elif continuing == "text":
            blocks[-1] = _joined(blocks[-1], text)
        else:
            blocks.append(text)
            continuing = "text"
    if title and not titled:
        blocks.insert(0, f"# {title}")
    return "\n\n".join(blocks)


def _joined(before: str, text: str) -> str:
    if before.endswith(("-", "\u00ad")) and text[:1].islower() and before[-2:-1].isalpha():
        return before[:-1] + text
    return f"{before} {text}"
