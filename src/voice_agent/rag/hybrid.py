"""The search: cosines of embeddings and BM25 over words, side by side, fused, in memory.

Embeddings find what is said in other words; the word index finds names, codes and numbers, which embeddings blur, and
shows what a question asks for that a passage does not speak of. Vectors are compared with all passages, exactly: for
some ten thousand of them that takes a millisecond or two, and every passage has both scores when they are fused. Documents
come and go one at a time; nothing is ever built anew. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voice_agent.rag.bm25 import Bm25
from voice_agent.rag.calibration import Calibration, Evidence

Vectors = NDArray[np.float32]

#: Questions resemble questions more than answers do: so much nearer must a listed one be to count as much as the passage.
QUESTION_LEAD = 0.2
#: Of the word score (as a share of the most it could be) beside a cosine. Rankings hardly change between 0.2 and 0.5,
#: with and without listed questions; reciprocal ranks found the right document less often than embeddings alone.
WORDS_WEIGHT = 0.3
#: A single word that many passages hold is no evidence, however completely it is found.
_CEILING_MIN = 20.0
#: How near, compared with the best evidence, a question known to be unanswered must come before it raises doubts.
_RIVAL_FROM = -0.2

_FIRST_CAPACITY = 64


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with its vector, the questions that lead to it, and those known to have no answer there or elsewhere."""

    heading: str
    text: str
    vector: Vectors
    asked: tuple[str, ...] = ()
    asked_vectors: tuple[Vectors, ...] = ()
    unanswered: tuple[str, ...] = ()
    unanswered_vectors: tuple[Vectors, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredDocument:
    source: str
    title: str
    digest: str
    passages: tuple[StoredPassage, ...]


class Hit(NamedTuple):
    """A passage with its scores: ``embedding`` is its cosine to the question (or that of a listed question, less
    ``QUESTION_LEAD``), ``bm25`` its word score, ``fused`` what passages are ordered by, ``confidence`` in [0, 1] that it
    answers the question. ``evidence`` is that of the best passage, the same for all."""

    source: str
    title: str
    heading: str
    text: str
    embedding: float
    bm25: float
    fused: float
    confidence: float
    evidence: Evidence


class _Rows:
    """Unit vectors in numbered slots, each with an owner; an empty slot is all zeros and owned by nobody (-1)."""

    def __init__(self) -> None:
        self._vectors = np.zeros((0, 0), np.float32)
        self._owners = np.zeros(0, np.intp)
        self._free: list[int] = []
        self.used = 0  # slots that were ever filled

    def add(self, vector: Vectors, owner: int | None = None) -> int:
        """The slot; it owns itself unless ``owner`` is given."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = self.used
            self.used += 1
            if slot >= len(self._vectors):
                capacity = max(_FIRST_CAPACITY, 2 * len(self._vectors))
                vectors = np.zeros((capacity, len(vector)), np.float32)
                owners = np.full(capacity, -1, np.intp)
                if slot:
                    vectors[:slot], owners[:slot] = self._vectors, self._owners
                self._vectors, self._owners = vectors, owners
        self._vectors[slot] = vector
        self._owners[slot] = slot if owner is None else owner
        return slot

    def drop(self, slot: int) -> None:
        self._vectors[slot] = 0.0
        self._owners[slot] = -1
        self._free.append(slot)

    def cosines(self, vector: Vectors) -> tuple[Vectors, NDArray[np.intp]]:
        """Of every slot ever used, with its owner."""
        if not self.used:
            return np.zeros(0, np.float32), np.zeros(0, np.intp)
        cosines: Vectors = self._vectors[: self.used] @ vector
        return cosines, self._owners[: self.used]


class _Slots(NamedTuple):
    passages: list[int]
    questions: list[int]
    unanswered: list[int]


class HybridIndex:
    """The passages of one collection."""

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._documents: dict[str, StoredDocument] = {}
        self._slots: dict[str, _Slots] = {}
        self._at: dict[int, tuple[StoredDocument, StoredPassage]] = {}
        self._passages, self._questions, self._unanswered = _Rows(), _Rows(), _Rows()
        self._words = Bm25()

    def put(self, document: StoredDocument) -> None:
        """Takes a document in, in place of one with the same source."""
        self.drop(document.source)
        slots = _Slots([], [], [])
        for passage in document.passages:
            slot = self._passages.add(passage.vector)
            slots.passages.append(slot)
            slots.questions.extend(self._questions.add(vector, slot) for vector in passage.asked_vectors)
            slots.unanswered.extend(self._unanswered.add(vector, slot) for vector in passage.unanswered_vectors)
            self._at[slot] = (document, passage)
            self._words.put(slot, " ".join((document.title, passage.heading, passage.text, *passage.asked)))
        self._documents[document.source] = document
        self._slots[document.source] = slots

    def drop(self, source: str) -> None:
        """Takes a document out, if there is one."""
        slots = self._slots.pop(source, None)
        if slots is None:
            return
        del self._documents[source]
        for slot in slots.passages:
            self._passages.drop(slot)
            self._words.drop(slot)
            del self._at[slot]
        for slot in slots.questions:
            self._questions.drop(slot)
        for slot in slots.unanswered:
            self._unanswered.drop(slot)

    def documents(self) -> Sequence[StoredDocument]:
        """All documents, by source."""
        return [self._documents[source] for source in sorted(self._documents)]

    def search(self, query: str, vector: Vectors, k: int) -> tuple[Hit, ...]:
        """The ``k`` best passages, best first; fewer if there are fewer."""
        if not self._at:
            return ()
        cosines, owners = self._passages.cosines(vector)
        near, led = self._questions.cosines(vector)
        asked = np.full(len(cosines), -1.0, np.float32)
        np.maximum.at(asked, led[led >= 0], near[led >= 0])
        embedding = np.maximum(cosines, asked - QUESTION_LEAD)
        words = self._words.search(query, len(cosines))
        share: Vectors = words.score / np.float32(max(words.ceiling, _CEILING_MIN))
        fused: Vectors = embedding + np.float32(WORDS_WEIGHT) * share
        fused[owners < 0] = -np.inf
        k = min(k, len(self._at))
        best = np.argpartition(-fused, k - 1)[:k]
        best = best[np.argsort(-fused[best], kind="stable")]
        rival = self._rival(vector, float(max(cosines.max(), asked.max())))
        evidence = Evidence(float(embedding[best[0]]), 1 - words.known, rival)
        hits: list[Hit] = []
        for slot in best.tolist():
            document, passage = self._at[slot]
            hits.append(
                Hit(
                    document.source,
                    document.title,
                    passage.heading,
                    passage.text,
                    float(embedding[slot]),
                    float(words.score[slot]),
                    float(fused[slot]),
                    self._calibration.confidence(evidence, float(fused[best[0]] - fused[slot])),
                    evidence,
                )
            )
        return tuple(hits)

    def _rival(self, vector: Vectors, best: float) -> float | None:
        """How much nearer than the best evidence a question known to be unanswered is; 0 where none comes close, ``None``
        where none is listed."""
        near, owners = self._unanswered.cosines(vector)
        near = near[owners >= 0]
        return max(0.0, float(near.max()) - best - _RIVAL_FROM) if len(near) else None
