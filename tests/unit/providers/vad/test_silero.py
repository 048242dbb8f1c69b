"""Silero voice detection on speech, silence and noise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.hearing import Prompt

from voice_agent.audio.frames import pcm_of
from voice_agent.audio.vad import SpeechBegan, SpeechEnded, SpeechFact, SpeechGate
from voice_agent.errors import BugError, ConfigError
from voice_agent.evaluation.caller_audio import read_wav
from voice_agent.providers import weights
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.vad.silero import HOP_SAMPLES, SileroDetector, SileroDetectorFactory

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


def probabilities(detector: SileroDetector, pcm: bytes) -> list[float]:
    return [detector.process(hop) for hop in hops(pcm)]


def noise(seconds: float, level: float, seed: int = 1) -> bytes:
    return pcm_of(np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)) * level)


def facts(detector: SileroDetector, pcm: bytes) -> list[SpeechFact]:
    gate = SpeechGate()
    found = [gate.update(p, (n + 1) * HOP_SAMPLES / RATE_HZ) for n, p in enumerate(probabilities(detector, pcm))]
    return [fact for fact in found if fact is not None]


def test_speech_and_pauses(factory: SileroDetectorFactory, beckett: bytes) -> None:
    heard = facts(factory.open(), beckett)
    began = [fact.at_s for fact in heard if isinstance(fact, SpeechBegan)]
    ended = [fact.last_voiced_s for fact in heard if isinstance(fact, SpeechEnded)]
    assert len(began) == len(ended) == 6
    np.testing.assert_allclose(began, [0.35, 1.9, 3.5, 4.95, 6.65, 8.15], atol=0.15)
    assert all(0.4 < end - begin < 1.2 for begin, end in zip(began, ended, strict=True))


def test_finds_human_speech_where_it_is(factory: SileroDetectorFactory, prompts: list[Prompt]) -> None:
    quiet = noise(1.0, 3e-4)
    for prompt in prompts[::8]:
        pcm = prompt.pcm()
        heard = facts(factory.open(), quiet + pcm + quiet)
        first, last = heard[0], heard[-1]
        assert isinstance(first, SpeechBegan)
        assert isinstance(last, SpeechEnded)
        assert 0.9 < first.at_s < 1.5, prompt.name
        assert len(pcm) / 2 / RATE_HZ + 0.4 < last.last_voiced_s < len(pcm) / 2 / RATE_HZ + 1.2, prompt.name


@pytest.mark.parametrize("level", [0.0, 1e-4, 3e-3, 0.1])
def test_silence_and_noise_are_no_speech(factory: SileroDetectorFactory, level: float) -> None:
    assert facts(factory.open(), noise(4, level)) == []


def test_digital_silence_needs_no_model_and_changes_nothing(factory: SileroDetectorFactory, beckett: bytes) -> None:
    class Counting:
        runs = 0

        def run(self, *args: object) -> object:
            self.runs += 1
            return factory.open()._session.run(*args)

    session = Counting()
    detector = SileroDetector(session)
    assert max(probabilities(detector, bytes(HOP_BYTES * 500))) < 0.1
    assert session.runs < 20

    fresh = SileroDetector(session)
    probabilities(fresh, bytes(HOP_BYTES * 16))  # the same silence, none of it skipped
    np.testing.assert_allclose(probabilities(detector, beckett), probabilities(fresh, beckett), atol=0.02)


def test_calls_do_not_hear_each_other(factory: SileroDetectorFactory, beckett: bytes) -> None:
    alone = probabilities(factory.open(), beckett)
    one, other = factory.open(), factory.open()
    together = []
    for hop, disturbance in zip(hops(beckett), hops(noise(10, 0.2)), strict=False):
        together.append(one.process(hop))
        other.process(disturbance)
    assert together == alone


@pytest.mark.parametrize("size", [0, HOP_BYTES - 2, HOP_BYTES + 2])
def test_a_hop_has_one_size(factory: SileroDetectorFactory, size: int) -> None:
    with pytest.raises(BugError, match="512 samples"):
        factory.open().process(bytes(size))


async def test_opens_without_warm_up_and_refuses_a_file_that_is_no_model(tmp_path: Path) -> None:
    pool = ModelPool(workers=1)
    assert SileroDetectorFactory(pool).open().process(bytes(HOP_BYTES)) < 0.5
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ConfigError, match=r"broken\.onnx"):
        await SileroDetectorFactory(pool, model_path=broken).warm_up()
    await pool.close()
