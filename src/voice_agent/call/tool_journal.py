"""One call's tool calls: each has one beginning and exactly one end in the log, whatever becomes of the reply that asked.

Rules:

1. A tool runs in a task of the call, not of the reply: an interruption ends the waiting, not the work. Its result enters
   the history all the same, so that the next turn knows of it.
2. What changes something runs once. The same call again, with the same arguments, gets the first result; a tool that needs
   the caller's agreement runs once for each time the caller agrees. Its idempotency key says the same to the far side.
   What certainly changed nothing may be tried again. While nobody knows whether a change was made, asking for it again is
   the same change: it has the same key, and its failure, whatever it is, leaves the caller as unsure as before. It runs
   again where the caller agrees again, or where the key makes sure that it is done once (``Tool.keyed``).
3. What the caller said of themselves (an address, a telephone number) is known to the model as a placeholder only. The tool
   gets it, and what the tool gives back is masked again. "[ADDRESS].city" gives the tool that part of an address; an
   argument whose part is not there is left out, so that one which is needed makes the call invalid.
4. At the end of the call what only reads is given up; what changes something may finish within ``FINISH_LIMIT_S``. Either
   way the log says how it ended: of a change that was given up nobody knows whether it was made.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from voice_agent.conversation.events import ToolReturned, ToolStarted
from voice_agent.models import CALL_ENDED, OUTCOME_UNKNOWN, ReplyId, ToolCall, ToolResult, ToolStatus
from voice_agent.tools.base import Tool, ToolContext
from voice_agent.tools.parsing import BadArgumentsError, parse_arguments
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter, failed

FINISH_LIMIT_S = 2.0

Start = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class ToolJournal:
    """Shared by the replies of one call. ``start`` runs a task for as long as the call lasts; ``reveal`` puts what a text's
    placeholders stand for in their place."""

    def __init__(
        self,
        registry: ToolRegistry,
        router: ToolRouter,
        post: Callable[[ToolStarted | ToolReturned], None],
        start: Start,
        reveal: Callable[[str], str],
    ) -> None:
        self._registry = registry
        self._router = router
        self._post = post
        self._start = start
        self._reveal = reveal
        self._under_way: dict[asyncio.Task[None], tuple[ReplyId, ToolCall, bool]] = {}
        self._done: dict[str, asyncio.Future[ToolResult]] = {}
        self._unsure: dict[str, str] = {}  # changes of unknown outcome and the keys they were asked for with
        self._agreements = 0

    def writes(self, tool_name: str) -> bool:
        """Whether the tool changes something; one that does not exist changes nothing."""
        tool = self._registry.find(tool_name)
        return tool is not None and not tool.read_only

    async def run(
        self, reply_id: ReplyId, call: ToolCall, context: ToolContext, *, confirmed: bool = False
    ) -> ToolResult:
        """The result of one call. Cancelling ends the waiting for it only."""
        tool = self._registry.find(call.name)
        key = self._key(tool, call, context, confirmed)
        first = self._done.get(key) if key else None
        self._post(ToolStarted(reply_id, call, self.writes(call.name)))
        future: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()
        result_of: Callable[[], Awaitable[ToolResult]]
        if first is not None:
            result_of = partial(self._same, call, first)
        elif key and tool is not None:
            self._done[key] = future
            result_of = partial(self._changed, tool, call, replace(context, idempotency_key=key), confirmed)
        else:
            result_of = partial(self._routed, call, context, confirmed)
        task = self._start(self._work(result_of, reply_id, call, future), f"tool-{call.name}")
        self._under_way[task] = (reply_id, call, self.writes(call.name))
        task.add_done_callback(lambda done: self._under_way.pop(done, None))
        return await asyncio.shield(future)

    async def finish(self) -> None:
        """The call is over: waits for what changes something, within limits. ``abandon`` comes after it."""
        writing = {task for task, (_, _, writes) in self._under_way.items() if writes}
        if writing:
            await asyncio.wait(writing, timeout=FINISH_LIMIT_S)

    def abandon(self) -> None:
        """Gives up what is still under way, and says so in the log."""
        for task, (reply_id, call, writes) in tuple(self._under_way.items()):
            task.cancel()
            reason = OUTCOME_UNKNOWN if writes else CALL_ENDED
            self._post(ToolReturned(reply_id, ToolResult(call.call_id, call.name, ToolStatus.FAILED, reason=reason)))
        self._under_way.clear()

    async def _work(
        self,
        result_of: Callable[[], Awaitable[ToolResult]],
        reply_id: ReplyId,
        call: ToolCall,
        future: asyncio.Future[ToolResult],
    ) -> None:
        try:
            result = await result_of()
        except BaseException:
            future.cancel()
            raise
        self._under_way = {task: what for task, what in self._under_way.items() if what[1] is not call}
        self._post(ToolReturned(reply_id, result))
        if not future.done():
            future.set_result(result)

    async def _routed(self, call: ToolCall, context: ToolContext, confirmed: bool) -> ToolResult:
        revealed = replace(call, arguments=self._revealed(call.arguments))
        return await self._router.run(revealed, context, confirmed=confirmed)

    async def _same(self, call: ToolCall, first: asyncio.Future[ToolResult]) -> ToolResult:
        """The same change was asked for before: its result is this call's too."""
        return replace(await asyncio.shield(first), call_id=call.call_id)

    async def _changed(self, tool: Tool, call: ToolCall, context: ToolContext, confirmed: bool) -> ToolResult:
        """The result of what changes something."""
        change, key = _change(call), context.idempotency_key
        unsure_before = change in self._unsure
        self._unsure[change] = key
        result = await self._routed(call, context, confirmed)
        if unsure_before and result.status is ToolStatus.FAILED:
            told = failed(call, tool, OUTCOME_UNKNOWN, context)
            result = replace(told, duration_ms=result.duration_ms)
        unsure = result.status is ToolStatus.FAILED and result.reason == OUTCOME_UNKNOWN
        answered = result.status in (ToolStatus.OK, ToolStatus.BUSINESS_ERROR)
        if not unsure and (answered or not unsure_before):
            del self._unsure[change]
        may_run_again = tool.keyed or tool.read_back is not None
        if result.status is not ToolStatus.OK and (may_run_again or not unsure):
            del self._done[key]
        return result

    def _revealed(self, arguments: str) -> str:
        """The arguments with their strings revealed; what the router refuses is left to its refusal."""
        if "[" not in arguments:
            return arguments
        try:
            parsed = parse_arguments(arguments)
        except BadArgumentsError:
            return arguments
        return orjson.dumps(_each_text(parsed, self._reveal)).decode()

    def _key(self, tool: Tool | None, call: ToolCall, context: ToolContext, confirmed: bool) -> str:
        """Names the change that this call makes; empty for what changes nothing, or does not run."""
        if tool is None or tool.read_only or (tool.read_back is not None and not confirmed):
            return ""
        change = _change(call)
        if change in self._unsure:
            return self._unsure[change]
        if tool.read_back is not None:
            self._agreements += 1
        agreement = self._agreements if tool.read_back is not None else 0
        parts = (context.call_id, change, str(agreement))
        return hashlib.sha256("\x00".join(parts).encode(errors="replace")).hexdigest()[:32]


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        changed = {key: _each_text(inner, change) for key, inner in value.items()}
        return {key: inner for key, inner in changed.items() if inner != "" or value[key] == ""}
    return [_each_text(inner, change) for inner in value] if isinstance(value, list) else value


def _change(call: ToolCall) -> str:
    """What a call changes: the tool and its arguments, however they are written."""
    try:
        arguments = orjson.dumps(orjson.loads(call.arguments), option=orjson.OPT_SORT_KEYS).decode()
    except (ValueError, TypeError):
        arguments = call.arguments
    return f"{call.name}\x00{arguments}"
