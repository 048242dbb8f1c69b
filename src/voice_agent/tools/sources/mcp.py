"""The tools of MCP servers (Model Context Protocol), for as long as their server is there.

What a server says of its tools is a hint; what the tools file says of them holds. A tool that the file does not name is
registered with the careful defaults: it counts as changing something, for verified callers, and is not offered to the
language model. Names are prefixed with the server's.

Theory of operation. One task per server keeps a connection: it connects, lists the tools, registers them, and listens for
changes of the list until the connection ends; then it tries again, later each time. Calls use whatever connection there is.
A call runs in a task of its own, so that whoever gives it up (the router, when its time is over) does not wait for the
server's farewell.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import structlog
from mcp import Client, MCPError
from mcp_types import CallToolResult, Implementation, TextContent, ToolListChangedNotification
from mcp_types import Tool as ServerTool
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from voice_agent import __version__
from voice_agent.clock import Clock
from voice_agent.errors import ConfigError, ProviderError, ProviderFault
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext
from voice_agent.tools.parsing import depth_exceeds
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.sources.foreign_schema import ForeignSchemaError, plain_text, tame
from voice_agent.tools.sources.mcp_pipe import Guard, Opener
from voice_agent.tools.sources.templates import CALL_FIELDS, summary_of
from voice_agent.tools.sources.tools_file import McpServer, McpTool, question_of

_MAX_TOOLS = 100
_MAX_PAGES = 10
_DESCRIPTION_MAX_CHARS = 1_000
_TEXT_MAX_CHARS = 8_000  # of a result; a caller is told two sentences of it
_RESULT_MAX_DEPTH = 32

_AGAIN_FIRST_S = 0.5
_AGAIN_MOST_S = 60.0
_STEADY_S = 30.0  # a connection that lasted this long was a good one: the next is tried at once
_RELIST_EVERY_S = 1.0  # at most; a server may announce changes as often as it likes
_RESTART_WAIT_S = 0.5  # for a call that finds the server just gone

log = structlog.get_logger(__name__)


class McpTools:
    """One server and its tools in ``registry``. Run ``keep`` in a task; ``started`` is set after the first attempt."""

    def __init__(
        self,
        name: str,
        declared: McpServer,
        registry: ToolRegistry,
        open_transport: Opener,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._declared = declared
        self._registry = registry
        self._open_transport = open_transport
        self._clock = clock
        self._jitter = jitter
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._list_changed = asyncio.Event()
        self._registered: dict[str, ServerTool] = {}
        self._calls: set[asyncio.Task[CallToolResult]] = set()
        self.started = asyncio.Event()

    async def keep(self) -> None:
        """Keeps a connection until it is cancelled."""
        failures = 0
        while True:
            since_s = self._clock.now()
            try:
                await self._connection()
            except Exception as error:
                log.warning("mcp_server_unavailable", server=self._name, cause=_cause(error))
            else:
                log.warning("mcp_server_gone", server=self._name)
            self.started.set()
            failures = 0 if self._clock.now() - since_s > _STEADY_S else failures + 1
            most_s = min(_AGAIN_MOST_S, _AGAIN_FIRST_S * 2 ** min(failures, 10))
            await asyncio.sleep(most_s * (0.5 + self._jitter() / 2))

    async def call(self, tool: str, arguments: Mapping[str, Any], idempotency_key: str) -> CallToolResult:
        """Raises ``ProviderError``. Cancelling gives the call up at once; the server is told beside."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RESTART_WAIT_S):
                await self._connected.wait()
        client = self._client
        if client is None:
            raise self._error("is not there", ProviderFault.NETWORK, undone=True)
        meta: Any = {"voice-agent/idempotency-key": idempotency_key} if idempotency_key else None
        work = client.call_tool(tool, dict(arguments), meta=meta)
        task = asyncio.get_running_loop().create_task(work, name=f"mcp-call-{self._name}")
        self._calls.add(task)
        task.add_done_callback(self._call_ended)
        try:
            await asyncio.wait({task})
            return task.result()
        except MCPError as error:
            if _is_lost(error):
                if client is self._client:
                    self._lost.set()
                raise self._error("is gone", ProviderFault.NETWORK) from None
            raise self._error(f"answered with the error {error.code}", ProviderFault.PROTOCOL) from None
        except Exception as error:
            raise self._error(f"failed: {_cause(error)}", ProviderFault.PROTOCOL) from None
        finally:
            task.cancel()

    def _call_ended(self, task: asyncio.Task[CallToolResult]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever still waits; nobody else needs to know

    async def _connection(self) -> None:
        """One connection, from its beginning to its end. Raises what connecting raises."""
        guard = Guard(self._open_transport, self._clock)
        client = Client(
            guard,
            client_info=Implementation(name="voice-agent", version=__version__),
            message_handler=self._heard,
            read_timeout_seconds=None,
            cache=None,
        )
        self._lost.clear()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._declared.start_within_ms / 1000):
                await stack.enter_async_context(client)
                await self._list(client)
            self._client = client
            self._connected.set()
            self.started.set()
            log.info("mcp_server_connected", server=self._name, tools=len(self._registered))
            try:
                await self._listen(client, guard.ended)
            finally:
                self._client = None
                self._connected.clear()

    async def _listen(self, client: Client, ended: asyncio.Event) -> None:
        """Follows changes of the tool list; returns when the connection has ended."""
        async with asyncio.TaskGroup() as group:
            gone = [group.create_task(event.wait(), name="mcp-gone") for event in (ended, self._lost)]
            work = [group.create_task(self._relist(client), name="mcp-relist")]
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                work.append(group.create_task(self._subscribe(client), name="mcp-subscribe"))
            await asyncio.wait(gone, return_when=asyncio.FIRST_COMPLETED)
            for task in (*gone, *work):
                task.cancel()

    async def _subscribe(self, client: Client) -> None:
        """Asks a server of the newer protocol to tell of changes; one that does not is asked for its list no more."""
        tools = client.server_capabilities.tools
        while tools is not None and tools.list_changed:
            with suppress(MCPError, RuntimeError, TimeoutError):  # SubscriptionLost is a RuntimeError
                async with client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        self._list_changed.set()
            await asyncio.sleep(_AGAIN_MOST_S)
            self._list_changed.set()  # one may have been missed

    async def _relist(self, client: Client) -> None:
        while True:
            await self._list_changed.wait()
            await asyncio.sleep(_RELIST_EVERY_S)
            self._list_changed.clear()
            try:
                async with asyncio.timeout(self._declared.start_within_ms / 1000):
                    await self._list(client)
            except (MCPError, TimeoutError, ValueError) as error:
                log.warning("mcp_list_failed", server=self._name, cause=_cause(error))

    async def _heard(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._list_changed.set()

    async def _list(self, client: Client) -> None:
        """Brings the registry in line with the server's list."""
        listed: dict[str, ServerTool] = {}
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            listed.update((tool.name, tool) for tool in page.tools)
            cursor = page.next_cursor
            if cursor is None or len(listed) >= _MAX_TOOLS:
                break
        listed = dict(list(listed.items())[:_MAX_TOOLS])
        for name in [name for name, known in self._registered.items() if listed.get(name) != known]:
            self._registry.remove(self._registered_name(name))
            del self._registered[name]
        for name, tool in listed.items():
            if name not in self._registered and self._register(tool):
                self._registered[name] = tool
        if missing := sorted(set(self._declared.tools) - set(listed)):
            log.warning("mcp_tools_missing", server=self._name, tools=missing)

    def _register(self, tool: ServerTool) -> bool:
        """Whether the tool can be used; if not, the log says why."""
        rules = self._declared.tools.get(tool.name)
        try:
            self._registry.register(self._tool(tool, rules or McpTool()))
        except (ConfigError, ForeignSchemaError) as error:
            say = log.error if rules is not None else log.info
            say("mcp_tool_refused", server=self._name, tool=plain_text(tool.name, 64), cause=str(error))
            return False
        hints = tool.annotations
        if rules is not None and not rules.writes and hints is not None and hints.read_only_hint is False:
            log.warning("mcp_tool_may_write", server=self._name, tool=tool.name)
        return True

    def _tool(self, tool: ServerTool, rules: McpTool) -> Tool:
        schema = tame(tool.input_schema)
        properties = {name: part for name, part in schema["properties"].items() if name not in rules.inject}
        if foreign := set(rules.inject) - set(schema["properties"]):
            raise ConfigError(f"inject names {', '.join(sorted(foreign))}, which is no argument of the tool")
        required = [name for name in schema.get("required", ()) if name not in rules.inject]
        for template in rules.read_back.values():
            if unknown := set(template.fields) - set(required):
                raise ConfigError(f"read_back names {', '.join(sorted(unknown))}, which is no required argument")
        description = rules.description or plain_text(tool.description, _DESCRIPTION_MAX_CHARS)
        return Tool(
            name=self._registered_name(tool.name),
            description=description or plain_text(tool.name, 64),
            parameters={**schema, "properties": properties, "required": required},
            handler=partial(self._ask, tool.name, rules),
            fallback=rules.fallback,
            unsure=rules.unsure,
            timeout_s=rules.timeout_ms / 1000,
            at_once=rules.at_once,
            read_only=not rules.writes,
            identity=rules.identity,
            model_callable=rules.offered,
            read_back=question_of(rules.read_back),
            summary=partial(summary_of, rules.summary) if rules.summary else None,
        )

    def _registered_name(self, tool: str) -> str:
        return f"{self._name}_{re.sub(r'[^A-Za-z0-9_-]', '_', tool)}"

    async def _ask(self, tool: str, rules: McpTool, arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        given = {**arguments, **{name: CALL_FIELDS[field](context) for name, field in rules.inject.items()}}
        result = await self.call(tool, given, context.idempotency_key)
        if result.is_error:
            return ToolAnswer({"error": _text(result)[:500]}, found=False, reason="tool_error")
        data = result.structured_content
        if not isinstance(data, dict):
            return ToolAnswer({"text": _text(result)})
        if depth_exceeds(data, _RESULT_MAX_DEPTH):
            raise self._error("answered with data nested too deeply", ProviderFault.PROTOCOL)
        return ToolAnswer(data)

    def _error(self, what: str, fault: ProviderFault, *, undone: bool = False) -> ProviderError:
        return ProviderError(f"the MCP server {self._name} {what}", category=fault, undone=undone)


def _text(result: CallToolResult) -> str:
    """What a result says in words, cut."""
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    return text if len(text) <= _TEXT_MAX_CHARS else f"{text[:_TEXT_MAX_CHARS]} … (cut)"


def _is_lost(error: MCPError) -> bool:
    """Whether the session is over, as far as an error tells (the second is the SDK's own word for a lost HTTP session)."""
    return error.message in ("Connection closed", "Session terminated")


def _cause(error: BaseException) -> str:
    """What went wrong, without anything that a server said."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return f"{type(error).__name__} {error.code}" if isinstance(error, MCPError) else type(error).__name__
