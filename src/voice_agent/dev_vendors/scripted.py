"""Engines without models: what they give is known beforehand, and takes no time of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from voice_agent.audio.frames import pcm_of
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta

TONE_HZ = 440
_SPEAK_HZ = 24_000
_TONE_LEVEL = 0.2


class ScriptedModel:
    """A ``LanguageModel`` that gives the same events every time, or what ``script`` makes of a request. A text is given word
    by word."""

    def __init__(self, script: str | Sequence[LlmEvent] | Callable[[LlmRequest], str | Sequence[LlmEvent]]) -> None:
        self._script = script

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        script = self._script(request) if callable(self._script) else self._script
        if isinstance(script, str):
            words = script.split(" ")
            script = [TextDelta(word if index == 0 else f" {word}") for index, word in enumerate(words)]
        for event in script:
            if not isinstance(event, LlmFinished):
                yield event
        yield LlmFinished()


class ToneSynthesizer:
    """A ``SpeechSynthesizer`` whose speech is a tone of ``duration_s(text)`` seconds, in chunks of ``chunk_s``."""

    sample_rate_hz = _SPEAK_HZ

    def __init__(
        self, duration_s: Callable[[str], float] = lambda text: 0.06 * len(text), chunk_s: float = 0.1
    ) -> None:
        self._duration_s = duration_s
        self._chunk_s = chunk_s

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        samples = round(self._duration_s(text.strip()) * _SPEAK_HZ)
        pcm = pcm_of(_TONE_LEVEL * np.sin(2 * np.pi * TONE_HZ * np.arange(samples) / _SPEAK_HZ))
        step = max(1, round(self._chunk_s * _SPEAK_HZ)) * 2
        for start in range(0, len(pcm), step):
            yield pcm[start : start + step]
