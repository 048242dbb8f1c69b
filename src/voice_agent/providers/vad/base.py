"""The voice activity protocol: one call's detector, pulled along by its audio."""

from __future__ import annotations

from typing import Protocol


class VoiceDetector(Protocol):
    """One call's detector. ``process`` takes exactly ``hop_samples`` samples of 16-bit mono PCM at 16 kHz and gives the
    probability of speech in [0, 1]; it costs well under 1 ms and may run on the event loop."""

    hop_samples: int

    def process(self, hop: bytes) -> float: ...


class VoiceDetectorFactory(Protocol):
    """Shared by the process: holds the model. ``open`` gives one call's detector with a state of its own."""

    def open(self) -> VoiceDetector: ...
