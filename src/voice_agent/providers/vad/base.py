"""The voice activity protocol: one call's detector, pushed along by its audio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from voice_agent.errors import ProviderError

OnHop = Callable[[bytes, float], None]
"""A hop and its probability of speech, in [0, 1]."""
OnFailure = Callable[[ProviderError], None]


class VoiceDetector(Protocol):
    """One call's detector. ``push`` takes exactly ``hop_samples`` samples of 16-bit mono PCM at 16 kHz; the probability
    comes by the callback given at ``open``, hop by hop in order: at once, or a few milliseconds later where the hops of
    several calls are judged together. ``close`` ends the callbacks. All on the event loop."""

    hop_samples: int

    def push(self, hop: bytes) -> None: ...

    def close(self) -> None: ...


class VoiceDetectorFactory(Protocol):
    """Shared by the process: holds the model. ``open`` gives one call's detector with a state of its own."""

    def open(self, on_hop: OnHop, on_failure: OnFailure) -> VoiceDetector: ...
