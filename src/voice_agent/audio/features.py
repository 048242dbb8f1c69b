"""Log-mel features as Whisper's encoder expects them, in NumPy.

Recipe (Radford et al. 2022, §2.2, and Whisper's published feature extractor): 16 kHz audio brought to zero mean and
unit variance, 25 ms periodic Hann windows every 10 ms with the signal mirrored at its ends, power spectrum, 80
triangular filters on Slaney's mel scale with equal area, log10 floored 8 decades below the loudest cell, then
(x + 4) / 4. The transform runs in float32: against float64 the features differ by less than 1e-4.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SAMPLE_RATE_HZ: Final = 16_000
MELS: Final = 80
_WINDOW_SAMPLES: Final = 400
_HOP_SAMPLES: Final = 160
_FLOOR: Final = 1e-10
_VARIANCE_FLOOR: Final = 1e-7

# Slaney's scale: linear below 1 kHz (15 mels), logarithmic above, 27 steps for a factor of 6.4.
_LINEAR_HZ_PER_MEL: Final = 200.0 / 3.0
_BREAK_HZ: Final = 1000.0
_BREAK_MEL: Final = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP: Final = np.log(6.4) / 27.0

Samples = NDArray[np.float32]


def last_window(samples: Samples, seconds: float) -> Samples:
    """The last ``seconds`` of the audio, filled up with zeros in front where it is shorter."""
    wanted = round(seconds * SAMPLE_RATE_HZ)
    if samples.size >= wanted:
        return samples[samples.size - wanted :]
    window = np.zeros(wanted, np.float32)
    window[wanted - samples.size :] = samples
    return window


def log_mel(samples: Samples) -> Samples:
    """(80, frames) float32 features of at least 25 ms of 16 kHz audio in [-1, 1]; one frame every 160 samples."""
    centred = samples - samples.mean()
    normal = centred / np.sqrt(np.mean(centred * centred) + _VARIANCE_FLOOR)
    padded = np.pad(normal, _WINDOW_SAMPLES // 2, mode="reflect")
    frames = sliding_window_view(padded, _WINDOW_SAMPLES)[::_HOP_SAMPLES][:-1]
    spectrum = np.fft.rfft(frames * _window())
    power = spectrum.real**2 + spectrum.imag**2
    levels = np.log10(np.maximum(_filters() @ power.T, _FLOOR))
    scaled: Samples = (np.maximum(levels, levels.max() - 8.0) + 4.0) / 4.0
    return scaled


@cache
def _window() -> Samples:
    angles = 2.0 * np.pi * np.arange(_WINDOW_SAMPLES) / _WINDOW_SAMPLES
    return (0.5 - 0.5 * np.cos(angles)).astype(np.float32)


@cache
def _filters() -> Samples:
    """(80, 201): each row a triangle between its neighbours' centres, of area 1 (in Hz, times 2)."""
    top_mel = _BREAK_MEL + np.log(SAMPLE_RATE_HZ / 2 / _BREAK_HZ) / _LOG_STEP
    mels = np.linspace(0.0, top_mel, MELS + 2)
    centres = np.where(
        mels < _BREAK_MEL, mels * _LINEAR_HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL))
    )
    bins = np.fft.rfftfreq(_WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ)
    low, centre, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    filters: Samples = triangles.astype(np.float32)
    return filters
