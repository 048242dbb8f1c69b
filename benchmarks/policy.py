"""What policy costs and how right it is: milliseconds for a caller turn, and what of it is embedding and rules.

One process, turns of ``tests/data/policy_utterances.yaml``, no vector kept from one turn to the next (in a call the vectors
of a turn are kept, for the language model that asks for them next). How right it is, also of ``policy_strangers.yaml``.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from common import console, print_summaries, save, summary
from tests.unit.providers.understanding.utterances import (
    Figures,
    HumanWanted,
    Utterance,
    judge,
    judge_strangers,
    utterances,
)

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.understanding.matcher import prepare_text
from voice_agent.providers.understanding.segments import split_turn
from voice_agent.providers.understanding.semantic import LANGUAGES, SemanticUnderstanding, load_policy


async def run(rounds: int) -> None:
    turns = utterances()
    understanding = SemanticUnderstanding(MiniLmEmbedder(cache_texts=1))
    await understanding.warm_up()
    rows: dict[str, list[float]] = {}
    for language in LANGUAGES:
        own = [turn for turn in turns if turn.language == language]
        rows[f"{language}: decision"] = await _decisions(understanding, own, rounds)
        if language == "en":
            rows["en: of that, embedding"] = _embedding(own)
        rows[f"{language}: of that, rules"] = _rules(language, own)
    print_summaries("policy, ms for a caller turn", rows)
    rightness = await _rightness(turns)
    for name, figures in rightness.items():
        console.print(f"{name}: {figures}")
    save(
        "policy",
        {
            "ms": {name: summary(values) for name, values in rows.items()},
            "right": {name: str(figures) for name, figures in rightness.items()},
        },
    )


async def _decisions(understanding: SemanticUnderstanding, turns: list[Utterance], rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds):
        for turn in turns:
            begun = time.perf_counter()
            await understanding.meanings(turn.text, locale=turn.language)
            taken.append((time.perf_counter() - begun) * 1_000)
    return taken


def _embedding(turns: list[Utterance]) -> list[float]:
    embedder = MiniLmEmbedder(cache_texts=1)
    embedder.embed_now(["warm up"])
    taken = []
    for turn in turns:
        texts = [prepare_text(segment.text) for segment in split_turn(turn.text)]
        begun = time.perf_counter()
        embedder.embed_now(texts)
        taken.append((time.perf_counter() - begun) * 1_000)
    return taken


def _rules(language: str, turns: list[Utterance]) -> list[float]:
    common = load_policy("en").rule_set()
    rules = common if language == "en" else load_policy(language).rule_set() + common
    taken = []
    for turn in turns:
        begun = time.perf_counter()
        rules.meant(turn.text)
        taken.append((time.perf_counter() - begun) * 1_000)
    return taken


async def _rightness(turns: list[Utterance]) -> dict[str, Figures | HumanWanted]:
    understanding = SemanticUnderstanding(MiniLmEmbedder())
    figures = await judge(understanding, turns)
    english = Figures(tuple(j for j in figures.judged if j.utterance.language == "en"))
    parts: dict[str, Figures | HumanWanted] = {"English": english}
    for part in ("development", "held_out"):
        parts[f"English, strangers, {part}"] = await judge_strangers(understanding, part)
    return parts | {language: figures.of([language]) for language in LANGUAGES if language != "en"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each turn is decided")
    asyncio.run(run(parser.parse_args().rounds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
