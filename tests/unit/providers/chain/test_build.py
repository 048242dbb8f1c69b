from __future__ import annotations

from pathlib import Path

import pytest

from voice_agent.clock import LoopClock
from voice_agent.config import load_settings
from voice_agent.errors import ConfigError
from voice_agent.providers.chain.build import build_chains, phrase_files
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import provider_context


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "STATE_DIR": str(tmp_path),
        "ASR_PROVIDER": "deepgram,local",
        "LLM_PROVIDER": "openai,compatible,builtin",
        "TTS_PROVIDER": "deepgram,openai,local",
        "DEEPGRAM_API_KEY": "key",
        "OPENAI_API_KEY": "key",
        "COMPATIBLE_BASE_URL": "http://127.0.0.1:1/v1",
    }.items():
        monkeypatch.setenv(name, value)


async def chains_of() -> tuple[list[str], list[str], list[str]]:
    settings = load_settings()
    pool = ModelPool(1)
    context = provider_context(settings, pool, MiniLmEmbedder(pool))
    try:
        chains = build_chains(settings, context, LoopClock())
    finally:
        await context.web.aclose()
        await pool.close()
    stages = (chains.recognizers, chains.language_model, chains.synthesizer)
    asr, llm, tts = ([link.name for link in stage.links] for stage in stages)
    breakers = {id(link.breaker) for stage in stages for link in stage.links}
    assert len(breakers) == len(asr) + len(llm) + len(tts)
    return asr, llm, tts


async def test_the_chains_are_those_of_the_settings_each_link_with_its_breaker() -> None:
    assert await chains_of() == (
        ["deepgram", "local"],
        ["openai", "compatible", "builtin"],
        ["deepgram", "openai", "local"],
    )


async def test_a_hosted_models_name_is_none_of_the_local_recognisers_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_MODEL", "nova-3")
    assert (await chains_of())[0] == ["deepgram", "local"]
    monkeypatch.setenv("ASR_PROVIDER", "local")
    with pytest.raises(ConfigError, match="ASR_MODEL"):
        await chains_of()


async def test_an_unknown_name_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_PROVIDER", "builtin,oracle")
    with pytest.raises(ConfigError, match="LLM_PROVIDER='oracle' is not known"):
        await chains_of()


async def test_a_name_that_stands_twice_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_PROVIDER", "local, local")
    with pytest.raises(ConfigError, match=r"TTS_PROVIDER='local, local' is not valid: .*'local' twice"):
        load_settings(env_file=None)


@pytest.mark.parametrize("variable", ["DEEPGRAM_URL", "OPENAI_BASE_URL", "COMPATIBLE_BASE_URL"])
@pytest.mark.parametrize("url", ["api.vendor.example", "https://", "http://key:secret@[::1", "ftp://vendor.example"])
async def test_an_address_that_is_none_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str
) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(ConfigError, match=f"^{variable}=") as raised:
        await chains_of()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "another_voice"),
    [
        ("TTS_VOICE", "verse", True),
        ("TTS_SPEED", "1.2", True),
        ("TTS_PROVIDER", "openai,local", True),
        ("DEEPGRAM_URL", "http://127.0.0.1:2", True),
        ("DEEPGRAM_API_KEY", "another", False),
        ("TTS_GAP_MS", "900", False),
        ("OPENAI_BASE_URL", "http://127.0.0.1:3/v1", False),
    ],
)
def test_phrases_are_kept_per_voice(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, another_voice: bool
) -> None:
    before = phrase_files(load_settings())
    assert before is not None
    before.write("hello", "en-US", b"pcm!")
    monkeypatch.setenv(variable, value)
    after = phrase_files(load_settings())
    assert after is not None
    assert (after.read("hello", "en-US") is None) == another_voice


def test_no_room_means_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_CACHE_MB", "0")
    assert phrase_files(load_settings()) is None
