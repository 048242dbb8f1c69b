"""Turns as callers word them, through policy, the model, the tools and the shipped documents."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import pytest
from tests.unit.providers.llm.caller_turns import CALLER_TURNS
from tests.unit.providers.llm.desk import Desk, Outcome
from tests.unit.providers.llm.shop import Shop

from voice_agent.config import KnowledgeSettings
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel, load_brain
from voice_agent.providers.understanding.semantic import SemanticUnderstanding, load_policy
from voice_agent.rag.chunking import chunk_markdown
from voice_agent.rag.corpus import seed_corpus
from voice_agent.rag.pipeline import KnowledgeBase, open_knowledge

RIGHT_SHARE = 0.9


@pytest.fixture(scope="module")
def understanding(embedder: MiniLmEmbedder) -> SemanticUnderstanding:
    return SemanticUnderstanding(embedder)


@pytest.fixture
async def knowledge(tmp_path: Path, embedder: MiniLmEmbedder) -> AsyncIterator[KnowledgeBase]:
    settings = KnowledgeSettings.model_construct(
        enabled=True, collection="voice_kb", embedding_model="all-MiniLM-L6-v2", confidence_threshold=0.6
    )
    async with open_knowledge(settings, tmp_path, embedder) as opened:
        await seed_corpus(opened)
        yield opened


def is_right(outcome: Outcome, kinds: str, fact: str) -> bool:
    return outcome.kind in kinds.split("|") and re.search(fact, outcome.text, re.IGNORECASE) is not None


async def test_at_least_nine_in_ten_come_to_the_right_answer(
    model: BuiltinLanguageModel,
    understanding: SemanticUnderstanding,
    embedder: MiniLmEmbedder,
    knowledge: KnowledgeBase,
) -> None:
    wrong: list[str] = []
    for words, kinds, fact in CALLER_TURNS:
        outcome = await Desk(model, understanding, Shop(embedder, knowledge=knowledge)).say(words)
        if not is_right(outcome, kinds, fact):
            wrong.append(f"{words!r}: wanted {kinds} {fact!r}, got {outcome.kind} {outcome.text!r}")
    share = 1 - len(wrong) / len(CALLER_TURNS)
    assert share >= RIGHT_SHARE, f"{share:.1%} right\n" + "\n".join(wrong)


def test_the_set_is_held_out() -> None:
    policy = load_policy("en")
    examples = {text.lower() for entry in policy.classes.values() for text in entry.examples}
    examples |= {text.lower() for intent in load_brain().intents.values() for text in intent.examples}
    folder = Path(str(resources.files("voice_agent").joinpath("data", "kb")))
    chunks = [chunk for file in folder.glob("*.md") for chunk in chunk_markdown(file.read_text("utf-8"), "")]
    examples |= {question.lower().rstrip("?!.") for chunk in chunks for question in chunk.asked}
    assert len(CALLER_TURNS) >= 240
    assert [words for words, _, _ in CALLER_TURNS if words.lower().rstrip("?!.") in examples] == []
