"""A word index: BM25 over short texts, kept up to date text by text.

Okapi BM25 with the idf of Lucene, which is never negative (Robertson and Zaragoza, "The Probabilistic Relevance
Framework", 2009). Texts stand in numbered slots that may be filled again after they were emptied. Not thread-safe.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_agent.rag.words import stems

_K1 = 1.2  # how soon repeats of a word stop to count
_B = 0.5  # how much longer texts pay; passages are all short, so less than the usual 0.75

_Posting = tuple[NDArray[np.intp], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class WordScores:
    """``score`` is each slot's BM25 score, ``ceiling`` what no text could exceed for this query, and ``known`` the share of
    the query's words, weighed by how telling they are, that any text holds (0 to 1)."""

    score: NDArray[np.float32]
    ceiling: float
    known: float


class Bm25:
    def __init__(self) -> None:
        self._counts: dict[int, Counter[str]] = {}
        self._postings: dict[str, dict[int, int]] = {}
        self._arrays: dict[str, _Posting] = {}  # of words asked for since they last changed
        self._lengths = np.zeros(0, np.float32)
        self._total = 0

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self._counts)

    def put(self, slot: int, text: str) -> None:
        """Puts a text into a slot, in place of what was there."""
        self.drop(slot)
        counts = Counter(stems(text))
        if slot >= len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros(slot + 1, np.float32)])
        self._counts[slot] = counts
        length = counts.total()
        self._lengths[slot] = length
        self._total += length
        for word, times in counts.items():
            self._postings.setdefault(word, {})[slot] = times
            self._arrays.pop(word, None)

    def drop(self, slot: int) -> None:
        """Empties a slot."""
        counts = self._counts.pop(slot, None)
        if counts is None:
            return
        self._total -= counts.total()
        for word in counts:
            self._arrays.pop(word, None)
            posting = self._postings[word]
            del posting[slot]
            if not posting:
                del self._postings[word]

    def search(self, query: str, slots: int) -> WordScores:
        """Scores for the slots 0 to ``slots`` - 1; 0 where a slot is empty or shares no word with the query."""
        score = np.zeros(slots, np.float32)
        words = tuple(dict.fromkeys(stems(query)))
        weights = {word: self._idf(word) for word in words}
        whole = sum(weights.values())
        if not whole or not self._counts:
            return WordScores(score, 0.0, 0.0)
        mean_length = max(1.0, self._total / len(self._counts))
        for word in words:
            if word not in self._postings:
                continue
            found, times = self._posting(word)
            damping = _K1 * (1 - _B + _B * self._lengths[found] / mean_length)
            score[found] += weights[word] * times * (_K1 + 1) / (times + damping)
        known = sum(weight for word, weight in weights.items() if word in self._postings)
        return WordScores(score, whole * (_K1 + 1), known / whole)

    def _idf(self, word: str) -> float:
        holding = len(self._postings.get(word, ()))
        return math.log(1 + (len(self._counts) - holding + 0.5) / (holding + 0.5))

    def _posting(self, word: str) -> _Posting:
        known = self._arrays.get(word)
        if known is None:
            posting = self._postings[word]
            known = (
                np.fromiter(posting.keys(), np.intp, len(posting)),
                np.fromiter(posting.values(), np.float32, len(posting)),
            )
            self._arrays[word] = known
        return known
