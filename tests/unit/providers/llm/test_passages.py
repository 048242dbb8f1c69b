"""Answers taken word for word from passages."""

from __future__ import annotations

from typing import Any

import pytest

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin.passages import extract_answer, split_sentences

RETURNS: dict[str, Any] = {
    "title": "Returns",
    "text": "You can return anything within 30 days. Our founder loves dogs. It must be unused.",
    "score": 0.9,
}
SHIPPING: dict[str, Any] = {
    "title": "Shipping",
    "text": "Standard shipping costs 5 dollars. It is free for orders over 75 dollars.",
    "score": 0.8,
}


async def test_the_nearest_sentences_in_their_order(embedder: MiniLmEmbedder) -> None:
    answer = await extract_answer("how much is shipping", [RETURNS, SHIPPING], embedder)
    assert answer == "Standard shipping costs 5 dollars. It is free for orders over 75 dollars."
    answer = await extract_answer("how many days do I have to return something", [RETURNS, SHIPPING], embedder)
    assert answer.startswith("You can return anything within 30 days.")
    assert "dogs" not in answer


async def test_a_sentence_that_leans_on_the_one_before_brings_it_along(embedder: MiniLmEmbedder) -> None:
    answer = await extract_answer("is it free for big orders over 75 dollars", [SHIPPING], embedder)
    assert answer == SHIPPING["text"]


async def test_never_more_than_can_be_listened_to(embedder: MiniLmEmbedder) -> None:
    long = {"title": "Tents", "text": f"Tents last {'very ' * 40}long. Tents need {'much ' * 40}care.", "score": 1.0}
    answer = await extract_answer("how long do tents last", [long], embedder)
    assert answer.count(".") == 1


@pytest.mark.parametrize("passages", [[], [{"title": "x", "text": ""}], [{"title": "x", "text": "# Heading\n---"}]])
async def test_nothing_to_say(passages: list[dict[str, Any]], embedder: MiniLmEmbedder) -> None:
    assert await extract_answer("anything", passages, embedder) == ""


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Open 10 a.m. to 7 p.m. on Mondays.", ["Open 10 a.m. to 7 p.m. on Mondays."]),
        ("It costs 5.95 dollars. Fine.", ["It costs 5.95 dollars.", "Fine."]),
        ("# Title\n\n- **first** thing\n- [second](http://x) thing", ["first thing.", "second thing."]),
        ("A line\nthat goes on.", ["A line that goes on."]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences
