"""Finished audio of fixed phrases, so that a greeting or a filler starts without waiting for synthesis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import NamedTuple

from voice_agent.providers.chain.base import Report, unreported
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.phrase_files import PhraseFiles


class _Key(NamedTuple):
    """What makes a phrase's audio what it is."""

    locale: str
    voice: str
    text: str


class CachingSynthesizer:
    """A ``SynthesizerChain`` that remembers the phrases it is told to ``prepare``, up to ``max_bytes`` of audio, and in
    ``files`` beyond the life of the process.

    Only prepared phrases are kept: what is said about a caller is held neither in memory nor on disk. When memory is full,
    the phrases prepared first are forgotten first. A phrase that another than the preferred provider spoke is kept in memory
    only, until ``prepare`` is asked for it again while the preferred one may be asked.
    """

    def __init__(self, inner: SynthesizerChain, files: PhraseFiles | None = None, max_bytes: int = 48 * 2**20) -> None:
        self._inner = inner
        self._files = files
        self._max_bytes = max_bytes
        self._audio: dict[_Key, bytes] = {}
        self._borrowed: set[_Key] = set()  # spoken by another provider than the preferred one
        self.sample_rate_hz = inner.sample_rate_hz
        self.held_bytes = 0

    async def warm_up(self) -> None:
        await self._inner.warm_up()

    @property
    def has_borrowed(self) -> bool:
        """Whether a phrase is held that another provider than the preferred one spoke."""
        return bool(self._borrowed)

    async def prepare(self, phrases: Iterable[str], *, locale: str, voice: str = "") -> None:
        """Makes ``phrases`` ready one after another: from disk, or by synthesis. Cancelling keeps those that are finished.
        Raises ``ProviderError``."""
        for text in phrases:
            key = _Key(locale, voice, text)
            if key not in self._audio or (key in self._borrowed and self._inner.preferred_admitted):
                await self._prepare(key)

    async def _prepare(self, key: _Key) -> None:
        if self._files is not None:
            pcm = await asyncio.to_thread(self._files.read, key.text, key.locale, key.voice)
            if pcm is not None:
                self._keep(key, pcm, borrowed=False)
                return
        speakers: set[str] = set()
        chunks = self._inner.synthesize(
            key.text, locale=key.locale, voice=key.voice, report=unreported, serves=speakers.add
        )
        async with aclosing(chunks):
            pcm = b"".join([chunk async for chunk in chunks])
        borrowed = speakers != {self._inner.links[0].name}
        self._keep(key, pcm, borrowed=borrowed)
        if self._files is not None and pcm and not borrowed:
            await asyncio.to_thread(self._files.write, key.text, key.locale, pcm, key.voice)

    def holds(self, text: str, *, locale: str, voice: str = "") -> bool:
        """Whether ``text`` would start at once."""
        return _Key(locale, voice, text) in self._audio

    def prepared(self, text: str, *, locale: str, voice: str = "") -> bytes:
        """The audio of a prepared phrase; empty where there is none."""
        return self._audio.get(_Key(locale, voice, text), b"")

    async def synthesize(
        self, text: str, *, locale: str, report: Report, voice: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """From memory if prepared, else from the chain."""
        prepared = self._audio.get(_Key(locale, voice, text))
        if prepared is not None:
            if prepared:
                yield prepared
            return
        async with aclosing(self._inner.synthesize(text, locale=locale, voice=voice, report=report)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _keep(self, key: _Key, pcm: bytes, *, borrowed: bool) -> None:
        self.held_bytes -= len(self._audio.pop(key, b""))
        self._borrowed.discard(key)
        if len(pcm) > self._max_bytes:
            return
        while self.held_bytes + len(pcm) > self._max_bytes:
            oldest = next(iter(self._audio))
            self.held_bytes -= len(self._audio.pop(oldest))
            self._borrowed.discard(oldest)
        self._audio[key] = pcm
        self.held_bytes += len(pcm)
        if borrowed:
            self._borrowed.add(key)
