"""What every language model must do, whoever makes it. A new one joins by one line in ``MODELS``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial

import pytest
from tests.contract.hosted import hosted

from voice_agent.models import Message, OpenQuestion, Role, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.embedding.minilm import MiniLmEmbedder, default_cache_dir
from voice_agent.providers.llm.base import (
    LanguageModel,
    LlmEvent,
    LlmFinished,
    LlmRequest,
    TextDelta,
    ToolCallRequested,
    ToolDefinition,
)
from voice_agent.providers.llm.builtin import BuiltinLanguageModel
from voice_agent.providers.pool import ModelPool
from voice_agent.tools.orders import order_status_tool
from voice_agent.tools.transfer import transfer_tool


@asynccontextmanager
async def builtin() -> AsyncIterator[LanguageModel]:
    pool = ModelPool(workers=1)
    yield BuiltinLanguageModel(MiniLmEmbedder(pool), cache_dir=default_cache_dir())
    await pool.close()


MODELS: dict[str, Callable[[], AbstractAsyncContextManager[LanguageModel]]] = {
    "builtin": builtin,
    "openai": partial(hosted, "llm", "openai"),
    "compatible": partial(hosted, "llm", "compatible"),
}

SYSTEM = Message(Role.SYSTEM, "You are a shop's telephone assistant. Use the tools for orders. Answer in one sentence.")
GREETING = Message(Role.AGENT, "Hello, how can I help you?")
ORDER_TOOLS = tuple(
    ToolDefinition(tool.name, tool.description, tool.parameters)
    for tool in (order_status_tool(None), transfer_tool())  # type: ignore[arg-type]  # declarations only
)


@pytest.fixture(params=MODELS)
async def model(request: pytest.FixtureRequest) -> AsyncIterator[LanguageModel]:
    async with MODELS[request.param]() as model:
        await model.warm_up()
        yield model


async def events_of(model: LanguageModel, *messages: Message, **settings: object) -> list[LlmEvent]:
    request = LlmRequest(messages=(SYSTEM, GREETING, *messages), **settings)  # type: ignore[arg-type]
    return [event async for event in model.stream(request)]


def caller(text: str) -> Message:
    return Message(Role.CALLER, text)


def text_of(events: list[LlmEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_a_stream_ends_in_exactly_one_finish(model: LanguageModel) -> None:
    events = await events_of(model, caller("hello"))
    assert [isinstance(event, LlmFinished) for event in events] == [False] * (len(events) - 1) + [True]
    assert text_of(events).strip()
    assert any(event.text for event in events if isinstance(event, TextDelta))


async def test_a_tool_is_called_with_json_that_fits_its_schema(model: LanguageModel) -> None:
    import jsonschema

    events = await events_of(model, caller("where is order 83102"), tools=ORDER_TOOLS, verified=True)
    (call,) = [event.call for event in events if isinstance(event, ToolCallRequested)]
    assert call.call_id
    assert call.name == "order_status"
    arguments = json.loads(call.arguments)
    jsonschema.validate(arguments, dict(ORDER_TOOLS[0].parameters))
    assert arguments == {"order_id": "83102"}


async def test_a_tool_result_is_put_into_words(model: LanguageModel) -> None:
    order = {"order_id": "83102", "status": "in_transit", "carrier": "UPS", "estimated_delivery": "2026-11-24"}
    call = ToolCall("call_1", "order_status", '{"order_id": "83102"}')
    result = ToolResult("call_1", "order_status", ToolStatus.OK, {"orders": [order]})
    events = await events_of(
        model,
        caller("where is order 83102"),
        Message(Role.AGENT, "", tool_calls=(call,)),
        Message(Role.TOOL, "", tool_result=result),
        tools=ORDER_TOOLS,
        verified=True,
    )
    assert not any(isinstance(event, ToolCallRequested) for event in events)
    assert "UPS" in text_of(events)
    assert "November 24" in text_of(events)


async def test_no_tool_is_called_that_is_not_offered(model: LanguageModel) -> None:
    events = await events_of(model, caller("where is order 83102"), verified=True)
    assert not any(isinstance(event, ToolCallRequested) for event in events)
    assert text_of(events).strip()


async def test_a_wish_for_a_human_leads_to_the_transfer_tool(model: LanguageModel) -> None:
    events = await events_of(model, caller("I want to talk to a real person"), tools=ORDER_TOOLS)
    (call,) = [event.call for event in events if isinstance(event, ToolCallRequested)]
    assert call.name == "transfer_to_human"
    assert json.loads(call.arguments)["reason"]


async def test_speech_without_markup(model: LanguageModel) -> None:
    for question in ("what can you do", "are you a robot", "thank you", "tell me a joke"):
        text = text_of(await events_of(model, caller(question)))
        assert not set("*#`_|<>[]{}") & set(text), question


async def test_closing_a_stream_early_is_clean(model: LanguageModel) -> None:
    request = LlmRequest(messages=(SYSTEM, GREETING, caller("what can you do")))
    async with aclosing(model.stream(request)) as stream:  # type: ignore[type-var]
        async for event in stream:
            assert isinstance(event, TextDelta)
            break
    assert text_of(await events_of(model, caller("what can you do")))


async def test_cancelling_the_consumer_is_clean(model: LanguageModel) -> None:
    task = asyncio.create_task(events_of(model, caller("a question that nobody has asked before, ever")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert text_of(await events_of(model, caller("hello")))


async def test_many_calls_at_once(model: LanguageModel) -> None:
    numbers = [f"8310{digit}" for digit in range(8)]
    streams = await asyncio.gather(
        *(events_of(model, caller(f"where is order {n}"), tools=ORDER_TOOLS, verified=True) for n in numbers)
    )
    called = [json.loads(e.call.arguments) for events in streams for e in events if isinstance(e, ToolCallRequested)]
    assert [arguments["order_id"] for arguments in called] == numbers


@pytest.mark.parametrize("text", ["", "   ", "?!", "[PIN]", "word " * 3000, "\x00\u202e🙂", "{order} [x] {?y}"])
async def test_any_caller_text_gets_an_answer(model: LanguageModel, text: str) -> None:
    events = await events_of(model, caller(text), tools=ORDER_TOOLS)
    assert text_of(events).strip() or any(isinstance(event, ToolCallRequested) for event in events)


@pytest.mark.parametrize("locale", ["en-US", "en-GB", "es-ES", "ar-SA", "xx"])
async def test_any_locale_gets_an_answer(model: LanguageModel, locale: str) -> None:
    assert text_of(await events_of(model, caller("hello"), locale=locale, open_question=OpenQuestion.YES_NO))
