"""A scripted recogniser behind the Deepgram stand-in, for benchmarks: a table of texts, no work and no delay of its own.

Speech is what is loud. The first time somebody speaks the first text is heard, the second time the second, and so on,
round and round. While the speech goes on a word of it is guessed every ``word_s``; a segment that ends in a pause is all
that is left of its text, one that ends in mid-speech is what was said so far. Answers come at the next turn of the event
loop: the vendor's delay is the desk's, kept by the sessions, so that a client's overhead over it can be told exactly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from voice_agent.audio.frames import dbfs, rms
from voice_agent.audio.vad import SpeechBegan, SpeechGate
from voice_agent.dev_vendors.deepgram_engine import BYTES_PER_S, Ear, Listener, Take, finished_by_words

_HOP_S: Final = 0.02
_HOP_BYTES: Final = round(_HOP_S * BYTES_PER_S)
_LOUD_DBFS: Final = -50.0
_CONFIDENCE: Final = 0.99


class ScriptedEar:
    """An ``Ear``; see the module."""

    def __init__(self, listener: Listener, texts: Sequence[str], word_s: float) -> None:
        self._listener = listener
        self._texts = texts
        self._word_s = word_s
        self._gate = SpeechGate(hop_s=_HOP_S, speech_start_s=2 * _HOP_S)
        self._rest = bytearray()
        self._hops = 0
        self._spoken = 0  # how many texts were begun
        self._left: list[str] = []  # the words of the current text that no segment has given
        self._guessed = 0
        self._start_s: float | None = None
        self._speech_end_s = 0.0
        self._waiting = 0
        self._closed = False

    @property
    def is_open(self) -> bool:
        return self._start_s is not None

    @property
    def open_s(self) -> float:
        return self.now_s - self._start_s if self._start_s is not None else 0.0

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def now_s(self) -> float:
        return self._hops * _HOP_S

    async def hear(self, pcm: bytes) -> None:
        self._rest += pcm
        while len(self._rest) >= _HOP_BYTES:
            if self._listener.in_step and self._waiting:
                await asyncio.sleep(0)  # answers come at the next turn of the event loop
            hop = bytes(self._rest[:_HOP_BYTES])
            del self._rest[:_HOP_BYTES]
            self._hear_hop(hop)

    def settle(self, why: object, *, judge: bool = False) -> None:
        del judge  # the words of a script tell enough
        in_pause = self._gate.silence_s > 0.0
        words = self._left if in_pause else self._left[: self._words_so_far()]
        if not self.is_open:
            words = []
        take = self._take(words)
        self._left = self._left[len(words) :]
        self._start_s, self._guessed = None, 0
        self._waiting += 1
        asyncio.get_running_loop().call_soon(self._answer, take, why)

    def close(self) -> None:
        self._closed = True

    def _hear_hop(self, hop: bytes) -> None:
        self._hops += 1
        fact = self._gate.update(1.0 if dbfs(rms(hop)) > _LOUD_DBFS else 0.0, self.now_s)
        if isinstance(fact, SpeechBegan):
            self._left = self._texts[self._spoken % len(self._texts)].split()
            self._spoken += 1
        if self._start_s is None and self._gate.speaking and self._gate.voiced:
            self._start_s = fact.at_s if isinstance(fact, SpeechBegan) else self.now_s - _HOP_S
        if self._gate.voiced:
            self._speech_end_s = self.now_s
        if isinstance(fact, SpeechBegan):
            self._listener.began(fact.at_s)
        if self.is_open and self._words_so_far() > self._guessed:
            self._guessed = self._words_so_far()
            self._listener.guessed(self._take(self._left[: self._guessed]))
        self._listener.progressed(self.now_s, self._gate.silence_s)

    def _words_so_far(self) -> int:
        spoken_s = self._speech_end_s - self._start_s if self._start_s is not None else 0.0
        return min(len(self._left), int(spoken_s / self._word_s + 1e-9))

    def _take(self, words: list[str]) -> Take:
        start_s = self._start_s if self._start_s is not None else self.now_s
        confidence = _CONFIDENCE if words else 0.0
        text, end_s = " ".join(words), max(start_s, self._speech_end_s)
        return Take(text, confidence, start_s, self.now_s, start_s, end_s, finished_by_words(text))

    def _answer(self, take: Take, why: object) -> None:
        self._waiting -= 1
        if not self._closed:
            self._listener.settled(take, why)


class ScriptedEngine:
    """A ``HearingEngine``: each connection hears ``texts`` from the first on."""

    def __init__(self, texts: Sequence[str], *, word_s: float = 0.3) -> None:
        self._texts = tuple(texts)
        self._word_s = word_s

    @asynccontextmanager
    async def open(self, listener: Listener, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[Ear]:
        del locale, hints  # a script is what it is
        ear = ScriptedEar(listener, self._texts, self._word_s)
        try:
            yield ear
        finally:
            ear.close()
