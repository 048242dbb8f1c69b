"""The documents on disk: a Chroma collection. Everything here blocks and is called from the knowledge base's thread.

Several processes may open the same folder. Chroma serves a collection's texts and facts across processes, but keeps its
vectors in files that another process does not see change (1.5), so each row also carries its vector among its facts,
and searching is done in memory (``hybrid.py``). What a writer changed is noted in a file beside the collection, which
costs a reader one ``stat`` to look at. Importing Chroma takes over a second of processor time, so it is imported in the
constructor.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_agent.errors import ConfigError, StoreError
from voice_agent.rag.hybrid import StoredDocument, StoredPassage

_MODEL_KEY = "embedding_model"
_PASSAGE, _QUESTION, _UNANSWERED = "passage", "question", "unanswered"  # kinds of rows
_ROWS_AT_ONCE = 1000  # Chroma bounds what one call may write

Vectors = NDArray[np.float32]


class ChromaStore:
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
        self._changes = changes_file(folder, collection)
        self._read_bytes = 0  # of the file of changes

    def replace(self, document: StoredDocument) -> None:
        """Stores a document in place of what was stored under its source.

        Readers meanwhile see old or new passages, never none.
        """
        ids: list[str] = []
        metadatas: list[dict[str, str | int]] = []
        texts: list[str] = []
        rows: list[Vectors] = []
        for position, passage in enumerate(document.passages):
            facts: dict[str, str | int] = {
                "source": document.source,
                "digest": document.digest,
                "title": document.title,
                "heading": passage.heading,
                "position": position,
            }
            led = [(_PASSAGE, passage.text, passage.vector)]
            led += [(_QUESTION, *pair) for pair in zip(passage.asked, passage.asked_vectors, strict=True)]
            led += [(_UNANSWERED, *pair) for pair in zip(passage.unanswered, passage.unanswered_vectors, strict=True)]
            for number, (kind, text, vector) in enumerate(led):
                ids.append(f"{document.source}#{position}" + (f"?{number}" if number else ""))
                metadatas.append({**facts, "kind": kind, "vector": _packed(vector)})
                texts.append(text)
                rows.append(vector)
        with _translated():
            old = self._collection.get(where={"source": document.source}, include=[])["ids"]
            for start in range(0, len(ids), _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                self._collection.upsert(
                    ids=ids[part], embeddings=np.stack(rows[part]), metadatas=metadatas[part], documents=texts[part]
                )
            self._delete(sorted(set(old) - set(ids)))
            self._note(document.source)

    def remove(self, source: str) -> None:
        """Deletes a document, if there is one."""
        with _translated():
            self._delete(self._collection.get(where={"source": source}, include=[])["ids"])
            self._note(source)

    def load(self) -> list[StoredDocument]:
        """All documents."""
        with _translated():
            # What is written from here on is read again by ``changed``: twice is harmless, never is not.
            self._read_bytes = self._changes.stat().st_size if self._changes.exists() else 0
            return self._documents(self._collection.get(include=["metadatas", "documents"]))

    def changed(self) -> dict[str, StoredDocument | None]:
        """By source, the documents that any process has stored since the last look; ``None`` for removed ones."""
        with _translated():
            try:
                size = self._changes.stat().st_size
            except FileNotFoundError:
                size = 0
            if size == self._read_bytes:
                return {}
            with self._changes.open("rb") as file:
                file.seek(self._read_bytes)
                lines = file.read(size - self._read_bytes)
            lines = lines[: lines.rfind(b"\n") + 1]  # the last line may still be being written
            sources = sorted({json.loads(line) for line in lines.splitlines()})
            found: dict[str, StoredDocument | None] = dict.fromkeys(sources)
            if sources:
                rows = self._collection.get(where={"source": {"$in": sources}}, include=["metadatas", "documents"])
                found.update((document.source, document) for document in self._documents(rows))
            self._read_bytes += len(lines)
            return found

    def _delete(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            self._collection.delete(ids=ids[start : start + _ROWS_AT_ONCE])

    def _note(self, source: str) -> None:
        with self._changes.open("ab") as file:  # one short write at the end: lines of several writers do not mix
            file.write(json.dumps(source).encode() + b"\n")

    def _documents(self, rows: Mapping[str, Any]) -> list[StoredDocument]:
        by_source: dict[str, list[tuple[Mapping[str, Any], str]]] = {}
        for metadata, text in zip(rows["metadatas"], rows["documents"], strict=True):
            if "vector" in metadata:  # rows of earlier versions have none; adding their document again renews them
                by_source.setdefault(metadata["source"], []).append((metadata, text))
        return [_document(source, found) for source, found in sorted(by_source.items())]


def changes_file(folder: Path, collection: str) -> Path:
    """Exists once the collection has been written to; each line names a source that was stored or removed."""
    return folder / f"{collection}.changes"


def _document(source: str, rows: Iterable[tuple[Mapping[str, Any], str]]) -> StoredDocument:
    by_position: dict[int, dict[str, list[tuple[str, Vectors]]]] = {}
    facts: dict[int, Mapping[str, Any]] = {}
    for metadata, text in rows:
        position = int(metadata["position"])
        kinds = by_position.setdefault(position, {_PASSAGE: [], _QUESTION: [], _UNANSWERED: []})
        kinds[metadata["kind"]].append((text, _unpacked(metadata["vector"])))
        facts[position] = metadata
    passages = [
        StoredPassage(
            heading=facts[position]["heading"],
            text=kinds[_PASSAGE][0][0],
            vector=kinds[_PASSAGE][0][1],
            asked=tuple(text for text, _ in kinds[_QUESTION]),
            asked_vectors=tuple(vector for _, vector in kinds[_QUESTION]),
            unanswered=tuple(text for text, _ in kinds[_UNANSWERED]),
            unanswered_vectors=tuple(vector for _, vector in kinds[_UNANSWERED]),
        )
        for position, kinds in sorted(by_position.items())
        if kinds[_PASSAGE]  # another process is in the middle of replacing it
    ]
    first = next(iter(facts.values()))
    return StoredDocument(source, first["title"], first["digest"], tuple(passages))


def _packed(vector: Vectors) -> str:
    """Half precision moves a cosine by less than 0.001 and halves the rows."""
    return base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii")


def _unpacked(text: str) -> Vectors:
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)


class _translated:  # noqa: N801 - used like a function
    """Turns Chroma's failures, panics of its native part included, into ``StoreError``."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise StoreError(f"the knowledge base failed: {type(error).__name__}: {error}") from error
