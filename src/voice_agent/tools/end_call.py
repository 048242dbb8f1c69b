"""The built-in tool ``end_call``: the model has said goodbye, and the call may end once its words have been heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voice_agent.tools.base import Tool, ToolAnswer, ToolContext


def end_call_tool() -> Tool:
    """``end_call {}`` → ``{"accepted": true}``; the conversation's machine ends the call after the reply."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        return ToolAnswer({"accepted": True})

    return Tool(
        name="end_call",
        description="Ends the call after your goodbye. Use it only when the caller has said goodbye.",
        parameters={"type": "object", "properties": {}, "additionalProperties": False},
        handler=handle,
        fallback="Goodbye.",
        unsure="Goodbye.",
        read_only=False,
    )
