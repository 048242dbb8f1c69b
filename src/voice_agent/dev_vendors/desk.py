"""The desk behind the stand-in servers: what they answer with, how late, with which fault; and the journal of it all.

Times are ``clock.process_seconds()``: one monotonic clock for every process of a machine, so that a client's figures and the
journal's can be compared.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import TypeVar

from voice_agent.clock import process_seconds
from voice_agent.dev_vendors.deepgram_engine import HearingEngine
from voice_agent.dev_vendors.deepgram_manners import DeepgramManners
from voice_agent.dev_vendors.faults import Fault, FaultBoard, Stage
from voice_agent.providers.asr.base import RecognizerFactory
from voice_agent.providers.llm.base import LanguageModel
from voice_agent.providers.tts.base import SpeechSynthesizer

T = TypeVar("T")

JOURNAL_ENTRIES = 20_000  # older ones are dropped


class Mark(StrEnum):
    """What a journal entry records."""

    REQUEST = "request"  # a request was received, or a session opened
    RECEIVED = "received"  # a message of a session was received
    SENT = "sent"  # a message was sent
    FIRST_BYTE = "first_byte"  # the first byte of content: a token, audio, a transcript (not headers or greetings)
    LAST_BYTE = "last_byte"
    CLIENT_GONE = "client_gone"  # the client closed before its answer was complete, or cancelled it
    REFUSED = "refused"  # the request was answered with an error
    CLOSED = "closed"  # a session has ended
    STRUCK = "struck"  # a line's fault has struck a connection (its exchange is 0: a line knows none)


@dataclass(frozen=True, slots=True)
class Entry:
    """``exchange`` numbers the requests and sessions; ``text`` is a short description, never audio or a key."""

    at_s: float
    stage: Stage
    exchange: int
    mark: Mark
    text: str


class Journal:
    """Everything that went over the desk, oldest first. Belongs to one event loop."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=JOURNAL_ENTRIES)
        self._listeners: list[Callable[[Entry], None]] = []
        self._grown: asyncio.Future[None] | None = None

    def note(self, stage: Stage, exchange: int, mark: Mark, text: str = "") -> None:
        entry = Entry(process_seconds(), stage, exchange, mark, text)
        self.entries.append(entry)
        for listener in tuple(self._listeners):
            listener(entry)
        if self._grown is not None and not self._grown.done():
            self._grown.set_result(None)

    def find(self, mark: Mark, *, stage: Stage | None = None, since_s: float = 0.0, text: str = "") -> Entry | None:
        """The first entry at or after ``since_s`` that fits; ``text`` is a part of its description."""
        for entry in self.entries:
            if entry.at_s >= since_s and entry.mark is mark and stage in (None, entry.stage) and text in entry.text:
                return entry
        return None

    async def wait_for(
        self,
        mark: Mark,
        *,
        stage: Stage | None = None,
        since_s: float = 0.0,
        text: str = "",
        timeout_s: float = 10.0,
    ) -> Entry:
        """Like ``find``, but waits for it. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout_s):
            while (found := self.find(mark, stage=stage, since_s=since_s, text=text)) is None:
                if self._grown is None or self._grown.done():
                    self._grown = asyncio.get_running_loop().create_future()
                await asyncio.shield(self._grown)
        return found

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """``listener(entry)`` is called for each new entry."""
        self._listeners.append(listener)


@dataclass(frozen=True, slots=True)
class Delays:
    """What a vendor's own work takes, in seconds: to the first result after a request (for recognition: after the audio it
    covers), and between pieces of it. An engine that is slower than that is not hurried."""

    first_s: float = 0.0
    gap_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Engines:
    """Who does the vendors' work: local models (``engines.open_engines``), or scripts (``scripted``). ``hearing`` finds
    speech in a stream and recognises it; without one, ``recognizers`` hear what is loud."""

    recognizers: RecognizerFactory
    language_model: LanguageModel
    synthesizer: SpeechSynthesizer
    hearing: HearingEngine | None = None


@dataclass(slots=True)
class VendorDesk:
    """What the servers share. Everything may be changed while they run; requests that come later see it."""

    engines: Engines
    key: str = "dev-vendors-key"
    faults: FaultBoard = field(default_factory=FaultBoard)
    delays: dict[Stage, Delays] = field(default_factory=lambda: {stage: Delays() for stage in Stage})
    journal: Journal = field(default_factory=Journal)
    retry_after_s: float = 1.0  # what a 429 says
    reword: Callable[[str], str] | None = None  # what the Realtime model makes of the text it is to read aloud
    locale: str = "en-US"  # of requests that do not tell theirs
    early_heads: bool = True  # an HTTP answer's head goes out at once, not only with the first token or sound
    deepgram: DeepgramManners = field(default_factory=DeepgramManners)
    _exchanges: count[int] = field(default_factory=lambda: count(1))

    def open(self, stage: Stage, text: str) -> Exchange:
        """Notes that a request came in or a session was opened."""
        exchange = Exchange(self, stage, next(self._exchanges))
        exchange.note(Mark.REQUEST, text)
        return exchange


@dataclass(slots=True)
class Exchange:
    """One request, or one session, and its entries in the journal."""

    desk: VendorDesk
    stage: Stage
    number: int
    begun_s: float = field(default_factory=process_seconds)
    _has_sent: bool = False

    def note(self, mark: Mark, text: str = "") -> None:
        self.desk.journal.note(self.stage, self.number, mark, text)

    def begin(self) -> None:
        """A new request within the session: first results are counted from now, and marked again."""
        self.begun_s = process_seconds()
        self._has_sent = False

    def sent_content(self, text: str = "") -> None:
        """A piece of content was just handed to the network: the first one of a request is marked as such."""
        if not self._has_sent:
            self._has_sent = True
            self.note(Mark.FIRST_BYTE, text)

    @property
    def fault(self) -> Fault | None:
        """The fault to act out now."""
        return self.desk.faults.at_server(self.stage)

    async def paced(self, pieces: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """The pieces, none earlier than the stage's delays allow, counted from the request. Closing it closes
        ``pieces`` where that can be closed."""
        delays = self.desk.delays[self.stage]
        due_s = self.begun_s + delays.first_s
        try:
            async for piece in pieces:
                await sleep_until(due_s)
                yield piece
                due_s = process_seconds() + delays.gap_s
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()


async def sleep_until(at_s: float) -> None:
    """Until ``process_seconds()`` reaches ``at_s``; no time at all where it has."""
    if (left_s := at_s - process_seconds()) > 0:
        await asyncio.sleep(left_s)
