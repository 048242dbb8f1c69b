"""The vendor's own SDK and our client make the same of the same recorded bytes: text, tool calls, usage, and the end."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from tests.unit.providers.openai_api.conftest import MakeAccount, MakeModel
from tests.unit.providers.openai_api.test_realtime import PCM, READING, TEXT, spoken, vendor
from tests.unit.providers.openai_api.wire import END, Reply, called, said, sse, wire

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import Message, Role
from voice_agent.providers.llm.base import LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.openai_api.deltas import usage_of
from voice_agent.providers.openai_api.realtime import RealtimeSynthesizer
from voice_agent.providers.openai_api.realtime_session import RealtimeSettings
from voice_agent.providers.openai_api.speech import EndpointSynthesizer, SpeechSettings

USAGE = {
    "prompt_tokens": 412,
    "completion_tokens": 37,
    "total_tokens": 449,
    "prompt_tokens_details": {"cached_tokens": 384, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def last(**more: Any) -> dict[str, Any]:
    return {**said(), "choices": [], **more}


# Sessions as servers of several kinds write them.
RECORDED: dict[str, bytes] = {
    "openai, text": sse(
        said("", role="assistant", refusal=None),
        *map(said, ["Your", " order", " is", " on", " its", " way", ".", " Grüße", " 🙂"]),
        said(finish="stop"),
        last(usage=USAGE),
        END,
    ),
    "openai, two calls in pieces": sse(
        said(None, role="assistant", content=None),
        said(tool_calls=[called(0, "call_Ab1", "order_status", "")]),
        *(said(tool_calls=[called(0, None, None, piece)]) for piece in ['{"', "order", '_id":"', "83102", '"}']),
        said(tool_calls=[called(1, "call_Ab2", "transfer_to_human", "")]),
        *(said(tool_calls=[called(1, None, None, piece)]) for piece in ['{"reason": ', '"asked"}']),
        said(finish="tool_calls"),
        last(usage=USAGE),
        END,
    ),
    "openai, text before a call, cut by the limit": sse(
        said("One moment."),
        said(tool_calls=[called(0, "call_Ab1", "order_status", '{"order_id": "83')]),
        said(finish="length"),
        last(usage=USAGE),
        END,
    ),
    "vllm, usage in every chunk": sse(
        b": ping\n\n",
        {**said("Yes", role="assistant"), "usage": {**USAGE, "completion_tokens": 1}},
        {**said("."), "usage": {**USAGE, "completion_tokens": 2}},
        {**said(finish="stop"), "usage": USAGE},
        END,
    ),
    "llama.cpp, carriage returns, timings": sse(
        *(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in (said("Yes."), said(finish="stop"))),
        last(usage=USAGE, timings={"predicted_ms": 12.5}),
        b"data: [DONE]\r\n\r\n",
    ),
    "ollama, a whole call in one chunk": sse(
        said("", role="assistant", tool_calls=[called(0, "call_x1", "order_status", '{"order_id":"83102"}')]),
        said("", finish="tool_calls"),
        last(usage=USAGE),
        END,
    ),
}


@dataclass
class Seen:
    text: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)
    ended: bool = False


def sdk(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=url, api_key="sk-secret-key", max_retries=0, timeout=20)


async def by_sdk(url: str) -> Seen:
    seen = Seen()
    calls: dict[int, list[str]] = {}
    async with sdk(url) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            seen.usage = usage_of(chunk.usage.to_dict()) if chunk.usage else seen.usage
            for choice in chunk.choices:
                seen.text += choice.delta.content or ""
                seen.ended = seen.ended or choice.finish_reason is not None
                for piece in choice.delta.tool_calls or []:
                    call = calls.setdefault(piece.index, ["", "", ""])
                    function = piece.function
                    call[0] += piece.id or ""
                    call[1] += (function and function.name) or ""
                    call[2] += (function and function.arguments) or ""
    seen.calls = [(call[0], call[1], call[2]) for _, call in sorted(calls.items())]
    return seen


async def by_us(make: MakeModel, url: str) -> Seen:
    seen = Seen()
    async for event in make(url).stream(LlmRequest((Message(Role.CALLER, "Hi"),))):
        match event:
            case TextDelta(text):
                seen.text += text
            case ToolCallRequested(call):
                seen.calls.append((call.call_id, call.name, call.arguments))
            case LlmFinished(usage):
                seen.usage, seen.ended = dict(usage), True
    return seen


@pytest.mark.parametrize("size", [1_000_000, 11])
@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_dialogue(chat_model: MakeModel, name: str, size: int) -> None:
    body = RECORDED[name]
    async with wire(Reply([body[at : at + size] for at in range(0, len(body), size)])) as server:
        theirs = await by_sdk(server.url)
        ours = await by_us(chat_model, server.url)
    assert ours == theirs
    assert ours.ended
    assert ours.usage
    assert ours.text or ours.calls


async def test_requests_are_made_of_the_same_fields(chat_model: MakeModel) -> None:
    async with wire(Reply([RECORDED["openai, text"]])) as server:
        await by_sdk(server.url)
        await by_us(chat_model, server.url)
    theirs, ours = server.asked
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert ours.headers["authorization"] == theirs.headers["authorization"]
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert ours.json["messages"] == theirs.json["messages"]
    assert ours.json["stream_options"] == theirs.json["stream_options"]


REFUSED: list[tuple[int, dict[str, Any], type[openai.APIError], ProviderFault]] = [
    (401, {"code": "invalid_api_key", "type": "invalid_request_error"}, openai.AuthenticationError, ProviderFault.AUTH),
    (403, {"code": "unsupported_country"}, openai.PermissionDeniedError, ProviderFault.AUTH),
    (404, {"code": "model_not_found"}, openai.NotFoundError, ProviderFault.PROTOCOL),
    (400, {"code": "invalid_value", "param": "messages"}, openai.BadRequestError, ProviderFault.PROTOCOL),
    (429, {"code": "rate_limit_exceeded"}, openai.RateLimitError, ProviderFault.RATE),
    (429, {"code": "insufficient_quota"}, openai.RateLimitError, ProviderFault.QUOTA),
    (500, {"type": "server_error"}, openai.InternalServerError, ProviderFault.INTERNAL),
    (200, {"message": "boom", "type": "server_error"}, openai.APIError, ProviderFault.INTERNAL),  # inside the stream
]


@pytest.mark.parametrize(("status", "told", "theirs", "ours"), REFUSED)
async def test_errors_are_errors_for_both(
    chat_model: MakeModel, status: int, told: dict[str, Any], theirs: type[openai.APIError], ours: ProviderFault
) -> None:
    body = {"error": {"message": "no", **told}}
    reply = (
        Reply([sse(body)])
        if status == 200
        else Reply([json.dumps(body).encode()], status, {"content-type": "application/json"})
    )
    async with wire(reply) as server:
        with pytest.raises(theirs):
            await by_sdk(server.url)
        with pytest.raises(ProviderError) as caught:
            await by_us(chat_model, server.url)
    assert caught.value.category is ours


async def test_recorded_speech(account: MakeAccount) -> None:
    pieces = [PCM[:101], PCM[101:102], PCM[102:]]
    async with wire(Reply(pieces, headers={"content-type": "audio/pcm"})) as server:
        async with sdk(server.url) as client:
            answer = await client.audio.speech.create(model="m", voice="alloy", input="Hello.", response_format="pcm")
            theirs = answer.content
        voice = EndpointSynthesizer(account(server.url), SpeechSettings("m", "alloy", "ACME_TTS_MODEL"))
        ours = b"".join([chunk async for chunk in voice.synthesize("Hello.", locale="en-US")])
    assert ours == theirs == PCM
    asked_by_sdk, asked_by_us = server.asked
    assert asked_by_us.json == asked_by_sdk.json
    assert asked_by_us.path == asked_by_sdk.path


async def test_a_recorded_realtime_session(account: MakeAccount) -> None:
    """Each sees the same audio and transcript, message by message."""
    async with vendor(READING) as server:
        theirs = b""
        transcript = ""
        async with (
            asyncio.timeout(20),
            sdk(server.url) as client,
            client.realtime.connect(model="some-model") as connection,
        ):
            await connection.session.update(session={"type": "realtime"})
            await connection.response.create()
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    theirs += base64.b64decode(event.delta)
                elif event.type == "response.output_audio_transcript.delta":
                    transcript += event.delta
                elif event.type == "response.done":
                    break
        settings = RealtimeSettings("some-model", "marin", "Read aloud.")
        ours = b"".join(await spoken(RealtimeSynthesizer(account(server.url), settings)))
    assert ours == theirs == 2 * PCM
    assert transcript == TEXT
    assert server.paths[0] == server.paths[1]
    assert server.keys[0] == server.keys[1]
