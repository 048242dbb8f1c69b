"""The caller's line: levels, a telephone's band, noise behind the voice, and the agent's own echo.

Speech levels are active speech levels after the idea of ITU-T P.56: the power of those 10 ms windows that hold speech,
pauses left out, so that a sentence with pauses is as loud as one without. A signal-to-noise ratio is that level less the
noise's. ``NOMINAL_DBFS`` is the level at which telephone speech is tested (ITU-T P.830: -26 dBov).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.frames import BYTES_PER_SAMPLE, FULL_SCALE, gained, pcm_of, samples_of

NOMINAL_DBFS = -26.0
_WINDOW_S = 0.01
_ACTIVE_BELOW_PEAK_DB = 30.0  # weaker windows are pauses, breath and room
_BAND_HZ = (300.0, 3400.0)  # the telephone's, ITU-T G.712
_MU = 255.0  # ITU-T G.711
_TAPS = ((0.0, 1.0), (0.0041, 0.45), (0.0097, 0.3))  # an earpiece heard by its microphone: delay (s), weight


def active_level_dbfs(pcm: bytes, rate_hz: int) -> float:
    """The level of the windows that hold speech. Raises ``ValueError`` where nothing does."""
    samples = samples_of(pcm).astype(np.float64) / FULL_SCALE
    window = round(_WINDOW_S * rate_hz)
    whole = samples[: samples.size // window * window].reshape(-1, window)
    power = np.mean(np.square(whole), axis=1)
    if power.size == 0 or power.max() == 0.0:
        raise ValueError("silence has no speech level")
    active = power[power > power.max() * 10 ** (-_ACTIVE_BELOW_PEAK_DB / 10)]
    return float(10 * np.log10(np.mean(active)))


def levelled(pcm: bytes, rate_hz: int, dbfs: float = NOMINAL_DBFS) -> bytes:
    """``pcm`` with an active level of ``dbfs``."""
    return gained(pcm, dbfs - active_level_dbfs(pcm, rate_hz))


def through_telephone(pcm: bytes, rate_hz: int) -> bytes:
    """``pcm`` as a telephone line passes it on: 300 to 3400 Hz, and 8 bits a sample by the mu-law and back."""
    samples = samples_of(pcm).astype(np.float64) / FULL_SCALE
    if samples.size == 0:
        return pcm
    spectrum = np.fft.rfft(samples)
    frequency_hz = np.fft.rfftfreq(samples.size, 1 / rate_hz)
    spectrum[(frequency_hz < _BAND_HZ[0]) | (frequency_hz > _BAND_HZ[1])] = 0
    banded = np.clip(np.fft.irfft(spectrum, samples.size), -1.0, 1.0)
    code = np.rint(127 * np.sign(banded) * np.log1p(_MU * np.abs(banded)) / np.log1p(_MU))
    return pcm_of(np.sign(code) * np.expm1(np.abs(code) / 127 * np.log1p(_MU)) / _MU)


@dataclass(frozen=True, slots=True)
class Echo:
    """What the agent sent comes back: ``delay_s`` after it was played, ``attenuation_db`` weaker."""

    delay_s: float
    attenuation_db: float


class CallerLine:
    """Adds to each outgoing frame what else is on the line; give one to ``SimulatedCaller``.

    ``noise`` has an RMS of 1 and is repeated for as long as the call lasts; ``noise_dbfs`` is its level. An echo needs the
    same sample rate both ways. ``frame`` takes the frame's bytes, the position of its first sample in the sent track, and
    ``heard(from, until)``: what was played between two positions, seconds before the frame's end. Not safe to share
    between calls.
    """

    def __init__(
        self, *, noise: NDArray[np.float64] | None = None, noise_dbfs: float = -60.0, echo: Echo | None = None
    ) -> None:
        self.echo = echo
        self._noise = None if noise is None else noise * 10 ** (noise_dbfs / 20)
        weight = np.sqrt(sum(gain * gain for _, gain in _TAPS))
        gain = 0.0 if echo is None else 10 ** (-echo.attenuation_db / 20) / weight
        self._taps = [(delay_s, gain * tap) for delay_s, tap in _TAPS] if echo is not None else []

    def frame(self, pcm: bytes, position: int, rate_hz: int, heard: Callable[[float, float], bytes]) -> bytes:
        """The frame as it goes out, of the same length."""
        if self._noise is None and not self._taps:
            return pcm
        mixed = samples_of(pcm).astype(np.float64) / FULL_SCALE
        if self._noise is not None:
            mixed += self._noise[np.arange(position, position + mixed.size) % self._noise.size]
        if self.echo is not None:
            seconds = mixed.size / rate_hz
            for delay_s, gain in self._taps:
                back_s = self.echo.delay_s + delay_s
                part = samples_of(heard(back_s + seconds, back_s)).astype(np.float64) / FULL_SCALE
                mixed[: part.size] += gain * part[: mixed.size]
        return pcm_of(mixed)


def silence_between(seconds: float, rate_hz: int) -> bytes:
    """Digital silence of whole samples."""
    return bytes(max(0, round(seconds * rate_hz)) * BYTES_PER_SAMPLE)
