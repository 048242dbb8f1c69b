"""Log-mel features against the definition, computed the slow way in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_agent.audio.features import MELS, last_window, log_mel


def slow_log_mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """One frame, one bin and one filter at a time."""
    signal = samples.astype(np.float64)
    signal = (signal - signal.mean()) / np.sqrt(signal.var() + 1e-7)
    mirrored = np.concatenate([signal[200:0:-1], signal, signal[-2:-202:-1]])
    times = np.arange(400)
    window = np.sin(np.pi * times / 400) ** 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(201), times) / 400)
    mels = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), MELS + 2)
    edges = [200 * m / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27) for m in mels]
    frames = []
    for start in range(0, samples.size, 160):
        power = np.abs(waves @ (mirrored[start : start + 400] * window)) ** 2
        row = []
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
            hertz = np.arange(201) * 40.0
            triangle = np.interp(hertz, [low, centre, high], [0, 1, 0], left=0, right=0)
            row.append(np.sum(power * triangle) * 2 / (high - low))
        frames.append(row)
    decades = np.log10(np.maximum(np.array(frames).T, 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4) / 4


def test_agrees_with_the_definition() -> None:
    times = np.arange(16_000) / 16_000
    noise = np.random.default_rng(5).standard_normal(16_000) * 0.01
    chirp = (0.3 * np.sin(2 * np.pi * (100 + 3000 * times) * times) + noise).astype(np.float32)
    features = log_mel(chirp)
    assert features.shape == (80, 100)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, slow_log_mel(chirp), atol=1e-4)


def test_level_and_offset_do_not_matter() -> None:
    noise = np.random.default_rng(6).standard_normal(8000).astype(np.float32) * 0.2
    np.testing.assert_allclose(log_mel(noise), log_mel(noise * 0.1 + 0.05), atol=1e-3)


def test_silence_is_finite() -> None:
    assert np.isfinite(log_mel(np.zeros(8000, np.float32))).all()


@pytest.mark.parametrize("length", [0, 1, 15_999, 16_000, 16_001, 40_000])
def test_the_window_ends_where_the_audio_ends(length: int) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    window = last_window(samples, 1.0)
    assert window.size == 16_000
    kept = min(length, 16_000)
    assert not window[: 16_000 - kept].any()
    np.testing.assert_array_equal(window[16_000 - kept :], samples[length - kept :])
