"""How an MCP server is spoken to, with bounds: a program's standard input and output, or HTTP, both behind one guard.

The SDK's own stdio transport keeps a line of any length in memory; this one does not. The guard ends a connection whose
server floods it, and takes output schemas out of tool lists: the SDK would compile a stranger's regular expressions and run
them on a stranger's data.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import structlog
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse, jsonrpc_message_adapter

from voice_agent.clock import Clock
from voice_agent.tools.sources.egress import Reach, checked_client

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import ReadStream, TransportStreams

#: A server that says more than this in a second has nothing to say.
MESSAGES_PER_S = 300

_CONNECT_S = 2.0
_GOODBYE_S = 1.0  # for a program to end by itself once its input is closed
_KILLED_S = 2.0
_LAST_WORDS_BYTES = 400

Opener = Callable[[], AbstractAsyncContextManager["TransportStreams"]]

log = structlog.get_logger(__name__)


class Guard:
    """A transport for the SDK's client around another one. ``ended`` is set when the far side is gone."""

    def __init__(self, open_transport: Opener, clock: Clock) -> None:
        self._opened = open_transport()
        self._clock = clock
        self.ended = asyncio.Event()

    async def __aenter__(self) -> TransportStreams:
        read, write = await self._opened.__aenter__()
        return _Watched(read, self._clock, self.ended), write

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self.ended.set()
        return await self._opened.__aexit__(kind, error, traceback)


class _Watched:
    """The reading half of a transport."""

    def __init__(self, inner: ReadStream[SessionMessage | Exception], clock: Clock, ended: asyncio.Event) -> None:
        self._inner = inner
        self._clock = clock
        self._ended = ended
        self._second = 0
        self._count = 0

    @property
    def last_context(self) -> Any:
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        try:
            item = await self._inner.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._ended.set()
            raise
        return self._judged(item)

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            item = await self._inner.__anext__()
            return self._judged(item)
        except (StopAsyncIteration, anyio.EndOfStream):
            self._ended.set()
            raise StopAsyncIteration from None

    def _judged(self, item: SessionMessage | Exception) -> SessionMessage | Exception:
        second = int(self._clock.now())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > MESSAGES_PER_S:
            log.warning("mcp_server_floods", messages_per_s=MESSAGES_PER_S)
            raise anyio.EndOfStream
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCResponse):
            tools = item.message.result.get("tools")
            for tool in tools if isinstance(tools, list) else ():
                if isinstance(tool, dict):
                    tool.pop("outputSchema", None)
        return item

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> _Watched:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, traceback)


@asynccontextmanager
async def program(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path | None, line_max_bytes: int
) -> AsyncIterator[TransportStreams]:
    """Starts a program and speaks JSON-RPC with it, a line a message. It gets ``environment`` and the few variables every
    program needs, none of ours; a longer line ends the connection. At the end it is asked to go, then killed with all
    that it started. Raises ``OSError`` if it cannot be started."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**get_default_environment(), **environment},
        cwd=folder,
        limit=line_max_bytes,
        start_new_session=True,
    )
    heard, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, to_say = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as group:
        group.start_soon(_listen_to_the_end, process, heard, line_max_bytes)
        group.start_soon(_speak, process, to_say, heard)
        group.start_soon(_keep_last_words, process, command[0])
        try:
            yield read, write
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
            group.cancel_scope.cancel()
            for stream in (heard, read, write, to_say):
                stream.close()


@asynccontextmanager
async def over_http(
    url: str, hosts: Mapping[str, Reach], *, tls: ssl.SSLContext, headers: Mapping[str, str], answer_max_bytes: int
) -> AsyncIterator[TransportStreams]:
    """Speaks the protocol's streamable HTTP with a server among ``hosts``. An answer, or a stream of events in all, that is
    longer than the limit ends the connection."""
    client = checked_client(hosts, tls=tls, answer_max_bytes=answer_max_bytes, headers=headers)
    # Connecting has a limit; an answer's time is that of the tool, and a stream of changes has none.
    client.timeout = httpx2.Timeout(None, connect=_CONNECT_S, pool=_CONNECT_S)
    async with (
        client,
        streamable_http_client(url, http_client=client, max_sse_event_size=answer_max_bytes) as streams,
    ):
        yield streams


async def _listen(
    process: asyncio.subprocess.Process,
    heard: MemoryObjectSendStream[SessionMessage | Exception],
    line_max_bytes: int,
) -> None:
    assert process.stdout is not None
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with heard:
            while True:
                try:
                    line = await process.stdout.readuntil(b"\n")
                except asyncio.IncompleteReadError:
                    return
                except asyncio.LimitOverrunError:
                    log.warning("mcp_line_too_long", line_max_bytes=line_max_bytes)
                    return
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    # Counted like any other message, and told to nobody: it may quote anything.
                    await heard.send(ValueError("the server said something that is no message"))
                else:
                    await heard.send(SessionMessage(message))


async def _listen_to_the_end(
    process: asyncio.subprocess.Process,
    heard: MemoryObjectSendStream[SessionMessage | Exception],
    line_max_bytes: int,
) -> None:
    """Listens, and then reads what nobody hears: a program that cannot get rid of its words does not end."""
    await _listen(process, heard, line_max_bytes)
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass


async def _speak(
    process: asyncio.subprocess.Process,
    to_say: MemoryObjectReceiveStream[SessionMessage],
    heard: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    assert process.stdin is not None
    try:
        async with to_say:
            async for item in to_say:
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(line.encode() + b"\n")
                await process.stdin.drain()
    except (ConnectionError, anyio.ClosedResourceError):
        await heard.aclose()  # whoever waits for an answer learns that none comes


async def _keep_last_words(process: asyncio.subprocess.Process, name: str) -> None:
    """Reads what a program writes for its operator, so that it never waits; the end of it is logged when it has ended, at
    debug level, because it may quote what the program was given."""
    assert process.stderr is not None
    words = b""
    while piece := await process.stderr.read(4096):
        words = (words + piece)[-_LAST_WORDS_BYTES:]
    log.debug("mcp_program_ended", program=Path(name).name, last_words=words.decode(errors="replace").strip())


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    for wait_s, signal_number in ((_GOODBYE_S, signal.SIGTERM), (_KILLED_S, signal.SIGKILL)):
        with anyio.move_on_after(wait_s):
            await process.wait()
            break
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it started, where that outlived it
    with anyio.move_on_after(_KILLED_S):
        await process.wait()
