"""The Realtime protocol of the stand-in, over the vendor's own client."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from tests.unit.dev_vendors.openai_kit import DEADLINE_S, StandIn, stand_in
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from voice_agent.dev_vendors.desk import Delays, Mark
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.openai_realtime import text_to_read
from voice_agent.dev_vendors.openai_realtime_events import Item

SESSION: Any = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "Read the user's text aloud, word for word.",
    "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin"}},
}
TEXT = "Your order left our warehouse this morning."


def message(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


@asynccontextmanager
async def session(desk: StandIn) -> AsyncIterator[AsyncRealtimeConnection]:
    """A session that has been greeted."""
    async with asyncio.timeout(DEADLINE_S), desk.sdk.realtime.connect(model="gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
        yield connection


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[Any]:
    """The events up to the first of that type."""
    events: list[Any] = []
    while not events or events[-1].type != kind:
        events.append(await connection.recv())
    return events


def of(events: list[Any], kind: str) -> list[Any]:
    return [event for event in events if event.type == kind]


async def test_a_text_is_read_aloud_event_by_event() -> None:
    async with stand_in() as desk, session(desk) as connection:
        await connection.session.update(session=SESSION)
        updated: Any = await connection.recv()
        await connection.conversation.item.create(item=message(TEXT))
        await until(connection, "conversation.item.done")
        await connection.response.create(response={"instructions": "Say exactly what the user wrote."})
        events = await until(connection, "response.done")
    assert updated.type == "session.updated"
    assert updated.session.audio.output.voice == "marin"
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    audio = b"".join(base64.b64decode(event.delta) for event in of(events, "response.output_audio.delta"))
    assert len(audio) == 48_000
    spoken = "".join(event.delta for event in of(events, "response.output_audio_transcript.delta"))
    assert spoken == TEXT == of(events, "response.output_audio_transcript.done")[0].transcript
    response = events[-1].response
    assert response.status == "completed"
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.output[0].content[0].transcript == TEXT
    assert len({event.response_id for event in of(events, "response.output_audio.delta")} | {response.id}) == 1


async def test_every_event_is_one_that_the_clients_models_know() -> None:
    async with stand_in() as desk, session(desk) as connection:
        await connection.conversation.item.create(item=message(TEXT))
        await connection.response.create()
        for event in await until(connection, "response.done"):
            type(event).model_validate(event.model_dump(exclude_unset=True))


async def test_a_second_answer_follows_in_the_same_session() -> None:
    async with stand_in() as desk, session(desk) as connection:
        for text in ("One.", "Two."):
            await connection.response.create(
                response={"conversation": "none", "input": [message(text)], "output_modalities": ["audio"]}
            )
            events = await until(connection, "response.done")
            assert of(events, "response.output_audio_transcript.done")[0].transcript == text
            assert not of(events, "conversation.item.added")
        assert len([e for e in desk.desk.journal.entries if e.mark is Mark.FIRST_BYTE]) == 2


async def test_a_model_that_rewords_says_so_in_its_transcript() -> None:
    async with stand_in() as desk, session(desk) as connection:
        desk.desk.reword = lambda text: f"Sure! {text}"
        await connection.response.create(response={"input": [message(TEXT)]})
        events = await until(connection, "response.done")
    assert of(events, "response.output_audio_transcript.done")[0].transcript == f"Sure! {TEXT}"


async def test_a_cancelled_answer_ends_as_such() -> None:
    async with stand_in() as desk, session(desk) as connection:
        desk.desk.delays[Stage.TTS] = Delays(gap_s=3600)
        await connection.response.create(response={"input": [message(TEXT)]})
        await until(connection, "response.output_audio.delta")
        await connection.response.cancel()
        events = await until(connection, "response.done")
        desk.desk.delays[Stage.TTS] = Delays()
        await connection.response.create(response={"input": [message("Again.")]})
        again = await until(connection, "response.done")
        assert desk.desk.journal.find(Mark.CLIENT_GONE, stage=Stage.TTS, text="response.cancel")
    assert events[-1].response.status == "cancelled"
    assert events[-1].response.status_details.reason == "client_cancelled"
    assert again[-1].response.status == "completed"


async def test_a_client_that_leaves_in_mid_answer_is_noticed() -> None:
    async with stand_in() as desk:
        desk.desk.delays[Stage.TTS] = Delays(gap_s=3600)
        async with session(desk) as connection:
            await connection.response.create(response={"input": [message(TEXT)]})
            await until(connection, "response.output_audio.delta")
        await desk.desk.journal.wait_for(Mark.CLIENT_GONE, timeout_s=DEADLINE_S)
        await desk.desk.journal.wait_for(Mark.CLOSED, timeout_s=DEADLINE_S)


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "sing"}, "invalid_value", "type"),
        ({}, "missing_required_parameter", "type"),
        ({"type": "session.update", "session": {"instructions": "x"}}, "missing_required_parameter", "session.type"),
        ({"type": "conversation.item.create", "item": {"type": "message"}}, "missing_required_parameter", "item.role"),
        ({"type": "conversation.item.delete", "item_id": "none"}, "item_not_found", "item_id"),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "unsupported_event", "type"),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        (
            {"type": "response.create", "response": {"output_modalities": ["text"]}},
            "unsupported_value",
            "response.output_modalities",
        ),
    ],
)
async def test_a_bad_event_is_an_error_and_the_session_goes_on(event: Any, code: str, param: str | None) -> None:
    async with stand_in() as desk, session(desk) as connection:
        await connection.send(event | {"event_id": "mine"})
        told: Any = await connection.recv()
        await connection.session.update(session=SESSION)
        assert (await connection.recv()).type == "session.updated"
    assert told.type == "error"
    assert (told.error.code, told.error.param, told.error.event_id) == (code, param, "mine")


async def test_garbage_from_the_client_is_an_error_too() -> None:
    async with stand_in() as desk, asyncio.timeout(DEADLINE_S):
        url = desk.vendors.openai_base_url.replace("http", "ws") + "/realtime?model=m"
        headers = {"authorization": f"Bearer {desk.desk.key}"}
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await socket.recv()
            for garbage in ("{", "7", b"\x00"):
                await socket.send(garbage)
                assert orjson.loads(await socket.recv())["error"]["code"] == "invalid_json"


async def test_only_one_answer_at_a_time() -> None:
    async with stand_in() as desk, session(desk) as connection:
        desk.desk.delays[Stage.TTS] = Delays(gap_s=3600)
        await connection.response.create(response={"input": [message(TEXT)]})
        await until(connection, "response.output_audio.delta")
        await connection.response.create(response={"input": [message(TEXT)]})
        told: Any = (await until(connection, "error"))[-1]
    assert told.error.code == "conversation_already_has_active_response"


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.UNAUTHORIZED, 401), (Fault.RATE_LIMITED, 429), (Fault.SERVER_ERROR, 503)]
)
async def test_a_handshake_is_refused_with_the_vendors_error(fault: Fault, status: int) -> None:
    async with stand_in() as desk:
        desk.vendors.set_fault(Stage.TTS, fault)
        with pytest.raises(InvalidStatus) as refused:
            async with session(desk):
                pass
    answer = refused.value.response
    assert answer.status_code == status
    assert orjson.loads(answer.body or b"")["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault.RATE_LIMITED, "rate_limit_exceeded"), (Fault.QUOTA, "insufficient_quota")]
)
async def test_an_answer_fails_with_the_vendors_error(fault: Fault, code: str) -> None:
    async with stand_in() as desk, session(desk) as connection:
        desk.vendors.set_fault(Stage.TTS, fault)
        await connection.response.create(response={"input": [message(TEXT)]})
        response = (await until(connection, "response.done"))[-1].response
    assert response.status == "failed"
    assert response.status_details.error.code == code


async def test_a_key_that_is_revoked_ends_the_session() -> None:
    async with stand_in() as desk, session(desk) as connection:
        desk.vendors.set_fault(Stage.TTS, Fault.UNAUTHORIZED)
        await connection.response.create()
        told: Any = (await until(connection, "error"))[-1]
        with pytest.raises(ConnectionClosed):
            await connection.recv()
    assert told.error.code == "invalid_api_key"


async def test_an_empty_answer_has_no_output() -> None:
    async with stand_in() as desk, session(desk) as connection:
        desk.vendors.set_fault(Stage.TTS, Fault.EMPTY)
        await connection.response.create(response={"input": [message(TEXT)]})
        events = await until(connection, "response.done")
    assert [event.type for event in events] == ["response.created", "response.done"]
    assert events[-1].response.output == []


async def test_garbage_comes_after_some_audio() -> None:
    async with stand_in() as desk, session(desk) as connection:
        desk.vendors.set_fault(Stage.TTS, Fault.GARBAGE_JSON)
        await connection.response.create(response={"input": [message(TEXT)]})
        await until(connection, "response.output_audio.delta")
        with pytest.raises(ValueError, match=r"Unterminated string|JSON"):
            await until(connection, "response.done")


@pytest.mark.parametrize("idle", [False, True])
async def test_a_session_is_recycled_in_the_middle(idle: bool) -> None:
    async with stand_in() as desk, session(desk) as connection:
        if not idle:
            desk.desk.delays[Stage.TTS] = Delays(gap_s=3600)
            await connection.response.create(response={"input": [message(TEXT)]})
            await until(connection, "response.output_audio.delta")
        desk.vendors.set_fault(Stage.TTS, Fault.RECYCLED)
        told: Any = (await until(connection, "error"))[-1]
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
    assert told.error.code == "session_expired"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


@pytest.mark.parametrize(
    ("given", "instructions", "read"),
    [
        ("Hello.", "Read it.", "Hello."),
        ("Read: <text>Hello.</text> Nothing else.", "", "Hello."),
        ("", 'Say exactly: """Hello."""', "Hello."),
        ("", "Hello.", "Hello."),
    ],
)
def test_what_is_read_aloud(given: str, instructions: str, read: str) -> None:
    items = [Item.model_validate(message(given))] if given else []
    assert text_to_read(items, instructions) == read
