"""Streaming sample-rate conversion between 8, 16, 24 and 48 kHz: a short polyphase FIR filter.

Theory of operation. Conversion by L/M inserts L-1 zeros after each input sample, filters at the rate L·in, and keeps
every M-th sample. The filter is a Kaiser-windowed sinc whose pass-band ends at 0.85 of the lower rate's Nyquist
frequency and whose stop-band (``STOPBAND_DB``) begins at that Nyquist frequency; this fixes its length at about
6.7 ms of the lower band's 8 kHz rate, hence the delay: 3.3 ms where 8 kHz is the lower rate, 1.7 ms for 16 kHz,
1.1 ms for 24 kHz. Nothing beyond that is withheld, and time does not drift: after n input samples exactly
``n // M * L`` output samples have left.

Zeros are never multiplied: an output *cycle* (L samples, from M inputs) is a matrix product of a window of the input
with the filter's phases; several cycles are laid side by side to make the product worth a BLAS call.

Coefficients are integers (Q20) and so are samples: all sums stay far below 2**53 and are exact in float64. So the
output is the same, to the bit, for any chunking of the input and any BLAS kernel.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATES_HZ = (8_000, 16_000, 24_000, 48_000)
PASSBAND_EDGE = 0.85  # of the lower rate's Nyquist frequency
STOPBAND_DB = 65.0
_COEFFICIENT_BITS = 20


@dataclass(frozen=True, slots=True)
class _Filter:
    """A filter laid out for one rate pair.

    ``matrix`` has shape (window, cycles · up): a row of input times it is ``cycles`` output cycles. Row r of the input
    starts ``cycles · down`` samples after row r-1. ``history`` samples precede the first new one.
    """

    up: int
    down: int
    cycles: int
    history: int
    matrix: NDArray[np.float64]
    delay_s: float


@functools.cache
def _filter(in_hz: int, out_hz: int) -> _Filter:
    common = math.gcd(in_hz, out_hz)
    up, down = out_hz // common, in_hz // common
    taps = _prototype(in_hz * up, min(in_hz, out_hz), up)
    # Output k of a cycle sits k·down upsampled steps in; tap t reaches back to input (k·down - t) / up.
    history = (taps.size - 1) // up
    cycles = max(1, history // down)  # windows then overlap by half: little copying, few wasted products
    window = history + cycles * down
    matrix = np.zeros((window, cycles * up))
    for output in range(cycles * up):
        newest, phase = divmod(output * down, up)
        column = taps[phase::up]  # column[j] multiplies input (newest - j)
        for back, tap in enumerate(column):
            matrix[history + newest - back, output] = tap
    matrix.setflags(write=False)
    return _Filter(up, down, cycles, history, matrix, (taps.size - 1) / 2 / (in_hz * up))


def _prototype(rate_hz: int, lower_hz: int, up: int) -> NDArray[np.float64]:
    """Integer coefficients at the upsampled rate (Kaiser's design formulas), with gain ``up`` · 2**20 at 0 Hz."""
    nyquist = lower_hz / 2
    transition = (1 - PASSBAND_EDGE) * nyquist
    count = math.ceil((STOPBAND_DB - 7.95) / (14.36 * transition / rate_hz)) | 1  # odd: a whole-sample centre
    cutoff = (nyquist - transition / 2) / rate_hz
    t = np.arange(count) - (count - 1) / 2
    taps = np.sinc(2 * cutoff * t) * np.kaiser(count, 0.1102 * (STOPBAND_DB - 8.7))
    scaled: NDArray[np.float64] = np.rint(taps * (up * 2.0**_COEFFICIENT_BITS / taps.sum()))
    return scaled


class Resampler:
    """One direction of one call. Keep one per stream: it has a memory of ``delay_s``."""

    def __init__(self, in_hz: int, out_hz: int) -> None:
        """Raises ``ValueError`` for a rate not in ``RATES_HZ``."""
        for rate_hz in (in_hz, out_hz):
            if rate_hz not in RATES_HZ:
                raise ValueError(f"{rate_hz} Hz is not one of {', '.join(map(str, RATES_HZ))}")
        self.in_hz = in_hz
        self.out_hz = out_hz
        self._filter = None if in_hz == out_hz else _filter(in_hz, out_hz)
        self._odd = b""
        self._held = self._empty()

    def _empty(self) -> NDArray[np.float64]:
        return np.zeros(self._filter.history if self._filter else 0)

    @property
    def delay_s(self) -> float:
        """How much later a sound leaves than it came, in media time. Nothing else is withheld."""
        return self._filter.delay_s if self._filter else 0.0

    def process(self, pcm: bytes) -> bytes:
        """Converts the next chunk: 16-bit mono PCM of any length, an odd last byte waits for its other half."""
        plan = self._filter
        if plan is None:
            return pcm
        if self._odd or len(pcm) % 2:
            pcm = self._odd + pcm
            self._odd = pcm[len(pcm) & ~1 :]
            pcm = pcm[: len(pcm) & ~1]
        held = self._held.size
        samples = np.empty(held + len(pcm) // 2)
        samples[:held] = self._held
        samples[held:] = np.frombuffer(pcm, dtype="<i2")
        cycles = (samples.size - plan.history) // plan.down
        self._held = samples[cycles * plan.down :].copy()
        if cycles == 0:
            return b""
        return _convolve(samples, plan, cycles)

    def flush(self) -> bytes:
        """The end of the stream: what the filter still holds (``delay_s`` of sound). The next chunk starts afresh."""
        plan = self._filter
        if plan is None:
            return b""
        unfinished = self._held.size - plan.history
        tail = math.ceil(plan.delay_s * self.in_hz) + unfinished
        tail += -tail % plan.down - unfinished
        self._odd = b""
        out = self.process(bytes(2 * tail))
        self._held = self._empty()
        return out


def _convolve(samples: NDArray[np.float64], plan: _Filter, cycles: int) -> bytes:
    """``cycles`` output cycles from ``samples``, whose first ``plan.history`` are the past."""
    rows = -(-cycles // plan.cycles)
    hop = plan.cycles * plan.down
    window = plan.history + hop
    needed = (rows - 1) * hop + window
    if samples.size < needed:
        padded = np.zeros(needed)
        padded[: samples.size] = samples
        samples = padded
    step = samples.strides[0]
    rows_view = np.lib.stride_tricks.as_strided(samples, (rows, window), (hop * step, step), writeable=False)
    product = np.ascontiguousarray(rows_view) @ plan.matrix
    sums = product.reshape(-1)[: cycles * plan.up]
    sums *= 2.0**-_COEFFICIENT_BITS
    np.rint(sums, out=sums)
    np.clip(sums, -32_768, 32_767, out=sums)
    return sums.astype("<i2").tobytes()


def resampled(pcm: bytes, in_hz: int, out_hz: int) -> bytes:
    """A whole recording, with the filter's delay taken off: sample k of both is the same instant."""
    resampler = Resampler(in_hz, out_hz)
    if in_hz == out_hz:
        return pcm
    converted = resampler.process(pcm) + resampler.flush()
    skip = round(resampler.delay_s * out_hz) * 2
    length = math.ceil(len(pcm) // 2 * out_hz / in_hz) * 2
    return converted[skip : skip + length]
