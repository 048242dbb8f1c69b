"""PCM frames: bytes to samples and back, exact-size frames out of any chunks, levels, gains and fades.

PCM here is 16-bit little-endian mono. Levels are relative to full scale (32 768), so a full-scale square wave is
0 dBFS and a full-scale sine -3 dBFS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

BYTES_PER_SAMPLE = 2
FULL_SCALE = 32_768.0
SILENCE_DBFS = -120.0  # what an all-zero frame is said to have; 16 bits cannot hold anything quieter but zero


def samples_of(pcm: bytes) -> NDArray[np.int16]:
    """PCM bytes as int16 samples, shape (n,), without a copy; read-only. Raises ``ValueError`` on half a sample."""
    if len(pcm) % BYTES_PER_SAMPLE:
        raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
    return np.frombuffer(pcm, dtype="<i2")


def floats_of(pcm: bytes) -> NDArray[np.float32]:
    """PCM bytes as float32 in [-1, 1), shape (n,)."""
    return samples_of(pcm).astype(np.float32) * np.float32(1 / FULL_SCALE)


def pcm_of(samples: NDArray[np.int16] | NDArray[np.float32] | NDArray[np.float64]) -> bytes:
    """Samples as PCM bytes. Floats are in [-1, 1]: rounded, and clipped where they exceed it."""
    if samples.dtype.kind == "f":
        return np.clip(np.rint(samples * FULL_SCALE), -32_768, 32_767).astype("<i2").tobytes()
    return samples.astype("<i2").tobytes()


def duration_s(pcm_bytes: int, rate_hz: int) -> float:
    """How long that many bytes of PCM play."""
    return pcm_bytes / (BYTES_PER_SAMPLE * rate_hz)


def bytes_for(seconds: float, rate_hz: int) -> int:
    """Bytes of PCM that play for ``seconds``, rounded to whole samples."""
    return round(seconds * rate_hz) * BYTES_PER_SAMPLE


def silence(seconds: float, rate_hz: int) -> bytes:
    """Digital silence."""
    return bytes(bytes_for(seconds, rate_hz))


class FrameAssembler:
    """Turns chunks of any size, odd too, into frames of exactly ``frame_bytes``; holds back less than one frame."""

    def __init__(self, frame_bytes: int) -> None:
        if frame_bytes <= 0:
            raise ValueError(f"a frame of {frame_bytes} bytes is empty")
        self._frame_bytes = frame_bytes
        self._held = bytearray()

    @property
    def pending_bytes(self) -> int:
        return len(self._held)

    def push(self, chunk: bytes) -> list[bytes]:
        """The frames that ``chunk`` completes, oldest first."""
        size = self._frame_bytes
        if not self._held and len(chunk) == size:
            return [bytes(chunk)]
        self._held += chunk
        whole = len(self._held) - len(self._held) % size
        if not whole:
            return []
        ready = bytes(self._held[:whole])
        del self._held[:whole]
        return [ready[start : start + size] for start in range(0, whole, size)]

    def flush(self) -> bytes:
        """What is held back, filled with silence to a whole frame; empty if nothing is. Resets."""
        if not self._held:
            return b""
        last = bytes(self._held) + bytes(self._frame_bytes - len(self._held))
        self._held.clear()
        return last

    def clear(self) -> None:
        """Forgets what is held back."""
        self._held.clear()


def frames_of(chunks: Iterable[bytes], frame_bytes: int) -> Iterator[bytes]:
    """Exact-size frames of a finished stream of chunks; the last is filled with silence."""
    assembler = FrameAssembler(frame_bytes)
    for chunk in chunks:
        yield from assembler.push(chunk)
    if last := assembler.flush():
        yield last


def rms(pcm: bytes) -> float:
    """Root mean square in [0, 1]; 0 for no samples."""
    samples = floats_of(pcm)
    return math.sqrt(float(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0


def peak(pcm: bytes) -> float:
    """Largest magnitude in [0, 1]; 0 for no samples."""
    samples = samples_of(pcm)
    return float(np.max(np.abs(samples.astype(np.int32)))) / FULL_SCALE if samples.size else 0.0


def dbfs(level: float) -> float:
    """A level in [0, 1] in decibels below full scale, never under ``SILENCE_DBFS``."""
    return max(SILENCE_DBFS, 20.0 * math.log10(level)) if level > 0 else SILENCE_DBFS


def gained(pcm: bytes, gain_db: float) -> bytes:
    """``pcm`` louder or quieter by ``gain_db``; clipped at full scale."""
    return pcm_of(floats_of(pcm) * np.float32(10.0 ** (gain_db / 20.0)))


def faded_in(pcm: bytes, fade_s: float, rate_hz: int) -> bytes:
    """``pcm`` rising from silence over its first ``fade_s`` (or its whole length, if shorter)."""
    return _faded(pcm, fade_s, rate_hz, at_start=True)


def faded_out(pcm: bytes, fade_s: float, rate_hz: int) -> bytes:
    """``pcm`` falling to silence over its last ``fade_s`` (or its whole length, if shorter)."""
    return _faded(pcm, fade_s, rate_hz, at_start=False)


def _faded(pcm: bytes, fade_s: float, rate_hz: int, *, at_start: bool) -> bytes:
    samples = samples_of(pcm)
    count = min(samples.size, round(fade_s * rate_hz))
    if count == 0:
        return pcm
    # A raised cosine: its slope is zero at both ends, so neither end clicks.
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / count)
    shaped = samples.astype(np.float64)
    if at_start:
        shaped[:count] *= ramp
    else:
        shaped[-count:] *= ramp[::-1]
    return np.rint(shaped).astype("<i2").tobytes()
