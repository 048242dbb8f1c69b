"""The knowledge base: documents in, evidence with a calibrated confidence out.

A passage's vector is the mean of two embeddings, one with the document's title before the text and one with the
section's heading alone: the title tells what the text is about, but in a long prefix it blurs what this passage adds.
A question that the document lists for the passage has a vector too, between its own and the passage's, so that a question
leads to its answer without drawing in whatever sounds like it. Embeddings and words are searched together
(``hybrid.py``). A question is answerable if the best passage's calibrated confidence reaches the threshold.

Each language has a collection of its own; what it does not answer is looked up in the default language's.

Collections are served by one thread; documents are read and embedded by another, and questions are embedded by the
embedder's own pool, so a long ingestion does not keep questions waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from voice_agent.config import KnowledgeSettings
from voice_agent.conversation.locales import DEFAULT_LOCALE
from voice_agent.errors import ConfigError, StoreError
from voice_agent.models import KnowledgeAnswer, Passage
from voice_agent.rag.calibration import CALIBRATIONS, Calibration
from voice_agent.rag.chroma import ChromaStore, changes_file
from voice_agent.rag.chunking import Chunk
from voice_agent.rag.fetch import AllowedHosts, Fetcher, GoneError
from voice_agent.rag.hybrid import Hit, HybridIndex, StoredDocument, StoredPassage
from voice_agent.rag.ingest import Document, find_documents, read_document

CHROMA_FOLDER = "chroma"
PASSAGES = 4

# Of the question in its vector; the rest is its passage. Found on the labelled questions that also fit the calibration;
# results change little around it.
_QUESTION_SHARE = 0.8

#: A spoken question has a few dozen words; the model reads no more than the first 256 tokens anyway.
_QUERY_MAX_CHARS = 1000

log = structlog.get_logger(__name__)

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


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    source: str
    title: str
    digest: str
    chunks: int


class _Shelf:
    """One language's collection: on disk, and in memory for searching. Used in the knowledge thread only."""

    def __init__(self, folder: Path, collection: str, model: str, calibration: Calibration) -> None:
        self.store = ChromaStore(folder, collection, model)
        self._index = HybridIndex(calibration)
        for document in self.store.load():
            self._index.put(document)

    def index(self) -> HybridIndex:
        """The documents as they are now, whichever process wrote them."""
        try:
            changed = self.store.changed()
        except StoreError as error:  # callers get answers from what is in memory
            log.warning("knowledge_not_refreshed", error=str(error)[:200])
            return self._index
        for source, document in changed.items():
            self._index.drop(source)
            if document is not None:
                self._index.put(document)
        return self._index


class KnowledgeBase:
    """The open collections. Made by ``open_knowledge``; shared by the process.

    ``locale`` (a tag such as "es-MX") chooses the collection by its language; without it, the default language's.
    """

    def __init__(
        self,
        settings: KnowledgeSettings,
        folder: Path,
        embedder: Embed,
        calibration: Calibration,
        fetcher: Fetcher,
        default_locale: str,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._embedder = embedder
        self._calibration = calibration
        self._fetcher = fetcher
        self._default = _language(default_locale)
        self._shelves: dict[str, _Shelf] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="knowledge")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="knowledge-ingest")

    async def open(self) -> None:
        """Opens the default language's collection. Raises ``ConfigError``."""
        await self._in_thread(self._shelf, self._default)

    def close(self) -> None:
        for thread in (self._thread, self._reader):
            thread.shutdown(wait=False, cancel_futures=True)

    async def search(self, query: str, k: int = PASSAGES, *, locale: str = "") -> KnowledgeAnswer:
        """The best passages for a question. Cancellation is safe. Raises ``StoreError`` and the embedder's errors."""
        passages = tuple(
            Passage(_spoken_title(hit), hit.text, hit.source, hit.confidence)
            for hit in await self.hits(query, k, locale=locale)
        )
        confidence = passages[0].score if passages else 0.0
        return KnowledgeAnswer(confidence >= self._settings.confidence_threshold, confidence, passages)

    async def hits(self, query: str, k: int = PASSAGES, *, locale: str = "") -> tuple[Hit, ...]:
        """Like ``search``, with the scores of either index."""
        words = " ".join(query.split())[:_QUERY_MAX_CHARS]
        if not words:
            return ()
        vector = (await self._embedder.embed([words]))[0]
        return await self._in_thread(self._hits, words, vector, k, self._language_of(locale))

    async def add(self, paths: Iterable[Path], urls: Iterable[str] = (), *, locale: str = "") -> IngestReport:
        """Reads files, folders and web addresses, stores what is new or changed, and removes what has vanished: documents
        that came from one of the folders and are no longer in it, and addresses that no longer exist.

        A document that cannot be used is reported, its former state is kept, and the others are added. Raises
        ``ConfigError`` for a path that does not exist, ``StoreError`` if storing fails.
        """
        targets = tuple(paths)
        files = await self._reading(find_documents, targets)
        intake = await self._intake(locale)
        for path in files:
            await intake.file(path, path.as_posix())
        for url in urls:
            await intake.url(url)
        folders = [path.resolve().as_posix().rstrip("/") + "/" for path in targets if path.is_dir()]
        present = {path.as_posix() for path in files}
        for source in [known for known in intake.digests if known not in present]:
            if source.startswith(tuple(folders)):
                await intake.vanished(source)
        return intake.report()

    async def store(self, files: Iterable[tuple[Path, str]], *, locale: str = "") -> IngestReport:
        """Like ``add``, for single files under chosen source names."""
        intake = await self._intake(locale)
        for path, source in files:
            await intake.file(path, source)
        return intake.report()

    async def remove(self, source: str, *, locale: str = "") -> int:
        """Deletes a document; gives the number of its passages (0: there was none). Raises ``StoreError``."""
        passages = {document.source: document.chunks for document in await self.documents(locale=locale)}
        if source not in passages:
            return 0
        await self._in_thread(self._remove, source, self._language_of(locale))
        return passages[source]

    async def documents(self, *, locale: str = "") -> tuple[IndexedDocument, ...]:
        """All documents of a language, by source."""
        return await self._in_thread(self._documents, self._language_of(locale))

    async def put(self, document: Document, *, locale: str = "") -> None:
        """Embeds and stores one document. Raises ``StoreError`` and the embedder's errors."""
        stored = await self._reading(embed_document, self._embedder, document)
        await self._in_thread(self._replace, stored, self._language_of(locale))

    async def fetch(self, url: str) -> Document:
        """The document at a web address, see ``Fetcher.read``."""
        return await self._fetcher.read(url)

    async def read(self, path: Path, source: str) -> Document:
        """The document in a file, see ``read_document``."""
        return await self._reading(read_document, path, source)

    async def _intake(self, locale: str) -> _Intake:
        known = await self.documents(locale=locale)
        return _Intake(self, locale, {document.source: document.digest for document in known})

    def _language_of(self, locale: str) -> str:
        return _language(locale) or self._default

    def _name(self, language: str) -> str:
        return self._settings.collection if language == self._default else f"{self._settings.collection}-{language}"

    def _shelf(self, language: str) -> _Shelf:
        if language not in self._shelves:
            name = self._name(language)
            self._shelves[language] = _Shelf(self._folder, name, self._settings.embedding_model, self._calibration)
        return self._shelves[language]

    def _filled(self, language: str) -> bool:
        """Whether a language has a collection; one is not made by asking."""
        known = language in self._shelves or language == self._default
        return known or changes_file(self._folder, self._name(language)).exists()

    def _hits(self, query: str, vector: NDArray[np.float32], k: int, language: str) -> tuple[Hit, ...]:
        own: tuple[Hit, ...] = ()
        if language != self._default and self._filled(language):
            own = self._shelf(language).index().search(query, vector, k)
            if own and own[0].confidence >= self._settings.confidence_threshold:
                return own
        default = self._shelf(self._default).index().search(query, vector, k)
        return max(own, default, key=lambda hits: hits[0].confidence if hits else -1.0)

    def _documents(self, language: str) -> tuple[IndexedDocument, ...]:
        if not self._filled(language):
            return ()
        return tuple(
            IndexedDocument(document.source, document.title, document.digest, len(document.passages))
            for document in self._shelf(language).index().documents()
        )

    def _replace(self, document: StoredDocument, language: str) -> None:
        shelf = self._shelf(language)
        shelf.store.replace(document)
        shelf.index()  # now, rather than while a caller waits

    def _remove(self, source: str, language: str) -> None:
        shelf = self._shelf(language)
        shelf.store.remove(source)
        shelf.index()

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _reading(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, *arguments)


class _Intake:
    """One ingestion: what is known, and what became of each source."""

    def __init__(self, knowledge: KnowledgeBase, locale: str, digests: dict[str, str]) -> None:
        self.digests = digests
        self._knowledge = knowledge
        self._locale = locale
        self._outcome: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": [], "removed": []}
        self._failed: list[tuple[str, str]] = []

    async def file(self, path: Path, source: str) -> None:
        try:
            document = await self._knowledge.read(path, source)
        except ConfigError as error:
            self._failed.append((str(path), str(error)))
        else:
            await self._keep(document)

    async def url(self, url: str) -> None:
        try:
            document = await self._knowledge.fetch(url)
        except GoneError as error:
            if url in self.digests:
                await self.vanished(url)
            else:
                self._failed.append((url, str(error)))
        except ConfigError as error:
            self._failed.append((url, str(error)))
        else:
            await self._keep(document)

    async def vanished(self, source: str) -> None:
        await self._knowledge.remove(source, locale=self._locale)
        self._outcome["removed"].append(source)

    def report(self) -> IngestReport:
        return IngestReport(
            **{kind: tuple(sources) for kind, sources in self._outcome.items()}, failed=tuple(self._failed)
        )

    async def _keep(self, document: Document) -> None:
        known = self.digests.get(document.source)
        if known == document.digest:
            self._outcome["unchanged"].append(document.source)
            return
        await self._knowledge.put(document, locale=self._locale)
        self.digests[document.source] = document.digest
        self._outcome["added" if known is None else "updated"].append(document.source)


@asynccontextmanager
async def open_knowledge(
    settings: KnowledgeSettings, state_dir: Path, embedder: Embed, *, default_locale: str = DEFAULT_LOCALE
) -> AsyncIterator[KnowledgeBase]:
    """Opens the collections in ``state_dir``, creating the default one if need be; one to two seconds, off the loop.

    Raises ``ConfigError``, see ``ChromaStore`` and ``AllowedHosts``; also for an embedding model without a calibration.
    """
    calibration = CALIBRATIONS.get(settings.embedding_model)
    if calibration is None:
        raise ConfigError(
            f"EMBEDDING_MODEL={settings.embedding_model!r} has no calibrated confidence: use one of "
            f"{', '.join(CALIBRATIONS)}."
        )
    fetcher = Fetcher(AllowedHosts.parse(settings.allowed_hosts))
    knowledge = KnowledgeBase(settings, state_dir / CHROMA_FOLDER, embedder, calibration, fetcher, default_locale)
    try:
        await knowledge.open()
        yield knowledge
    finally:
        knowledge.close()


def _language(locale: str) -> str:
    return locale.replace("_", "-").split("-")[0].lower()


def _spoken_title(hit: Hit) -> str:
    return f"{hit.title}: {hit.heading}" if hit.heading else hit.title


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
