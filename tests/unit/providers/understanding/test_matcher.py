"""The matcher's own behaviour: acceptance, caches, equal treatment of spellings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.understanding.matcher import Label, SemanticMatcher, prepare_text

FRUIT = Label("fruit", ("a ripe apple", "sweet bananas", "an orange and a pear"), 0.3)
CARS = Label("cars", ("a fast car", "the engine of a truck", "drive to the garage"), 0.3)


class CountingEmbedder:
    """The real embedder, counting the texts that reach it."""

    def __init__(self, inner: MiniLmEmbedder) -> None:
        self._inner = inner
        self.texts = 0

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.embed_now(texts)

    def embed_now(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        return self._inner.embed_now(texts)


def stored(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_the_nearer_class_wins_with_its_nearest_example(embedder: MiniLmEmbedder) -> None:
    matcher = SemanticMatcher(embedder, [FRUIT, CARS], margin=0.05)
    best, other = await matcher.match("some juicy apples")
    assert (best.label, best.example, best.accepted) == ("fruit", "a ripe apple", True)
    assert (other.label, other.accepted) == ("cars", False)
    assert best.lead == pytest.approx(best.score - other.score)
    assert other.lead == pytest.approx(-best.lead)


async def test_examples_score_near_one_and_strangers_near_none(embedder: MiniLmEmbedder) -> None:
    matcher = SemanticMatcher(embedder, [FRUIT, CARS], margin=0.05)
    assert (await matcher.match("sweet bananas"))[0].score > 0.8
    assert max(m.score for m in await matcher.match("parliament voted on the new tax law")) < 0.5


async def test_below_threshold_or_margin_nothing_is_accepted(embedder: MiniLmEmbedder) -> None:
    strict = [Label(label.name, label.examples, 1.2) for label in (FRUIT, CARS)]
    assert not any(m.accepted for m in await SemanticMatcher(embedder, strict, margin=0).match("sweet bananas"))
    close = SemanticMatcher(embedder, [FRUIT, CARS], margin=0.95)
    assert not any(m.accepted for m in await close.match("a truck full of apples"))


async def test_vectors_are_stored_and_used_again(embedder: MiniLmEmbedder, tmp_path: Path) -> None:
    counting = CountingEmbedder(embedder)
    first = await SemanticMatcher(counting, [FRUIT, CARS], margin=0, cache_dir=tmp_path).match("a pear")
    assert counting.texts == 7
    again = await SemanticMatcher(counting, [FRUIT, CARS], margin=0, cache_dir=tmp_path).match("a pear")
    assert counting.texts == 9  # one probe, one turn
    assert again == first
    changed = Label("fruit", (*FRUIT.examples, "plums"), 0.3)
    await SemanticMatcher(counting, [changed, CARS], margin=0, cache_dir=tmp_path).prepare()
    assert counting.texts == 16
    assert len(stored(tmp_path)) == 2


@pytest.mark.parametrize("damage", [b"", b"half a file", b"\x93NUMPY\x01\x00"])
async def test_a_damaged_store_is_made_anew(embedder: MiniLmEmbedder, tmp_path: Path, damage: bytes) -> None:
    matcher = SemanticMatcher(embedder, [FRUIT, CARS], margin=0, cache_dir=tmp_path)
    expected = await matcher.match("a pear")
    (file,) = stored(tmp_path)
    file.write_bytes(damage)
    assert await SemanticMatcher(embedder, [FRUIT, CARS], margin=0, cache_dir=tmp_path).match("a pear") == expected
    assert len(file.read_bytes()) > 1000


async def test_vectors_of_another_model_are_not_used(embedder: MiniLmEmbedder, tmp_path: Path) -> None:
    await SemanticMatcher(embedder, [FRUIT, CARS], margin=0, cache_dir=tmp_path).prepare()
    (file,) = stored(tmp_path)
    vectors = np.load(file)
    np.save(file, np.roll(vectors, 1, axis=1))
    expected = await SemanticMatcher(embedder, [FRUIT, CARS], margin=0).match("a pear")
    assert await SemanticMatcher(embedder, [FRUIT, CARS], margin=0, cache_dir=tmp_path).match("a pear") == expected


async def test_many_texts_at_once_equal_one_by_one(embedder: MiniLmEmbedder) -> None:
    matcher = SemanticMatcher(embedder, [FRUIT, CARS], margin=0)
    texts = ["a pear", "a lorry", "apples"]
    assert await matcher.match_all(texts) == [await matcher.match(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("Where is my order?", "where is my order"),
        ("um, where's uh my order", "where's my order"),
        ("Hello...", "hello"),
        ("um", "um"),
        ("", ""),
        ("?!", "?!"),
    ],
)
def test_spelling_is_evened_out(text: str, prepared: str) -> None:
    assert prepare_text(text) == prepared
