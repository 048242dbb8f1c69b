"""The real model with the real embedder, built once."""

from __future__ import annotations

import pytest
from tests.unit.providers.llm.shop import ALL_TOOL_NAMES, Conversation, Shop

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel


@pytest.fixture(scope="session")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


@pytest.fixture(scope="session")
def model(embedder: MiniLmEmbedder) -> BuiltinLanguageModel:
    return BuiltinLanguageModel(embedder)


@pytest.fixture
def talk(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> Conversation:
    return Conversation(model, Shop(embedder), tools=ALL_TOOL_NAMES)
