"""One call's recogniser at Deepgram: the same for both listening APIs.

Rules:

1. ``push`` puts audio into a ring and returns. One task, the writer, sends it; one, the worker, reads what comes back and
   opens the connection again when it ends. The ring holds what is not settled yet, at most ``RING_S``: beyond it, the oldest
   audio is dropped, and if that was not sent yet, its words are lost.
2. A new connection hears the ring from its start, so nothing between the last settled words and now is missed. Its time 0
   is that position in the call; all times are the call's (``transcript``). While it catches up, guesses that end before the
   old connection's last guess are not given out: the caller's words do not shrink.
3. An ended connection is replaced at once. When the next one cannot be opened within the connect deadline, or ends within
   ``_PROVEN_S`` without having settled any words, recognition is lost; so it is at once where trying again is of no use
   (key, credit, rate, a refused option). A connection that ended while the caller's side sends nothing is replaced when
   audio comes again.
4. ``finalize`` marks a place in the audio. The audio before it is sent without waiting for a full piece, and v1 is told
   ``Finalize``. The answer is due when the vendor answers, or has settled everything up to the mark (flux: has listened up
   to it). The vendor need not answer when little or nothing is buffered, and flux reports four times a second: after
   ``_PATIENCE_S`` what there is will do, provided that no guess is open (v1), and that not more than ``_TAIL_S`` of audio is
   not settled (flux: was not listened to).
   A vendor that is slow or silent gets no answer made up for it; deadlines are the chain's.
5. A final that nobody asked for is given when the vendor reports a pause or the end of a turn and there is something new;
   of a pause only while no answer is due, so that the first final after ``finalize`` is its answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voice_agent.errors import BugError, ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import AsrCapabilities, AsrEvent, Partial
from voice_agent.providers.deepgram.audio_ring import BYTES_PER_S, AudioRing
from voice_agent.providers.deepgram.connection import ended, hang_up
from voice_agent.providers.deepgram.listening import Api, Gives, Heard
from voice_agent.providers.deepgram.transcript import PRE_ROLL_S, Transcript

RING_S = 30.0
KEEP_ALIVE_S = 4.0  # the vendor closes after 10 s without audio or message and advises 3 to 5 s
_PATIENCE_S = 0.25
_TAIL_S = 0.3
_SETTLED_S = 0.05  # no word is this short
_STUCK_S = 3.0  # the vendor takes no audio any more
_PROVEN_S = 3.0  # a connection that lasted this long, or has settled words, was a success
_IDLE_S = 3.0  # no audio for so long: the caller's side is quiet, and a connection's end is no failure
_PAUSES = (Gives.FINAL, Gives.TURN_END)
_EVENTS_MAX = 32  # uncollected events; the oldest goes first, and a later final replaces it anyway

Dial = Callable[[float], Awaitable[ClientConnection]]

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Request:
    """An unanswered ``finalize`` for the audio up to ``at`` (bytes of the call). ``number`` counts the ``Finalize`` messages
    of the connection, 0 while it is not sent."""

    at: int
    number: int = 0
    patient: bool = True

    @property
    def at_s(self) -> float:
        return self.at / BYTES_PER_S


class DeepgramRecognizer:
    """A ``SpeechRecognizer``. All methods belong to the event loop. ``dial(within_s)`` opens a connection."""

    def __init__(self, api: Api, dial: Dial, *, connect_s: float, capabilities: AsrCapabilities) -> None:
        self.capabilities = capabilities
        self._api = api
        self._dial = dial
        self._connect_s = connect_s
        self._loop = asyncio.get_running_loop()
        # The caller's side
        self._ring = AudioRing(RING_S)
        self._utterance: UtteranceId | None = None
        self._transcript = Transcript()
        self._requests: deque[_Request] = deque()
        self._pushed_at = self._loop.time()
        self._due = asyncio.Event()
        # The connection
        self._line: ClientConnection | None = None
        self._sent = 0  # position in the ring
        self._origin_s = 0.0
        self._finalizes = 0
        self._finalized = 0
        self._processed_s = 0.0
        self._catch_up_s = 0.0
        self._proved = False
        # Events out
        self._out: deque[AsrEvent] = deque(maxlen=_EVENTS_MAX)
        self._news = asyncio.Event()
        self._partial = ""
        self._final = ""
        self._lost: ProviderError | None = None
        self._closed = False

    # The protocol

    def begin(self, utterance_id: UtteranceId) -> None:
        """Starts an utterance; it takes words from ``PRE_ROLL_S`` before now. A repeated id changes nothing."""
        if utterance_id == self._utterance:
            return
        self._utterance = utterance_id
        self._requests.clear()
        self._out.clear()
        self._partial = self._final = ""
        self._transcript.begin(self._ring.end / BYTES_PER_S)
        self._tell_partial()

    def push(self, pcm: bytes) -> None:
        """Takes any number of whole samples; copies them."""
        if self._lost is not None:
            return
        self._ring.append(pcm)
        self._pushed_at = self._loop.time()
        if self._sent < self._ring.start:  # dropped unsent
            self._sent = self._ring.start
            if self._line is not None:
                self._line.transport.abort()  # its time would not be ours any more
        if self._ring.end - self._sent >= self._api.chunk_bytes:
            self._due.set()

    def finalize(self) -> None:
        """Asks for a ``Final``. Raises ``BugError`` before the first ``begin``."""
        if self._utterance is None:
            raise BugError("finalize outside an utterance: call begin first")
        request = _Request(self._ring.end)
        self._transcript.close(request.at_s)
        if self._covered(request):
            self._tell_final()
            return
        self._requests.append(request)
        self._due.set()
        self._loop.call_later(_PATIENCE_S, self._lose_patience, request)

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

    def close(self) -> None:
        """No more events. The worker's owner cancels it, and with it the connection."""
        self._closed = True
        self._requests.clear()
        self._out.clear()
        self._news.set()

    # The connection

    async def work(self) -> None:
        """Listens until cancelled or lost; run by the factory as the one task of this recogniser."""
        failures = 0
        try:
            while True:
                self._line = await self._connect(attempts=1 if failures else 2)
                opened_at = self._loop.time()
                try:
                    fault = await self._converse(self._line)
                finally:
                    line, self._line = self._line, None
                    await hang_up(line, self._api.farewell)
                if self._quiet():
                    while not self._requests and self._ring.end - self._sent < self._api.chunk_bytes:
                        self._due.clear()
                        await self._due.wait()
                    failures = 0
                    continue
                proved = self._proved or self._loop.time() - opened_at >= _PROVEN_S
                failures = 1 if proved else failures + 1
                if failures > 1 or not _may_pass(fault):
                    raise fault
                log.warning("the session with the recogniser ended, it is opened again", error=str(fault))
        except ProviderError as error:
            self._lost = error
            self._news.set()

    async def _connect(self, *, attempts: int) -> ClientConnection:
        """A connection that hears the ring from its start. Raises ``ProviderError``."""
        deadline = self._loop.time() + self._connect_s
        while True:
            attempts -= 1
            try:
                line = await self._dial(deadline - self._loop.time())
                break
            except ProviderError as error:
                if not attempts or not _may_pass(error) or self._loop.time() >= deadline:
                    raise
        self._catch_up_s = self._transcript.pending_s
        self._sent = self._ring.start
        self._origin_s = self._sent / BYTES_PER_S
        self._finalizes = self._finalized = 0
        for request in self._requests:
            request.number = 0
        self._proved = False
        self._api.opened()
        return line

    async def _converse(self, line: ClientConnection) -> ProviderError:
        """Sends and reads until the connection is of no use any more, and says why."""
        writer = asyncio.create_task(self._write(line), name="deepgram-writer")
        try:
            while True:
                message = await line.recv(decode=False)
                if (heard := self._api.read(message, self._origin_s)) is not None:
                    self._hear(heard)
        except ConnectionClosed as closed:
            return ended(closed)
        except ProviderError as fault:
            return fault
        finally:
            writer.cancel()
            await asyncio.wait({writer})
            if not writer.cancelled():
                writer.result()  # a defect of ours is heard of

    async def _write(self, line: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # the reader tells
            while True:
                self._due.clear()
                while (message := self._next_message()) is not None:
                    try:
                        async with asyncio.timeout(_STUCK_S):
                            await line.send(message)
                    except TimeoutError:
                        line.transport.abort()
                        return
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await self._due.wait()
                except TimeoutError:
                    if self._api.keep_alive:
                        await line.send(self._api.keep_alive)

    def _next_message(self) -> bytes | str | None:
        """What is to be sent next; ``None`` when that is nothing for now."""
        request = next((request for request in self._requests if not request.number), None)
        if request is not None and request.at <= self._sent:
            self._finalizes += 1
            request.number = self._finalizes
            if self._api.finalize:
                return self._api.finalize
            return self._next_message()
        limit = request.at if request is not None else self._ring.end
        if request is None and limit - self._sent < self._api.chunk_bytes:
            return None
        piece = self._ring.read(self._sent, min(limit - self._sent, self._api.piece_bytes))
        self._sent += len(piece)
        return piece

    def _quiet(self) -> bool:
        return self._loop.time() - self._pushed_at > _IDLE_S and not self._requests

    # What was heard

    def _hear(self, heard: Heard) -> None:
        self._processed_s = max(self._processed_s, heard.processed_s)
        if heard.answers:
            self._finalized = min(self._finalized + 1, self._finalizes)
        segment = heard.segment
        if segment is not None:
            if segment.end_s >= self._catch_up_s:
                self._catch_up_s = 0.0
            if heard.settled:
                self._transcript.settle(segment)
                self._ring.release(min(self._sent, int(self._transcript.settled_s * BYTES_PER_S) & ~1))
                self._proved = self._proved or bool(segment.text)
            elif not self._catch_up_s or heard.gives is not Gives.WORDS:
                self._transcript.suppose(segment)
        if self._utterance is None:
            self._transcript.forget(self._ring.end / BYTES_PER_S - 2 * PRE_ROLL_S)
            return
        ends_turn = heard.gives is Gives.TURN_END
        # Flux answers nothing: its own word that the caller paused is the best answer there is.
        if self._answer(paused=not self._api.finalize and heard.gives in _PAUSES, ends_turn=ends_turn):
            return
        if heard.gives is Gives.RESUMED:
            self._final = ""
            self._tell_partial(resumed=True)
        elif heard.gives in _PAUSES and (ends_turn or not self._requests) and self._tell_unasked(ends_turn=ends_turn):
            return
        else:
            self._tell_partial()

    def _answer(self, *, paused: bool = False, ends_turn: bool = False) -> bool:
        """Gives the finals that are due; whether there were any."""
        answered = False
        while self._requests and self._covered(self._requests[0], paused=paused):
            self._requests.popleft()
            self._tell_final(ends_turn=ends_turn)
            answered = True
        return answered

    def _covered(self, request: _Request, *, paused: bool = False) -> bool:
        """Whether everything before the mark was heard, as far as the vendor will ever tell. While a new connection
        catches up, what was heard before it still counts."""
        if 0 < request.number <= self._finalized:
            return True
        open_guess = bool(self._api.finalize) and self._transcript.pending_s > 0
        if open_guess:
            return False
        told_s = self._transcript.settled_s if self._api.finalize else self._processed_s
        enough_s = _TAIL_S if paused or not request.patient else _SETTLED_S
        return request.at_s - told_s <= enough_s

    def _lose_patience(self, request: _Request) -> None:
        request.patient = False
        if request in self._requests:
            self._answer()

    def _tell_partial(self, *, resumed: bool = False) -> None:
        if self._utterance is None:
            return
        partial = self._transcript.partial(self._utterance, resumed=resumed)
        if partial is not None and (resumed or partial.text not in (self._partial, self._final)):
            self._partial = partial.text
            self._give(partial)

    def _tell_unasked(self, *, ends_turn: bool) -> bool:
        final = self._transcript.final(self._current(), ends_turn=ends_turn)
        if not final.text or (final.text == self._final and not ends_turn):
            return False
        self._final = final.text
        self._give(final)
        return True

    def _tell_final(self, *, ends_turn: bool = False) -> None:
        final = self._transcript.final(self._current(), ends_turn=ends_turn)
        self._final = final.text
        self._give(final)

    def _current(self) -> UtteranceId:
        assert self._utterance is not None
        return self._utterance

    def _give(self, event: AsrEvent) -> None:
        """Hands an event to the consumer; it replaces a partial that was not collected yet."""
        if self._out and isinstance(self._out[-1], Partial):
            replaced = self._out.pop()
            if isinstance(event, Partial) and isinstance(replaced, Partial) and replaced.resumed:
                event = replace(event, resumed=True)
        self._out.append(event)
        self._news.set()


def _may_pass(fault: ProviderError) -> bool:
    """Whether another connection, at once, may do better."""
    return fault.retryable and fault.category not in (ProviderFault.RATE, ProviderFault.QUOTA, ProviderFault.AUTH)
