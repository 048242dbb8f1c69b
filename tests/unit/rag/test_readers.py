"""PDF and Word documents, sound and broken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rag.office import docx, paragraph, pdf

from voice_agent.errors import ConfigError
from voice_agent.rag.chunking import Chunk, chunk_markdown
from voice_agent.rag.ingest import read_document
from voice_agent.rag.readers.docx import DocxError, docx_to_markdown
from voice_agent.rag.readers.pdf import PdfError, pdf_to_markdown

BODY = (10, "You may return any jacket within thirty days of delivery, as long as it is un-")
STYLES = (
    '<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>'
    '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:styleId="Own"><w:name w:val="Our heading"/><w:basedOn w:val="berschrift1"/></w:style>'
    '<w:style w:styleId="Deep"><w:name w:val="Deep"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
)


def test_a_pdfs_sizes_give_its_structure() -> None:
    raw = pdf(
        [
            [(24, "Returns"), BODY, (10, "worn and has its tags."), (16, "In a store"), (10, "Bring the receipt.")],
            [(10, "• Ask at the counter."), (10, "• It takes a minute (or two).")],
        ]
    )
    assert chunk_markdown(pdf_to_markdown(raw), "x") == (
        Chunk(
            "Returns",
            "",
            "You may return any jacket within thirty days of delivery, as long as it is unworn and has its tags.",
        ),
        Chunk("Returns", "In a store", "Bring the receipt. Ask at the counter. It takes a minute (or two)."),
    )


def test_a_pdf_without_headings_takes_the_title_it_states() -> None:
    raw = pdf([[(10, "From 10 to 7.")]], title="Opening hours")
    assert chunk_markdown(pdf_to_markdown(raw), "x") == (Chunk("Opening hours", "", "From 10 to 7."),)


def test_running_lines_and_page_numbers_are_left_out() -> None:
    pages = [
        [(10, "Juniper and Pine"), (10, f"Rule {word}."), (10, f"Page {n} of 4")] for n, word in enumerate("abcd", 1)
    ]
    text = " ".join(chunk.text for chunk in chunk_markdown(pdf_to_markdown(pdf(pages)), "x"))
    assert text == "Rule a. Rule b. Rule c. Rule d."


def test_a_pdf_without_text_asks_for_recognition() -> None:
    with pytest.raises(PdfError, match="OCR"):
        pdf_to_markdown(pdf([[], []]))


@given(st.binary(max_size=200), st.integers(0, 700), st.integers(0, 300))
def test_a_damaged_pdf_is_refused_or_read(junk: bytes, at: int, cut: int) -> None:
    raw = pdf([[(20, "Returns"), (10, "Within 30 days.")]])
    for broken in (raw[: len(raw) - cut], raw[:at] + junk + raw[at + len(junk) :], junk):
        with suppress(PdfError):  # any other error would fail the test
            assert isinstance(pdf_to_markdown(broken), str)


def test_a_word_document_keeps_headings_lists_and_tables() -> None:
    numbered = "<w:numPr><w:numId w:val='1'/></w:numPr>"
    raw = docx(
        paragraph("Gift cards", "Titel")
        + paragraph("They never expire.")
        + paragraph("Use", "berschrift1")
        + paragraph("At checkout", extra=numbered)
        + paragraph("In a store", extra=numbered)
        + paragraph("Values", "Own")
        + "<w:tbl><w:tr><w:tc>"
        + paragraph("Small")
        + "</w:tc><w:tc>"
        + paragraph("10 dollars")
        + "</w:tc></w:tr></w:tbl>"
        + paragraph("Lost cards", "Deep")
        + "<w:p><w:r><w:t>We </w:t></w:r><w:del><w:r><w:t>never </w:t></w:r></w:del>"
        + "<w:r><w:t>replace</w:t><w:tab/><w:t>them.</w:t></w:r></w:p>",
        styles=STYLES,
    )
    assert chunk_markdown(docx_to_markdown(raw), "x") == (
        Chunk("Gift cards", "", "They never expire."),
        Chunk("Gift cards", "Use", "At checkout. In a store."),
        Chunk("Gift cards", "Values", "Small, 10 dollars."),
        Chunk("Gift cards", "Values: Lost cards", "We replace them."),
    )


def test_a_word_document_without_headings_takes_the_title_it_states() -> None:
    raw = docx(paragraph("From 10 to 7."), title="Opening hours")
    assert chunk_markdown(docx_to_markdown(raw), "x") == (Chunk("Opening hours", "", "From 10 to 7."),)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"PK\x03\x04 no", "not a readable docx"),
        (docx("")[:-40], "not a readable docx"),
        (docx("<w:p>"), "damaged"),
        (docx("", parts={"word/document.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}), "document type"),
        (docx("", parts={"word/document.xml": b"<a>" + b" " * 50_000_001}), "unpacks to more than 50,000,000"),
    ],
)
def test_a_broken_word_document_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(DocxError, match=reason):
        docx_to_markdown(raw)


def test_a_zip_of_something_else_is_refused() -> None:
    with pytest.raises(DocxError, match="not a Word document"):
        docx_to_markdown(docx("", parts={}).replace(b"word/document.xml", b"word/docuremt.xml"))


@pytest.mark.parametrize("name", ["a.pdf", "a.docx"])
def test_an_unusable_file_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"not what the name says")
    with pytest.raises(ConfigError) as caught:
        read_document(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_office_files_are_documents_like_others(tmp_path: Path) -> None:
    (tmp_path / "hours.pdf").write_bytes(
        pdf([[(20, "Hours"), (10, "From 10 to 7, every day of the week but Sunday.")]])
    )
    (tmp_path / "cards.docx").write_bytes(docx(paragraph("They never expire.")))
    assert read_document(tmp_path / "hours.pdf").title == "Hours"
    assert read_document(tmp_path / "cards.docx").chunks == (Chunk("Cards", "", "They never expire."),)
