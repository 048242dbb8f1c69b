"""The vectors of a document.

A passage's vector is the mean of two embeddings, one with the document's title before the text and one with the
section's heading alone: the title tells what the text is about, but in a long prefix it blurs what this passage adds.
A question that the document lists for the passage has a vector too, between its own and the passage's, so that a question
leads to its answer without drawing in whatever sounds like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voice_agent.rag.chunking import Chunk
from voice_agent.rag.hybrid import StoredDocument, StoredPassage
from voice_agent.rag.ingest import Document

# Of the question in its vector; the rest is its passage. Found on the labelled questions that also fit the calibration;
# results change little around it.
_QUESTION_SHARE = 0.8


class Embed(Protocol):
    """Unit-length rows, one per text: ``embed`` off the event loop, ``embed_now`` on the calling thread."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def embed_now(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def passage_texts(chunk: Chunk) -> tuple[str, str]:
    """The two texts whose embeddings make a passage's vector."""
    full = ". ".join(part for part in (chunk.title, chunk.heading, chunk.text) if part)
    return full, f"{chunk.heading or chunk.title}. {chunk.text}"


def embed_document(embedder: Embed, document: Document) -> StoredDocument:
    """The document with all its vectors; about a millisecond for each text, on the calling thread."""
    chunks = document.chunks
    vectors = embed_passages(embedder, chunks)
    asked = embed_questions(embedder, chunks, vectors)
    unanswered = [embedder.embed_now(chunk.unanswered) if chunk.unanswered else vectors[:0] for chunk in chunks]
    passages = tuple(
        StoredPassage(chunk.heading, chunk.text, vector, chunk.asked, tuple(questions), chunk.unanswered, tuple(rivals))
        for chunk, vector, questions, rivals in zip(chunks, vectors, asked, unanswered, strict=True)
    )
    return StoredDocument(document.source, document.title, document.digest, passages)


def embed_passages(embedder: Embed, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
    """One unit-length row per passage."""
    rows = embedder.embed_now([text for chunk in chunks for text in passage_texts(chunk)])
    return _unit(rows.reshape(len(chunks), 2, -1).mean(axis=1))


def embed_questions(
    embedder: Embed, chunks: Sequence[Chunk], passages: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """For each passage a matrix of unit-length rows, one for each question that the document lists for it."""
    texts = [question for chunk in chunks for question in chunk.asked]
    if not texts:
        return [passages[:0] for _ in chunks]
    rows = embedder.embed_now(texts)
    ends = np.cumsum([len(chunk.asked) for chunk in chunks]).tolist()
    return [
        _unit(_QUESTION_SHARE * rows[start:end] + (1 - _QUESTION_SHARE) * passage)
        for start, end, passage in zip([0, *ends[:-1]], ends, passages, strict=True)
    ]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
