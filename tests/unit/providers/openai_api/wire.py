"""A server that sends exactly the bytes it is told to, and notes what it was sent: for what no well-behaved server sends."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

END = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """``pieces`` are sent one after another, each on its own. ``then``: "end" the body properly, "cut" the connection,
    "reset" it, or "hold" it open until the client goes."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    then: str = "end"
    headless: bool = False  # no answer at all before ``then``


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """``replies`` are given in order; the last one again and again."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = deque(replies)
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.client_gone = asyncio.Event()
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.add(writer)
        try:
            while asked := await _request(reader):
                self.asked.append(asked)
                reply = self.replies.popleft() if len(self.replies) > 1 else self.replies[0]
                await _send(writer, reply)
                if reply.then == "hold":
                    await reader.read()
                if reply.then != "end":
                    if reply.then == "reset":
                        reset(writer)
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            self.client_gone.set()
            writer.close()

    async def hang_up(self) -> None:
        """Closes what is open, and waits for it."""
        for writer in list(self._writers):
            writer.close()
        await until(lambda: self.open == 0)


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    if reply.headless:
        return
    lines = [f"HTTP/1.1 {reply.status} Whatever", "transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    for piece in reply.pieces:
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
        await asyncio.sleep(0)
    if reply.then == "end":
        writer.write(b"0\r\n\r\n")
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """The connection ends with a RST instead of a FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def wire(*replies: Reply) -> AsyncIterator[Wire]:
    answering = Wire(replies)
    server = await asyncio.start_server(answering.serve, "127.0.0.1", 0)
    answering.port = server.sockets[0].getsockname()[1]
    try:
        yield answering
    finally:
        server.close()
        await answering.hang_up()


@asynccontextmanager
async def greeting(greeting: bytes, *, silent: bool = False) -> AsyncIterator[str]:
    """A server of another kind, at ``host:port``: says its greeting after the client's first bytes and closes; or, where it
    is ``silent``, nothing until the client goes."""
    gone = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if not silent:
            writer.write(greeting)
            await writer.drain()
            writer.write_eof()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait_for(gone.wait(), 20)
    finally:
        server.close()


async def unused_port() -> int:
    """A port at which nobody listens."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Waits for something that sockets bring about and nothing announces."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)


def sse(*events: object) -> bytes:
    """Events as a server writes them; bytes go as they are."""
    return b"".join(e if isinstance(e, bytes) else b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)


def said(text: str | None = None, *, finish: str | None = None, **delta: object) -> dict[str, Any]:
    """One chunk of a chat completion."""
    content = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {**content, **delta}, "finish_reason": finish}],
    }


def called(index: int | None, call_id: str | None, name: str | None, arguments: object) -> dict[str, Any]:
    """One piece of a tool call, as an entry of ``tool_calls``."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    piece: dict[str, Any] = {"type": "function", "function": function}
    if index is not None:
        piece["index"] = index
    if call_id is not None:
        piece["id"] = call_id
    return piece
