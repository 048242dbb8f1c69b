"""The knowledge base: documents in, evidence with a calibrated confidence out.

Passages and the questions that documents list for them have vectors (``vectors.py``); vectors and words are searched
together (``hybrid.py``). A question is answerable if the best passage's calibrated confidence reaches the threshold.

A collection is kept apart by language; what a language's part does not answer is looked up in the default language's.
Asked of several collections, the one that is surest answers.

Collections are served by one thread; documents are read and embedded by another, and questions are embedded by the
embedder's own pool, so a long ingestion does not keep questions waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from voice_agent.config import KnowledgeSettings
from voice_agent.conversation.locales import DEFAULT_LOCALE, LANGUAGES, language_of
from voice_agent.errors import ConfigError, StoreError
from voice_agent.models import KnowledgeAnswer, Passage
from voice_agent.rag.calibration import CALIBRATIONS, Calibration
from voice_agent.rag.chroma import ChromaStore, changes_file
from voice_agent.rag.fetch import AllowedHosts, Fetcher, GoneError
from voice_agent.rag.hybrid import Hit, HybridIndex, StoredDocument
from voice_agent.rag.ingest import Document, find_documents, read_document
from voice_agent.rag.names import check_collection_name
from voice_agent.rag.vectors import Embed, embed_document

CHROMA_FOLDER = "chroma"
PASSAGES = 4

#: A spoken question has a few dozen words; the model reads no more than the first 256 tokens anyway.
_QUERY_MAX_CHARS = 1000

Inspect = Callable[[str], tuple[str, ...]]

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of each source; ``failed`` holds (file, reason), ``doubtful`` (source, rules): new text that tries to
    give instructions, by the names of the rules that found it."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    doubtful: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    source: str
    title: str
    digest: str
    chunks: int


@dataclass(frozen=True, slots=True)
class _Place:
    """One language's part of a collection."""

    collection: str
    language: str


class _Shelf:
    """The documents of one place: on disk, and in memory for searching. Used in the knowledge thread only."""

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

    ``locale`` (a tag such as "es-MX") chooses the part by its language; without it, the default language's. ``collection``
    is the configured one unless another is named.
    """

    def __init__(
        self,
        settings: KnowledgeSettings,
        folder: Path,
        embedder: Embed,
        calibration: Calibration,
        fetcher: Fetcher,
        default_locale: str,
        inspect: Inspect = lambda _: (),
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._embedder = embedder
        self._calibration = calibration
        self._fetcher = fetcher
        self._default = language_of(default_locale)
        self._inspect = inspect
        self._shelves: dict[_Place, _Shelf] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="knowledge")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="knowledge-ingest")

    async def open(self) -> None:
        """Opens the configured collection in the default language. Raises ``ConfigError``."""
        await self._in_thread(self._shelf, self._place())

    def close(self) -> None:
        for thread in (self._thread, self._reader):
            thread.shutdown(wait=False, cancel_futures=True)

    async def search(
        self, query: str, k: int = PASSAGES, *, locale: str = "", collections: tuple[str, ...] = ()
    ) -> KnowledgeAnswer:
        """The best passages for a question. Cancellation is safe. Raises ``StoreError`` and the embedder's errors."""
        passages = tuple(
            Passage(_spoken_title(hit), hit.text, hit.source, hit.confidence)
            for hit in await self.hits(query, k, locale=locale, collections=collections)
        )
        confidence = passages[0].score if passages else 0.0
        return KnowledgeAnswer(confidence >= self._settings.confidence_threshold, confidence, passages)

    async def hits(
        self, query: str, k: int = PASSAGES, *, locale: str = "", collections: tuple[str, ...] = ()
    ) -> tuple[Hit, ...]:
        """Like ``search``, with the scores of either index."""
        words = " ".join(query.split())[:_QUERY_MAX_CHARS]
        if not words:
            return ()
        vector = (await self._embedder.embed([words]))[0]
        places = [self._place(locale, collection) for collection in collections or (self._settings.collection,)]
        return await self._in_thread(self._hits, words, vector, k, places)

    async def add(
        self, paths: Iterable[Path], urls: Iterable[str] = (), *, locale: str = "", collection: str = ""
    ) -> IngestReport:
        """Reads files, folders and web addresses, stores what is new or changed, and removes what has vanished: documents
        that came from one of the folders and are no longer in it, and addresses that no longer exist.

        A document that cannot be used is reported, its former state is kept, and the others are added. Raises
        ``ConfigError`` for a path that does not exist, ``StoreError`` if storing fails.
        """
        targets = tuple(paths)
        files = await self._reading(find_documents, targets)
        intake = await self._intake(self._place(locale, collection))
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
        intake = await self._intake(self._place(locale))
        for path, source in files:
            await intake.file(path, source)
        return intake.report()

    async def remove(self, source: str, *, locale: str = "", collection: str = "") -> int:
        """Deletes a document; gives the number of its passages (0: there was none). Raises ``StoreError``."""
        return await self._in_thread(self._remove, source, self._place(locale, collection))

    async def documents(self, *, locale: str = "", collection: str = "") -> tuple[IndexedDocument, ...]:
        """All documents of a language, by source."""
        return await self._in_thread(self._documents, self._place(locale, collection))

    async def put(self, document: Document, *, locale: str = "", collection: str = "") -> None:
        """Embeds and stores one document. Raises ``StoreError`` and the embedder's errors."""
        await self._put(document, self._place(locale, collection))

    async def has(self, collection: str) -> bool:
        """Whether there is such a collection, in whatever language."""
        return await self._in_thread(self._has, collection)

    async def fetch(self, url: str) -> Document:
        """The document at a web address, see ``Fetcher.read``."""
        return await self._fetcher.read(url)

    async def read(self, path: Path, source: str) -> Document:
        """The document in a file, see ``read_document``."""
        return await self._reading(read_document, path, source)

    async def _put(self, document: Document, place: _Place) -> None:
        stored = await self._reading(embed_document, self._embedder, document)
        await self._in_thread(self._replace, stored, place)

    async def _intake(self, place: _Place) -> _Intake:
        known = await self._in_thread(self._documents, place)

        async def put(document: Document) -> None:
            await self._put(document, place)

        async def remove(source: str) -> None:
            await self._in_thread(self._remove, source, place)

        return _Intake(self, put, remove, self._inspected, {document.source: document.digest for document in known})

    async def _inspected(self, document: Document) -> tuple[str, ...]:
        text = "\n".join(part for chunk in document.chunks for part in (chunk.heading, chunk.text))
        return await self._reading(self._inspect, text)

    def _place(self, locale: str = "", collection: str = "") -> _Place:
        """Raises ``ConfigError`` for a name that no collection may have."""
        name = collection or self._settings.collection
        try:
            check_collection_name(name)
        except ValueError as error:
            raise ConfigError(f"the collection {error}.") from None
        return _Place(name, language_of(locale) or self._default)

    def _name(self, place: _Place) -> str:
        return place.collection if place.language == self._default else f"{place.collection}-{place.language}"

    def _shelf(self, place: _Place) -> _Shelf:
        if place not in self._shelves:
            name = self._name(place)
            self._shelves[place] = _Shelf(self._folder, name, self._settings.embedding_model, self._calibration)
        return self._shelves[place]

    def _filled(self, place: _Place) -> bool:
        """Whether there is something in a place; it is not made by asking."""
        known = place in self._shelves or place == self._place()
        return known or changes_file(self._folder, self._name(place)).exists()

    def _has(self, collection: str) -> bool:
        return any(self._filled(_Place(collection, language)) for language in (self._default, *LANGUAGES))

    def _hits(self, query: str, vector: NDArray[np.float32], k: int, places: Sequence[_Place]) -> tuple[Hit, ...]:
        found = [self._hits_of(query, vector, k, place) for place in places]
        return max(found, key=_confidence)

    def _hits_of(self, query: str, vector: NDArray[np.float32], k: int, place: _Place) -> tuple[Hit, ...]:
        own = self._hits_in(query, vector, k, place)
        if place.language == self._default or _confidence(own) >= self._settings.confidence_threshold:
            return own
        return max(own, self._hits_in(query, vector, k, _Place(place.collection, self._default)), key=_confidence)

    def _hits_in(self, query: str, vector: NDArray[np.float32], k: int, place: _Place) -> tuple[Hit, ...]:
        return self._shelf(place).index().search(query, vector, k) if self._filled(place) else ()

    def _documents(self, place: _Place) -> tuple[IndexedDocument, ...]:
        if not self._filled(place):
            return ()
        return tuple(
            IndexedDocument(document.source, document.title, document.digest, len(document.passages))
            for document in self._shelf(place).index().documents()
        )

    def _replace(self, document: StoredDocument, place: _Place) -> None:
        shelf = self._shelf(place)
        shelf.store.replace(document)
        shelf.index()  # now, rather than while a caller waits

    def _remove(self, source: str, place: _Place) -> int:
        passages = {document.source: document.chunks for document in self._documents(place)}
        if source not in passages:
            return 0
        shelf = self._shelf(place)
        shelf.store.remove(source)
        shelf.index()
        return passages[source]

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _reading(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, *arguments)


class _Intake:
    """One ingestion into one place: what is known there, and what became of each source."""

    def __init__(
        self,
        knowledge: KnowledgeBase,
        put: Callable[[Document], Awaitable[None]],
        remove: Callable[[str], Awaitable[None]],
        inspect: Callable[[Document], Awaitable[tuple[str, ...]]],
        digests: dict[str, str],
    ) -> None:
        self.digests = digests
        self._knowledge = knowledge
        self._put = put
        self._remove = remove
        self._inspect = inspect
        self._doubtful: list[tuple[str, tuple[str, ...]]] = []
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
        await self._remove(source)
        self._outcome["removed"].append(source)

    def report(self) -> IngestReport:
        return IngestReport(
            **{kind: tuple(sources) for kind, sources in self._outcome.items()},
            failed=tuple(self._failed),
            doubtful=tuple(self._doubtful),
        )

    async def _keep(self, document: Document) -> None:
        known = self.digests.get(document.source)
        if known == document.digest:
            self._outcome["unchanged"].append(document.source)
            return
        if rules := await self._inspect(document):
            self._doubtful.append((document.source, rules))
        await self._put(document)
        self.digests[document.source] = document.digest
        self._outcome["added" if known is None else "updated"].append(document.source)


@asynccontextmanager
async def open_knowledge(
    settings: KnowledgeSettings,
    state_dir: Path,
    embedder: Embed,
    *,
    default_locale: str = DEFAULT_LOCALE,
    inspect: Inspect = lambda _: (),
) -> AsyncIterator[KnowledgeBase]:
    """Opens the collections in ``state_dir``, creating the default one if need be; one to two seconds, off the loop.
    ``inspect`` names what is doubtful about a new document's text.

    Raises ``ConfigError``, see ``ChromaStore`` and ``AllowedHosts``; also for an embedding model without a calibration.
    """
    calibration = CALIBRATIONS.get(settings.embedding_model)
    if calibration is None:
        raise ConfigError(
            f"EMBEDDING_MODEL={settings.embedding_model!r} has no calibrated confidence: use one of "
            f"{', '.join(CALIBRATIONS)}."
        )
    fetcher = Fetcher(AllowedHosts.parse(settings.allowed_hosts))
    knowledge = KnowledgeBase(
        settings, state_dir / CHROMA_FOLDER, embedder, calibration, fetcher, default_locale, inspect
    )
    try:
        await knowledge.open()
        yield knowledge
    finally:
        knowledge.close()


def _confidence(hits: tuple[Hit, ...]) -> float:
    return hits[0].confidence if hits else -1.0


def _spoken_title(hit: Hit) -> str:
    return f"{hit.title}: {hit.heading}" if hit.heading else hit.title
