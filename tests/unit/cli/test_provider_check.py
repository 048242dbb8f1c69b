"""``voice-agent check`` against vendors on this machine: what it says of each, and what it makes of their faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from voice_agent.cli import provider_check
from voice_agent.cli.provider_check import Trial, try_providers
from voice_agent.config import load_settings
from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine
from voice_agent.dev_vendors.desk import Engines, VendorDesk
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import provider_context


@pytest.fixture
async def vendors() -> AsyncIterator[RunningVendors]:
    pool = ModelPool(1)
    engines = Engines(
        LocalRecognizerFactory(pool),  # loads nothing: the scripted engine hears instead
        ScriptedModel("I can track an order."),
        ToneSynthesizer(),
        ScriptedEngine(("ever tried",)),
    )
    async with running_vendors(VendorDesk(engines)) as running:
        yield running
    await pool.close()


async def tried(vendors: RunningVendors, monkeypatch: pytest.MonkeyPatch, **changed: str) -> dict[str, Trial]:
    environment = {
        **vendors.environment(),
        "ASR_PROVIDER": "deepgram",
        "TTS_PROVIDER": "openai,deepgram",
        "LLM_PROVIDER": "openai,builtin",
        **changed,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(provider_check, "_SPOKEN_S", 1.5)
    monkeypatch.setattr(provider_check, "_TRIAL_LIMIT_S", 3.0)
    settings = load_settings()
    pool = ModelPool(1)
    context = provider_context(settings, pool, MiniLmEmbedder(pool))
    try:
        return {f"{trial.stage} {trial.provider}": trial for trial in await try_providers(settings, context)}
    finally:
        await context.web.aclose()
        await pool.close()


async def test_each_provider_of_each_chain_is_tried(vendors: RunningVendors, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = await tried(vendors, monkeypatch)
    assert list(trials) == [
        "synthesis openai",
        "synthesis deepgram",
        "recognition deepgram",
        "language model openai",
        "language model builtin",
    ]
    assert [trial for trial in trials.values() if not trial.ok] == []
    hosted = [trial for trial in trials.values() if trial.provider != "builtin"]
    assert {(trial.reachable, trial.authorised) for trial in hosted} == {(True, True)}
    assert "ever tried" in trials["recognition deepgram"].detail
    assert "track an order" in trials["language model openai"].detail
    assert trials["language model builtin"].reachable is None
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "check-recognition"]


async def test_a_rejected_key_is_reached_but_not_let_in(
    vendors: RunningVendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = await tried(vendors, monkeypatch, DEEPGRAM_API_KEY="wrong-secret", OPENAI_API_KEY="wrong-secret")
    for name in ("synthesis openai", "synthesis deepgram", "recognition deepgram", "language model openai"):
        assert (trials[name].ok, trials[name].reachable, trials[name].authorised) == (False, True, False), trials[name]
        assert "check" in trials[name].detail.lower()
        assert "key" in trials[name].detail.lower()
        assert "wrong-secret" not in trials[name].detail
    assert trials["language model builtin"].ok


async def test_a_vendor_that_is_not_there_is_not_reached(
    vendors: RunningVendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in Stage:
        vendors.set_fault(stage, Fault.REFUSED)
    trials = await tried(vendors, monkeypatch)
    for name in ("synthesis openai", "recognition deepgram", "language model openai"):
        assert (trials[name].ok, trials[name].reachable, trials[name].authorised) == (False, False, None), trials[name]
        assert "check" in trials[name].detail.lower()


async def test_a_vendor_that_gives_nothing_or_hangs_has_failed(
    vendors: RunningVendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors.set_fault(Stage.ASR, Fault.EMPTY)
    vendors.set_fault(Stage.LLM, Fault.HANG_MIDSTREAM)
    trials = await tried(vendors, monkeypatch)
    assert not trials["recognition deepgram"].ok
    assert not trials["language model openai"].ok
