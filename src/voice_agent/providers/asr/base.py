"""The speech recognition protocol.

A recogniser serves one call. Audio is 16-bit little-endian mono PCM at 16 kHz. An *utterance* is everything the
caller says until the turn is committed; it may span several pauses, and each ``Final`` covers the utterance from
its start, replacing earlier finals of the same utterance.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from voice_agent.models import UtteranceId

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a final. Times are seconds since the utterance's audio began; ``confidence`` in [0, 1]."""

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Partial:
    """A hypothesis that may still change. ``confidence`` in [0, 1]; 1 where the recogniser does not tell. ``resumed``: the
    recogniser takes back an end of turn that it had thought likely."""

    utterance_id: UtteranceId
    text: str
    confidence: float = 1.0
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """The recogniser's answer to ``finalize``, or given of its own accord. ``confidence`` in [0, 1].

    ``ends_turn``: the recogniser judges turns itself and is sure that the caller has finished. One that only thinks it
    likely gives a final without it. ``words`` where the recogniser tells them.
    """

    utterance_id: UtteranceId
    text: str
    confidence: float = 1.0
    ends_turn: bool = False
    words: tuple[Word, ...] = ()


AsrEvent = Partial | Final


@dataclass(frozen=True, slots=True)
class AsrCapabilities:
    """``wants_silence``: feed every frame of the call, not only those near speech."""

    wants_silence: bool
    locales: tuple[str, ...]


class SpeechRecognizer(Protocol):
    """One call's recogniser; entered once, left at the end of the call (leaving cancels all work at once).

    ``push`` never blocks for long; audio arrives in media order. Before the first ``push`` of an utterance comes
    ``begin(utterance_id)``; ``finalize`` asks for a ``Final`` of the audio so far, after which more audio of the
    same utterance may follow. ``begin`` with a new id abandons work on the previous utterance.

    Raises ``ProviderError`` from ``events`` when recognition is lost.
    """

    capabilities: AsrCapabilities

    def begin(self, utterance_id: UtteranceId) -> None: ...

    def push(self, pcm: bytes) -> None: ...

    def finalize(self) -> None: ...

    def events(self) -> AsyncIterator[AsrEvent]: ...


class RecognizerFactory(Protocol):
    """Shared by the process: holds models or connection pools. ``open`` gives one call's recogniser."""

    async def warm_up(self) -> None: ...

    def open(self, *, locale: str, hints: tuple[str, ...]) -> AbstractAsyncContextManager[SpeechRecognizer]: ...
