"""Silero voice activity detection (MIT), 16 kHz: 512 new samples a hop, the 64 before them as context.

The model is a small recurrent net: input (1, 576) in [-1, 1], state (2, 1, 128), output a probability (1, 1). A hop
takes about 0.15 ms, so it runs on the event loop.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voice_agent.errors import BugError, ProviderError, ProviderFault
from voice_agent.providers import weights
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.sessions import open_session

SAMPLE_RATE_HZ: Final = 16_000
HOP_SAMPLES: Final = 512
_CONTEXT_SAMPLES: Final = 64
_STATE_SHAPE: Final = (2, 1, 128)
_HOP_BYTES: Final = HOP_SAMPLES * 2

# A muted or noise-gated line sends zeros (µ-law's smallest step is 8): once the net's memory has settled on silence
# there is nothing to learn from more of it, and a silent call costs next to nothing.
_SILENT_PEAK: Final = 8
_SETTLED_HOPS: Final = 16


class SileroDetectorFactory:
    """A ``VoiceDetectorFactory``: one model for the process, a state for each call."""

    hop_samples = HOP_SAMPLES

    def __init__(self, pool: ModelPool, *, model_path: Path | None = None) -> None:
        self._pool = pool
        self._path = model_path if model_path is not None else weights.silero_vad()
        self._session: Any = None

    async def warm_up(self) -> None:
        """Loads the model and runs it once. Raises ``ConfigError``."""
        await self._pool.run(self._load)

    def open(self) -> SileroDetector:
        """One call's detector. Loads the model on the calling thread (30 ms) where ``warm_up`` has not."""
        if self._session is None:
            self._load()
        return SileroDetector(self._session)

    def _load(self) -> None:
        session = open_session(self._path)
        SileroDetector(session).process(b"\x01\x01" * HOP_SAMPLES)
        self._session = session


class SileroDetector:
    """A ``VoiceDetector``. Not thread-safe; belongs to one call."""

    hop_samples = HOP_SAMPLES

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input: NDArray[np.float32] = np.zeros((1, _CONTEXT_SAMPLES + HOP_SAMPLES), np.float32)
        self._state: NDArray[np.float32] = np.zeros(_STATE_SHAPE, np.float32)
        self._rate = np.array(SAMPLE_RATE_HZ, np.int64)
        self._silent_hops = 0

    def process(self, hop: bytes) -> float:
        """Raises ``BugError`` on a hop of another size, ``ProviderError`` where the model fails."""
        if len(hop) != _HOP_BYTES:
            raise BugError(f"a hop is {HOP_SAMPLES} samples ({_HOP_BYTES} bytes), not {len(hop)} bytes")
        samples = np.frombuffer(hop, "<i2")
        silent = max(int(samples.max()), -int(samples.min())) <= _SILENT_PEAK
        self._silent_hops = self._silent_hops + 1 if silent else 0
        if self._silent_hops > _SETTLED_HOPS:
            return 0.0
        audio = self._input
        audio[0, :_CONTEXT_SAMPLES] = audio[0, -_CONTEXT_SAMPLES:]
        np.multiply(samples, np.float32(1 / 32768), out=audio[0, _CONTEXT_SAMPLES:])
        try:
            output, self._state = self._session.run(None, {"input": audio, "state": self._state, "sr": self._rate})
        except Exception as failed:  # the runtime has no common base for its errors
            raise ProviderError(f"voice detection failed: {failed}", category=ProviderFault.INTERNAL) from failed
        return float(output[0, 0])
