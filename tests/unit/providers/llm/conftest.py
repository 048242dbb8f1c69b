"""The real model with the real embedder, built once."""

from __future__ import annotations

import pytest

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel


@pytest.fixture(scope="session")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


@pytest.fixture(scope="session")
def model(embedder: MiniLmEmbedder) -> BuiltinLanguageModel:
    return BuiltinLanguageModel(embedder)
