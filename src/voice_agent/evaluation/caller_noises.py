"""Sounds a caller makes that are not speech: coughs and clicks, synthesised, each variant from its seed.

A cough is an explosive burst of wide-band noise with a fast attack, a weaker airy phase and often a short voiced end
(after Korpáš et al., "Analysis of the cough sound", Pulm. Pharmacol. Ther. 1996); 250–450 ms in all. A click is one or
two damped resonances of a few milliseconds, as a mouse, a door latch or a bad line makes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.frames import pcm_of

_PEAK = 0.4  # as loud as a test caller's speech


def cough(seed: int, rate_hz: int = 16_000) -> bytes:
    """One cough as PCM."""
    draw = np.random.default_rng(seed)
    burst = _shaped_noise(draw, 0.05 + 0.03 * draw.random(), rate_hz, low_hz=300, high_hz=5000, decay_s=0.04)
    airy = 0.25 * _shaped_noise(draw, 0.12 + 0.10 * draw.random(), rate_hz, low_hz=500, high_hz=3500, decay_s=0.10)
    parts = [burst, airy]
    if draw.random() < 0.6:
        time_s = np.arange(round((0.06 + 0.06 * draw.random()) * rate_hz)) / rate_hz
        pitch_hz = 180 + 150 * draw.random()
        voiced = sum(np.sin(2 * np.pi * pitch_hz * n * time_s) / n for n in range(1, 9))
        parts.append(0.3 * np.asarray(voiced) * np.exp(-time_s / 0.05))
    return _levelled(np.concatenate(parts))


def click(seed: int, rate_hz: int = 16_000) -> bytes:
    """One click, or press and release, as PCM."""
    draw = np.random.default_rng(seed)
    out = np.zeros(round(0.15 * rate_hz))
    for begin_s in (0.01, 0.01 + 0.05 + 0.06 * draw.random())[: 1 + int(draw.random() < 0.5)]:
        time_s = np.arange(round(0.02 * rate_hz)) / rate_hz
        tone = np.sin(2 * np.pi * (900 + 3500 * draw.random()) * time_s) * np.exp(-time_s / 0.0015)
        start = round(begin_s * rate_hz)
        out[start : start + tone.size] += tone
    return _levelled(out)


def _shaped_noise(
    draw: np.random.Generator, seconds: float, rate_hz: int, *, low_hz: float, high_hz: float, decay_s: float
) -> NDArray[np.float64]:
    """Band-limited noise with a 3 ms attack and an exponential decay."""
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(draw.standard_normal(count))
    frequency_hz = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum[(frequency_hz < low_hz) | (frequency_hz > high_hz)] = 0
    time_s = np.arange(count) / rate_hz
    return np.fft.irfft(spectrum, count) * np.minimum(1.0, time_s / 0.003) * np.exp(-time_s / decay_s)


def _levelled(samples: NDArray[np.float64]) -> bytes:
    return pcm_of(samples * (_PEAK / np.max(np.abs(samples))))
