"""The real embedder, loaded once."""

from __future__ import annotations

import pytest

from voice_agent.providers.embedding.minilm import MiniLmEmbedder


@pytest.fixture(scope="session")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()
