"""Chat completions of the stand-in, as the vendor's own client sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import APIError, BadRequestError
from openai.types.chat import ChatCompletionChunk
from tests.unit.dev_vendors.openai_kit import DEADLINE_S, SAID, StandIn, stand_in

from voice_agent.dev_vendors.desk import Delays, Mark
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import ScriptedModel
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import OpenQuestion, Role, ToolCall, ToolStatus
from voice_agent.providers.llm.base import LlmRequest, TextDelta, ToolCallRequested

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "order_status",
            "description": "Looks up orders.",
            "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
        },
    }
]


async def chunks_of(desk: StandIn, **options: Any) -> list[ChatCompletionChunk]:
    stream = await desk.sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, **options)
    return [chunk async for chunk in stream]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def read_into(got: list[ChatCompletionChunk], stream: AsyncIterator[ChatCompletionChunk]) -> None:
    """What came before an error is in ``got``."""
    async for chunk in stream:
        got.append(chunk)


async def test_a_stream_has_the_role_first_then_tokens_the_finish_and_the_usage() -> None:
    async with stand_in() as desk:
        chunks = await chunks_of(desk, stream_options={"include_usage": True})
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:-1])
    assert text_of(chunks) == SAID
    assert len(chunks) > len(SAID.split())
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == len(chunks) - 3
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


async def test_without_asking_there_is_no_usage() -> None:
    async with stand_in() as desk:
        chunks = await chunks_of(desk)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_stream_ends_in_done() -> None:
    async with stand_in() as desk, desk.http as http:
        answer = await http.post("/chat/completions", json={"model": "m", "messages": HELLO, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: {") for event in events[:-2])


async def test_several_tool_calls_come_with_their_index_and_arguments_in_pieces() -> None:
    calls = [
        ToolCall("call_a", "order_status", '{"order_id": "83102"}'),
        ToolCall("call_b", "order_status", "{}"),
    ]
    model = ScriptedModel([TextDelta("One moment."), *(ToolCallRequested(call) for call in calls)])
    async with stand_in(model) as desk:
        chunks = await chunks_of(desk, tools=TOOLS)
    parts = [part for chunk in chunks for choice in chunk.choices for part in choice.delta.tool_calls or ()]
    for index, call in enumerate(calls):
        mine = [part for part in parts if part.index == index]
        assert (mine[0].id, mine[0].type) == (call.call_id, "function")
        assert mine[0].function is not None
        assert mine[0].function.name == call.name
        assert all(part.id is None for part in mine[1:])
        assert "".join(part.function.arguments or "" for part in mine if part.function) == call.arguments
    assert len([part for part in parts if part.index == 0]) > 2
    assert text_of(chunks) == "One moment."
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_a_whole_answer_says_the_same() -> None:
    call = ToolCall("call_a", "order_status", '{"order_id": "83102"}')
    async with stand_in(ScriptedModel(lambda request: [ToolCallRequested(call)] if request.tools else SAID)) as desk:
        answer = await desk.sdk.chat.completions.create(model="gpt-4o", messages=HELLO, tools=TOOLS)
        spoken = await desk.sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None
    told = (answer.choices[0].message.tool_calls or [])[0]
    assert told.type == "function"
    assert json.loads(told.function.arguments) == {"order_id": "83102"}
    assert spoken.choices[0].message.content == SAID


async def test_an_answer_is_cut_at_its_most_tokens() -> None:
    async with stand_in() as desk:
        chunks = await chunks_of(desk, max_completion_tokens=3)
    assert text_of(chunks) == "You can return"
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_the_model_sees_the_dialogue_as_it_was() -> None:
    seen: list[LlmRequest] = []

    def script(request: LlmRequest) -> str:
        seen.append(request)
        return "Fine."

    dialogue: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Where is "}, {"type": "text", "text": "my order?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "order_status", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": '{"status": "business_error", "note": "data", "reason": "not_found", "data": {"orders": []}}',
        },
        {"role": "tool", "tool_call_id": "c2", "content": "sunny"},
        {
            "role": "assistant",
            "content": "What is the order number? [interrupted by the caller about here; nothing after this was heard]",
        },
        {"role": "user", "content": "83102"},
    ]
    async with stand_in(ScriptedModel(script)) as desk:
        await desk.sdk.chat.completions.create(model="gpt-4o", messages=dialogue, tools=TOOLS)
    request = seen[0]
    assert [message.role for message in request.messages] == [
        *(Role.SYSTEM, Role.CALLER, Role.AGENT, Role.TOOL, Role.TOOL, Role.AGENT, Role.CALLER)
    ]
    assert request.messages[1].text == "Where is my order?"
    assert request.messages[2].tool_calls[0] == ToolCall("c1", "order_status", "{}")
    first, second = (message.tool_result for message in request.messages[3:5])
    assert first is not None
    assert (first.name, first.status, first.reason) == ("order_status", ToolStatus.BUSINESS_ERROR, "not_found")
    assert first.data == {"orders": []}
    assert second is not None
    assert second.data == {"text": "sunny"}
    assert request.messages[5].text == "What is the order number?"
    assert request.messages[5].interrupted
    assert request.open_question is OpenQuestion.ORDER_NUMBER
    assert not request.verified
    assert [tool.name for tool in request.tools] == ["order_status"]


@pytest.mark.parametrize(
    ("newest", "verified"),
    [
        ([{"role": "assistant", "content": "Thank you, that's right."}], True),
        ([{"role": "assistant", "content": "That is right."}], False),
    ],
)
async def test_a_caller_is_verified_where_the_agent_has_said_so(newest: list[Any], verified: bool) -> None:
    seen: list[LlmRequest] = []

    def script(request: LlmRequest) -> str:
        seen.append(request)
        return "Fine."

    async with stand_in(ScriptedModel(script)) as desk:
        await desk.sdk.chat.completions.create(model="gpt-4o", messages=[*newest, *HELLO])
    assert seen[0].verified is verified


CALLED = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": HELLO}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": None}]}, "messages.[0].content"),
        ({"model": "m", "messages": HELLO, "temperature": 3}, "temperature"),
        ({"model": "m", "messages": HELLO, "stream_options": {"include_usage": True}}, "stream_options"),
        (
            {"model": "m", "messages": HELLO, "tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
        ),
        ({"model": "m", "messages": [{"role": "tool", "tool_call_id": "c1", "content": "x"}]}, "messages.[0].role"),
        (
            {"model": "m", "messages": [{"role": "assistant", "tool_calls": [CALLED]}, *HELLO]},
            "messages.[1].role",
        ),
    ],
)
async def test_a_bad_body_is_answered_with_the_field(body: dict[str, Any], param: str) -> None:
    async with stand_in() as desk, desk.http as http:
        answer = await http.post("/chat/completions", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]


async def test_what_is_no_json_and_what_is_too_large_is_refused() -> None:
    async with stand_in() as desk, desk.http as http:
        garbage = await http.post("/chat/completions", content=b"\xff{")
        number = await http.post("/chat/completions", content=b"7")
        large = await http.post("/chat/completions", content=b" " * (5 * 1024 * 1024))
    assert (garbage.status_code, number.status_code, large.status_code) == (400, 400, 413)


async def test_the_client_maps_a_refused_field_to_its_own_error() -> None:
    async with stand_in() as desk:
        with pytest.raises(BadRequestError) as refused:
            await desk.sdk.chat.completions.create(model="gpt-4o", messages=[])
    assert refused.value.param == "messages"


async def test_an_empty_answer_is_proper_and_says_nothing() -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.LLM, Fault.EMPTY)
        chunks = await chunks_of(desk)
        whole = await desk.sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert text_of(chunks) == ""
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not whole.choices[0].message.content


async def test_garbage_comes_after_some_words() -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.LLM, Fault.GARBAGE_JSON)
        stream = await desk.sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        got: list[ChatCompletionChunk] = []
        with pytest.raises(ValueError, match=r"Unterminated string|JSON"):
            await read_into(got, stream)
    assert text_of(got) == "You can"


async def test_a_recycled_stream_ends_politely_without_its_end() -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.LLM, Fault.RECYCLED)
        chunks = await chunks_of(desk)
    assert text_of(chunks) == "You can"
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


async def test_a_stream_under_way_is_recycled_when_that_is_switched_on() -> None:
    async with stand_in() as desk:
        desk.desk.delays[Stage.LLM] = Delays(gap_s=0.01)
        stream = await desk.sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        got: list[ChatCompletionChunk] = []
        async for chunk in stream:
            got.append(chunk)
            if len(got) == 6:
                desk.vendors.set_fault(Stage.LLM, Fault.RECYCLED)
    assert text_of(got)
    assert SAID.startswith(text_of(got))
    assert len(text_of(got)) < len(SAID)


async def test_a_client_that_leaves_is_noticed_while_the_server_waits() -> None:
    async with stand_in() as desk:
        desk.desk.delays[Stage.LLM] = Delays(gap_s=3600)
        stream = await desk.sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        async for chunk in stream:
            if text_of([chunk]):
                break
        await stream.close()
        await desk.desk.journal.wait_for(Mark.CLIENT_GONE, stage=Stage.LLM, timeout_s=DEADLINE_S)
        marks = [entry.mark for entry in desk.desk.journal.entries]
    assert marks == [Mark.REQUEST, Mark.RECEIVED, Mark.FIRST_BYTE, Mark.CLIENT_GONE]


async def test_a_client_that_leaves_before_the_first_word_is_noticed_too() -> None:
    async with stand_in() as desk:
        desk.desk.delays[Stage.LLM] = Delays(first_s=3600)
        desk.desk.early_heads = False
        asking = asyncio.create_task(chunks_of(desk))
        await desk.desk.journal.wait_for(Mark.RECEIVED, timeout_s=DEADLINE_S)
        asking.cancel()
        await desk.desk.journal.wait_for(Mark.CLIENT_GONE, timeout_s=DEADLINE_S)
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_an_engine_that_fails_in_mid_answer_is_told_in_the_stream() -> None:
    async with stand_in(_Failing()) as desk:
        with pytest.raises(APIError, match="engine"):
            await chunks_of(desk)


class _Failing(ScriptedModel):
    def __init__(self) -> None:
        super().__init__("")

    async def stream(self, request: LlmRequest) -> Any:
        yield TextDelta("Well")
        raise ProviderError("out of memory", category=ProviderFault.INTERNAL)


async def test_a_tool_that_failed_has_words_for_it() -> None:
    """They do not go over the wire, and the built-in model speaks them."""
    seen: list[LlmRequest] = []

    def script(request: LlmRequest) -> str:
        seen.append(request)
        return "Fine."

    failed = {"role": "tool", "tool_call_id": "c1", "content": '{"status": "failed", "reason": "timeout", "data": {}}'}
    dialogue: list[Any] = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALLED]}, failed]
    async with stand_in(ScriptedModel(script)) as desk:
        await desk.sdk.chat.completions.create(model="gpt-4o", messages=dialogue)
    result = seen[0].messages[-1].tool_result
    assert result is not None
    assert (result.status, result.reason) == (ToolStatus.FAILED, "timeout")
    assert result.spoken
