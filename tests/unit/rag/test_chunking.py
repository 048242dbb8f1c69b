from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.rag.chunking import PASSAGE_WORDS, Chunk, chunk_markdown, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Open from 10 a.m. to 7 p.m. Eastern time. Closed on Monday.", None),
        ("Send it to Dr. Smith, e.g. Friday. Then wait.", ["Send it to Dr. Smith, e.g. Friday.", "Then wait."]),
        ("It costs 5.95 dollars. 3 days later it is there.", ["It costs 5.95 dollars.", "3 days later it is there."]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("Write to care@shop.example now. Do it.", ["Write to care@shop.example now.", "Do it."]),
        ("", []),
        ("  \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, sentences: list[str] | None) -> None:
    expected = ["Open from 10 a.m. to 7 p.m. Eastern time.", "Closed on Monday."] if sentences is None else sentences
    assert split_sentences(text) == expected


def test_a_passage_carries_title_and_heading() -> None:
    text = "# Returns\nWithin 30 days.\n\n## By mail\nPrint the label.\n\n## In a store\nBring the receipt.\n"
    assert chunk_markdown(text, "fallback") == (
        Chunk("Returns", "", "Within 30 days."),
        Chunk("Returns", "By mail", "Print the label."),
        Chunk("Returns", "In a store", "Bring the receipt."),
    )


def test_questions_belong_to_their_section_and_are_not_read_out() -> None:
    text = (
        "# Returns\n<!-- asked:\n  What is your return policy?\n\n  How long do I have?\n-->\nWithin 30 days.\n\n"
        "## By mail\nPrint the label.\n\n## In a store\n<!-- asked: Can I bring it? -->\nBring the receipt.<!-- no -->\n"
    )
    assert chunk_markdown(text, "x") == (
        Chunk("Returns", "", "Within 30 days.", ("What is your return policy?", "How long do I have?")),
        Chunk("Returns", "By mail", "Print the label."),
        Chunk("Returns", "In a store", "Bring the receipt.", ("Can I bring it?",)),
    )


def test_questions_of_a_long_section_lead_to_its_beginning() -> None:
    sentences = " ".join(f"Sentence number {n} has exactly seven words." for n in range(20))
    chunks = chunk_markdown(f"# T\n<!-- asked: Why? -->\n{sentences}", "x")
    assert [chunk.asked for chunk in chunks] == [("Why?",), (), ()]


@pytest.mark.parametrize("comment", ["<!-- asked: -->", "<!--asked:\n ?\n-->", "<!-- asked: never closed"])
def test_empty_questions_are_none(comment: str) -> None:
    assert all(chunk.asked == () for chunk in chunk_markdown(f"# T\n{comment}\nText.", "x"))


def test_a_text_without_title_takes_the_fallback() -> None:
    assert chunk_markdown("Just a text.", "Notes") == (Chunk("Notes", "", "Just a text."),)


def test_a_second_first_level_heading_is_a_section() -> None:
    chunks = chunk_markdown("# One\nText.\n# Two\nMore.\n", "x")
    assert [(chunk.title, chunk.heading) for chunk in chunks] == [("One", ""), ("One", "Two")]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("**Bold**, *italic*, __strong__ and `code`.", "Bold, italic, strong and code."),
        ("See [our page](https://shop.example/x) or ![a map](map.png).", "See our page or a map."),
        ("snake_case_name stays, 2 * 3 * 4 too.", "snake_case_name stays, 2 * 3 * 4 too."),
        ("- first\n- second\n  goes on\n1. third", "first. second goes on. third."),
        ("First paragraph\n\nSecond paragraph", "First paragraph. Second paragraph."),
        ("| Size | Price |\n|------|-------|\n| S | 5 dollars |", "Size, Price. S, 5 dollars."),
        ("> Quoted text.", "Quoted text."),
        ("---\ntitle: hidden\n---\nShown.", "Shown."),
        ("Before.<!-- not\nthis --> After.", "Before. After."),
        ("Wrapped\nline.", "Wrapped line."),
        ("Windows\r\nline.", "Windows line."),
        ("```\nkept as text\n```", "kept as text."),
    ],
)
def test_marks_are_not_read_out(markdown: str, text: str) -> None:
    assert [chunk.text for chunk in chunk_markdown(markdown, "x")] == [text]


@pytest.mark.parametrize("markdown", ["", "# Title only", "## A\n## B\n", "---\n***\n", "<!-- nothing -->", "```\n```"])
def test_no_text_gives_no_passage(markdown: str) -> None:
    assert chunk_markdown(markdown, "x") == ()


def test_long_sections_are_cut_between_sentences() -> None:
    sentences = [f"Sentence number {n} has exactly seven words." for n in range(40)]
    chunks = chunk_markdown("# T\n" + " ".join(sentences), "x")
    assert len(chunks) == 5
    assert [sentence for chunk in chunks for sentence in split_sentences(chunk.text)] == sentences


words = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
sentence = st.lists(words, min_size=1, max_size=70).map(lambda found: " ".join(found).capitalize() + ".")
section = st.tuples(words, st.lists(sentence, min_size=1, max_size=5))


@given(st.lists(section, min_size=1, max_size=3))
def test_every_word_is_kept_in_order_and_no_passage_is_too_long(sections: list[tuple[str, list[str]]]) -> None:
    markdown = "# Title\n" + "\n".join(f"## {heading}\n" + " ".join(body) for heading, body in sections)
    chunks = chunk_markdown(markdown, "x")
    assert [word for chunk in chunks for word in chunk.text.split()] == [
        word for _, body in sections for whole in body for word in whole.split()
    ]
    assert all(len(chunk.text.split()) <= PASSAGE_WORDS for chunk in chunks)


marks = st.lists(st.sampled_from(["<!-- asked:", "-->", "\n", "# ", "Why?", "\0asked 0", "\0asked "]), max_size=12).map(
    "".join
)


@given(st.text(max_size=400) | st.text("#*_-|>`[]()! \n.aB1\0", max_size=400) | marks)
def test_any_text_can_be_cut(text: str) -> None:
    for chunk in chunk_markdown(text, "x"):
        assert any(map(str.isalnum, chunk.text))
