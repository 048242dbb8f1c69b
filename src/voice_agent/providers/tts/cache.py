"""Finished audio of fixed phrases, so that a greeting or a filler starts without waiting for synthesis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import chain
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
    released phrases are forgotten first, then those prepared first, and pinned ones never: what finds no room beside them is
    not kept. A phrase that another than the preferred provider spoke is kept in memory only, until ``prepare`` is asked for
    it again while the preferred one may be asked.
    """

    def __init__(self, inner: SynthesizerChain, files: PhraseFiles | None = None, max_bytes: int = 48 * 2**20) -> None:
        self._inner = inner
        self._files = files
        self._max_bytes = max_bytes
        self._audio: dict[_Key, bytes] = {}
        self._borrowed: set[_Key] = set()  # spoken by another provider than the preferred one
        self._pinned: set[_Key] = set()
        self._released: dict[_Key, None] = {}  # the one released first is forgotten first
        self.sample_rate_hz = inner.sample_rate_hz
        self.held_bytes = 0

    async def warm_up(self) -> None:
        await self._inner.warm_up()

    def borrows(self, text: str, *, locale: str, voice: str = "") -> bool:
        """Whether the phrase is held as another provider than the preferred one spoke it."""
        return _Key(locale, voice, text) in self._borrowed

    async def prepare(self, phrases: Iterable[str], *, locale: str, voice: str = "", pinned: bool = False) -> None:
        """Makes ``phrases`` ready one after another: from disk, or by synthesis. ``pinned`` ones stay until they are
        released. Cancelling keeps those that are finished. Raises ``ProviderError``."""
        for text in phrases:
            key = _Key(locale, voice, text)
            self._released.pop(key, None)
            if pinned:
                self._pinned.add(key)
            if key not in self._audio or (key in self._borrowed and self._inner.preferred_admitted):
                await self._prepare(key)

    def release(self, text: str, *, locale: str, voice: str = "") -> None:
        """Nobody needs the phrase any more: it stays only as long as nothing else needs its room."""
        key = _Key(locale, voice, text)
        self._pinned.discard(key)
        if key in self._audio:
            self._released[key] = None

    async def _prepare(self, key: _Key) -> None:
        if self._files is not None:
            voice = self._inner.preferred_voice(key.voice)
            pcm = await asyncio.to_thread(self._files.read, key.text, key.locale, voice)
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
            voice = self._inner.preferred_voice(key.voice)  # a refusal may have come just now
            await asyncio.to_thread(self._files.write, key.text, key.locale, pcm, voice)

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
        self._forget(key)
        fixed_bytes = sum(len(self._audio.get(pinned, b"")) for pinned in self._pinned)
        if fixed_bytes + len(pcm) > self._max_bytes:
            return
        while self.held_bytes + len(pcm) > self._max_bytes:
            self._forget(next(chain(self._released, (held for held in self._audio if held not in self._pinned))))
        self._audio[key] = pcm
        self.held_bytes += len(pcm)
        if borrowed:
            self._borrowed.add(key)

    def _forget(self, key: _Key) -> None:
        self.held_bytes -= len(self._audio.pop(key, b""))
        self._borrowed.discard(key)
        self._released.pop(key, None)
