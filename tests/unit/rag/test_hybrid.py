"""Words and vectors, searched together."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voice_agent.rag.bm25 import Bm25
from voice_agent.rag.calibration import CALIBRATIONS
from voice_agent.rag.hybrid import HybridIndex, StoredDocument, StoredPassage
from voice_agent.rag.words import stems

WIDTH = 8


def vector(*values: float) -> NDArray[np.float32]:
    row = np.zeros(WIDTH, np.float32)
    row[: len(values)] = values
    unit: NDArray[np.float32] = row / np.linalg.norm(row)
    return unit


def document(source: str, *texts: str, at: NDArray[np.float32] | None = None) -> StoredDocument:
    row = vector(1) if at is None else at
    return StoredDocument(source, source, "digest", tuple(StoredPassage("", text, row) for text in texts))


def index() -> HybridIndex:
    return HybridIndex(next(iter(CALIBRATIONS.values())))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The returns were returned by returning", "return return return"),
        ("Batteries and boxes", "battery box"),
        ("E-mail us, or a P.O. Box", "email pobox"),
        ("Größe café", "große cafe"),
        ("She planned, it fits", "plan fit"),
        ("¿Cuál es el horario?", "horario"),
    ],
)
def test_words_meet_in_their_stems(one: str, other: str) -> None:
    assert stems(one) == stems(other)


def test_bm25_prefers_rare_words_and_short_texts() -> None:
    words = Bm25()
    for slot, text in enumerate(
        ("tent red", "tent blue", "tent green kettle", "tent kettle " + "spoon fork plate mug " * 5)
    ):
        words.put(slot, text)
    found = words.search("a kettle for the tent", 4)
    assert np.argsort(-found.score).tolist()[:2] == [2, 3]
    assert found.score[0] == found.score[1] > 0
    assert found.score.max() <= found.ceiling
    assert found.known == pytest.approx(1)
    assert 0 < words.search("kettle zeppelin", 4).known < 1
    assert words.search("the of and", 4).score.tolist() == [0, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 6), st.lists(st.sampled_from("ant bee cow dog elk".split()), max_size=5))))
def test_bm25_kept_up_to_date_equals_one_built_anew(changes: list[tuple[int, list[str]]]) -> None:
    kept: dict[int, str] = {}
    lived = Bm25()
    for slot, words in changes:
        if words:
            kept[slot] = " ".join(words)
            lived.put(slot, kept[slot])
        else:
            kept.pop(slot, None)
            lived.drop(slot)
        lived.search("ant bee", 7)
    fresh = Bm25()
    for slot, text in kept.items():
        fresh.put(slot, text)
    for query in ("ant", "bee cow", "dog elk fox"):
        one, other = lived.search(query, 7), fresh.search(query, 7)
        assert one.score.tolist() == pytest.approx(other.score.tolist())
        assert (one.ceiling, one.known) == pytest.approx((other.ceiling, other.known))


def test_a_code_that_vectors_cannot_tell_apart_is_found_by_its_word() -> None:
    found = index()
    for code in ("A417", "B299", "C803"):
        found.put(document(f"{code}.md", f"The stove {code} burns gas."))
    best = found.search("which gas does b299 burn", vector(1), 3)
    assert best[0].source == "B299.md"
    assert best[0].bm25 > best[1].bm25
    assert best[0].confidence > best[1].confidence


def test_meaning_counts_without_a_shared_word() -> None:
    found = index()
    found.put(document("near.md", "Parcels are insured.", at=vector(1, 0.2)))
    found.put(document("far.md", "Mugs are blue.", at=vector(0, 0, 1)))
    best = found.search("somebody stole it", vector(1), 2)
    assert [hit.source for hit in best] == ["near.md", "far.md"]
    assert best[0].bm25 == 0


def test_a_listed_question_leads_to_its_passage_and_an_unanswered_one_raises_doubts() -> None:
    question, rival = vector(0, 1), vector(0, 1, 0.1)
    plain = StoredPassage("", "Yes.", vector(1))
    led = StoredPassage("", "Yes.", vector(1), ("asked?",), (question,))
    doubted = StoredPassage("", "Yes.", vector(1), ("asked?",), (question,), ("not answered",), (rival,))
    confidences: list[float] = []
    for passage in (plain, led, doubted):
        found = index()
        found.put(StoredDocument("a.md", "A", "d", (passage,)))
        confidences.append(found.search("zzz", question, 1)[0].confidence)
    assert confidences[0] < confidences[2] < confidences[1]


@given(st.integers(0, 2**31))
def test_documents_come_and_go_without_a_trace(seed: int) -> None:
    rng = random.Random(seed)
    lived, kept = index(), {}
    for _ in range(40):
        name = f"{rng.randrange(6)}.md"
        if rng.random() < 0.3:
            lived.drop(name)
            kept.pop(name, None)
        else:
            texts = [
                f"{rng.choice('tent mug lamp sock'.split())} number {rng.randrange(9)}"
                for _ in range(rng.randrange(1, 4))
            ]
            kept[name] = document(name, *texts, at=vector(*(rng.random() for _ in range(4))))
            lived.put(kept[name])
    fresh = index()
    for one in kept.values():
        fresh.put(one)
    query = vector(1, 1)
    assert [d.source for d in lived.documents()] == sorted(kept)
    one, other = (found.search("mug number 3", query, 50) for found in (lived, fresh))
    assert sorted((h.source, h.text, round(h.fused, 4)) for h in one) == sorted(
        (h.source, h.text, round(h.fused, 4)) for h in other
    )
