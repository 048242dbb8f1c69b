"""The built-in tool ``transfer_to_human``, and the protocol of what makes a transfer real.

The tool only tells the call that the model wants a human: the conversation's machine decides, collects the context
packet and hands it to a ``Handover``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from voice_agent.models import ContextPacket, TransferReceipt
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext


class Handover(Protocol):
    async def record(self, packet: ContextPacket) -> TransferReceipt:
        """Moves the call or records a callback; the same call again gives the same receipt. Raises ``StoreError``."""
        ...


def transfer_tool() -> Tool:
    """``transfer_to_human {reason, summary?, target?}`` → ``{"accepted": true, "target"}``. Works for everybody, verified or
    not. ``target`` is one of those that the agent's system prompt names; any other goes where handovers usually go."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        return ToolAnswer({"accepted": True, "target": arguments.get("target", "")})

    return Tool(
        name="transfer_to_human",
        description="Hands the caller over to a human agent. Use it when a person is asked for or you cannot help.",
        parameters={
            "type": "object",
            "properties": {
                "reason": {"type": "string", "maxLength": 200, "description": "Why, in a few words."},
                "summary": {"type": "string", "maxLength": 2000, "description": "What the human should know."},
                "target": {
                    "type": "string",
                    "maxLength": 40,
                    "description": "Where to, if your instructions name several desks; leave it out otherwise.",
                },
            },
            "required": ["reason"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't put you through right now.",
        unsure="I'm sorry, I can't put you through right now.",
        read_only=False,
    )
