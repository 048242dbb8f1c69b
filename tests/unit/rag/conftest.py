"""The real embedding model and a real Chroma collection, filled once for all tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from voice_agent.config import KnowledgeSettings
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.rag.corpus import seed_corpus
from voice_agent.rag.pipeline import KnowledgeBase, open_knowledge

MODEL = "all-MiniLM-L6-v2"


def knowledge_settings(collection: str = "voice_kb", model: str = MODEL, threshold: float = 0.6) -> KnowledgeSettings:
    return KnowledgeSettings.model_construct(
        enabled=True, collection=collection, embedding_model=model, confidence_threshold=threshold
    )


@pytest.fixture(scope="session")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


@pytest.fixture(scope="session")
def seeded_dir(tmp_path_factory: pytest.TempPathFactory, embedder: MiniLmEmbedder) -> Path:
    """A state directory with the shipped documents. Tests that use it only read."""
    state_dir = tmp_path_factory.mktemp("knowledge")

    async def seed() -> None:
        async with open_knowledge(knowledge_settings(), state_dir, embedder) as knowledge:
            report = await seed_corpus(knowledge)
            assert report.failed == ()

    asyncio.run(seed())
    return state_dir


@pytest.fixture
async def shop(seeded_dir: Path, embedder: MiniLmEmbedder) -> AsyncIterator[KnowledgeBase]:
    """The knowledge base of the demo shop."""
    async with open_knowledge(knowledge_settings(), seeded_dir, embedder) as knowledge:
        yield knowledge


@pytest.fixture
async def knowledge(tmp_path: Path, embedder: MiniLmEmbedder) -> AsyncIterator[KnowledgeBase]:
    """An empty knowledge base."""
    async with open_knowledge(knowledge_settings(), tmp_path / "state", embedder) as opened:
        yield opened
