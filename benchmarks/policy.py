"""How long policy takes for a caller turn, how much of it is embedding, and how right it is.

    python -m benchmarks.policy

One process, one core, turns of ``tests/data/policy_utterances.yaml``, no vector kept from one turn to the next.
"""

from __future__ import annotations

import asyncio
import time

import numpy as np
from tests.unit.providers.understanding.utterances import HELD_OUT, Figures, Utterance, judge, utterances

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.understanding.matcher import prepare_text
from voice_agent.providers.understanding.segments import split_turn
from voice_agent.providers.understanding.semantic import LANGUAGES, SemanticUnderstanding, load_policy

ROUNDS = 3


async def main() -> None:
    turns = utterances()
    understanding = SemanticUnderstanding(MiniLmEmbedder(cache_texts=1))
    await understanding.warm_up()
    print("ms per turn                    mean    p50    p95")
    for language in LANGUAGES:
        own = [turn for turn in turns if turn.language == language]
        _row(f"{language}: decision", await _decisions(understanding, own))
        if language == "en":
            _row("en: of that, embedding", _embedding(own))
        _row(f"{language}: of that, rules", _rules(language, own))
    for name, figures in (await _rightness(turns)).items():
        print(f"{name}: {figures}")


async def _decisions(understanding: SemanticUnderstanding, turns: list[Utterance]) -> list[float]:
    taken = []
    for _ in range(ROUNDS):
        for turn in turns:
            begun = time.perf_counter()
            await understanding.meanings(turn.text, locale=turn.language)
            taken.append(time.perf_counter() - begun)
    return taken


def _embedding(turns: list[Utterance]) -> list[float]:
    embedder = MiniLmEmbedder(cache_texts=1)
    embedder.embed_now(["warm up"])
    taken = []
    for turn in turns:
        texts = [prepare_text(segment.text) for segment in split_turn(turn.text)]
        begun = time.perf_counter()
        embedder.embed_now(texts)
        taken.append(time.perf_counter() - begun)
    return taken


def _rules(language: str, turns: list[Utterance]) -> list[float]:
    common = load_policy("en").rule_set()
    rules = common if language == "en" else load_policy(language).rule_set() + common
    taken = []
    for turn in turns:
        begun = time.perf_counter()
        rules.meant(turn.text)
        taken.append(time.perf_counter() - begun)
    return taken


async def _rightness(turns: list[Utterance]) -> dict[str, Figures]:
    figures = await judge(SemanticUnderstanding(MiniLmEmbedder()), turns)
    english = Figures(tuple(j for j in figures.judged if j.utterance.language == "en"))
    parts = {"English, all": english, "English, held out": english.of([HELD_OUT])}
    return parts | {language: figures.of([language]) for language in LANGUAGES if language != "en"}


def _row(name: str, taken_s: list[float]) -> None:
    ms = np.array(taken_s) * 1_000
    print(f"{name:<28} {ms.mean():>6.2f} {np.percentile(ms, 50):>6.2f} {np.percentile(ms, 95):>6.2f}")


if __name__ == "__main__":
    asyncio.run(main())
