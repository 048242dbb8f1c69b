from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.conversation.sentences import SentenceSegmenter


def segments(text: str, *, first_clause_chars: int = 28, max_chars: int = 260) -> list[str]:
    segmenter = SentenceSegmenter(first_clause_chars=first_clause_chars, max_chars=max_chars)
    return segmenter.push(text) + segmenter.flush()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs $3.50. Fine.", ["It costs $3.50.", "Fine."]),
        ("Your order 83102. It shipped.", ["Your order 83102.", "It shipped."]),
        ("Dr. Smith called Mrs. Jones. Then left.", ["Dr. Smith called Mrs. Jones.", "Then left."]),
        ("Take one, e.g. the red, or i.e. this. Ok.", ["Take one, e.g. the red, or i.e. this.", "Ok."]),
        (
            "Mail help@example.com. Or see example.com/a. Bye",
            ["Mail help@example.com.", "Or see example.com/a.", "Bye"],
        ),
        ("We close at 9 p.m. on Friday.", ["We close at 9 p.m. on Friday."]),
        ("We close at 9 p.m. Come early.", ["We close at 9 p.m.", "Come early."]),
        ("Well... let me see. Hm... Right.", ["Well... let me see.", "Hm...", "Right."]),
        ("J. K. Rowling of the U.K. wrote it.", ["J. K. Rowling of the U.K. wrote it."]),
        ("Socks, shoes etc. are free. Socks etc. Yes.", ["Socks, shoes etc. are free.", "Socks etc.", "Yes."]),
        ('He said "Go." Then left.', ['He said "Go."', "Then left."]),
        ("(It is free.) Really.", ["(It is free.)", "Really."]),
        ("1. Open it. 2. Close it.", ["1. Open it.", "2. Close it."]),
        ("First line\nsecond line\n\n- third", ["First line", "second line", "- third"]),
        ("These are the colours: red; blue.", ["These are the colours:", "red; blue."]),
        ("Note: this is short.", ["Note: this is short."]),
        ("It opens at 9:30, not 10:00.", ["It opens at 9:30, not 10:00."]),
        ("What?! Really?", ["What?!", "Really?"]),
        ("مرحباً؟ نعم. شكراً", ["مرحباً؟", "نعم.", "شكراً"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_segments(text: str, expected: list[str]) -> None:
    assert segments(text, first_clause_chars=1_000) == expected


def test_a_long_first_clause_is_cut_at_its_comma() -> None:
    text = "Let me have a look at that for you, one moment, and then I will tell you, okay?"
    assert segments(text) == [
        "Let me have a look at that for you,",
        "one moment, and then I will tell you, okay?",
    ]
    assert segments("Sure, one moment, please wait for me, okay?")[0] == "Sure, one moment, please wait for me,"
    assert segments("It costs 1,249,000 dollars in the shop, or less.")[0] == "It costs 1,249,000 dollars in the shop,"


def test_each_reply_has_a_first_clause() -> None:
    segmenter = SentenceSegmenter()
    text = "Let me have a look at that for you, one moment."
    first = segmenter.push(text) + segmenter.flush()
    assert segmenter.push(text) + segmenter.flush() == first
    assert len(first) == 2


def test_text_without_end_is_cut_at_spaces() -> None:
    parts = segments("word " * 100, max_chars=50)
    assert all(len(part) <= 50 for part in parts)
    assert " ".join(parts) == ("word " * 100).strip()
    assert segments("x" * 130, max_chars=50) == ["x" * 50, "x" * 50, "x" * 30]


def test_a_sentence_is_out_as_soon_as_the_next_character_shows_its_end() -> None:
    segmenter = SentenceSegmenter()
    assert segmenter.push("Well then. ") == ["Well then."]
    assert segmenter.push("It is 3.") == []  # may become 3.5
    assert segmenter.push("5 today.") == []
    assert segmenter.push(" ") == ["It is 3.5 today."]
    assert segmenter.push("Is it? ") == ["Is it?"]
    assert segmenter.push("Yes") == []
    assert segmenter.flush() == ["Yes"]
    assert segmenter.flush() == []


PIECES = st.sampled_from(
    [
        *'One two dr. Dr. e.g. p.m. 3.5 $3.50. 83102. U.S. i.e. etc. No. a@b.com. ... … ? ! : ; , " ) ( — 1. x'.split(),
        "\n",
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map(" ".join) | st.text(alphabet="aB1.,?!: \n…\"')", max_size=200)


@settings(max_examples=500)
@given(TEXTS, st.lists(st.integers(0, 400), max_size=30), st.sampled_from([20, 260]))
def test_any_chunking_gives_the_same_segments_after_the_first(text: str, cuts: list[int], max_chars: int) -> None:
    segmenter, whole = SentenceSegmenter(max_chars=max_chars), SentenceSegmenter(max_chars=max_chars)
    assert segmenter.push("Well then. ") == whole.push("Well then. ") == ["Well then."]
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [part for start, end in itertools.pairwise(edges) for part in segmenter.push(text[start:end])]
    assert parts + segmenter.flush() == whole.push(text) + whole.flush()


@settings(max_examples=300)
@given(TEXTS, st.lists(st.integers(0, 400), max_size=30))
def test_any_chunking_gives_the_same_text(text: str, cuts: list[int]) -> None:
    segmenter = SentenceSegmenter()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [part for start, end in itertools.pairwise(edges) for part in segmenter.push(text[start:end])]
    assert "".join("".join(parts + segmenter.flush()).split()) == "".join(text.split())


@pytest.mark.parametrize("end", [".", "!", "?", '."'])
def test_the_first_sentence_is_out_with_its_mark(end: str) -> None:
    segmenter = SentenceSegmenter()
    assert segmenter.push("Sure, I can check that now") == []
    assert segmenter.push(end) == [f"Sure, I can check that now{end}"]
    assert segmenter.push(" It is on its way.") == [], "later ones wait: the caller is listening to the first"


@pytest.mark.parametrize(
    "text", ["It is now 3.", "Please ask Dr.", "It opens at 9 a.m.", "Write to me@shop.", "Well..."]
)
def test_a_mark_that_may_not_be_the_end_waits_even_in_the_first_sentence(text: str) -> None:
    assert SentenceSegmenter().push(text) == []


@settings(max_examples=300)
@given(TEXTS)
def test_nothing_is_lost_added_or_empty(text: str) -> None:
    parts = segments(text)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part and part == part.strip() for part in parts)
