"""smart-turn v3.2: a small Whisper encoder that hears from intonation whether a speaker has finished.

Input: log-mel features (1, 80, 800) of the last 8 s, the audio at the end, zeros in front. Output: a probability,
shape (1, 1). The weights (BSD-2-Clause, Daily) come inside the ``pipecat-ai`` package; its code is not used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from voice_agent.audio.features import SAMPLE_RATE_HZ, last_window, log_mel
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers import weights
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.sessions import open_session

WINDOW_S: Final = 8.0
_BYTES_PER_SAMPLE: Final = 2
_WINDOW_BYTES: Final = int(WINDOW_S * SAMPLE_RATE_HZ) * _BYTES_PER_SAMPLE


class SmartTurnModel:
    """A ``TurnModel``: about 40 ms of one core an answer. Loaded by ``warm_up``, or by the first question."""

    def __init__(self, pool: ModelPool, *, model_path: Path | None = None) -> None:
        self._pool = pool
        self._path = model_path if model_path is not None else weights.smart_turn()
        self._session: Any = None

    async def warm_up(self) -> None:
        """Loads the model and runs it once. Raises ``ConfigError``."""
        await self._pool.run(self._ask, b"")

    async def completeness(self, pcm: bytes) -> float:
        """Only the last 8 s matter. Cancelling is safe at any moment. Raises ``ProviderError``."""
        return await self._pool.run(self._ask, pcm[-_WINDOW_BYTES:])

    def _ask(self, pcm: bytes) -> float:
        if self._session is None:
            self._session = open_session(self._path)  # two at once both load; the later one stays
        session = self._session
        whole = len(pcm) - len(pcm) % _BYTES_PER_SAMPLE
        samples = np.frombuffer(pcm[:whole], "<i2").astype(np.float32) / 32768.0
        features = log_mel(last_window(samples, WINDOW_S))
        try:
            probability = float(session.run(None, {"input_features": features[None]})[0][0, 0])
        except Exception as failed:  # the runtime has no common base for its errors
            raise ProviderError(f"the end-of-turn model failed: {failed}", category=ProviderFault.INTERNAL) from failed
        return min(1.0, max(0.0, probability))
