"""What the parent of a server's workers and the workers say to each other: JSON lines over a pair of sockets.

A worker says ``Ready`` once (or ``Failed``), then its ``WorkerLoad`` several times a second, and every change of a call.
The parent passes loads and calls on to the other workers, says ``Gone`` of one that died, and ``Stop`` at the end.
Connections travel beside this, as file descriptors over a second pair of sockets: one byte each.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from voice_agent.gateway.admission import CallEntry, CallPhase, ServerStatus
from voice_agent.gateway.server_view import WorkerLoad

LINE_LIMIT_BYTES = 65_536  # an entry is a few hundred
_HANDED = b"c"


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker takes connections."""

    slot: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot start; ``message`` is for the operator."""

    slot: int
    message: str


@dataclass(frozen=True, slots=True)
class CallChanged:
    slot: int
    entry: CallEntry


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker has died."""

    slot: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Drain, then end."""


Message = Ready | Failed | WorkerLoad | CallChanged | Gone | Stop

_TYPES: dict[str, type[Any]] = {kind.__name__: kind for kind in (Ready, Failed, WorkerLoad, CallChanged, Gone, Stop)}


def encode(message: Message) -> bytes:
    """One line, its end included."""
    return orjson.dumps({"type": type(message).__name__, "body": message}, option=orjson.OPT_APPEND_NEWLINE)


def decode(line: bytes) -> Message:
    """The message of a line that ``encode`` has written."""
    data = orjson.loads(line)
    kind, body = _TYPES[data["type"]], data["body"]
    if kind is WorkerLoad:
        body["status"] = ServerStatus(body["status"])
    elif kind is CallChanged:
        body["entry"] = _entry(body["entry"])
    message: Message = kind(**body)
    return message


def _entry(body: dict[str, Any]) -> CallEntry:
    body["since"] = datetime.fromisoformat(body["since"])
    body["phase"] = CallPhase(body["phase"])
    if body["ended"] is not None:
        body["ended"] = datetime.fromisoformat(body["ended"])
    return CallEntry(**body)


class Link:
    """One end of the pair. Sending never waits: what is said is little, and a worker that does not listen is killed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Link:
        """Takes ``end`` over."""
        return cls(*await asyncio.open_connection(sock=end, limit=LINE_LIMIT_BYTES))

    def send(self, message: Message) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def receive(self) -> Message | None:
        """The next message; None once the other end is gone. Safe to cancel."""
        try:
            line = await self._reader.readline()
        except OSError:
            return None
        return decode(line) if line.endswith(b"\n") else None

    async def close(self) -> None:
        """What was sent still goes out, if anybody is there to take it."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def hand_over(channel: socket.socket, connection: socket.socket) -> bool:
    """Gives a connection to a worker over a non-blocking socket; False where it cannot take one now. The caller still
    closes its own copy."""
    try:
        socket.send_fds(channel, [_HANDED], [connection.fileno()])
    except OSError:
        return False
    return True


def take_over(channel: socket.socket) -> socket.socket | None:
    """The next connection; None where there is none yet. Raises ``EOFError`` where none will come any more."""
    try:
        data, descriptors, _, _ = socket.recv_fds(channel, len(_HANDED), 1)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        raise EOFError from None
    if not data:
        raise EOFError
    return socket.socket(fileno=descriptors[0]) if descriptors else None
