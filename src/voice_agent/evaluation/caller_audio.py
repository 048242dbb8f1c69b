"""The simulated caller's ears: what arrives, when it is heard, and when anything voiced begins and ends.

PCM is 16-bit little-endian mono. Times are seconds on the caller's own monotonic clock, given by whoever calls.
"""

from __future__ import annotations

import wave
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.frames import BYTES_PER_SAMPLE, FULL_SCALE, pcm_of, samples_of
from voice_agent.errors import ConfigError

SOUND_LEVEL = 164  # a sample at least this large is sound: -46 dBFS, above any synthesiser's residual noise
_WINDOW_S = 0.01
_SEAMLESS_S = 0.01  # a shorter gap is jitter between chunks, or a low note's zero crossing
_VOICED_BELOW_PEAK_DB = 40.0  # speech's quietest consonants lie about 35 dB under its loudest vowel
_VOICED_FLOOR_DBFS = -55.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A stretch of sound: when its first sample arrived, and when it was played."""

    received_s: float
    played_s: float


@dataclass(slots=True)
class _Piece:
    """One received chunk at its place in the played track; ``first`` and ``last`` are its outermost loud samples."""

    received_s: float
    start_s: float
    samples: NDArray[np.int16]
    first: int | None
    last: int | None


class PlaybackBuffer:
    """A client's audio output: plays what arrives at real time, at once or behind what is still playing.

    ``clear`` drops everything that has not been played by then, as a browser or phone does on an interruption. Nothing
    here runs: the times follow from the times of arrival. Arrival times must not go backwards.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.received_bytes = 0
        self._pieces: list[_Piece] = []
        self._held = b""

    def receive(self, pcm: bytes, at_s: float) -> None:
        """Takes a chunk that arrived at ``at_s``; half a sample waits for its other half."""
        self.received_bytes += len(pcm)
        data = self._held + pcm
        whole = len(data) - len(data) % BYTES_PER_SAMPLE
        self._held = data[whole:]
        if not whole:
            return
        samples = samples_of(data[:whole])
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= SOUND_LEVEL)
        first, last = (int(loud[0]), int(loud[-1])) if loud.size else (None, None)
        self._pieces.append(_Piece(at_s, max(at_s, self.ends_at_s), samples, first, last))

    def clear(self, at_s: float) -> None:
        """Drops what would be played after ``at_s``."""
        while self._pieces and self._pieces[-1].start_s >= at_s:
            self._pieces.pop()
        if self._pieces:
            piece = self._pieces[-1]
            played = round((at_s - piece.start_s) * self.rate_hz)
            if played < piece.samples.size:
                piece.samples = piece.samples[:played]
                loud = np.flatnonzero(np.abs(piece.samples.astype(np.int32)) >= SOUND_LEVEL)
                piece.first, piece.last = (int(loud[0]), int(loud[-1])) if loud.size else (None, None)

    @property
    def ends_at_s(self) -> float:
        """When everything received so far has been played; minus infinity before the first chunk."""
        if not self._pieces:
            return float("-inf")
        last = self._pieces[-1]
        return last.start_s + last.samples.size / self.rate_hz

    def first_sound_after(self, after_s: float) -> Heard | None:
        """The first non-silent sample that arrived after ``after_s``."""
        start = bisect_left(self._pieces, after_s, key=attrgetter("received_s"))
        for piece in self._pieces[start:]:
            if piece.first is not None:
                return Heard(piece.received_s, piece.start_s + piece.first / self.rate_hz)
        return None

    def sound_ends_at_s(self, *, after_s: float = float("-inf"), before_s: float = float("inf")) -> float | None:
        """When the last non-silent sample was (or will be) played, looking at sound between the two times only."""
        for piece in reversed(self._pieces):
            if piece.start_s + piece.samples.size / self.rate_hz < after_s:
                return None
            if piece.last is None or piece.start_s > before_s:
                continue
            end_s = piece.start_s + (piece.last + 1) / self.rate_hz
            if end_s > before_s:
                end_s = self._last_loud_before(piece, before_s)
            if end_s > after_s:
                return end_s
        return None

    def audio_ends_at_s(self, *, before_s: float) -> float | None:
        """When the last sample, silent or not, was played of what began to play before ``before_s``."""
        for piece in reversed(self._pieces):
            if piece.start_s < before_s:
                return min(before_s, piece.start_s + piece.samples.size / self.rate_hz)
        return None

    def played_spans(self) -> list[tuple[float, float]]:
        """When audio, silent or not, was (or will be) played: (start, end) of each stretch without a gap."""
        spans: list[tuple[float, float]] = []
        for piece in self._pieces:
            end_s = piece.start_s + piece.samples.size / self.rate_hz
            if spans and piece.start_s - spans[-1][1] < _SEAMLESS_S:
                spans[-1] = (spans[-1][0], end_s)
            elif piece.samples.size:
                spans.append((piece.start_s, end_s))
        return spans

    def sound_spans(self, *, joined_s: float = 0.0) -> list[tuple[float, float]]:
        """When anything was audible: (start, end) of each stretch whose silences are shorter than ``joined_s``."""
        spans: list[tuple[float, float]] = []
        for piece in self._pieces:
            loud = np.flatnonzero(np.abs(piece.samples.astype(np.int32)) >= SOUND_LEVEL)
            if loud.size == 0:
                continue
            breaks = np.flatnonzero(np.diff(loud) > max(joined_s, _SEAMLESS_S) * self.rate_hz)
            for part in np.split(loud, breaks + 1):
                start_s = piece.start_s + int(part[0]) / self.rate_hz
                end_s = piece.start_s + (int(part[-1]) + 1) / self.rate_hz
                if spans and start_s - spans[-1][1] <= max(joined_s, _SEAMLESS_S):
                    spans[-1] = (spans[-1][0], end_s)
                else:
                    spans.append((start_s, end_s))
        return spans

    def _last_loud_before(self, piece: _Piece, before_s: float) -> float:
        part = piece.samples[: max(0, int((before_s - piece.start_s) * self.rate_hz))]
        loud = np.flatnonzero(np.abs(part.astype(np.int32)) >= SOUND_LEVEL)
        return piece.start_s + (int(loud[-1]) + 1) / self.rate_hz if loud.size else float("-inf")

    def track(self, from_s: float, until_s: float) -> bytes:
        """What the caller heard between the two times, silences included: aligned, gapless PCM."""
        out = np.zeros(max(0, round((until_s - from_s) * self.rate_hz)), dtype=np.int16)
        first = max(0, bisect_right(self._pieces, from_s, key=attrgetter("start_s")) - 1)
        for piece in islice(self._pieces, first, None):
            if piece.start_s >= until_s:
                break
            start = round((piece.start_s - from_s) * self.rate_hz)
            begin, end = max(0, start), min(out.size, start + piece.samples.size)
            if begin < end:
                out[begin:end] = piece.samples[begin - start : end - start]
        return pcm_of(out)


def voiced_span(pcm: bytes, rate_hz: int) -> tuple[float, float] | None:
    """(start, end) of what is voiced in a recording, seconds from its start; None where nothing is.

    A 10 ms window is voiced above -55 dBFS and above 40 dB under the recording's loudest window.
    """
    samples = samples_of(pcm).astype(np.float64) / FULL_SCALE
    window = round(_WINDOW_S * rate_hz)
    if samples.size == 0:
        return None
    padded = np.pad(samples, (0, -samples.size % window)).reshape(-1, window)
    level_db = 10.0 * np.log10(np.mean(np.square(padded), axis=1) + 1e-12)
    voiced = np.flatnonzero(level_db > max(_VOICED_FLOOR_DBFS, float(level_db.max()) - _VOICED_BELOW_PEAK_DB))
    if voiced.size == 0:
        return None
    return int(voiced[0]) * _WINDOW_S, min((int(voiced[-1]) + 1) * _WINDOW_S, samples.size / rate_hz)


def read_wav(path: Path, rate_hz: int) -> bytes:
    """A WAV file as mono PCM at ``rate_hz``. Raises ``ConfigError`` for what is not a 16-bit PCM WAV file."""
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, native_hz = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise ConfigError(f"{path} cannot be read as a WAV file: {error}") from None
    if width != BYTES_PER_SAMPLE:
        raise ConfigError(f"{path} has {8 * width}-bit samples; only 16-bit PCM is understood")
    mono = samples_of(data).reshape(-1, channels).mean(axis=1) / FULL_SCALE
    return pcm_of(whole_resampled(mono, native_hz, rate_hz))


def write_wav(path: Path, pcm: bytes, rate_hz: int) -> None:
    """Writes mono PCM. Raises ``ConfigError`` where the file cannot be written."""
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(BYTES_PER_SAMPLE)
            file.setframerate(rate_hz)
            file.writeframes(pcm)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def whole_resampled(samples: NDArray[np.float64], from_hz: int, to_hz: int) -> NDArray[np.float64]:
    """Band-limited resampling of a finished recording, between any two rates, through its spectrum."""
    if from_hz == to_hz or samples.size == 0:
        return samples
    length = round(samples.size * to_hz / from_hz)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(length // 2 + 1, dtype=np.complex128)
    shared = min(kept.size, spectrum.size)
    kept[:shared] = spectrum[:shared]
    return np.fft.irfft(kept, length) * (length / samples.size)
