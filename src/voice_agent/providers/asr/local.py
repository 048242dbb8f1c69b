"""Local speech recognition: a Moonshine model behind the recogniser protocol; one model for the process, no network.

Rules:

1. An utterance is decoded from its start each time, so a final always covers all of it. Audio longer than 12 s is cut
   at its quietest place; what lies before the cut is decoded once and then kept as text only, so that time and memory
   stay bounded.
2. A partial is decoded whenever ``partial_interval_s`` of new audio (a tenth of the audio to decode, where that is
   longer) has come; not urgent, never more than one at a time, never while a final is wanted.
3. ``finalize`` stops a partial under way and decodes at once, urgently. Each ``finalize`` is answered by a ``Final``;
   calls still unanswered are answered together, by the one that covers the latest audio. Without new audio the last
   answer is given again. A final depends on the audio alone, not on how it was chunked or timed.
4. ``begin`` stops everything that concerns the previous utterance; none of its events is given out any more.
5. A partial that the pool refuses is skipped. When a final is refused, or the model fails, recognition is lost.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from voice_agent.errors import BugError, ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers import weights
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ, AsrCapabilities, AsrEvent, Final, Partial
from voice_agent.providers.asr.moonshine import Hypothesis, Moonshine, Stop
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import ProviderContext

_BYTES_PER_S = SAMPLE_RATE_HZ * 2
_PARTIAL_MIN_S = 0.3  # less is rarely a whole word
_PARTIAL_SHARE = 0.1  # decoding takes about 0.02 s per second of audio: partials cost at most a fifth of a core
_BACKLOG_MAX_S = 120.0  # audio that waits this long for its first decode means hopelessly overloaded models
_EVENTS_MAX = 32  # uncollected events; the oldest goes first, and a later final replaces it anyway
_CAPABILITIES = AsrCapabilities(wants_silence=False, locales=("en-US", "en-GB", "en-AU"))

_Transcribe = Callable[[bytes, tuple[int, ...], Stop], list[Hypothesis]]


@dataclass(slots=True, eq=False)
class _Utterance:
    """What is known of one utterance. Positions are bytes since it began."""

    id: UtteranceId
    pcm: bytearray = field(default_factory=bytearray)  # the audio from ``settled_bytes`` on
    settled: list[Hypothesis] = field(default_factory=list)
    settled_bytes: int = 0
    draft: tuple[int, ...] = ()  # tokens of the latest take of ``pcm``
    partial_bytes: int = 0  # how far the latest partial went
    partial_text: str = ""
    wanted: bool = False  # a ``finalize`` is unanswered
    answer: Final | None = None
    answer_bytes: int = -1  # how far ``answer`` went

    @property
    def heard_bytes(self) -> int:
        return self.settled_bytes + len(self.pcm)

    def absorb(self, hypotheses: list[Hypothesis]) -> tuple[str, float]:
        """The text and confidence of the whole utterance. Audio of every piece but the last is let go."""
        *done, last = hypotheses
        for piece in done:
            self.settled.append(piece)
            self.settled_bytes += piece.samples * 2
            del self.pcm[: piece.samples * 2]
        self.draft = last.tokens
        spoken = [piece for piece in (*self.settled, last) if piece.text]
        weight = sum(len(piece.tokens) for piece in spoken)
        confidence = sum(piece.confidence * len(piece.tokens) for piece in spoken) / weight if weight else 0.0
        return " ".join(piece.text for piece in spoken), confidence


@dataclass(slots=True, eq=False)
class _Decode:
    """One decode under way; ``covers_bytes`` of the utterance."""

    utterance: _Utterance
    final: bool
    covers_bytes: int
    stop: Stop
    future: asyncio.Future[list[Hypothesis]]

    def abandon(self) -> None:
        self.stop.requested = True
        self.future.cancel()


class LocalRecognizer:
    """A ``SpeechRecognizer``, made by ``LocalRecognizerFactory.open``. All methods belong to the event loop."""

    capabilities = _CAPABILITIES

    def __init__(self, pool: ModelPool, transcribe: _Transcribe, partial_interval_s: float) -> None:
        self._pool = pool
        self._transcribe = transcribe
        self._partial_interval_s = partial_interval_s
        self._utterance: _Utterance | None = None
        self._decode: _Decode | None = None
        self._due = asyncio.Event()
        self._out: deque[AsrEvent] = deque(maxlen=_EVENTS_MAX)
        self._news = asyncio.Event()
        self._lost: ProviderError | None = None
        self._closed = False

    def begin(self, utterance_id: UtteranceId) -> None:
        """Starts an utterance. A repeated id changes nothing."""
        if self._utterance is not None and self._utterance.id == utterance_id:
            return
        self._utterance = _Utterance(utterance_id)
        self._out.clear()
        if self._decode is not None:
            self._decode.abandon()

    def push(self, pcm: bytes) -> None:
        """Takes any number of bytes; copies them. Raises ``BugError`` before the first ``begin``."""
        utterance = self._current("push")
        if self._lost is not None:
            return
        utterance.pcm += pcm
        if len(utterance.pcm) > _BACKLOG_MAX_S * _BYTES_PER_S:
            utterance.pcm.clear()
            self._lose(ProviderError("local recognition cannot keep up", category=ProviderFault.TIMEOUT))
        elif self._decode is None and self._partial_due(utterance):
            self._due.set()

    def finalize(self) -> None:
        """Asks for a ``Final``; with nothing (audible) heard its text is empty and its confidence 0."""
        utterance = self._current("finalize")
        if utterance.answer is not None and utterance.answer_bytes == utterance.heard_bytes:
            self._give(utterance.answer)
            return
        utterance.wanted = True
        running = self._decode
        if running is not None and not (running.final and running.covers_bytes == utterance.heard_bytes):
            running.abandon()
        self._due.set()

    async def events(self) -> AsyncIterator[AsrEvent]:
        """For one consumer. Ends when the recogniser is left. Raises ``ProviderError`` once recognition is lost."""
        while True:
            while self._out:
                yield self._out.popleft()
            if self._lost is not None:
                raise self._lost
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    async def work(self) -> None:
        """Decodes until cancelled or lost; run by the factory as the one task of this recogniser."""
        while self._lost is None:
            await self._due.wait()
            self._due.clear()
            while self._lost is None and (utterance := self._utterance) is not None:
                if not (utterance.wanted or self._partial_due(utterance)):
                    break
                try:
                    await self._take(utterance, final=utterance.wanted)
                except ProviderError as error:
                    self._lose(error)

    def close(self) -> None:
        """Gives up all work at once and ends ``events``."""
        self._closed = True
        self._utterance = None
        self._out.clear()
        if self._decode is not None:
            self._decode.abandon()
        self._news.set()

    async def _take(self, utterance: _Utterance, *, final: bool) -> None:
        """One decode of all that is not settled. Cancellation stops it. Raises ``ProviderError``."""
        covers_bytes, stop = utterance.heard_bytes, Stop()
        draft = () if final else utterance.draft
        utterance.partial_bytes = covers_bytes
        try:
            future = self._pool.submit(self._transcribe, bytes(utterance.pcm), draft, stop, urgent=final, owner=self)
            running = self._decode = _Decode(utterance, final, covers_bytes, stop, future)
            try:
                await asyncio.wait({future})
            finally:
                self._decode = None
                if not future.done():
                    running.abandon()
            if future.cancelled():
                return
            hypotheses = future.result()
            if utterance is not self._utterance:
                return
            text, confidence = utterance.absorb(hypotheses)
        except ProviderError as refused:
            if final or refused.category is not ProviderFault.RATE:
                raise
            return
        except Exception as failed:
            raise ProviderError(f"local recognition failed: {failed}", category=ProviderFault.INTERNAL) from failed
        if final:
            utterance.answer, utterance.answer_bytes = Final(utterance.id, text, confidence), covers_bytes
            utterance.wanted = False
            self._give(utterance.answer)
        elif text and text != utterance.partial_text:
            utterance.partial_text = text
            self._give(Partial(utterance.id, text, confidence))

    def _partial_due(self, utterance: _Utterance) -> bool:
        audio_s = len(utterance.pcm) / _BYTES_PER_S
        new_s = (utterance.heard_bytes - utterance.partial_bytes) / _BYTES_PER_S
        return audio_s >= _PARTIAL_MIN_S and new_s >= max(self._partial_interval_s, _PARTIAL_SHARE * audio_s)

    def _give(self, event: AsrEvent) -> None:
        """Hands an event to the consumer; it replaces a partial that was not collected yet."""
        if self._out and isinstance(self._out[-1], Partial):
            self._out.pop()
        self._out.append(event)
        self._news.set()

    def _lose(self, error: ProviderError) -> None:
        if self._lost is None:
            self._lost = error
        if self._decode is not None:
            self._decode.abandon()
        self._news.set()

    def _current(self, what: str) -> _Utterance:
        if self._utterance is None:
            raise BugError(f"{what} outside an utterance: call begin first, and nothing after the recogniser is left")
        return self._utterance


class LocalRecognizerFactory:
    """A ``RecognizerFactory``. ``model`` names a folder with another Moonshine model; empty: the one in the package.

    The model knows English only (``capabilities.locales``): another locale is recognised as if it were English, so
    whoever wires providers looks at the capabilities first. Hints have no effect. Raises ``ConfigError``.
    """

    capabilities = _CAPABILITIES

    def __init__(self, pool: ModelPool, *, model: str = "", partial_interval_s: float = 0.4) -> None:
        self._pool = pool
        self._files = weights.moonshine(model)
        self._partial_interval_s = partial_interval_s
        self._model: Moonshine | None = None
        self._loading = threading.Lock()

    async def warm_up(self) -> None:
        """Loads the model (about 0.5 s) and decodes a second of a tone. Raises ``ConfigError``."""
        await self._pool.run(self._transcribe, b"\x00\x10\x00\xf0" * (SAMPLE_RATE_HZ // 2), (), Stop())

    def open(self, *, locale: str, hints: tuple[str, ...]) -> AbstractAsyncContextManager[LocalRecognizer]:
        """One call's recogniser. When the context is left no task and no job of it remains."""
        del locale, hints
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[LocalRecognizer]:
        recognizer = LocalRecognizer(self._pool, self._transcribe, self._partial_interval_s)
        worker = asyncio.create_task(recognizer.work(), name="local-recognizer")  # owned: awaited below
        try:
            yield recognizer
        finally:
            recognizer.close()
            worker.cancel()
            await asyncio.wait({worker})
            await self._pool.drained(recognizer)
            if not worker.cancelled():
                worker.result()  # a defect of ours is heard of

    def _transcribe(self, pcm: bytes, draft: tuple[int, ...], stop: Stop) -> list[Hypothesis]:
        with self._loading:
            if self._model is None:
                self._model = Moonshine(self._files)
        return self._model.transcribe(pcm, draft, stop)


def provider(context: ProviderContext) -> LocalRecognizerFactory:
    """Registration: ``ASR_PROVIDER=local``. In a chain with others ``ASR_MODEL`` may name a model of theirs, which is no
    folder here."""
    model = context.asr.model
    if context.asr.provider != ("local",) and not Path(model).is_dir():
        model = ""
    return LocalRecognizerFactory(context.pool, model=model, partial_interval_s=context.asr.partial_interval_ms / 1000)
