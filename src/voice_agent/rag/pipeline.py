"""The knowledge base: documents in, evidence with a calibrated confidence out.

A passage's vector is the mean of two embeddings, one with the document's title before the text and one with the
section's heading alone: the title tells what the text is about, but in a long prefix it blurs what this passage adds.
A question that the document lists for the passage has a vector too, between its own and the passage's, so that a question
leads to its answer without drawing in whatever sounds like it. A question is answerable if the best passage's calibrated
confidence reaches the threshold.

Chroma blocks and is served by one thread; questions are embedded by the embedder's own pool. Between two documents of
an ingestion, waiting questions get their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from voice_agent.config import KnowledgeSettings
from voice_agent.errors import ConfigError
from voice_agent.models import KnowledgeAnswer, Passage
from voice_agent.rag.calibration import CALIBRATIONS, Calibration
from voice_agent.rag.chroma import ChromaIndex, IndexedChunk, IndexedDocument
from voice_agent.rag.chunking import Chunk
from voice_agent.rag.ingest import Document, find_documents, read_document

CHROMA_FOLDER = "chroma"
PASSAGES = 4

# Questions resemble questions more than answers do: so much nearer must one be to count as much as the passage itself.
# Both numbers were found on the labelled questions that also fit the calibration; it changes little around them.
_QUESTION_LEAD = 0.2
_QUESTION_SHARE = 0.8  # of the question in its vector; the rest is its passage

#: A spoken question has a few dozen words; the model reads no more than the first 256 tokens anyway.
_QUERY_MAX_CHARS = 1000

T = TypeVar("T")


class Embed(Protocol):
    """Unit-length rows, one per text: ``embed`` off the event loop, ``embed_now`` on the calling thread."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def embed_now(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of each source; ``failed`` holds (file, reason)."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class KnowledgeBase:
    """One open collection. Made by ``open_knowledge``; shared by the process."""

    def __init__(
        self,
        index: ChromaIndex,
        embedder: Embed,
        calibration: Calibration,
        threshold: float,
        thread: ThreadPoolExecutor,
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._calibration = calibration
        self._threshold = threshold
        self._thread = thread

    async def search(self, query: str, k: int = PASSAGES) -> KnowledgeAnswer:
        """The best passages for a question. Cancellation is safe. Raises ``StoreError`` and the embedder's errors."""
        words = " ".join(query.split())[:_QUERY_MAX_CHARS]
        if not words:
            return KnowledgeAnswer(answerable=False, confidence=0.0, passages=())
        vector = (await self._embedder.embed([words]))[0]
        found = await self._in_thread(partial(self._index.nearest, vector, k, question_lead=_QUESTION_LEAD))
        passages = tuple(self._passage(chunk) for chunk in found)
        confidence = passages[0].score if passages else 0.0
        return KnowledgeAnswer(confidence >= self._threshold, confidence, passages)

    async def add(self, paths: Iterable[Path]) -> IngestReport:
        """Reads files and folders and stores what is new or changed. A file that cannot be used is reported, and the
        others are added. Raises ``ConfigError`` for a path that does not exist, ``StoreError`` if storing fails."""
        files = await self._in_thread(find_documents, tuple(paths))
        return await self.store((path, path.as_posix()) for path in files)

    async def store(self, files: Iterable[tuple[Path, str]]) -> IngestReport:
        """Like ``add``, for single files under chosen source names."""
        digests = {document.source: document.digest for document in await self.documents()}
        outcome: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": []}
        failed: list[tuple[str, str]] = []
        for path, source in files:
            try:
                document = await self._in_thread(read_document, path, source)
            except ConfigError as error:
                failed.append((str(path), str(error)))
                continue
            if digests.get(source) == document.digest:
                outcome["unchanged"].append(source)
                continue
            await self._in_thread(self._store, document)
            outcome["updated" if source in digests else "added"].append(source)
        return IngestReport(**{kind: tuple(sources) for kind, sources in outcome.items()}, failed=tuple(failed))

    async def remove(self, source: str) -> int:
        """Deletes a document; gives the number of its passages (0: there was none). Raises ``StoreError``."""
        return await self._in_thread(self._index.remove, source)

    async def documents(self) -> tuple[IndexedDocument, ...]:
        """All documents, by source. Raises ``StoreError``."""
        return await self._in_thread(self._index.documents)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _store(self, document: Document) -> None:
        vectors = embed_passages(self._embedder, document.chunks)
        questions = embed_questions(self._embedder, document.chunks, vectors)
        self._index.replace(document.source, document.digest, document.chunks, vectors, questions)

    def _passage(self, chunk: IndexedChunk) -> Passage:
        title = f"{chunk.title}: {chunk.heading}" if chunk.heading else chunk.title
        return Passage(title, chunk.text, chunk.source, self._calibration.confidence(chunk.cosine))


@asynccontextmanager
async def open_knowledge(settings: KnowledgeSettings, state_dir: Path, embedder: Embed) -> AsyncIterator[KnowledgeBase]:
    """Opens the collection in ``state_dir``, creating it if need be; one to two seconds, off the event loop.

    Raises ``ConfigError``, see ``ChromaIndex``; also for an embedding model without a calibration.
    """
    calibration = CALIBRATIONS.get(settings.embedding_model)
    if calibration is None:
        raise ConfigError(
            f"EMBEDDING_MODEL={settings.embedding_model!r} has no calibrated confidence: use one of "
            f"{', '.join(CALIBRATIONS)}."
        )
    thread = ThreadPoolExecutor(1, thread_name_prefix="knowledge")
    try:
        folder = state_dir / CHROMA_FOLDER
        index = await asyncio.get_running_loop().run_in_executor(
            thread, ChromaIndex, folder, settings.collection, settings.embedding_model
        )
        yield KnowledgeBase(index, embedder, calibration, settings.confidence_threshold, thread)
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


def passage_texts(chunk: Chunk) -> tuple[str, str]:
    """The two texts whose embeddings make a passage's vector."""
    full = ". ".join(part for part in (chunk.title, chunk.heading, chunk.text) if part)
    return full, f"{chunk.heading or chunk.title}. {chunk.text}"


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
