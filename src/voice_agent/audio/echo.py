"""Is what the microphone hears the agent's own voice, coming back from the caller's loudspeaker?

Theory of operation: an echo is what was sent, delayed and filtered by a line, a loudspeaker and a room. So the heard audio
is compared with what was played before it: cross-correlation finds the delay, and at that delay the *coherence* of the two
tells how much of the heard power a linear filter of the sent audio explains. It is near 1 for an echo, near 0 for anybody
else's voice, and in between where both are heard at once: the share of the power that is the agent's.

Both signals are brought to 4 kHz first: most of a voice's power lies below 2 kHz, loudspeakers and codecs distort least
there, and one comparison costs about 0.2 ms. Nothing is computed for a frame; only when somebody asks.

Source of the method: magnitude-squared coherence by averaged periodograms (Carter, Knapp and Nuttall, IEEE Trans. Audio
Electroacoust. AU-21, 1973), as double-talk detectors use it (Gänsler, Hansson, Invarsson, Salomonsson, IEEE Trans. Commun.
44, 1996).
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_RATE_HZ: Final = 4_000
_HEARD_RATE_HZ: Final = 16_000
_PLAYED_RATE_HZ: Final = 24_000
# The paced clock may be a little behind an eager client; the network, a jitter buffer, a sound card and the way back may
# take this long.
_EARLIEST_S: Final = -0.1
_LATEST_S: Final = 0.6
# What is compared: shorter says nothing, longer reacts late to a caller who begins to speak over the echo.
_LONGEST_S: Final = 0.6
_SHORTEST_S: Final = 0.16
# Periodograms of 32 ms, half overlapping: long enough for a desk's reflections, short enough for a dozen in 224 ms.
_SEGMENT: Final = 128
# Quieter than this (mean square, -66 dBFS) is no echo worth the name.
_INAUDIBLE: Final = 2.5e-7


class EchoMeter:
    """One call's comparison of heard with played audio. ``played`` costs an append; ``share`` does the work."""

    def __init__(self) -> None:
        self._played: deque[tuple[float, bytes]] = deque()

    def played(self, at_s: float, pcm: bytes) -> None:
        """A chunk (16-bit mono, 24 kHz) that reaches the ear at ``at_s``; chunks come in order of time."""
        self._played.append((at_s, pcm))
        while self._played[0][0] < at_s - _LATEST_S - _LONGEST_S:
            self._played.popleft()

    def share(self, heard: bytes, until_s: float) -> float | None:
        """The share, in [0, 1], of the power of ``heard`` (16-bit mono, 16 kHz, ending at ``until_s``, on the clock of
        ``played``) that is explained by what was played. None where nothing was, or where there is too little to tell."""
        while self._played and self._played[0][0] < until_s - _LATEST_S - _LONGEST_S:
            self._played.popleft()
        if not self._played:
            return None
        microphone = _decimated(heard[-int(_LONGEST_S * _HEARD_RATE_HZ) * 2 :], _HEARD_RATE_HZ)
        if microphone.size < _SHORTEST_S * _RATE_HZ or float(np.mean(np.square(microphone))) < _INAUDIBLE:
            return None
        loudspeaker = self._reference(microphone.size, until_s)
        aligned = _aligned(microphone, loudspeaker)
        return 0.0 if aligned is None else _explained(microphone, aligned)

    def _reference(self, size: int, until_s: float) -> Samples:
        """What was played in the time that an echo in ``size`` samples before ``until_s`` may come from; zeros where
        nothing was."""
        begin_s = until_s - size / _RATE_HZ - _LATEST_S
        out = np.zeros(size + round((_LATEST_S - _EARLIEST_S) * _RATE_HZ), np.float32)
        for at_s, pcm in self._played:
            chunk = _decimated(pcm, _PLAYED_RATE_HZ)
            start = round((at_s - begin_s) * _RATE_HZ)
            if start < 0:
                chunk, start = chunk[-start:], 0
            room = out[start : start + chunk.size]
            room[:] = chunk[: room.size]
        return out


def _decimated(pcm: bytes, rate_hz: int) -> Samples:
    """Samples in [-1, 1] at 4 kHz; what lies above folds back weakly, the same way in both signals."""
    factor = rate_hz // _RATE_HZ
    samples = np.frombuffer(pcm, "<i2")
    whole = samples.size - samples.size % factor
    mean: Samples = samples[:whole].reshape(-1, factor).mean(axis=1, dtype=np.float32)
    mean /= np.float32(32768.0)
    return mean


def _aligned(microphone: Samples, loudspeaker: Samples) -> Samples | None:
    """The piece of ``loudspeaker`` that ``microphone`` resembles most; None where all of it is silent."""
    # Differences weigh a voice's harmonics more evenly, which sharpens the peak.
    heard, played = np.diff(microphone), np.diff(loudspeaker)
    size = 1 << int(heard.size + played.size - 1).bit_length()
    spectrum = np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size))
    lags = played.size - heard.size + 1
    correlation = np.fft.irfft(spectrum, size)[:lags]
    power = np.concatenate(([0.0], np.cumsum(np.square(played, dtype=np.float64))))
    window = power[heard.size :] - power[:lags]
    audible = window > _INAUDIBLE * heard.size
    if not audible.any():
        return None
    likeness = np.where(audible, np.abs(correlation) / np.sqrt(np.maximum(window, 1e-12)), 0.0)
    best = int(np.argmax(likeness))
    return loudspeaker[best : best + microphone.size]


def _explained(heard: Samples, played: Samples) -> float:
    """The share of ``heard``'s power that is coherent with ``played``, less what chance alone would give."""
    window = np.hanning(_SEGMENT).astype(np.float32)
    one, other = _spectra(heard, window), _spectra(played, window)
    count = len(one)
    heard_power = np.square(np.abs(one)).sum(axis=0)
    played_power = np.square(np.abs(other)).sum(axis=0)
    cross = np.square(np.abs((one * np.conj(other)).sum(axis=0)))
    coherent = float((cross / np.maximum(played_power, 1e-12)).sum()) / max(float(heard_power.sum()), 1e-12)
    chance: float = 1.0 / count
    return min(1.0, max(0.0, (coherent - chance) / (1.0 - chance)))


def _spectra(samples: Samples, window: Samples) -> NDArray[np.complex128]:
    pieces = np.lib.stride_tricks.sliding_window_view(samples, _SEGMENT)[:: _SEGMENT // 2]
    return np.fft.rfft(pieces * window, axis=1)
