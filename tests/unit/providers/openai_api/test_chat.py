"""The chat client against bytes on the wire: what is sent, and what is made of every kind of answer."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any, cast

import pytest
from tests.unit.providers.openai_api.conftest import MakeModel
from tests.unit.providers.openai_api.wire import END, Reply, called, greeting, said, sse, until, wire

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import Message, Role, ToolCall
from voice_agent.providers.llm.base import (
    LlmEvent,
    LlmFinished,
    LlmRequest,
    TextDelta,
    ToolCallRequested,
    ToolDefinition,
)
from voice_agent.providers.openai_api.chat import ChatModel

HELLO = Reply([sse(said("Hel"), said("lo."), said(finish="stop"), END)])
LOOK_UP = ToolDefinition("look_up", "Looks something up.", {"type": "object", "properties": {}})


def request(text: str = "Hi", *, tools: bool = False) -> LlmRequest:
    messages = (Message(Role.SYSTEM, "Be brief."), Message(Role.CALLER, text))
    return LlmRequest(messages, tools=(LOOK_UP,) if tools else ())


async def events_of(model: ChatModel, asked: LlmRequest | None = None) -> list[LlmEvent]:
    async with asyncio.timeout(20):
        return [event async for event in model.stream(asked or request())]


def text_of(events: list[LlmEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: list[LlmEvent]) -> list[ToolCall]:
    return [event.call for event in events if isinstance(event, ToolCallRequested)]


async def answered(chat_model: MakeModel, *events: object, **how: Any) -> list[LlmEvent]:
    async with wire(Reply([sse(*events)], **how)) as server:
        return await events_of(chat_model(server.url))


async def failing(chat_model: MakeModel, reply: Reply) -> ProviderError:
    async with wire(reply) as server:
        with pytest.raises(ProviderError) as caught:
            await events_of(chat_model(server.url))
    assert "sk-secret-key" not in str(caught.value)
    return caught.value


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_the_request_has_what_the_api_asks_for(chat_model: MakeModel) -> None:
    async with wire(HELLO) as server:
        events = await events_of(chat_model(server.url + "/"), request(tools=True))
    assert text_of(events) == "Hello."
    assert isinstance(events[-1], LlmFinished)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer sk-secret-key"
    assert asked.json == {
        "model": "some-model",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.3,
        "max_tokens": 100,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "look_up",
                    "description": "Looks something up.",
                    "parameters": LOOK_UP.parameters,
                },
            }
        ],
    }


async def test_text_that_json_cannot_hold_is_sent_without_it(chat_model: MakeModel) -> None:
    async with wire(HELLO) as server:
        await events_of(chat_model(server.url), request("half a pair: \ud83d"))
    assert server.asked[0].json["messages"][1]["content"] == "half a pair: ?"


def refusal(param: str | None, message: str = "") -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": "unsupported_parameter"}
    return Reply([json.dumps({"error": error}).encode()], 400, {"content-type": "application/json"})


async def test_a_refused_parameter_is_left_out_from_then_on(chat_model: MakeModel) -> None:
    async with wire(refusal("max_tokens"), refusal("temperature"), HELLO) as server:
        model = chat_model(server.url)
        assert text_of(await events_of(model)) == "Hello."
        assert text_of(await events_of(model)) == "Hello."
    bodies = [asked.json for asked in server.asked]
    assert len(bodies) == 4
    assert bodies[1]["max_completion_tokens"] == 100
    for body in bodies[2:]:
        assert "temperature" not in body
        assert "max_tokens" not in body
        assert body["max_completion_tokens"] == 100


@pytest.mark.parametrize(
    "body",
    [
        b'{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}',
        b'{"error":"unknown field: stream_options"}',
        b'{"object":"error","message":"Unrecognized request argument supplied: stream_options","code":400}',
    ],
)
async def test_a_refusal_in_another_shape_is_understood(chat_model: MakeModel, body: bytes) -> None:
    async with wire(Reply([body], 422, {"content-type": "application/json"}), HELLO) as server:
        assert text_of(await events_of(chat_model(server.url))) == "Hello."
    assert "stream_options" not in server.asked[1].json


async def test_a_refusal_of_something_else_is_an_error_at_once(chat_model: MakeModel) -> None:
    error = await failing(chat_model, refusal("messages[1].content", "invalid content; temperature is fine"))
    assert (error.category, error.retryable) == (ProviderFault.PROTOCOL, False)
    assert "some-model" in str(error)
    assert "messages[1].content" in str(error)


async def test_a_server_that_refuses_everything_is_asked_a_few_times_only(chat_model: MakeModel) -> None:
    async with wire(Reply([b"max_tokens temperature stream_options: unsupported"], 400)) as server:
        with pytest.raises(ProviderError):
            await events_of(chat_model(server.url))
    assert len(server.asked) <= 5


# --- what is understood -----------------------------------------------------------------------------------------------


async def test_usage_is_told(chat_model: MakeModel) -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 16},
    }
    events = await answered(chat_model, said("Yes."), said(finish="stop"), {"choices": [], "usage": usage}, END)
    assert events[-1] == LlmFinished({"input_tokens": 20, "output_tokens": 5, "total_tokens": 25, "cached_tokens": 16})


async def test_calls_in_pieces_are_joined(chat_model: MakeModel) -> None:
    events = await answered(
        chat_model,
        said(role="assistant"),
        said(tool_calls=[called(0, "call_a", "look_up", "")]),
        said(tool_calls=[called(0, None, None, '{"n"')]),
        said(tool_calls=[called(1, "call_b", "find", "")]),
        said(tool_calls=[called(1, None, None, "{}"), called(0, None, None, ": 1}")]),
        said(finish="tool_calls"),
        END,
    )
    assert calls_of(events) == [ToolCall("call_a", "look_up", '{"n": 1}'), ToolCall("call_b", "find", "{}")]


@pytest.mark.parametrize(
    "pieces",
    [
        [[called(None, "a", "look_up", '{"n": 1}'), called(None, "b", "find", "{}")]],
        [[called(None, "a", "look_up", {"n": 1})], [called(None, "b", "find", {})]],
        [[called(0, "a", "look_up", '{"n": 1}')], [called(0, "b", "find", "{}")]],
        [[called(0, "", "look_up", '{"n": 1}')], [called(1, "", "find", "{}")]],
        [[called(None, None, "look_up", '{"n": ')], [called(None, None, None, "1}")], [called(None, "", "find", "{}")]],
        [[called(0, "a", "look_up", '{"n"')], [called(0, "a", "look_up", ": 1}")], [called(1, "b", "find", "{}")]],
    ],
)
async def test_calls_as_other_servers_send_them(chat_model: MakeModel, pieces: list[list[dict[str, Any]]]) -> None:
    chunks = [said(tool_calls=calls) for calls in pieces]
    calls = calls_of(await answered(chat_model, *chunks, said(finish="tool_calls"), END))
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [("look_up", {"n": 1}), ("find", {})]
    assert len({call.call_id for call in calls} - {""}) == 2


async def test_arguments_that_are_no_json_are_passed_on(chat_model: MakeModel) -> None:
    events = await answered(
        chat_model, said(tool_calls=[called(0, "a", "look_up", '{"n": ')]), said(finish="length"), END
    )
    assert calls_of(events) == [ToolCall("a", "look_up", '{"n": ')]


async def test_an_answer_cut_by_the_token_limit_ends_normally(chat_model: MakeModel) -> None:
    events = await answered(chat_model, said("Your order is"), said(finish="length"), END)
    assert text_of(events) == "Your order is"
    assert isinstance(events[-1], LlmFinished)


async def test_a_refusal_is_said(chat_model: MakeModel) -> None:
    events = await answered(chat_model, said(refusal="I can't "), said(refusal="do that."), said(finish="stop"), END)
    assert text_of(events) == "I can't do that."


@pytest.mark.parametrize("ending", [(said(finish="stop"),), (END,), (b"data: [DONE]",)])
async def test_either_end_mark_is_enough(chat_model: MakeModel, ending: tuple[object, ...]) -> None:
    assert text_of(await answered(chat_model, said("Yes."), *ending)) == "Yes."


async def test_a_server_that_does_not_stream_is_understood(chat_model: MakeModel) -> None:
    message = {"role": "assistant", "content": "Yes.", "tool_calls": [called(None, "a", "look_up", "{}")]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 3}}
    reply = Reply([json.dumps(body).encode()], headers={"content-type": "application/json; charset=utf-8"})
    async with wire(reply) as server:
        events = await events_of(chat_model(server.url))
    assert text_of(events) == "Yes."
    assert calls_of(events) == [ToolCall("a", "look_up", "{}")]
    assert events[-1] == LlmFinished({"input_tokens": 3})


@pytest.mark.parametrize(
    "pieces", [["<think>", "hm, ", "</think>\n\n", "Yes."], ["\n<th", "ink>a</th", "ink>Yes", "."]]
)
async def test_thinking_aloud_is_not_said(chat_model: MakeModel, pieces: list[str]) -> None:
    assert text_of(await answered(chat_model, *map(said, pieces), said(finish="stop"), END)) == "Yes."


async def test_what_only_begins_like_a_thought_is_said(chat_model: MakeModel) -> None:
    assert text_of(await answered(chat_model, said("<th"), said(finish="stop"), END)) == "<th"


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_any_split_of_the_bytes_gives_the_same(chat_model: MakeModel, size: int) -> None:
    body = sse(
        said("Grüß "), said("Gott 🙂"), said(tool_calls=[called(0, "a", "f", "{}")]), said(finish="tool_calls"), END
    )
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    async with wire(Reply(pieces)) as server:
        events = await events_of(chat_model(server.url))
    assert text_of(events) == "Grüß Gott 🙂"
    assert calls_of(events) == [ToolCall("a", "f", "{}")]


# --- what is an error -------------------------------------------------------------------------------------------------

BROKEN = [
    ((b"data: {nonsense\n\n",), ProviderFault.PROTOCOL),
    ((b"data: [1, 2]\n\n",), ProviderFault.PROTOCOL),
    ((b'data: {"choices": "none"}\n\n',), ProviderFault.PROTOCOL),
    ((b'data: {"choices": [{"delta": {"tool_calls": [4]}}]}\n\n',), ProviderFault.PROTOCOL),
    ((b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',), ProviderFault.PROTOCOL),
    ((said("Yes, but"),), ProviderFault.PROTOCOL),  # ends without any mark
    ((said(tool_calls=[called(0, "a", None, "{}")]), said(finish="tool_calls"), END), ProviderFault.PROTOCOL),
    ((said("x" * 2**20 + "x"), END), ProviderFault.PROTOCOL),
    ((b"data: " + b"x" * (2**20 + 100),), ProviderFault.PROTOCOL),
    ((), ProviderFault.EMPTY),
    ((END,), ProviderFault.EMPTY),
    ((said(finish="stop"), END), ProviderFault.EMPTY),
    ((said("  \n"), said(finish="stop"), END), ProviderFault.EMPTY),
    ((said(finish="content_filter"), END), ProviderFault.EMPTY),
    ((said(finish="length"), END), ProviderFault.EMPTY),
    (({"error": {"message": "boom", "type": "server_error", "code": None}},), ProviderFault.INTERNAL),
    (({"error": {"message": "boom", "type": "BadRequestError", "code": 400}},), ProviderFault.PROTOCOL),
    (({"error": {"message": "boom", "code": "rate_limit_exceeded"}},), ProviderFault.RATE),
    ((said("A"), {"error": {"code": "insufficient_quota"}}), ProviderFault.QUOTA),
    (({"error": "boom"},), ProviderFault.PROTOCOL),
]


@pytest.mark.parametrize(("events", "category"), BROKEN)
async def test_a_broken_stream(chat_model: MakeModel, events: tuple[object, ...], category: ProviderFault) -> None:
    error = await failing(chat_model, Reply([sse(*events)]))
    assert error.category is category
    assert "boom" not in str(error)


async def test_calls_without_end_are_refused_before_the_end(chat_model: MakeModel) -> None:
    events = [said(tool_calls=[called(index, f"c{index}", "f", "")]) for index in range(200)]
    error = await failing(chat_model, Reply([sse(*events, said(finish="tool_calls"), END)]))
    assert (error.category, "64" in str(error)) == (ProviderFault.PROTOCOL, True)


@pytest.mark.parametrize("then", ["cut", "reset"])
async def test_a_connection_lost_in_mid_answer(chat_model: MakeModel, then: str) -> None:
    error = await failing(chat_model, Reply([sse(said("Yes")), b'data: {"choi'], then=then))
    assert (error.category, error.retryable) == (ProviderFault.NETWORK, True)


@pytest.mark.parametrize("then", ["cut", "reset"])
async def test_a_connection_lost_before_the_answer(chat_model: MakeModel, then: str) -> None:
    error = await failing(chat_model, Reply(then=then, headless=True))
    assert (error.category, error.retryable) == (ProviderFault.NETWORK, True)


async def test_a_web_page_is_no_answer(chat_model: MakeModel) -> None:
    error = await failing(chat_model, Reply([b"<html>hello</html>"], headers={"content-type": "text/html"}))
    assert error.category is ProviderFault.PROTOCOL
    assert "web page" in str(error)


async def test_a_server_that_is_no_web_server(chat_model: MakeModel) -> None:
    async with greeting(b"\x15\x03\x01\x00\x02\x02\x28 not HTTP\r\n\r\n") as place:
        with pytest.raises(ProviderError) as caught:
            await events_of(chat_model(f"http://{place}/v1"))
    assert caught.value.category is ProviderFault.PROTOCOL


# --- stopping, and connections ----------------------------------------------------------------------------------------


async def test_closing_the_stream_closes_the_request(chat_model: MakeModel) -> None:
    async with wire(Reply([sse(said("One."))], then="hold")) as server, asyncio.timeout(20):
        async with aclosing(cast(Any, chat_model(server.url).stream(request()))) as events:
            assert await anext(events) == TextDelta("One.")
        await server.client_gone.wait()


async def test_cancelling_the_consumer_closes_the_request(chat_model: MakeModel) -> None:
    async with wire(Reply([sse(said("One."))], then="hold")) as server, asyncio.timeout(20):
        task = asyncio.create_task(events_of(chat_model(server.url)))
        await until(lambda: bool(server.asked))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.client_gone.wait()


async def test_answers_one_after_another_use_one_connection(chat_model: MakeModel) -> None:
    late = Reply([sse(said("Yes."), said(finish="stop"), END), b": closing words\n\n"])
    async with wire(late) as server:
        model = chat_model(server.url)
        for _ in range(3):
            await events_of(model)
        assert server.connections == 1


async def test_an_error_does_not_cost_the_connection(chat_model: MakeModel) -> None:
    async with wire(Reply([b"{}"], 500), HELLO) as server:
        model = chat_model(server.url)
        with pytest.raises(ProviderError):
            await events_of(model)
        await events_of(model)
        assert server.connections == 1


async def test_a_connection_that_died_while_waiting_is_replaced(chat_model: MakeModel) -> None:
    async with wire(HELLO, Reply(then="cut", headless=True), HELLO) as server:
        model = chat_model(server.url)
        assert text_of(await events_of(model)) == "Hello."
        assert text_of(await events_of(model)) == "Hello."
        assert server.connections == 2
