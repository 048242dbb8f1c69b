"""A small HTTP/1.1 server on a real socket that answers as a test tells it, byte for byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson


@dataclass(slots=True)
class Asked:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class FarSide:
    """``answers`` are used up in order, the last one for ever. An answer is all its bytes; ``None`` hangs."""

    port: int = 0
    answers: list[bytes | None] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, target, _ = first.split(" ")
                self.asked.append(Asked(method, target, headers, body))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    await reader.read()
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def answer(data: object = None, *, status: int = 200, **headers: str) -> bytes:
    """A JSON answer; bytes go out as they are."""
    body = data if isinstance(data, bytes) else b"" if data is None else orjson.dumps(data)
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


@asynccontextmanager
async def far_side(*answers: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[FarSide]:
    """A running server on a port of 127.0.0.1."""
    far = FarSide(answers=list(answers))
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0, ssl=tls)
    far.port = server.sockets[0].getsockname()[1]
    try:
        yield far
    finally:
        server.close()
