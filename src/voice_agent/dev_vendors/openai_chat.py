"""``POST /v1/chat/completions`` (https://platform.openai.com/docs/api-reference/chat/create), streamed and whole.

A stream is: a chunk with the role; a chunk per token, or per tool call its name and then its arguments in pieces; a chunk
with the finish reason; a chunk with the usage, where asked for; ``[DONE]``. Any model name is accepted.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from voice_agent.clock import LoopClock
from voice_agent.dev_vendors.desk import Exchange, Mark
from voice_agent.dev_vendors.faults import Fault
from voice_agent.dev_vendors.openai_dialogue import ChatMessage, OfferedTool, check_dialogue, request_of
from voice_agent.dev_vendors.openai_wire import (
    BROKEN_JSON,
    ApiError,
    Piece,
    StreamedResponse,
    json_response,
    new_id,
    read_body,
)
from voice_agent.errors import ProviderError
from voice_agent.models import ToolCall
from voice_agent.providers.llm.base import LlmEvent, LlmRequest, TextDelta, ToolCallRequested

# About a vendor's tokens: a word with the space before it, or a mark.
_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_ARGUMENTS_PIECE_CHARS = 7
# Content chunks that pass before a fault that strikes the middle of an answer does.
_PASSED_CHUNKS = 2


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """The fields that have an effect here; others are accepted unseen."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    tools: list[OfferedTool] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


async def answer_chat(request: Request, exchange: Exchange) -> Response:
    asked = await read_body(request, ChatRequest)
    check_dialogue(asked.messages)
    if asked.stream_options is not None and not asked.stream:
        raise ApiError(
            400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    completion = _Completion(exchange, asked)
    exchange.note(Mark.RECEIVED, f"{len(asked.messages)} messages, {len(asked.tools or ())} tools")
    if asked.stream:
        headers = {"cache-control": "no-cache"}
        return StreamedResponse(exchange, completion.stream(), media_type="text/event-stream", headers=headers)
    return await completion.whole()


@dataclass(slots=True)
class _Completion:
    """One answer being written."""

    exchange: Exchange
    asked: ChatRequest
    id: str = field(default_factory=lambda: new_id("chatcmpl").replace("_", "-"))
    created: int = field(default_factory=lambda: int(LoopClock().wall().timestamp()))
    tokens: int = 0
    calls: int = 0
    finish: str = ""

    @property
    def request(self) -> LlmRequest:
        return request_of(self.asked.messages, self.asked.tools or (), self.exchange.desk.locale)

    async def stream(self) -> AsyncGenerator[Piece, None]:
        """The body of a streamed answer."""
        options = self.asked.stream_options
        usage: dict[str, Any] = {"usage": None} if options is not None and options.include_usage else {}
        role = self._chunk({"role": "assistant", "content": "", "refusal": None}, usage)
        begun = False
        sent = 0
        try:
            async with aclosing(self.exchange.paced(self._deltas())) as deltas:
                async for delta in deltas:
                    if not begun:
                        begun = True
                        yield Piece(role)
                    fault = self.exchange.fault if sent >= _PASSED_CHUNKS else None
                    if fault is Fault.RECYCLED:
                        return
                    if fault is Fault.GARBAGE_JSON:
                        yield Piece(b"data: " + BROKEN_JSON + b"\n\n")
                        return
                    yield Piece(self._chunk(delta, usage), content=True)
                    sent += 1
        except ProviderError as error:
            yield Piece(_event({"error": _engine_error(error).body()}))
            return
        if not begun:
            yield Piece(role)
        if self.exchange.fault is Fault.GARBAGE_JSON:  # an answer too short to be struck in its middle
            yield Piece(b"data: " + BROKEN_JSON + b"\n\n")
            return
        if self.exchange.fault is Fault.RECYCLED:
            return
        yield Piece(self._chunk({}, usage, finish=self.finish or "stop"))
        if usage:
            yield Piece(_event({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage()}))
        yield Piece(b"data: [DONE]\n\n")

    async def whole(self) -> Response:
        """An answer in one piece."""
        text: list[str] = []
        calls: list[dict[str, Any]] = []
        try:
            async for delta in self.exchange.paced(self._deltas()):
                text.append(delta.get("content") or "")
                for part in delta.get("tool_calls", ()):
                    if "id" in part:
                        calls.append({key: part[key] for key in ("id", "type")} | {"function": dict(part["function"])})
                    else:
                        calls[-1]["function"]["arguments"] += part["function"]["arguments"]
        except ProviderError as error:
            raise _engine_error(error) from error
        self.exchange.sent_content()
        self.exchange.note(Mark.LAST_BYTE)
        if self.exchange.fault is Fault.GARBAGE_JSON:
            return Response(BROKEN_JSON, media_type="application/json")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(text) or None, "refusal": None}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish or "stop"}
        closing = {"connection": "close"} if self.exchange.fault is Fault.RECYCLED else None
        return json_response(
            {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}, headers=closing
        )

    async def _deltas(self) -> AsyncGenerator[dict[str, Any], None]:
        """The answer in a vendor's pieces."""
        if self.exchange.fault is Fault.EMPTY:
            return
        events: AsyncIterator[LlmEvent] = self.exchange.desk.engines.language_model.stream(self.request)
        try:
            async for event in events:
                for delta in self._pieces(event):
                    if self.tokens == self.asked.most_tokens:
                        self.finish = "length"
                        return
                    self.tokens += 1
                    yield delta
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _pieces(self, event: LlmEvent) -> Iterator[dict[str, Any]]:
        if isinstance(event, TextDelta):
            for token in _TOKEN.findall(event.text):
                yield {"content": token}
        elif isinstance(event, ToolCallRequested):
            self.finish = "tool_calls"
            yield from _call_pieces(event.call, self.calls)
            self.calls += 1

    def _chunk(self, delta: dict[str, Any], usage: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice], **usage})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.asked.model,
            "service_tier": "default",
            "system_fingerprint": "fp_dev_vendors",
        }

    def _usage(self) -> dict[str, int]:
        asked = sum(len(_TOKEN.findall(message.text)) for message in self.asked.messages)
        return {"prompt_tokens": asked, "completion_tokens": self.tokens, "total_tokens": asked + self.tokens}


def _call_pieces(call: ToolCall, index: int) -> Iterator[dict[str, Any]]:
    """The call's name first, then its arguments in pieces that break words and numbers."""
    function: dict[str, str] = {"name": call.name, "arguments": ""}
    yield {"tool_calls": [{"index": index, "id": call.call_id, "type": "function", "function": function}]}
    for start in range(0, len(call.arguments), _ARGUMENTS_PIECE_CHARS):
        piece = call.arguments[start : start + _ARGUMENTS_PIECE_CHARS]
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _engine_error(error: ProviderError) -> ApiError:
    return ApiError(500, f"The engine behind this server failed: {error}", type="server_error")


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
