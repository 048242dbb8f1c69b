"""From speech probabilities to facts: when speech began, when it ended.

A hop is *voiced* by a Schmitt trigger: it becomes voiced at ``threshold`` and stays so until the probability falls
below ``threshold - release_margin``. Speech begins once ``speech_start_s`` of voiced hops follow one another, counted
from the first of them; it ends once ``speech_stop_s`` have passed since the last voiced hop. Time is media time:
seconds of audio counted in samples, so the result does not depend on when the audio arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# A probability this far below the threshold ends a voiced run (the margin Silero's own iterator uses).
RELEASE_MARGIN: Final = 0.15
# Media times are sums of float seconds; less than a sample at 48 kHz is no difference.
_EPSILON_S: Final = 1e-5


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """``at_s``: media time at which the first voiced hop starts."""

    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """``last_voiced_s``: media time at which the last voiced hop ends."""

    last_voiced_s: float


SpeechFact = SpeechBegan | SpeechEnded


class SpeechGate:
    """One call's gate. Feed every hop in order through ``update``."""

    __slots__ = (
        "_began_s",
        "_hop_s",
        "_last_voiced_s",
        "_now_s",
        "_release",
        "_run_began_s",
        "_speech_start_s",
        "_speech_stop_s",
        "_threshold",
        "_voiced",
    )

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        speech_start_s: float = 0.064,
        speech_stop_s: float = 0.16,
        hop_s: float = 0.032,
        release_margin: float = RELEASE_MARGIN,
    ) -> None:
        self._threshold = threshold
        self._release = max(threshold - release_margin, min(threshold, 0.01))
        self._speech_start_s = speech_start_s
        self._speech_stop_s = speech_stop_s
        self._hop_s = hop_s
        self._voiced = False
        self._run_began_s = 0.0
        self._began_s: float | None = None
        self._last_voiced_s = 0.0
        self._now_s = 0.0

    @property
    def voiced(self) -> bool:
        """Whether the latest hop is voiced."""
        return self._voiced

    @property
    def speaking(self) -> bool:
        """Whether speech has begun and not ended."""
        return self._began_s is not None

    @property
    def speech_s(self) -> float:
        """From the beginning of the current speech to its last voiced hop; 0 while nobody speaks."""
        return 0.0 if self._began_s is None else self._last_voiced_s - self._began_s

    @property
    def silence_s(self) -> float:
        """Media time since the last voiced hop (since the start of the media where there was none)."""
        return self._now_s - self._last_voiced_s

    def update(self, probability: float, end_s: float) -> SpeechFact | None:
        """Takes the hop that ends at media time ``end_s``; gives the fact it establishes, if any."""
        self._now_s = end_s
        was_voiced = self._voiced
        self._voiced = probability >= (self._release if was_voiced else self._threshold)
        if self._voiced:
            if not was_voiced:
                self._run_began_s = end_s - self._hop_s
            self._last_voiced_s = end_s
            if self._began_s is None and end_s - self._run_began_s >= self._speech_start_s - _EPSILON_S:
                self._began_s = self._run_began_s
                return SpeechBegan(self._began_s)
            return None
        if self._began_s is not None and self.silence_s >= self._speech_stop_s - _EPSILON_S:
            self._began_s = None
            return SpeechEnded(self._last_voiced_s)
        return None
