"""A voice for callers placed from the command line: always the local one, whatever the agent speaks with."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np

from voice_agent.audio.frames import pcm_of, samples_of
from voice_agent.config import Settings
from voice_agent.errors import ConfigError
from voice_agent.evaluation.caller_audio import whole_resampled
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts.local import LocalSynthesizer


class Speaker:
    """Turns texts into recordings; entered once, its model is unloaded on leaving."""

    def __init__(self, settings: Settings) -> None:
        self._pool = ModelPool(workers=1)
        self._voice = LocalSynthesizer(self._pool, speed=settings.tts.speed)

    async def __aenter__(self) -> Self:
        await self._voice.warm_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    async def say(self, text: str, rate_hz: int, locale: str) -> bytes:
        """The text as mono PCM at ``rate_hz``. Raises ``ConfigError`` for a text without anything speakable."""
        pcm = b"".join([chunk async for chunk in self._voice.synthesize(text, locale=locale)])
        if not pcm:
            raise ConfigError(f"--say {text!r}: there is nothing in it that can be spoken.")
        samples = samples_of(pcm).astype(np.float64) / 32_768
        return pcm_of(whole_resampled(samples, self._voice.sample_rate_hz, rate_hz))
