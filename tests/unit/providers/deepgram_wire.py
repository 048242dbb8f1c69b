"""Deepgram's side of the wire in a test's own hands: it sees what the client sent, and says what the test wants said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from voice_agent.config import DeepgramSettings

KEY = "the-key"
DEADLINE_S = 10
BYTES_PER_S = 32_000
ALL = 3600.0

Refuse = Callable[[ServerConnection, Request], Response | None]


class Session:
    """One connection, as the vendor has it."""

    def __init__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self._socket = socket
        url = urlsplit(socket.request.path)
        self.path = url.path
        self.query = parse_qsl(url.query)
        self.key = socket.request.headers.get("Authorization", "")
        self.received: list[bytes | dict[str, Any]] = []
        self.gone = False
        self._news = asyncio.Condition()

    @property
    def audio(self) -> bytes:
        return b"".join(message for message in self.received if isinstance(message, bytes))

    @property
    def texts(self) -> list[dict[str, Any]]:
        return [message for message in self.received if isinstance(message, dict)]

    @property
    def types(self) -> list[str]:
        return [text["type"] for text in self.texts]

    async def read(self) -> None:
        try:
            async for message in self._socket:
                async with self._news:
                    self.received.append(message if isinstance(message, bytes) else orjson.loads(message))
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        async with self._news:
            self.gone = True
            self._news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(condition)

    async def until_audio_s(self, seconds: float) -> None:
        await self.until(lambda: len(self.audio) >= round(seconds * BYTES_PER_S))

    async def until_type(self, kind: str, count: int = 1) -> None:
        await self.until(lambda: self.types.count(kind) >= count)

    async def until_gone(self) -> None:
        await self.until(lambda: self.gone)

    async def say(self, *messages: dict[str, Any] | str | bytes) -> None:
        for message in messages:
            await self._socket.send(orjson.dumps(message).decode() if isinstance(message, dict) else message)

    async def end(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)

    def cut(self) -> None:
        self._socket.transport.abort()


class Wire:
    """The address, and the connections in the order in which they came."""

    def __init__(self, refuse: Refuse | None) -> None:
        self._refuse = refuse
        self._sessions: list[Session] = []
        self._came = asyncio.Condition()
        self.url = ""
        self.attempts = 0

    @property
    def settings(self) -> DeepgramSettings:
        return DeepgramSettings(DEEPGRAM_URL=self.url, DEEPGRAM_API_KEY=KEY)

    def admit(self, socket: ServerConnection, request: Request) -> Response | None:
        self.attempts += 1
        return self._refuse(socket, request) if self._refuse is not None else None

    async def serve(self, socket: ServerConnection) -> None:
        session = Session(socket)
        async with self._came:
            self._sessions.append(session)
            self._came.notify_all()
        await session.read()

    async def session(self, number: int) -> Session:
        """The connection of that number, 1 for the first; waits for it."""
        async with asyncio.timeout(DEADLINE_S), self._came:
            await self._came.wait_for(lambda: len(self._sessions) >= number)
        return self._sessions[number - 1]

    @property
    def count(self) -> int:
        return len(self._sessions)


@asynccontextmanager
async def deepgram_wire(refuse: Refuse | None = None) -> AsyncIterator[Wire]:
    wire = Wire(refuse)
    async with serve(
        wire.serve, "127.0.0.1", 0, compression=None, process_request=wire.admit, close_timeout=0.1
    ) as server:
        wire.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield wire


def refusing(status: int, headers: dict[str, str] | None = None, body: str = "") -> Refuse:
    """Answers every handshake with that status."""

    def refuse(socket: ServerConnection, request: Request) -> Response:
        response = socket.respond(status, body)
        for name, value in (headers or {}).items():
            response.headers[name] = value
        return response

    return refuse


def spoken(text: str, at_s: float, *, step_s: float = 0.3, confidence: float = 0.9) -> list[dict[str, Any]]:
    """Words of a v1 message, one every ``step_s``."""
    return [
        {
            "word": word.lower().strip(".,?"),
            "punctuated_word": word,
            "start": round(at_s + index * step_s, 3),
            "end": round(at_s + index * step_s + 0.2, 3),
            "confidence": confidence,
        }
        for index, word in enumerate(text.split())
    ]


def results(
    start_s: float,
    end_s: float,
    text: str = "",
    *,
    at_s: float | None = None,
    final: bool = True,
    speech_final: bool = False,
    finalized: bool = False,
    words: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A v1 ``Results``; the words begin at ``at_s``, else at ``start_s``."""
    words = spoken(text, start_s if at_s is None else at_s) if words is None else words
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "duration": round(end_s - start_s, 3),
        "start": start_s,
        "is_final": final,
        "speech_final": speech_final,
        "from_finalize": finalized,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.99 if text else 0.0, "words": words}]},
        "metadata": {"request_id": "r", "model_info": {"name": "n", "version": "v", "arch": "a"}, "model_uuid": "u"},
    }


def turn(
    event: str, start_s: float, end_s: float, text: str = "", *, timed: bool = True, index: int = 0
) -> dict[str, Any]:
    """A v2 ``TurnInfo``; its words end with the window."""
    words = text.split()
    step_s = 0.3
    first_s = end_s - step_s * len(words)
    told: list[dict[str, Any]] = [{"word": word, "confidence": 0.8} for word in words]
    if timed:
        for number, word in enumerate(told):
            word |= {"start": round(first_s + number * step_s, 3), "end": round(first_s + number * step_s + 0.2, 3)}
    return {
        "type": "TurnInfo",
        "request_id": "r",
        "sequence_id": 1,
        "event": event,
        "turn_index": index,
        "audio_window_start": start_s,
        "audio_window_end": end_s,
        "transcript": text,
        "words": told,
        "end_of_turn_confidence": 0.5,
        **({"trigger": "model"} if event == "EndOfTurn" else {}),
    }
