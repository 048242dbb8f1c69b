"""The stand-in's errors, and the vendor's own client's view of them."""

from __future__ import annotations

from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, AuthenticationError, InternalServerError, RateLimitError
from tests.unit.dev_vendors.openai_kit import StandIn, stand_in

from voice_agent.dev_vendors.desk import Mark
from voice_agent.dev_vendors.faults import Fault, Stage


async def chat(desk: StandIn) -> Any:
    hello: list[Any] = [{"role": "user", "content": "Hello"}]
    return await desk.sdk.chat.completions.create(model="gpt-4o", messages=hello, stream=True)


async def speech(desk: StandIn) -> Any:
    async with desk.sdk.audio.speech.with_streaming_response.create(
        model="tts", voice="alloy", input="Hello", response_format="pcm"
    ) as answer:
        return await answer.read()


ASK = ((Stage.LLM, chat), (Stage.TTS, speech))


@pytest.mark.parametrize(("stage", "ask"), ASK)
@pytest.mark.parametrize(
    ("fault", "error", "status", "code"),
    [
        (Fault.UNAUTHORIZED, AuthenticationError, 401, "invalid_api_key"),
        (Fault.RATE_LIMITED, RateLimitError, 429, "rate_limit_exceeded"),
        (Fault.QUOTA, RateLimitError, 429, "insufficient_quota"),
        (Fault.SERVER_ERROR, InternalServerError, 503, None),
    ],
)
async def test_a_fault_becomes_the_clients_own_error(
    stage: Stage, ask: Any, fault: Fault, error: type[APIStatusError], status: int, code: str | None
) -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(stage, fault)
        with pytest.raises(error) as refused:
            await ask(desk)
        desk.vendors.set_fault(stage, None)
        await ask(desk)
        assert desk.desk.journal.find(Mark.REFUSED, stage=stage, text=str(status))
    assert refused.value.status_code == status
    assert refused.value.code == code
    assert isinstance(refused.value.body, dict)
    assert set(refused.value.body) == {"message", "type", "param", "code"}
    assert refused.value.request_id is not None


async def test_a_fault_of_one_stage_is_none_of_the_others() -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.LLM, Fault.UNAUTHORIZED)
        assert await speech(desk)


async def test_a_rate_limit_says_when_to_come_back() -> None:
    async with stand_in() as desk:
        desk.desk.retry_after_s = 2.5
        desk.vendors.set_fault(Stage.LLM, Fault.RATE_LIMITED)
        with pytest.raises(RateLimitError) as refused:
            await chat(desk)
    assert refused.value.response.headers["retry-after"] == "3"
    assert refused.value.response.headers["retry-after-ms"] == "2500"


async def test_another_key_is_refused_and_never_shown() -> None:
    async with stand_in() as desk:
        async with AsyncOpenAI(base_url=desk.vendors.openai_base_url, api_key="sk-other", max_retries=0) as stranger:
            with pytest.raises(AuthenticationError) as refused:
                await stranger.models.list()
        async with desk.http as http:
            bare = await http.get("/models", headers={"authorization": ""})
    assert "sk-other" not in str(refused.value)
    assert bare.status_code == 401
    assert "didn't provide" in bare.json()["error"]["message"]


async def test_the_models_are_listed() -> None:
    async with stand_in() as desk:
        assert "gpt-4o" in [model.id async for model in desk.sdk.models.list()]
