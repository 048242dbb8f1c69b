"""The embedder against a plain NumPy forward pass of the same weights, and its caches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import erf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_agent.errors import ConfigError
from voice_agent.providers.embedding.minilm import MAX_TOKENS, MiniLmEmbedder
from voice_agent.providers.embedding.minilm_graph import HEADS, LAYERS, WIDTH, quantize, read_safetensors
from voice_agent.providers.weights import minilm_folder

Array = NDArray[Any]

SENTENCES = [
    "Where is my order?",
    "what is your return policy",
    "I'd like to speak to a real person, please.",
    "hi",
    "My parcel was supposed to arrive on Tuesday and the tracking page has not changed since the weekend.",
    "That is a happy person",
    "That is a very happy person",
    "Today is a sunny day",
]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def embedder(cache_dir: Path) -> MiniLmEmbedder:
    return MiniLmEmbedder(cache_dir=cache_dir)


def reference(text: str) -> Array:
    """A straightforward float32 forward pass, written from the BERT paper."""
    from tokenizers import Tokenizer

    folder = minilm_folder()
    weights = read_safetensors(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    ids = tokenizer.encode(text).ids

    def dense(x: Array, name: str) -> Array:
        product: Array = x @ weights[f"{name}.weight"].T
        return product + weights[f"{name}.bias"]

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        gained: Array = scaled * weights[f"{name}.weight"]
        return gained + weights[f"{name}.bias"]

    def heads(x: Array) -> Array:
        return x.reshape(len(ids), HEADS, WIDTH // HEADS).transpose(1, 0, 2)

    table = "embeddings"
    hidden = (
        weights[f"{table}.word_embeddings.weight"][ids] + weights[f"{table}.position_embeddings.weight"][: len(ids)]
    )
    hidden = norm(hidden + weights[f"{table}.token_type_embeddings.weight"][0], f"{table}.LayerNorm")
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        query, key, value = (heads(dense(hidden, f"{layer}.attention.self.{p}")) for p in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS)
        chances = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (chances / chances.sum(-1, keepdims=True)) @ value
        joined = mixed.transpose(1, 0, 2).reshape(len(ids), WIDTH)
        hidden = norm(dense(joined, f"{layer}.attention.output.dense") + hidden, f"{layer}.attention.output.LayerNorm")
        wide = dense(hidden, f"{layer}.intermediate.dense")
        active = wide * 0.5 * (1 + np.vectorize(erf)(wide / np.sqrt(2)))
        hidden = norm(dense(active, f"{layer}.output.dense") + hidden, f"{layer}.output.LayerNorm")
    mean: Array = hidden.mean(0) / np.linalg.norm(hidden.mean(0))
    return mean


def test_fp32_graph_equals_the_numpy_forward_pass(cache_dir: Path) -> None:
    rows = MiniLmEmbedder(cache_dir=cache_dir, precision="fp32").embed_now(SENTENCES)
    for row, text in zip(rows, SENTENCES, strict=True):
        np.testing.assert_allclose(row, reference(text), atol=2e-5)


def test_int8_stays_close_to_fp32(embedder: MiniLmEmbedder) -> None:
    rows = embedder.embed_now(SENTENCES)
    cosines = {text: float(row @ reference(text)) for row, text in zip(rows, SENTENCES, strict=True)}
    assert min(cosines.values()) > 0.98, cosines


def test_published_similarities(embedder: MiniLmEmbedder) -> None:
    """The model page's own example: 0.943 for the paraphrase and 0.257 for the unrelated sentence."""
    happy, very_happy, sunny = embedder.embed_now(SENTENCES[-3:])
    assert happy @ very_happy == pytest.approx(0.943, abs=0.02)
    assert happy @ sunny == pytest.approx(0.257, abs=0.04)


def test_rows_are_unit_length_and_do_not_depend_on_their_neighbours(cache_dir: Path) -> None:
    together = MiniLmEmbedder(cache_dir=cache_dir).embed_now(SENTENCES)
    alone = MiniLmEmbedder(cache_dir=cache_dir).embed_now(SENTENCES[2:3])
    assert together.shape == (len(SENTENCES), WIDTH)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together[2], alone[0])


def test_empty_list_and_empty_text(embedder: MiniLmEmbedder) -> None:
    assert embedder.embed_now([]).shape == (0, WIDTH)
    assert np.isfinite(embedder.embed_now([""])).all()


def test_text_beyond_256_tokens_is_cut(embedder: MiniLmEmbedder) -> None:
    long = "parcel " * (MAX_TOKENS - 2)
    rows = embedder.embed_now([long, long + "and something else entirely about the weather"])
    np.testing.assert_array_equal(rows[0], rows[1])


class CountingPool:
    """A pool of one thread that remembers the urgency of each job."""

    def __init__(self) -> None:
        self.urgencies: list[bool] = []
        self._executor = ThreadPoolExecutor(1)

    async def run(self, fn: Callable[..., Any], *args: Any, urgent: bool = True) -> Any:
        self.urgencies.append(urgent)
        return await asyncio.get_running_loop().run_in_executor(self._executor, fn, *args)


async def test_runs_in_the_pool_once_per_text(cache_dir: Path) -> None:
    pool = CountingPool()
    embedder = MiniLmEmbedder(pool, cache_dir=cache_dir, cache_texts=64)
    first = await embedder.embed(["where is my order"])
    again = await embedder.embed(["where is my order"])
    np.testing.assert_array_equal(first, again)
    await embedder.embed([f"sentence number {n}" for n in range(40)])
    assert pool.urgencies == [True, False]


async def test_old_texts_leave_the_cache(cache_dir: Path) -> None:
    pool = CountingPool()
    embedder = MiniLmEmbedder(pool, cache_dir=cache_dir, cache_texts=2)
    for text in ("one", "two", "one", "three", "one", "two"):
        await embedder.embed([text])
    # "one" and "three" and "two" are computed; "two" was the oldest when "three" came, so it is computed again.
    assert len(pool.urgencies) == 4


def test_graph_is_built_once_and_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    good = MiniLmEmbedder(cache_dir=tmp_path).embed_now(["hello"])
    (file,) = tmp_path.iterdir()
    built_ns = file.stat().st_mtime_ns
    MiniLmEmbedder(cache_dir=tmp_path).embed_now(["hello"])
    assert file.stat().st_mtime_ns == built_ns
    file.write_bytes(b"half a mod")
    np.testing.assert_array_equal(MiniLmEmbedder(cache_dir=tmp_path).embed_now(["hello"]), good)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_threads_share_one_embedder(cache_dir: Path) -> None:
    embedder = MiniLmEmbedder(cache_dir=cache_dir)
    expected = MiniLmEmbedder(cache_dir=cache_dir).embed_now(SENTENCES)
    barrier = threading.Barrier(4)

    def work() -> Array:
        barrier.wait()
        return embedder.embed_now(SENTENCES)

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(work) for _ in range(4)]:
            np.testing.assert_array_equal(future.result(), expected)


def test_missing_weights_are_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        MiniLmEmbedder(cache_dir=tmp_path, weights_dir=_folder_without_weights(tmp_path)).embed_now(["hello"])


def _folder_without_weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes((minilm_folder() / "tokenizer.json").read_bytes())
    return folder


def test_cut_weights_are_a_configuration_error(tmp_path: Path) -> None:
    folder = _folder_without_weights(tmp_path)
    with (minilm_folder() / "model.safetensors").open("rb") as file:
        (folder / "model.safetensors").write_bytes(file.read(1 << 20))
    with pytest.raises(ConfigError, match="cut short"):
        MiniLmEmbedder(cache_dir=tmp_path / "cache", weights_dir=folder).embed_now(["hello"])


def test_works_without_a_folder_to_cache_in(tmp_path: Path, cache_dir: Path) -> None:
    (tmp_path / "file").write_text("")
    rows = MiniLmEmbedder(cache_dir=tmp_path / "file" / "models").embed_now(["hello"])
    np.testing.assert_array_equal(rows, MiniLmEmbedder(cache_dir=cache_dir).embed_now(["hello"]))


def test_quantisation_error_is_at_most_half_a_step() -> None:
    matrix = np.random.default_rng(7).normal(size=(384, 64)).astype(np.float32)
    values, scale = quantize(matrix, axis=0, limit=63)
    assert values.dtype == np.int8
    assert np.abs(values).max() == 63
    assert (np.abs(matrix - values * scale) <= scale / 2 + 1e-7).all()
