"""A router over scripted tools."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from voice_agent.clock import LoopClock
from voice_agent.config import ToolSettings
from voice_agent.models import CallId, ToolCall
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter

CALLER = ToolContext(CallId("call-1"), "+15550100", verified=False, locale="en-US")
VERIFIED = replace(CALLER, verified=True)
SETTINGS = ToolSettings.model_construct(cb_failure_threshold=3, cb_recovery_s=30)
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "additionalProperties": False,
}

Work = Callable[[Mapping[str, Any], ToolContext], Awaitable[ToolAnswer]]


def tool(work: Work, **changes: Any) -> Tool:
    declared = Tool("work", "Works.", SCHEMA, work, fallback="I can't do that now.")
    return replace(declared, **changes)


def router(*tools: Tool) -> ToolRouter:
    return ToolRouter(ToolRegistry(*tools), SETTINGS, LoopClock(), jitter=lambda: 1.0)


def call(arguments: str = "{}", name: str = "work") -> ToolCall:
    return ToolCall("t1", name, arguments)


class Script:
    """A handler that does one scripted thing per call, and the last one from then on."""

    def __init__(self, *steps: ToolAnswer | Exception | float) -> None:
        self._steps = list(steps)
        self.calls: list[tuple[Mapping[str, Any], ToolContext]] = []

    async def __call__(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        self.calls.append((arguments, context))
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
            return ToolAnswer({"waited_s": step})
        return step
