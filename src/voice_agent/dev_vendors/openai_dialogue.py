"""Chat completions' messages and tools, checked as the vendor checks them, and as the ``LlmRequest`` that they came from.

What the protocol has no field for is read from the texts: what the agent asked last, whether it was interrupted, and
whether the caller has been verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field

from voice_agent.conversation.locales import resolve_locale
from voice_agent.conversation.questions import open_question
from voice_agent.dev_vendors.openai_wire import ApiError
from voice_agent.models import Message, Role, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.llm.base import LlmRequest, ToolDefinition

_NAME = r"^[a-zA-Z0-9_-]{1,64}$"
# As ``providers/llm/base.py`` writes it.
_INTERRUPTED = re.compile(r" ?\[interrupted by the caller (?P<about>about )?here[^\]]*\]$")
_UNSURE_CUT = 0.5


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class CalledFunction(BaseModel):
    name: Annotated[str, Field(pattern=_NAME)]
    arguments: str


class CalledTool(BaseModel):
    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(BaseModel):
    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class OfferedFunction(BaseModel):
    name: Annotated[str, Field(pattern=_NAME)]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class OfferedTool(BaseModel):
    type: Literal["function"]
    function: OfferedFunction


def check_dialogue(messages: Sequence[ChatMessage]) -> None:
    """Raises ``ApiError`` (400) where calls and results do not belong together, or a message has nothing in it."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.[{index}]"
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                raise ApiError(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    param=f"{where}.role",
                )
            open_calls.discard(message.tool_call_id)
            continue
        _check_answered(open_calls, where)
        if message.content is None and not message.tool_calls:
            raise ApiError(400, "Invalid value for 'content': expected a string, got null.", param=f"{where}.content")
        open_calls = {call.id for call in message.tool_calls or ()}
    _check_answered(open_calls, f"messages.[{len(messages)}]")


def _check_answered(open_calls: set[str], where: str) -> None:
    if open_calls:
        raise ApiError(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(sorted(open_calls))}",
            param=f"{where}.role",
        )


def request_of(messages: Sequence[ChatMessage], tools: Sequence[OfferedTool], locale: str) -> LlmRequest:
    """The request as our own models take it. ``messages`` have been checked."""
    dialogue = tuple(_messages(messages, locale))
    asked = next((message.text for message in reversed(dialogue) if message.role is Role.AGENT and message.text), "")
    return LlmRequest(
        dialogue,
        tuple(
            ToolDefinition(tool.function.name, tool.function.description, tool.function.parameters) for tool in tools
        ),
        locale,
        open_question(asked, locale),
        _is_verified(dialogue, locale),
    )


def _messages(messages: Sequence[ChatMessage], locale: str) -> Iterator[Message]:
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "tool":
            call_id = message.tool_call_id or ""
            yield Message(Role.TOOL, "", tool_result=_result(call_id, names.get(call_id, ""), message.text, locale))
        elif message.role == "assistant":
            calls = tuple(ToolCall(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ())
            names |= {call.call_id: call.name for call in calls}
            cut = _INTERRUPTED.search(message.text)
            yield Message(
                Role.AGENT,
                message.text[: cut.start()] if cut else message.text,
                calls,
                interrupted=cut is not None,
                heard_confidence=_UNSURE_CUT if cut and cut["about"] else 1.0,
            )
        else:
            yield Message(Role.CALLER if message.role == "user" else Role.SYSTEM, message.text)


def _result(call_id: str, name: str, content: str, locale: str) -> ToolResult:
    """A tool's result, whether it says how the tool fared (``{"status": …, "data": {…}}``) or is the data itself."""
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError:
        told = {"text": content}
    if not isinstance(told, dict):
        told = {"value": told}
    if isinstance(told.get("data"), dict) and told.get("status") in frozenset(ToolStatus):
        status = ToolStatus(told["status"])
        # A tool's own words for its failure do not go over the wire.
        spoken = " ".join(resolve_locale(locale).prompts.unavailable) if status is ToolStatus.FAILED else ""
        return ToolResult(call_id, name, status, told["data"], str(told.get("reason", "")), spoken)
    return ToolResult(call_id, name, ToolStatus.OK, told)


def _is_verified(messages: Sequence[Message], locale: str) -> bool:
    """The newest sign: a PIN accepted, in the agent's words or a tool's; or a tool that refused for want of identity."""
    accepted = resolve_locale(locale).prompts.pin_accepted
    for message in reversed(messages):
        result = message.tool_result
        if result is not None:
            if result.status is ToolStatus.DENIED and result.reason == "identity_required":
                return False
            if result.status is ToolStatus.OK and (result.name == "order_status" or _says_verified(result.data)):
                return True
        elif message.role is Role.AGENT and accepted in message.text:
            return True
    return False


def _says_verified(data: Mapping[str, Any]) -> bool:
    return data.get("outcome") == "verified" or data.get("verified") is True
