"""Connections to Deepgram's streaming synthesis, a few of them kept open between sentences.

Rules:

1. A connection speaks one sentence at a time: ``Speak``, ``Flush``, audio, ``Flushed``. After ``Flushed`` it has nothing
   left to send and goes back to the idle ones, of which the youngest is taken first; at most ``IDLE_MAX``, each for
   ``IDLE_S``: the vendor counts open connections, also idle ones.
2. A sentence that is not wanted any more closes its connection at once: that stops the vendor as soon as its news travels,
   and no late audio of it can ever be taken for the next sentence's (after ``Clear`` a ``Flushed`` may still be under way).
   A new connection is opened in its place, beside whatever else goes on.
3. ``Flush`` may be sent 20 times in 60 s on a connection; one that has is passed over until it may again.

Source: https://developers.deepgram.com/docs/tts-websocket, .../tts-ws-flush, .../tts-ws-clear.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import orjson
import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.deepgram.connection import Dialer, Params, ended, parsed, said_error

SPEAK_PATH: Final = "/v1/speak"
IDLE_MAX: Final = 4
IDLE_S: Final = 60.0
_OLD_S: Final = 1800.0  # a session may last an hour
_FLUSHES_MAX: Final = 20
_FLUSH_WINDOW_S: Final = 60.0
_FLUSH: Final = '{"type":"Flush"}'

log = structlog.get_logger(__name__)


class SpeakLine:
    """One connection. ``say``, then ``audio`` until it gives ``None``. Raises ``ProviderError``."""

    def __init__(self, line: ClientConnection, params: Params) -> None:
        self.params = params
        self.loop = asyncio.get_running_loop()
        self.used = False
        self.idle: asyncio.TimerHandle | None = None
        self._line = line
        self._opened_at = self.loop.time()
        self._flushes: deque[float] = deque(maxlen=_FLUSHES_MAX)
        self._odd = b""

    @property
    def good(self) -> bool:
        """Whether another sentence may be asked for."""
        now = self.loop.time()
        rested = len(self._flushes) < _FLUSHES_MAX or now - self._flushes[0] > _FLUSH_WINDOW_S
        return not self.closed and rested and now - self._opened_at < _OLD_S

    @property
    def closed(self) -> bool:
        """By the vendor."""
        return self._line.state is not State.OPEN

    async def say(self, text: str) -> None:
        self._odd = b""
        self._flushes.append(self.loop.time())
        try:
            await self._line.send(orjson.dumps({"type": "Speak", "text": text}), text=True)
            await self._line.send(_FLUSH)
        except ConnectionClosed as closed:
            raise ended(closed) from None

    async def audio(self) -> bytes | None:
        """The next audio, whole samples; ``None`` after the last. A message may end in the middle of a sample."""
        while True:
            try:
                message = await self._line.recv()
            except ConnectionClosed as closed:
                raise ended(closed) from None
            if isinstance(message, str):
                if self._is_last(message):
                    self.used = True
                    return None
                continue
            pcm = self._odd + message
            whole = len(pcm) & ~1
            self._odd = pcm[whole:]
            if whole:
                return pcm[:whole]

    def close(self) -> None:
        """At once; what was under way is not waited for."""
        if self.idle is not None:
            self.idle.cancel()
        self._line.transport.abort()

    def _is_last(self, message: str) -> bool:
        answer = parsed(message)
        match answer.get("type"):
            case "Flushed":
                return True
            case "Error":
                raise said_error(answer)
            case "Warning":
                code = str(answer.get("code"))[:60]
                if "FLUSH" in code.upper():
                    raise ProviderError(
                        f"Deepgram speaks no more on this connection for now: {code}", category=ProviderFault.RATE
                    )
                log.warning("the synthesiser warns", provider="deepgram", code=code)
        return False


class SpeakLines:
    """The idle connections of a process, by what was asked of them. Belongs to one event loop at a time."""

    def __init__(self, dialer: Dialer, connect_s: float) -> None:
        self._dialer = dialer
        self._connect_s = connect_s
        self._idle: list[SpeakLine] = []
        self._opening: tuple[asyncio.Task[SpeakLine], Params] | None = (
            None  # owned here; ends within the connect deadline
        )

    async def take(self, params: Params, *, fresh: bool = False) -> SpeakLine:
        """An idle connection, or one that is being opened ahead, or a new one (``fresh``: surely a new one).
        Raises ``ProviderError``."""
        self._sort_out()
        if not fresh:
            for line in reversed(self._idle):
                if line.params == params and line.good:
                    self._idle.remove(line)
                    if line.idle is not None:
                        line.idle.cancel()
                    return line
            if self._opening is not None and self._opening[1] == params:
                opening, self._opening = self._opening[0], None
                try:
                    return await opening
                except asyncio.CancelledError:
                    if not opening.cancelled() and opening.exception() is None:  # it opened at this very moment
                        self.give_back(opening.result())
                    raise
        return await self._open(params)

    def give_back(self, line: SpeakLine) -> None:
        """After its last audio."""
        self._idle.append(line)
        line.idle = line.loop.call_later(IDLE_S, self._expire, line)
        while len(self._idle) > IDLE_MAX:
            self._idle.pop(0).close()

    def drop(self, line: SpeakLine, *, replace: bool = False) -> None:
        """Closes one that was taken; with ``replace`` begins to open another in its place."""
        line.close()
        if replace and self._opening is None and not self._idle:
            opening = line.loop.create_task(self._open(line.params), name="deepgram-speak-line")
            self._opening = opening, line.params
            opening.add_done_callback(self._opened)

    async def warm(self, params: Params) -> None:
        """Sees to it that one is idle. Raises ``ProviderError``."""
        self._sort_out()
        if not any(line.params == params and line.good for line in self._idle):
            self.give_back(await self.take(params))

    async def aclose(self) -> None:
        """Closes all that are idle or being opened; those that speak belong to who took them."""
        idle, self._idle = self._idle, []
        for line in idle:
            line.close()
        if self._opening is not None:
            opening, self._opening = self._opening[0], None
            opening.cancel()
            await asyncio.wait({opening})
            if not opening.cancelled() and opening.exception() is None:
                opening.result().close()

    async def _open(self, params: Params) -> SpeakLine:
        return SpeakLine(await self._dialer.dial(SPEAK_PATH, params, within_s=self._connect_s), params)

    def _opened(self, opening: asyncio.Task[SpeakLine]) -> None:
        if self._opening is None or self._opening[0] is not opening:
            return  # a sentence was waiting for it
        self._opening = None
        if opening.cancelled():
            return
        if (error := opening.exception()) is None:
            self.give_back(opening.result())
        elif isinstance(error, ProviderError):
            log.info("no connection to the synthesiser was opened ahead", provider="deepgram", error=str(error))
        else:
            raise error  # a defect of ours: the event loop reports it

    def _expire(self, line: SpeakLine) -> None:
        if line in self._idle:
            self._idle.remove(line)
            line.close()

    def _sort_out(self) -> None:
        """Forgets those that the vendor closed, and those of an event loop that is no more."""
        loop = asyncio.get_running_loop()
        if self._opening is not None and self._opening[0].get_loop() is not loop:
            self._opening = None
        for line in tuple(self._idle):
            if line.loop is not loop:
                self._idle.remove(line)
            elif line.closed:
                self._expire(line)
