"""The walk-through "add a provider in one file" of CONTRIBUTING.md, run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voice_agent.config import load_settings
from voice_agent.errors import ConfigError
from voice_agent.providers import tts
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import ProviderContext, build_provider, provider_context, provider_names

ROOT = Path(__file__).parents[2]


class NoEmbedder:
    """The walk-through's provider needs none."""


@pytest.fixture
async def context() -> ProviderContext:
    settings = load_settings(None)
    return provider_context(settings, ModelPool(1, 1), NoEmbedder())  # type: ignore[arg-type]


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed file, placed where the document says (in a folder that is searched like it)."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    (tmp_path / "acme.py").write_text(blocks[0])
    monkeypatch.setattr(tts, "__path__", [*tts.__path__, str(tmp_path)])


async def test_the_printed_provider_is_found_by_its_name_and_speaks(acme: None, context: ProviderContext) -> None:
    assert "acme" in provider_names("tts")
    synthesizer = build_provider("tts", "acme", context)
    await synthesizer.warm_up()
    chunks = [chunk async for chunk in synthesizer.synthesize("Hello there.", locale="en-US")]
    assert len(chunks) == 2
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    assert [chunk async for chunk in synthesizer.synthesize("…", locale="en-US")] == []


async def test_a_name_that_nobody_has_is_refused_with_the_names_there_are(context: ProviderContext) -> None:
    with pytest.raises(ConfigError, match=r"TTS_PROVIDER='acme' is not known: use one of .*local"):
        build_provider("tts", "acme", context)
