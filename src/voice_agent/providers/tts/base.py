"""The speech synthesis protocol: one sentence in, mono 16-bit PCM out, as soon as there is any."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class SpeechSynthesizer(Protocol):
    """Shared by the process. Closing the iterator (or cancelling its consumer) stops the synthesis.

    ``synthesize`` yields non-empty little-endian mono chunks at ``sample_rate_hz``, whole samples each. Text without
    anything speakable yields nothing. ``voice`` is a name that the provider may know; empty: the voice it is set to. A name
    that it does not know gives that voice too, or, before any audio, a ``PROTOCOL`` error that is not retryable. Raises
    ``ProviderError``.
    """

    sample_rate_hz: int

    async def warm_up(self) -> None: ...

    def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]: ...
