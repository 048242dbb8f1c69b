"""Reads a Word document (ECMA-376, "docx"): headings, paragraphs, lists and tables as simple Markdown.

A docx file is a zip archive of XML parts; only the text, the styles' names and the title are read. Nothing in it is
run, no part outside of the archive is opened, and what unpacks to more than ``_PART_MAX_BYTES`` is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

_PART_MAX_BYTES = 50_000_000  # a thousand pages of text have about 10 MB of XML
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # repeats what stands before it
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_HEADING_NAME = re.compile(r"heading ([1-6])$")  # built-in styles keep their English names in every language


class DocxError(Exception):
    """Why the file cannot be read."""


def docx_to_markdown(raw: bytes) -> str:
    """The document as simple Markdown. Raises ``DocxError``."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            body = _part(archive, "word/document.xml")
            styles = _part(archive, "word/styles.xml")
            core = _part(archive, "docProps/core.xml")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise DocxError(f"it is not a readable docx archive ({error})") from None
    if body is None:
        raise DocxError("it holds no word/document.xml, so it is not a Word document")
    levels = _heading_levels(styles)
    lines = list(_lines(body, levels))
    title = "" if core is None else " ".join((core.findtext(f".//{_TITLE}") or "").split())
    if title and not any(line.startswith("# ") for line in lines):
        lines.insert(0, f"# {title}")
    return "\n\n".join(lines)


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    try:
        info = archive.getinfo(name)
    except KeyError:
        return None
    if info.flag_bits & 0x1:
        raise DocxError("it is protected with a password")
    with archive.open(info) as part:
        content = part.read(_PART_MAX_BYTES + 1)  # the size that the archive states may be a lie
    if len(content) > _PART_MAX_BYTES:
        raise DocxError(f"{name} unpacks to more than {_PART_MAX_BYTES:,} bytes")
    if b"<!DOCTYPE" in content:  # the format forbids it (ECMA-376 part 2, 8.1.4); entities could grow without bound
        raise DocxError(f"{name} declares a document type, which Word documents never do")
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - no document type, so no entities
    except ElementTree.ParseError as error:
        raise DocxError(f"{name} is damaged ({error})") from None


def _heading_levels(styles: ElementTree.Element | None) -> dict[str, int]:
    """Style id to heading level. A style counts by its name, by its outline level, or by the style it is based on."""
    levels: dict[str, int] = {}
    based_on: dict[str, str] = {}
    for style in () if styles is None else styles.iter(f"{_W}style"):
        style_id = style.get(f"{_W}styleId", "")
        name = _value(style.find(f"{_W}name")).lower()
        outline = _value(style.find(f"{_W}pPr/{_W}outlineLvl"))
        match = _HEADING_NAME.match(name)
        if match:
            levels[style_id] = int(match[1])
        elif name == "title":
            levels[style_id] = 1
        elif outline.isdigit() and int(outline) < 6:
            levels[style_id] = int(outline) + 1
        based_on[style_id] = _value(style.find(f"{_W}basedOn"))
    for style_id in based_on:
        ancestor, steps = style_id, 0
        while ancestor and ancestor not in levels and steps < len(based_on):
            ancestor, steps = based_on.get(ancestor, ""), steps + 1
        if ancestor in levels:
            levels.setdefault(style_id, levels[ancestor])
    return levels


def _lines(body: ElementTree.Element, levels: dict[str, int]) -> Iterator[str]:
    for element in _blocks(body):
        if element.tag == f"{_W}tr":
            cells = (" ".join(_text(cell).split()) for cell in element.findall(f"{_W}tc"))
            yield "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
            continue
        text = " ".join(_text(element).split()).lstrip("#|>").lstrip()
        if not text:
            continue
        properties = element.find(f"{_W}pPr")
        style = "" if properties is None else _value(properties.find(f"{_W}pStyle"))
        if style in levels:
            yield f"{'#' * levels[style]} {text}"
        elif properties is not None and properties.find(f"{_W}numPr") is not None:
            yield f"- {text}"
        else:
            yield text


def _blocks(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Paragraphs and table rows in reading order; a row stands for all that is in it."""
    for child in element:
        if child.tag in (f"{_W}p", f"{_W}tr"):
            yield child
        elif child.tag != _FALLBACK:
            yield from _blocks(child)


def _text(element: ElementTree.Element) -> str:
    parts: list[str] = []
    for child in element:
        if child.tag == f"{_W}t":
            parts.append(child.text or "")
        elif child.tag in (f"{_W}tab", f"{_W}br", f"{_W}cr"):
            parts.append(" ")
        elif child.tag == f"{_W}noBreakHyphen":
            parts.append("-")
        elif child.tag == f"{_W}p":
            parts.append(_text(child) + " ")
        elif child.tag not in (_FALLBACK, f"{_W}pPr", f"{_W}rPr", f"{_W}del", f"{_W}instrText"):
            parts.append(_text(child))
    return "".join(parts)


def _value(element: ElementTree.Element | None) -> str:
    return "" if element is None else element.get(f"{_W}val", "")
