"""A line in front of a server that fails as networks do: bytes pass, hang, drip, break off, or never get through.

Theory of operation. A line listens at an address of its own and passes each connection on to the server. It reads nothing
but the request lines that go by: the path of the newest one says which stage a connection serves at the moment, so clients
that send several stages' requests over one connection are treated rightly. What has passed of an answer is counted from the
end of its head; a fault strikes once ``Trouble.after_bytes`` have, or at once where a stream is further than that when the
fault is switched on. That a client closes is always noticed and passed on, whatever hangs.

``REFUSED`` and ``TLS`` come before any path: they strike the line of their stage; on the line of another stage the request
is reset or garbled instead.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from voice_agent.dev_vendors.faults import Fault, FaultBoard, Stage, Trouble
from voice_agent.gateway.side_server import LOOPBACK

DRIP_BYTES = 64
DRIP_S = 0.1
# A fatal alert "handshake_failure" (RFC 8446 §6): type 21, version 3.3, two bytes, level 2, description 40.
TLS_ALERT = bytes((21, 3, 3, 0, 2, 2, 40))

_READ_BYTES = 65_536
_BACKLOG = 128
_REQUEST_LINE = re.compile(rb"(?:GET|POST|PUT|DELETE|HEAD|PATCH|OPTIONS) (\S+) HTTP/1\.1\r\n")
_PATHS = (
    ("/v1/listen", Stage.ASR),
    ("/v2/listen", Stage.ASR),
    ("/v1/chat/", Stage.LLM),
    ("/v1/speak", Stage.TTS),
    ("/v1/audio/speech", Stage.TTS),
    ("/v1/realtime", Stage.TTS),
)
OnStrike = Callable[[Stage, Fault], None]

_STRIKES_ANSWERS = frozenset({Fault.HANG_MIDSTREAM, Fault.SLOW_DRIP, Fault.HALF_FRAME, Fault.RESET})
_STRIKES_REQUESTS = frozenset({Fault.HANG_CONNECT, Fault.TLS, Fault.REFUSED})


class FaultLine:
    """Listens on loopback for one stage. Made by ``open_line``; its fault is what ``board`` says at any moment."""

    def __init__(self, board: FaultBoard, stage: Stage, target_port: int, port: int, on_strike: OnStrike) -> None:
        self.stage = stage
        self._on_strike = on_strike
        self._board = board
        self._target_port = target_port
        self._loop = asyncio.get_running_loop()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()  # one a connection; ``close`` ends them
        self._listening = False
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        self._stop_listening_to_board = board.listen(self._on_change)
        self._on_change(stage)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def close(self) -> None:
        """Refuses new connections and resets those that are open."""
        self._stop_listening_to_board()
        self._shut()
        self._socket.close()
        for connection in tuple(self._connections):
            connection.reset()
        await asyncio.sleep(0)  # a task that is cancelled before it has begun could not close its socket
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_change(self, stage: Stage) -> None:
        if stage is self.stage:
            refused = self._board.current(stage) is Fault.REFUSED
            if refused and self._listening:
                self._shut()
                self._socket.close()
                self._socket = _bound(self.port)  # bound, but deaf: the address stays ours, and refuses
                for connection in tuple(self._connections):
                    if connection.stage is not None:
                        connection.reset()
            elif not refused and not self._listening:
                self._socket.listen(_BACKLOG)
                self._loop.add_reader(self._socket.fileno(), self._accept)
                self._listening = True
        for connection in self._connections:
            connection.changed.set()

    def _shut(self) -> None:
        if self._listening:
            self._loop.remove_reader(self._socket.fileno())
            self._listening = False

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            accepted, _ = self._socket.accept()
            accepted.setblocking(False)
            task = self._loop.create_task(self._serve(accepted), name=f"line-{self.stage}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=accepted)
        except BaseException:
            accepted.close()
            raise
        connection = _Connection(self._board, self.stage, self._target_port, reader, writer, self._on_strike)
        self._connections.add(connection)
        try:
            await connection.run()
        except OSError:  # either side has gone, which the other one has been shown
            pass
        finally:
            self._connections.discard(connection)
            connection.drop()


@asynccontextmanager
async def open_line(
    board: FaultBoard,
    stage: Stage,
    target_port: int,
    port: int = 0,
    *,
    on_strike: OnStrike = lambda stage, fault: None,
) -> AsyncIterator[FaultLine]:
    """A line to the server at ``target_port``; ``port`` 0 takes a free one. ``on_strike(stage, fault)`` is called once for
    each connection or answer that a fault strikes. Leaving resets what is still connected.

    Raises ``OSError`` where the port is taken.
    """
    line = FaultLine(board, stage, target_port, port, on_strike)
    try:
        yield line
    finally:
        await line.close()


class _Connection:
    """One client's connection and its counterpart to the server."""

    def __init__(
        self,
        board: FaultBoard,
        stage: Stage,
        target_port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_strike: OnStrike,
    ) -> None:
        self.changed = asyncio.Event()
        self._board = board
        self._line_stage = stage
        self.stage: Stage | None = stage  # ``None``: serves the switchboard
        self._target_port = target_port
        self._from_client = reader
        self._to_client = writer
        self._on_strike = on_strike
        self._struck: Fault | None = None  # what has struck the answer under way
        self._to_server: asyncio.StreamWriter | None = None
        self._head = bytearray()  # of the answer under way, until it is complete
        self._in_head = True
        self._passed_bytes = 0

    def drop(self) -> None:
        """Closes both sides without waiting for what is unsent. Safe to call again."""
        for writer in (self._to_client, self._to_server):
            if writer is not None:
                writer.transport.abort()

    def reset(self) -> None:
        """Like ``drop``, but the client is sent an RST."""
        raw = self._to_client.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()

    async def run(self) -> None:
        """Passes bytes both ways until either side closes. Raises ``OSError`` where one breaks."""
        first = await self._from_client.read(_READ_BYTES)
        if not first or not await self._lets_in(first):
            return
        from_server, self._to_server = await asyncio.open_connection(LOOPBACK, self._target_port)
        self._to_server.write(first)
        answers = asyncio.create_task(self._pass_answers(from_server), name="line-answers")
        try:
            await self._pass_requests(self._to_server)
        finally:
            answers.cancel()
            self._to_server.transport.abort()
            await asyncio.gather(answers, return_exceptions=True)

    async def _pass_requests(self, to_server: asyncio.StreamWriter) -> None:
        while chunk := await self._from_client.read(_READ_BYTES):
            if not await self._lets_in(chunk):
                return
            to_server.write(chunk)
            await to_server.drain()

    async def _lets_in(self, chunk: bytes) -> bool:
        """Looks at a chunk from the client; False where the connection has met its end instead."""
        request = _REQUEST_LINE.match(chunk)
        if request is None and chunk[:1] != b"\x16":  # (a TLS handshake record)
            return True
        if request is not None:
            self.stage = self._stage_of(request[1])
            self._head.clear()
            self._in_head, self._passed_bytes, self._struck = True, 0, None
        trouble = self._trouble(_STRIKES_REQUESTS)
        if trouble is None:
            return True
        self._strike(trouble.fault)
        if trouble.fault is Fault.HANG_CONNECT:
            while await self._from_client.read(_READ_BYTES):
                pass
        elif trouble.fault is Fault.TLS:
            self._to_client.write(TLS_ALERT)
            await self._finish()
        else:
            self.reset()
        return False

    async def _pass_answers(self, from_server: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while (chunk := await from_server.read(_READ_BYTES)) and await self._pass(chunk):
                pass
        with suppress(OSError):
            await self._finish()

    async def _finish(self) -> None:
        """Closes the client's side after what was written; the reader there then comes to its end."""
        self._to_client.close()
        await self._to_client.wait_closed()

    async def _pass(self, chunk: bytes) -> bool:
        """One chunk towards the client, as the fault of the moment has it. False: the answer has been broken off."""
        rest = chunk
        if self._in_head:
            rest = await self._pass_head(chunk)
        while rest:
            self.changed.clear()
            trouble = self._trouble(_STRIKES_ANSWERS)
            room = len(rest) if trouble is None else max(0, trouble.after_bytes - self._passed_bytes)
            if room:
                await self._write(rest[:room])
                rest = rest[room:]
                continue
            assert trouble is not None, "without trouble there is room for everything"
            self._strike(trouble.fault)
            if trouble.fault is Fault.HANG_MIDSTREAM:
                await self.changed.wait()
            elif trouble.fault is Fault.SLOW_DRIP:
                await self._write(rest[:DRIP_BYTES])
                rest = rest[DRIP_BYTES:]
                with suppress(TimeoutError):
                    async with asyncio.timeout(DRIP_S):
                        await self.changed.wait()
            elif trouble.fault is Fault.HALF_FRAME:
                await self._write(rest[: len(rest) // 2])
                return False
            else:
                self.reset()
                return False
        return True

    def _strike(self, fault: Fault) -> None:
        if self._struck is not fault and self.stage is not None:
            self._struck = fault
            self._on_strike(self.stage, fault)

    async def _pass_head(self, chunk: bytes) -> bytes:
        """Passes what belongs to the answer's head; what is left of the chunk."""
        before = len(self._head)
        self._head += chunk
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            self._to_client.write(chunk)
            await self._to_client.drain()
            return b""
        cut = end + 4 - before
        self._in_head = False
        self._to_client.write(chunk[:cut])
        await self._to_client.drain()
        return chunk[cut:]

    async def _write(self, piece: bytes) -> None:
        self._passed_bytes += len(piece)
        self._to_client.write(piece)
        await self._to_client.drain()

    def _trouble(self, kind: frozenset[Fault]) -> Trouble | None:
        """The fault of this kind that the connection is in now."""
        trouble = self._board.on_line(self.stage) if self.stage is not None else None
        return trouble if trouble is not None and trouble.fault in kind else None

    def _stage_of(self, path: bytes) -> Stage | None:
        """Whose request it is; ``None``: the switchboard's own, which nothing befalls."""
        text = path.decode("latin-1")
        if text.startswith("/dev/"):
            return None
        return next((stage for start, stage in _PATHS if text.startswith(start)), self._line_stage)


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind((LOOPBACK, port))
    except OSError:
        made.close()
        raise
    return made
