"""The recogniser behind the Deepgram stand-in: speech in, segments of text out, all times in seconds of the stream.

Theory of operation. A session (``deepgram_listen.py``, ``deepgram_flux.py``) hears an ``Ear`` and decides where a segment
ends; the ear decides where speech is and what it says. Audio goes through a voice detector hop by hop, so every decision
is taken in media time and does not depend on how fast the audio came. A segment opens where speech begins (a little
before it) and ends where the session says ``settle``; segments are recognised one after the other, each is answered by
one ``settled``, in order. Speech that goes on after a ``settle`` opens the next segment at the very sample.

``LocalEngine`` recognises for real. A benchmark brings an engine of its own: ``deepgram_scripted.py`` is one.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final as Constant
from typing import Protocol

from voice_agent.audio.frames import dbfs, rms
from voice_agent.audio.vad import SpeechBegan, SpeechGate
from voice_agent.errors import ProviderError
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ, Final, Partial, RecognizerFactory, SpeechRecognizer
from voice_agent.providers.turn.base import TurnModel
from voice_agent.providers.vad.base import OnFailure, OnHop, VoiceDetectorFactory

BYTES_PER_S: Constant = SAMPLE_RATE_HZ * 2
_PREROLL_S: Constant = 0.3  # what a detector needs to be sure is lost to the recogniser otherwise
# Audio that waits for recognition; beyond it the client is made to wait, by TCP's own back-pressure.
_WAITING_MAX_S: Constant = 60.0

# A long message must not hold up the event loop.
_HOPS_A_TURN: Constant = 32
_LOUD_DBFS: Constant = -45.0
_TURN_WINDOW_BYTES: Constant = 8 * BYTES_PER_S  # what the end-of-turn model looks at
_UNLIKELY: Constant = 0.5

# A last word after which nobody stops on purpose, whatever mark the recogniser put behind it.
_UNFINISHED: Constant = frozenset(
    "a an and are as at because but by can could do for from has have i if in is it's its like my no. number of on or our "
    "so than that the their then they this to uh um was we were what when where which who will with would you your".split()
)


@dataclass(frozen=True, slots=True)
class Take:
    """What a segment says, for now or for good. The segment is the stream from ``start_s`` to ``end_s``; its speech lies
    between ``speech_start_s`` and ``speech_end_s``. ``confidence`` in [0, 1]; ``text`` may be empty. ``finished``: how much
    like the end of what somebody has to say it sounds, in [0, 1], where that was asked for."""

    text: str
    confidence: float
    start_s: float
    end_s: float
    speech_start_s: float
    speech_end_s: float
    finished: float = 0.0


def finished_by_words(text: str) -> float:
    """How much like a whole sentence a text ends, in [0, 1]."""
    words = text.split()
    if not words or re.sub(r"[^\w']", "", words[-1]).lower() in _UNFINISHED:
        return 0.2
    if text.endswith((",", "-", "…", "...")):
        return 0.2
    return 1.0 if text.endswith((".", "?", "!")) else 0.7


class Listener(Protocol):
    """Whoever wants to know; called on the event loop, in the order of the stream. ``settle`` may be called from within.

    ``in_step``: what follows a settled segment is heard only when that is answered. A listener that decides by what was
    said needs it: otherwise its decisions depend on how fast the audio came and how fast it was recognised.
    """

    in_step: bool

    def began(self, at_s: float) -> None:
        """Speech began at that time of the stream."""

    def progressed(self, now_s: float, silence_s: float) -> None:
        """The stream was heard up to ``now_s``; the last voice in it is ``silence_s`` old."""

    def guessed(self, take: Take) -> None:
        """The open segment, as it sounds so far."""

    def settled(self, take: Take, why: object) -> None:
        """A segment is recognised. ``why`` is what ``settle`` was given."""

    def lost(self, error: ProviderError) -> None:
        """Nothing more will be recognised."""


class Ear(Protocol):
    """One connection's recogniser. All on the event loop."""

    @property
    def is_open(self) -> bool:
        """Whether a segment is open: something was said since the last ``settle``."""

    @property
    def open_s(self) -> float:
        """How long the open segment is; 0 where none is."""

    @property
    def waiting(self) -> int:
        """How many segments are settled and not yet answered."""

    @property
    def now_s(self) -> float:
        """How much of the stream was heard."""

    async def hear(self, pcm: bytes) -> None:
        """Takes the next audio (16-bit mono PCM at 16 kHz, any length); returns when it is heard, later when the ear is
        far behind."""

    def settle(self, why: object, *, judge: bool = False) -> None:
        """Ends the open segment here; ``judge`` asks whether it sounds finished. Where none is open the answer is an empty
        one, in its turn."""


class HearingEngine(Protocol):
    """Shared by all connections. Leaving the context ends the ear's work at once."""

    def open(self, listener: Listener, *, locale: str, hints: tuple[str, ...]) -> AbstractAsyncContextManager[Ear]: ...


@dataclass(slots=True, eq=False)
class _Segment:
    id: UtteranceId
    start_s: float
    speech_start_s: float
    speech_end_s: float
    end_s: float
    pending: bytearray = field(default_factory=bytearray)  # audio that waits for earlier segments
    silent: bool = False  # settled where none was open
    closed: bool = False
    why: object = None
    judging: asyncio.Task[float] | None = None  # the end-of-turn model's opinion

    def take(self, text: str, confidence: float, finished: float = 0.0) -> Take:
        return Take(text, confidence, self.start_s, self.end_s, self.speech_start_s, self.speech_end_s, finished)


class LocalEar:
    """An ``Ear`` on a voice detector and a recogniser, made by ``LocalEngine.open``."""

    def __init__(
        self,
        listener: Listener,
        recognizer: SpeechRecognizer,
        detectors: VoiceDetectorFactory,
        turn_model: TurnModel | None,
    ) -> None:
        self._listener = listener
        self._recognizer = recognizer
        self._turn_model = turn_model
        self._recent = bytearray()  # the last seconds of the stream, for the end-of-turn model
        self._detector = detectors.open(self._on_hop, self._on_failure)
        self._hop_bytes = self._detector.hop_samples * 2
        self._hop_s = self._detector.hop_samples / SAMPLE_RATE_HZ
        self._gate = SpeechGate(hop_s=self._hop_s)
        self._rest = bytearray()
        self._hops = 0
        self._judged = asyncio.Event()
        self._preroll: deque[bytes] = deque(maxlen=round(_PREROLL_S / self._hop_s))
        self._open: _Segment | None = None
        self._queue: deque[_Segment] = deque()  # the first is the one that the recogniser hears
        self._segments = 0
        self._room = asyncio.Event()
        self._failed = False

    @property
    def is_open(self) -> bool:
        return self._open is not None

    @property
    def open_s(self) -> float:
        return self.now_s - self._open.start_s if self._open is not None else 0.0

    @property
    def waiting(self) -> int:
        return sum(segment.closed for segment in self._queue)

    @property
    def now_s(self) -> float:
        return self._hops * self._hop_s

    async def hear(self, pcm: bytes) -> None:
        self._rest += pcm
        while len(self._rest) >= self._hop_bytes and not self._failed:
            while self._listener.in_step and self.waiting and not self._failed:
                self._room.clear()
                await self._room.wait()
            hop = bytes(self._rest[: self._hop_bytes])
            del self._rest[: self._hop_bytes]
            self._judged.clear()
            self._detector.push(hop)
            if not self._judged.is_set():
                await self._judged.wait()
            if self._hops % _HOPS_A_TURN == 0:
                await asyncio.sleep(0)
        while sum(len(segment.pending) for segment in self._queue) > _WAITING_MAX_S * BYTES_PER_S:
            self._room.clear()
            await self._room.wait()

    def settle(self, why: object, *, judge: bool = False) -> None:
        segment, self._open = self._open, None
        if segment is None:
            segment = self._new(self.now_s, self.now_s, silent=True)
            self._queue.append(segment)
        segment.closed, segment.why, segment.end_s = True, why, self.now_s
        if judge and not segment.silent and self._turn_model is not None:
            judging = self._turn_model.completeness(bytes(self._recent))
            segment.judging = asyncio.get_running_loop().create_task(_opinion(judging), name="deepgram-turn")
        self._preroll.clear()
        if segment is self._queue[0]:
            self._finish(segment)

    async def follow(self) -> None:
        """Takes the recogniser's answers until it is left; run by the engine as the one task of this ear."""
        try:
            async for event in self._recognizer.events():
                if not self._queue or event.utterance_id != self._queue[0].id:
                    continue
                head = self._queue[0]
                if isinstance(event, Partial):
                    if not head.closed:
                        head.end_s = self.now_s
                        self._listener.guessed(head.take(event.text, event.confidence))
                elif isinstance(event, Final) and head.closed:
                    finished = finished_by_words(event.text)
                    if head.judging is not None:
                        finished = min(await head.judging, 1.0 if finished > _UNLIKELY else finished)
                    self._answer(head, event.text, event.confidence, finished)
        except ProviderError as error:
            self._on_failure(error)

    def close(self) -> list[asyncio.Task[float]]:
        """Ends all work; gives the tasks that were cancelled."""
        self._failed = True
        self._detector.close()
        tasks = [segment.judging for segment in self._queue if segment.judging is not None]
        for task in tasks:
            task.cancel()
        return tasks

    def _on_hop(self, hop: bytes, probability: float) -> None:
        self._hops += 1
        if self._turn_model is not None:
            self._recent += hop
            del self._recent[:-_TURN_WINDOW_BYTES]
        fact = self._gate.update(probability, self.now_s)
        if self._open is None and self._gate.speaking and self._gate.voiced:
            self._begin(hop, fact.at_s if isinstance(fact, SpeechBegan) else self.now_s - self._hop_s)
        elif self._open is None:
            self._preroll.append(hop)
        else:
            self._feed(self._open, hop)
        if self._open is not None and self._gate.voiced:
            self._open.speech_end_s = self.now_s
        if isinstance(fact, SpeechBegan):
            self._listener.began(fact.at_s)
        self._listener.progressed(self.now_s, self._gate.silence_s)
        self._judged.set()

    def _begin(self, hop: bytes, speech_start_s: float) -> None:
        audio = b"".join((*self._preroll, hop))
        self._preroll.clear()
        segment = self._open = self._new(self.now_s - len(audio) / BYTES_PER_S, speech_start_s)
        self._queue.append(segment)
        if segment is self._queue[0]:
            self._recognizer.begin(segment.id)
        self._feed(segment, audio)

    def _new(self, start_s: float, speech_start_s: float, *, silent: bool = False) -> _Segment:
        self._segments += 1
        speech_start_s = max(start_s, speech_start_s)
        return _Segment(UtteranceId(self._segments), start_s, speech_start_s, speech_start_s, start_s, silent=silent)

    def _feed(self, segment: _Segment, pcm: bytes) -> None:
        if segment is self._queue[0]:
            self._recognizer.push(pcm)
        else:
            segment.pending += pcm

    def _finish(self, head: _Segment) -> None:
        if head.silent:
            asyncio.get_running_loop().call_soon(self._answer, head, "", 0.0, 0.0)
        else:
            self._recognizer.finalize()

    def _answer(self, head: _Segment, text: str, confidence: float, finished: float) -> None:
        if self._failed:
            return
        self._queue.popleft()
        if self._queue:
            following = self._queue[0]
            if not following.silent:
                self._recognizer.begin(following.id)
                self._recognizer.push(bytes(following.pending))
                following.pending.clear()
            if following.closed:
                self._finish(following)
        self._room.set()
        self._listener.settled(head.take(text, confidence, finished), head.why)

    def _on_failure(self, error: ProviderError) -> None:
        self._failed = True
        for segment in self._queue:
            segment.pending.clear()
        self._judged.set()
        self._room.set()
        self._listener.lost(error)


async def _opinion(asked: Awaitable[float]) -> float:
    """The end-of-turn model's word; where it has none (it is overloaded), neither yes nor no."""
    try:
        return await asked
    except ProviderError:
        return _UNLIKELY


class LoudDetectors:
    """A ``VoiceDetectorFactory`` that takes for speech what is loud: for clean recordings, without any model."""

    hop_samples = 320

    def open(self, on_hop: OnHop, on_failure: OnFailure) -> LoudDetector:
        del on_failure  # nothing can fail
        return LoudDetector(on_hop)


class LoudDetector:
    """A ``VoiceDetector``."""

    hop_samples = LoudDetectors.hop_samples

    def __init__(self, on_hop: OnHop) -> None:
        self._on_hop: OnHop | None = on_hop

    def push(self, hop: bytes) -> None:
        if self._on_hop is not None:
            self._on_hop(hop, 1.0 if dbfs(rms(hop)) > _LOUD_DBFS else 0.0)

    def close(self) -> None:
        self._on_hop = None


class LocalEngine:
    """A ``HearingEngine`` on this machine's recogniser and voice detector. Without an end-of-turn model the words alone tell
    whether somebody has finished."""

    def __init__(
        self, recognizers: RecognizerFactory, detectors: VoiceDetectorFactory, turn_model: TurnModel | None = None
    ) -> None:
        self._recognizers = recognizers
        self._detectors = detectors
        self._turn_model = turn_model

    @asynccontextmanager
    async def open(self, listener: Listener, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[Ear]:
        async with self._recognizers.open(locale=locale, hints=hints) as recognizer:
            ear = LocalEar(listener, recognizer, self._detectors, self._turn_model)
            following = asyncio.create_task(ear.follow(), name="deepgram-ear")  # owned: awaited below
            try:
                yield ear
            finally:
                tasks = [following, *ear.close()]
                following.cancel()
                await asyncio.wait(tasks)
        if not following.cancelled():
            following.result()  # a defect of ours is heard of
