"""Finished audio of fixed phrases, so that a greeting or a filler starts without waiting for synthesis."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from voice_agent.providers.chain.base import Report, Switch
from voice_agent.providers.chain.speech import SynthesizerChain


class CachingSynthesizer:
    """A ``SynthesizerChain`` that remembers the phrases it is told to ``prepare``, up to ``max_bytes`` of audio.

    Only prepared phrases are kept: what is said about a caller is not held in memory. When full, the phrases prepared
    first are forgotten first.
    """

    def __init__(self, inner: SynthesizerChain, max_bytes: int = 16 * 2**20) -> None:
        self._inner = inner
        self._max_bytes = max_bytes
        self._audio: dict[tuple[str, str], tuple[bytes, ...]] = {}
        self.sample_rate_hz = inner.sample_rate_hz
        self.held_bytes = 0

    async def warm_up(self) -> None:
        await self._inner.warm_up()

    async def prepare(self, phrases: Iterable[str], *, locale: str) -> None:
        """Synthesises ``phrases`` one after another. Cancelling keeps those that are finished. Raises ``ProviderError``."""
        for text in phrases:
            key = (locale, text)
            if key not in self._audio:
                chunks = [chunk async for chunk in self._inner.synthesize(text, locale=locale, report=_unheard)]
                self._keep(key, tuple(chunks))

    def holds(self, text: str, *, locale: str) -> bool:
        """Whether ``text`` would start at once."""
        return (locale, text) in self._audio

    def prepared(self, text: str, *, locale: str) -> bytes:
        """The audio of a prepared phrase; empty where there is none."""
        return b"".join(self._audio.get((locale, text), ()))

    async def synthesize(self, text: str, *, locale: str, report: Report) -> AsyncGenerator[bytes, None]:
        """From memory if prepared, else from the chain."""
        prepared = self._audio.get((locale, text))
        if prepared is not None:
            for chunk in prepared:
                yield chunk
            return
        async with aclosing(self._inner.synthesize(text, locale=locale, report=report)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _keep(self, key: tuple[str, str], chunks: tuple[bytes, ...]) -> None:
        size = sum(map(len, chunks))
        if size > self._max_bytes:
            return
        while self.held_bytes + size > self._max_bytes:
            oldest = next(iter(self._audio))
            self.held_bytes -= sum(map(len, self._audio.pop(oldest)))
        self._audio[key] = chunks
        self.held_bytes += size


def _unheard(switch: Switch) -> None:
    """No caller waits for what is prepared."""
