"""Bootstrap intervals: how far a figure would move with another draw of trials. Pure; seeded.

The percentile method over trials. A rate whose trials all came out alike has no spread to draw from; its interval is
Wilson's (E. B. Wilson, 1927), so that 20 of 20 is not mistaken for certainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_LEVEL = 0.95
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval over ``n`` trials; NaN everywhere for none."""

    value: float
    low: float
    high: float
    n: int


NO_FIGURE = Figure(float("nan"), float("nan"), float("nan"), 0)


def quantile(values: Sequence[float], share: float, seed: int) -> Figure:
    """The ``share`` quantile (0.5: the median)."""
    if not values:
        return NO_FIGURE
    data = np.asarray(values, dtype=np.float64)
    return _figure(float(np.quantile(data, share)), np.quantile(_resampled(data, seed), share, axis=1), data.size)


def mean(values: Sequence[float], seed: int) -> Figure:
    if not values:
        return NO_FIGURE
    data = np.asarray(values, dtype=np.float64)
    return _figure(float(data.mean()), _resampled(data, seed).mean(axis=1), data.size)


def rate(values: Sequence[bool], seed: int) -> Figure:
    """The share that is true."""
    if not values:
        return NO_FIGURE
    data = np.asarray(values, dtype=np.float64)
    if data.min() == data.max():
        return wilson(int(data.sum()), data.size)
    return _figure(float(data.mean()), _resampled(data, seed).mean(axis=1), data.size)


def wilson(hits: int, n: int) -> Figure:
    """A proportion with Wilson's score interval."""
    share, z2 = hits / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Figure(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)), n)


def _resampled(data: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    return data[draw.integers(0, data.size, (DRAWS, data.size))]


def _figure(value: float, statistics: NDArray[np.float64], n: int) -> Figure:
    low, high = np.quantile(statistics, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Figure(value, float(low), float(high), n)
