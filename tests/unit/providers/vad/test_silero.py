"""Silero voice detection on speech, silence and noise."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.hearing import Prompt

from voice_agent.audio.frames import floats_of, pcm_of, rms
from voice_agent.audio.vad import SpeechBegan, SpeechEnded, SpeechFact, SpeechGate
from voice_agent.errors import BugError, ConfigError, ProviderError, ProviderFault
from voice_agent.evaluation.caller_audio import read_wav
from voice_agent.providers import weights
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.sessions import open_session
from voice_agent.providers.vad.base import OnHop
from voice_agent.providers.vad.silero import (
    BATCH_HOPS,
    HOP_SAMPLES,
    SileroDetector,
    SileroDetectorFactory,
    speech_probabilities,
)

HOP_BYTES = HOP_SAMPLES * 2
RATE_HZ = 16_000


@pytest.fixture
async def factory() -> AsyncIterator[SileroDetectorFactory]:
    pool = ModelPool(workers=1)
    factory = SileroDetectorFactory(pool)
    await factory.warm_up()
    yield factory
    await pool.close()


@pytest.fixture(scope="session")
def beckett() -> bytes:
    """Six phrases in ten seconds, with pauses of half a second and more between them."""
    return read_wav(weights.package_file("moonshine_voice", "assets/beckett.wav"), RATE_HZ)


def hops(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + HOP_BYTES] for at in range(0, len(pcm) - HOP_BYTES + 1, HOP_BYTES)]


async def probabilities(factory: SileroDetectorFactory, pcm: bytes) -> list[float]:
    """What one call's detector says of each hop."""
    return (await together(factory, pcm))[0]


async def together(factory: SileroDetectorFactory, *calls: bytes) -> list[list[float]]:
    """What the detectors of several calls say, each hop of theirs coming at the same time."""
    found: list[list[tuple[bytes, float]]] = [[] for _ in calls]
    judged = asyncio.Semaphore(0)

    def hears(out: list[tuple[bytes, float]]) -> OnHop:
        def on_hop(hop: bytes, probability: float) -> None:
            out.append((hop, probability))
            judged.release()

        return on_hop

    detectors = [factory.open(hears(out), _no_failure) for out in found]
    for row in itertools.zip_longest(*map(hops, calls)):
        due = [(detector, hop) for detector, hop in zip(detectors, row, strict=True) if hop is not None]
        for detector, hop in due:
            detector.push(hop)
        for _ in due:
            await judged.acquire()
    for detector, out, pcm in zip(detectors, found, calls, strict=True):
        detector.close()
        assert [hop for hop, _ in out] == hops(pcm), "hops come in order, each with its probability"
    return [[probability for _, probability in out] for out in found]


def _no_failure(error: ProviderError) -> None:
    raise AssertionError(error)


def noise(seconds: float, level: float, seed: int = 1) -> bytes:
    return pcm_of(np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)) * level)


def noisy(pcm: bytes, snr_db: float) -> bytes:
    """``pcm`` in white noise, a second of it alone before and after."""
    speech = np.concatenate([np.zeros(RATE_HZ), floats_of(pcm), np.zeros(RATE_HZ)])
    level = rms(pcm) / 10 ** (snr_db / 20)
    return pcm_of(speech + np.random.default_rng(3).standard_normal(speech.size) * level)


def facts_of(found: Sequence[float]) -> list[SpeechFact]:
    gate = SpeechGate()
    facts = [gate.update(p, (n + 1) * HOP_SAMPLES / RATE_HZ) for n, p in enumerate(found)]
    return [fact for fact in facts if fact is not None]


async def test_speech_and_pauses(factory: SileroDetectorFactory, beckett: bytes) -> None:
    heard = facts_of(await probabilities(factory, beckett))
    began = [fact.at_s for fact in heard if isinstance(fact, SpeechBegan)]
    ended = [fact.last_voiced_s for fact in heard if isinstance(fact, SpeechEnded)]
    assert len(began) == len(ended) == 6
    np.testing.assert_allclose(began, [0.35, 1.9, 3.5, 4.95, 6.65, 8.15], atol=0.15)
    assert all(0.4 < end - begin < 1.2 for begin, end in zip(began, ended, strict=True))


async def test_finds_human_speech_where_it_is(factory: SileroDetectorFactory, prompts: list[Prompt]) -> None:
    quiet = noise(1.0, 3e-4)
    for prompt in prompts[::8]:
        pcm = prompt.pcm()
        heard = facts_of(await probabilities(factory, quiet + pcm + quiet))
        first, last = heard[0], heard[-1]
        assert isinstance(first, SpeechBegan)
        assert isinstance(last, SpeechEnded)
        assert 0.9 < first.at_s < 1.5, prompt.name
        assert len(pcm) / 2 / RATE_HZ + 0.4 < last.last_voiced_s < len(pcm) / 2 / RATE_HZ + 1.2, prompt.name


@pytest.mark.parametrize("level", [0.0, 1e-4, 3e-3, 0.1])
async def test_silence_and_noise_are_no_speech(factory: SileroDetectorFactory, level: float) -> None:
    assert facts_of(await probabilities(factory, noise(4, level))) == []


@pytest.mark.parametrize("snr_db", [40.0, 20.0, 10.0, 5.0])
async def test_the_energy_gate_changes_nothing_that_counts(
    factory: SileroDetectorFactory, prompts: list[Prompt], snr_db: float
) -> None:
    """Speech begins and ends where the model alone would have it, within two hops."""
    session = open_session(weights.silero_vad())
    for prompt in prompts[::6]:
        pcm = noisy(prompt.pcm(), snr_db)
        alone, gated = facts_of(speech_probabilities(session, pcm)), facts_of(await probabilities(factory, pcm))
        assert [type(fact) for fact in gated] == [type(fact) for fact in alone], prompt.name
        np.testing.assert_allclose([_at(fact) for fact in gated], [_at(fact) for fact in alone], atol=0.07)


def _at(fact: SpeechFact) -> float:
    return fact.at_s if isinstance(fact, SpeechBegan) else fact.last_voiced_s


async def test_a_quiet_or_noisy_line_hardly_needs_the_model(
    factory: SileroDetectorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = 0
    judge = SileroDetector.judged

    def counting(self: SileroDetector, *args: Any) -> None:
        nonlocal judged
        judged += 1
        judge(self, *args)

    monkeypatch.setattr(SileroDetector, "judged", counting)
    for level in (0.0, 4e-4, 3e-3):
        judged = 0
        await probabilities(factory, noise(16, level))
        assert judged < 50, f"{judged} of 500 hops of noise at {level} were looked at"


async def test_calls_do_not_hear_each_other(factory: SileroDetectorFactory, beckett: bytes) -> None:
    alone = await probabilities(factory, beckett)
    one, _, other = await together(factory, beckett, noise(10, 0.2), beckett[HOP_BYTES * 7 :] + noise(0.3, 0.1))
    np.testing.assert_allclose(one, alone, atol=1e-4)
    np.testing.assert_allclose(other[20:200], alone[27:207], atol=0.05)


async def test_more_calls_than_one_inference_takes(factory: SileroDetectorFactory, beckett: bytes) -> None:
    alone = await probabilities(factory, beckett)
    for found in await together(factory, *[beckett] * (2 * BATCH_HOPS + 1)):
        np.testing.assert_allclose(found, alone, atol=1e-4)


async def test_a_closed_detector_is_silent(factory: SileroDetectorFactory) -> None:
    heard: list[float] = []
    detector = factory.open(lambda hop, probability: heard.append(probability), _no_failure)
    for hop in hops(noise(0.1, 0.2)):
        detector.push(hop)
    detector.close()
    detector.close()
    await asyncio.sleep(0.02)
    assert heard == []


async def test_a_model_that_fails_is_reported_once(factory: SileroDetectorFactory) -> None:
    class Broken:
        def run(self, *args: object) -> object:
            raise RuntimeError("out of memory")

    failures: list[ProviderError] = []
    detector = factory.open(lambda hop, probability: None, failures.append)
    factory._session = Broken()
    for hop in hops(noise(0.2, 0.2)):
        detector.push(hop)
    await asyncio.sleep(0.02)
    assert [failure.category for failure in failures] == [ProviderFault.INTERNAL]
    assert "out of memory" in str(failures[0])


async def test_a_call_that_cannot_take_its_hop_spoils_no_other_call(factory: SileroDetectorFactory) -> None:
    def breaks(hop: bytes, probability: float) -> None:
        raise ValueError("a recogniser that does not take this")

    failures: list[ProviderError] = []
    heard: list[float] = []
    broken = factory.open(breaks, failures.append)
    whole = factory.open(lambda hop, probability: heard.append(probability), _no_failure)
    due = hops(noise(0.2, 0.2))
    for hop in due:
        broken.push(hop)
        whole.push(hop)
        await asyncio.sleep(0.01)
    assert len(heard) == len(due)
    assert [failure.category for failure in failures] == [ProviderFault.INTERNAL]


@pytest.mark.parametrize("size", [0, HOP_BYTES - 2, HOP_BYTES + 2])
async def test_a_hop_has_one_size(factory: SileroDetectorFactory, size: int) -> None:
    with pytest.raises(BugError, match="512 samples"):
        factory.open(lambda hop, probability: None, _no_failure).push(bytes(size))


async def test_opens_without_warm_up_and_refuses_a_file_that_is_no_model(tmp_path: Path) -> None:
    pool = ModelPool(workers=1)
    assert await probabilities(SileroDetectorFactory(pool), noise(0.1, 0.1)) == pytest.approx([0.0] * 3, abs=0.5)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ConfigError, match=r"broken\.onnx"):
        await SileroDetectorFactory(pool, model_path=broken).warm_up()
    await pool.close()
