"""The end-of-turn model protocol: does this audio sound finished?"""

from __future__ import annotations

from typing import Protocol


class TurnModel(Protocol):
    """Shared by the process. ``completeness`` takes the utterance's last seconds (16-bit mono PCM, 16 kHz, ending in the
    pause) and gives the probability in [0, 1] that the speaker has finished. Raises ``ProviderError``."""

    async def warm_up(self) -> None: ...

    async def completeness(self, pcm: bytes) -> float: ...
