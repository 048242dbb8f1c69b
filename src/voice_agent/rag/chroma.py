"""The vector index: a Chroma collection on disk. Everything here blocks and is called from the knowledge base's thread.

Vectors come from outside (Chroma's own embedder would download a model). Several processes may open the same folder: a
writer's documents are seen by the others' next query. Importing Chroma takes over a second of processor time, so it is
imported in the constructor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_agent.errors import ConfigError, StoreError
from voice_agent.rag.chunking import Chunk

_MODEL_KEY = "embedding_model"
_QUESTION = "question"  # the kind of a row that leads to a passage by a question it answers
_QUESTIONS_PER_PASSAGE = 6  # as many rows may lead to one passage before others are cut off


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A stored passage and its cosine to the query; see ``ChromaIndex.nearest``."""

    source: str
    title: str
    heading: str
    text: str
    cosine: float


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    source: str
    title: str
    digest: str
    chunks: int


class ChromaIndex:
    """One collection. Not thread-safe: one thread at a time.

    Raises ``ConfigError`` from the constructor (folder not writable, damaged, bad collection name, made with another
    embedding model) and ``StoreError`` from the methods.
    """

    def __init__(self, folder: Path, collection: str, embedding_model: str) -> None:
        try:
            import chromadb
            from chromadb.config import Settings
        except ImportError as error:
            raise ConfigError(
                f"the knowledge base needs the package chromadb ({error}): install voice-agent with its 'rag' extra, "
                "or set ENABLE_RAG=false."
            ) from None
        except ValueError as error:  # Chroma reads the environment and .env by itself while it is imported
            raise ConfigError(f"Chroma does not accept a setting it found in the environment: {error}") from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
            self._collection: Any = client.get_or_create_collection(
                collection,
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine"}},
                metadata={_MODEL_KEY: embedding_model},
            )
        except BaseException as error:  # a panic of Chroma's native part is a BaseException
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise ConfigError(
                f"the knowledge base {str(folder)!r}, collection {collection!r}, cannot be opened: {error}. Check "
                "CHROMA_COLLECTION and that the folder can be written; if it is damaged, move it away and add the "
                "documents again."
            ) from None
        made_with = (self._collection.metadata or {}).get(_MODEL_KEY, "an unknown model")
        if made_with != embedding_model:
            raise ConfigError(
                f"the collection {collection!r} was made with the embedding model {made_with!r}, but EMBEDDING_MODEL "
                f"is {embedding_model!r}: choose another CHROMA_COLLECTION and add the documents again."
            )

    def replace(
        self,
        source: str,
        digest: str,
        chunks: Sequence[Chunk],
        vectors: NDArray[np.float32],
        questions: Sequence[NDArray[np.float32]],
    ) -> None:
        """Stores passages in place of what was stored under ``source``: each with its row of ``vectors`` and with its
        matrix of ``questions``, one row (or none) for each question that leads to it.

        Searches meanwhile see old or new passages, never none.
        """
        ids: list[str] = []
        metadatas: list[dict[str, str]] = []
        documents: list[str] = []
        rows: list[NDArray[np.float32]] = []
        for position, (chunk, vector, asked) in enumerate(zip(chunks, vectors, questions, strict=True)):
            passage = f"{source}#{position}"
            facts = {"source": source, "digest": digest, "title": chunk.title, "heading": chunk.heading}
            for number, row in enumerate((vector, *asked)):
                ids.append(f"{passage}?{number}" if number else passage)
                metadatas.append({**facts, "passage": passage, "kind": _QUESTION if number else "passage"})
                documents.append(chunk.text)
                rows.append(row)
        with _translated():
            old = self._collection.get(where={"source": source}, include=[])["ids"]
            self._collection.upsert(ids=ids, embeddings=np.stack(rows), metadatas=metadatas, documents=documents)
            stale = sorted(set(old) - set(ids))
            if stale:
                self._collection.delete(ids=stale)

    def remove(self, source: str) -> int:
        """Deletes a document; gives the number of passages it had."""
        with _translated():
            found = self._collection.get(where={"source": source}, include=["metadatas"])
            if found["ids"]:
                self._collection.delete(ids=found["ids"])
        return sum(1 for metadata in found["metadatas"] if metadata["kind"] != _QUESTION)

    def documents(self) -> tuple[IndexedDocument, ...]:
        """All documents, by source."""
        with _translated():
            stored = self._collection.get(where={"kind": {"$ne": _QUESTION}}, include=["metadatas"])["metadatas"]
        counts: dict[str, int] = {}
        facts: dict[str, Mapping[str, str]] = {}
        for metadata in stored:
            counts[metadata["source"]] = counts.get(metadata["source"], 0) + 1
            facts[metadata["source"]] = metadata
        return tuple(
            IndexedDocument(source, facts[source]["title"], facts[source]["digest"], counts[source])
            for source in sorted(facts)
        )

    def nearest(self, vector: NDArray[np.float32], k: int, *, question_lead: float) -> tuple[IndexedChunk, ...]:
        """The ``k`` nearest passages, best first; fewer if there are fewer. A passage's cosine is its own, or that of the
        nearest question leading to it less ``question_lead``, whichever is higher."""
        best: dict[str, IndexedChunk] = {}
        with _translated():
            for kind, wanted, lead in (
                ({"$ne": _QUESTION}, k, 0.0),
                ({"$eq": _QUESTION}, k * _QUESTIONS_PER_PASSAGE, question_lead),
            ):
                found = self._collection.query(
                    query_embeddings=vector.reshape(1, -1),
                    n_results=wanted,
                    where={"kind": kind},
                    include=["metadatas", "documents", "distances"],
                )
                rows = zip(found["metadatas"][0], found["documents"][0], found["distances"][0], strict=True)
                for metadata, text, distance in rows:
                    cosine = 1.0 - float(distance) - lead
                    known = best.get(metadata["passage"])
                    if known is None or cosine > known.cosine:
                        best[metadata["passage"]] = IndexedChunk(
                            metadata["source"], metadata["title"], metadata["heading"], text, cosine
                        )
        return tuple(sorted(best.values(), key=lambda chunk: -chunk.cosine)[:k])


class _translated:  # noqa: N801 - used like a function
    """Turns Chroma's failures, panics of its native part included, into ``StoreError``."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise StoreError(f"the knowledge base failed: {type(error).__name__}: {error}") from error
