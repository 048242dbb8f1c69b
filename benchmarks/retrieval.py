"""How long the knowledge base takes to find passages in a collection of thousands.

Builds a collection of varied synthetic text with the real embedding model and the real store, then asks questions that it
has not seen: one after another, and eight at once (each then waits for the others' embeddings and for the one search
thread). Of the former it says where the time goes: embedding the question, the word index, and the rest (vectors, fusion,
two changes of threads, a look for what other processes changed).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as a server is run: a core for each call's work

import numpy as np
from common import console, save
from numpy.typing import NDArray
from rich.table import Table

from voice_agent.config import KnowledgeSettings
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.rag.bm25 import Bm25
from voice_agent.rag.chunking import Chunk
from voice_agent.rag.ingest import Document
from voice_agent.rag.pipeline import open_knowledge

TARGET_P95_MS = 30.0
CHUNKS_PER_DOCUMENT = 20
AT_ONCE = 8

THINGS = (
    "tent backpack lantern kettle jacket boot stove mattress paddle compass rope helmet saddle lamp table chair "
    "carpet curtain pillow blanket mug bowl pan knife scarf glove sock shirt sweater vest belt wallet suitcase bicycle "
    "scooter trailer awning hammock cooler bottle flask torch battery charger cable speaker camera tripod drone printer"
).split()
KINDS = (
    "red blue light heavy folding electric wooden woollen waterproof recycled small large winter summer guest junior"
).split()
ACTS = (
    "return repair wash store order cancel ship insure rent exchange clean fold charge mount adjust replace test register"
).split()
PLACES = "warehouse workshop counter website branch depot garage kitchen office portal hotline showroom".split()
RULES = (
    "You may {act} the {kind} {thing} {code} within {n} days at the {place}.",
    "To {act} a {thing} of series {code}, bring it to the {place} together with the {other}.",
    "The {kind} {thing} costs {n} dollars and comes with a {other}.",
    "Never {act} the {thing} near the {other}, as its {kind} parts wear out after {n} weeks.",
    "Our {place} will {act} your {kind} {thing} free of charge for orders over {n} dollars.",
    "If the {thing} {code} does not fit, the {place} sends a {kind} {other} instead.",
)
ASKED = (
    "how long do i have to {act} the {kind} {thing}",
    "What does the {kind} {thing} cost?",
    "where can i {act} a {thing} of series {code}",
    "Can the {place} {act} my {thing} and the {other}?",
    "is it safe to {act} the {kind} {thing} near the {other}",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=5000, help="passages in the collection (default 5000)")
    parser.add_argument("--asked", type=int, default=1, help="listed questions for each passage (default 1)")
    parser.add_argument("--searches", type=int, default=400, help="different questions to ask (default 400)")
    return parser.parse_args()


class TimedEmbedder:
    """The real embedder, with a note of how long each question took."""

    def __init__(self, embedder: MiniLmEmbedder) -> None:
        self._embedder = embedder
        self.last_ms = 0.0

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        started = time.perf_counter()
        rows = await self._embedder.embed(texts)
        self.last_ms = (time.perf_counter() - started) * 1000
        return rows

    def embed_now(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embedder.embed_now(texts)


def sentence(rng: random.Random, templates: Sequence[str]) -> str:
    return rng.choice(templates).format(
        act=rng.choice(ACTS),
        kind=rng.choice(KINDS),
        thing=rng.choice(THINGS),
        other=rng.choice(THINGS),
        place=rng.choice(PLACES),
        code=f"{rng.choice('ABCDEFGHKLMNPRSTVWXZ')}{rng.randrange(100, 1000)}",
        n=rng.randrange(2, 400),
    )


def documents(chunks: int, asked: int, rng: random.Random) -> list[Document]:
    made: list[Document] = []
    for number in range(0, chunks, CHUNKS_PER_DOCUMENT):
        title = f"{rng.choice(KINDS)} {rng.choice(THINGS)} guide {number}".capitalize()
        parts = tuple(
            Chunk(
                title,
                f"{rng.choice(ACTS)} the {rng.choice(THINGS)}".capitalize(),
                " ".join(sentence(rng, RULES) for _ in range(rng.randrange(2, 5))),
                tuple(sentence(rng, ASKED) for _ in range(asked)),
            )
            for _ in range(min(CHUNKS_PER_DOCUMENT, chunks - number))
        )
        made.append(Document(f"guide-{number}.md", title, f"{number}", parts))
    return made


async def measure(args: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    rng = random.Random(7)
    embedder = TimedEmbedder(MiniLmEmbedder())
    words = Bm25()
    parts: dict[str, list[float]] = {
        "search": [],
        "embedding": [],
        "words": [],
        "rest": [],
        f"search, {AT_ONCE} at once": [],
    }
    async with open_knowledge(KnowledgeSettings(), folder, embedder) as knowledge:
        started = time.perf_counter()
        for document in documents(args.chunks, args.asked, rng):
            await knowledge.put(document)
            for chunk in document.chunks:
                words.put(len(words), " ".join((chunk.title, chunk.heading, chunk.text, *chunk.asked)))
        console.print(
            f"{args.chunks} passages embedded and stored in {time.perf_counter() - started:.0f} s", style="dim"
        )
        slots = len(words)
        for _ in range(10):  # what only the first question pays
            await knowledge.search(sentence(rng, ASKED))
        for _ in range(args.searches):
            question = sentence(rng, ASKED)
            started = time.perf_counter()
            await knowledge.search(question)
            total = (time.perf_counter() - started) * 1000
            started = time.perf_counter()
            words.search(question, slots)
            in_words = (time.perf_counter() - started) * 1000
            parts["search"].append(total)
            parts["embedding"].append(embedder.last_ms)
            parts["words"].append(in_words)
            parts["rest"].append(total - embedder.last_ms - in_words)

        async def one() -> None:
            started = time.perf_counter()
            await knowledge.search(sentence(rng, ASKED))
            parts[f"search, {AT_ONCE} at once"].append((time.perf_counter() - started) * 1000)

        for _ in range(args.searches // AT_ONCE // 2):
            await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    started = time.perf_counter()
    async with open_knowledge(KnowledgeSettings(), folder, embedder):
        console.print(f"opened again in {time.perf_counter() - started:.2f} s", style="dim")
    return parts


def main() -> int:
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="voice-agent-retrieval-") as folder:
        parts = asyncio.run(measure(args, Path(folder)))
    table = Table(title=f"Retrieval from {args.chunks} passages", title_justify="left")
    for column in ("milliseconds", "n", "P50", "P95", "P99", "max"):
        table.add_column(column, justify="left" if column == "milliseconds" else "right")
    figures: dict[str, dict[str, float]] = {}
    for name, values in parts.items():
        p50, p95, p99 = (round(float(value), 2) for value in np.percentile(values, (50, 95, 99)))
        figures[name] = {"n": len(values), "p50": p50, "p95": p95, "p99": p99, "max": round(max(values), 2)}
        table.add_row(name, *(f"{value:g}" for value in figures[name].values()))
    console.print(table)
    save(
        "retrieval",
        {"chunks": args.chunks, "asked": args.asked, "milliseconds": figures, "target_p95_ms": TARGET_P95_MS},
    )
    met = figures["search"]["p95"] <= TARGET_P95_MS
    console.print(f"P95 {figures['search']['p95']:g} ms, target {TARGET_P95_MS:g} ms: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
