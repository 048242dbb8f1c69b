"""Deepgram's /v2/listen (Flux), as its own client and plain WebSockets find it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.hearing import plain_words
from tests.unit.dev_vendors.deepgram_kit import (
    DEADLINE_S,
    RATE,
    checked,
    frames,
    quiet,
    raw,
    real_stand_in,
    recorded_speech,
    said,
    sdk,
    stand_in,
    tone,
    until,
)
from websockets.exceptions import InvalidStatus

from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine
from voice_agent.dev_vendors.desk import Delays, Mark
from voice_agent.dev_vendors.faults import Fault, Stage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the vendor's client uses an old interface

PATH = f"/v2/listen?model=flux-general-en&{RATE}"
EAGER = f"{PATH}&eager_eot_threshold=0.4&eot_threshold=0.8"


def obeys_the_state_machine(messages: list[dict[str, Any]], *, eager: bool) -> None:
    """The vendor's own rules (developers.deepgram.com/docs/flux/state)."""
    assert [message["sequence_id"] for message in messages] == list(range(len(messages)))
    assert messages[0]["type"] == "Connected"
    state, turn, awaited = "initial", 0, ""
    for message in (message for message in messages if message["type"] == "TurnInfo"):
        assert message["turn_index"] == turn
        assert 0 <= message["end_of_turn_confidence"] <= 1
        assert ("trigger" in message) == (message["event"] == "EndOfTurn")
        assert [word["word"] for word in message["words"]] == message["transcript"].split()
        assert message["audio_window_start"] <= message["audio_window_end"]
        match message["event"], state:
            case "Update", _:
                assert state != "awaiting" or message["transcript"] == awaited
            case "StartOfTurn", "initial":
                assert message["transcript"]
                state = "ongoing"
            case "EagerEndOfTurn", "ongoing":
                assert eager
                assert message["transcript"]
                state, awaited = "awaiting", message["transcript"]
            case "TurnResumed", "awaiting":
                state = "ongoing"
            case "EndOfTurn", "awaiting" | "ongoing":
                assert state == "awaiting" or not eager or message["trigger"] == "manual"
                assert state != "awaiting" or message["transcript"] == awaited
                state, turn = "initial", turn + 1
            case event, _:
                raise AssertionError(f"{event} while {state}")


def events(messages: list[dict[str, Any]]) -> list[str]:
    """Everything but the updates."""
    return [message["event"] for message in messages if message["type"] == "TurnInfo" and message["event"] != "Update"]


async def heard(socket: Any, *pieces: bytes) -> list[dict[str, Any]]:
    for piece in pieces:
        for frame in frames(piece):
            await socket.send(frame)
    await socket.send('{"type": "CloseStream"}')
    return await said(socket)


async def test_the_vendors_client_hears_real_speech() -> None:
    async with real_stand_in() as vendors:
        async with sdk(vendors).listen.v2.connect(
            model="flux-general-en",
            encoding="linear16",
            sample_rate=16000,
            eager_eot_threshold=0.4,
            eot_threshold=0.7,
            eot_timeout_ms=2000,
            keyterm=["refund", "order number"],
        ) as connection:

            async def speak() -> None:
                for frame in frames(recorded_speech() + quiet(2.5)):
                    await connection.send_media(frame)
                await connection.send_close_stream()

            async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
                group.create_task(speak())
                messages = checked([message async for message in connection])
        assert {type(message).__name__ for message in messages} == {"ListenV2Connected", "ListenV2TurnInfo"}
        plain = [orjson.loads(message.model_dump_json(exclude_none=True)) for message in messages]
        obeys_the_state_machine(plain, eager=True)
        ended = [message for message in plain if message.get("event") == "EndOfTurn"]
        text = plain_words(" ".join(message["transcript"] for message in ended))
        assert {"ever", "tried", "failed", "again"} <= set(text.split())
        times = [time for message in ended for word in message["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times)


async def test_a_turn_may_be_resumed() -> None:
    engine = ScriptedEngine(["I would like to know.", "Where my parcel went."])
    async with stand_in(engine) as vendors, raw(vendors, EAGER) as socket:
        messages = await heard(socket, quiet(0.3), tone(1.0), quiet(0.28), tone(1.2), quiet(1.0))
    obeys_the_state_machine(messages, eager=True)
    assert events(messages) == ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]
    ended = next(message for message in messages if message.get("event") == "EndOfTurn")
    assert ended["transcript"] == "I would like to know. Where my parcel went."
    assert (ended["trigger"], ended["turn_index"]) == ("model", 0)


async def test_there_are_no_eager_events_unless_asked_for() -> None:
    async with stand_in(ScriptedEngine(["Yes, please."])) as vendors, raw(vendors, PATH) as socket:
        messages = await heard(socket, tone(1.0), quiet(1.0), tone(1.0), quiet(1.0))
    obeys_the_state_machine(messages, eager=False)
    assert events(messages) == ["StartOfTurn", "EndOfTurn"] * 2


async def test_updates_come_four_times_a_second_of_audio() -> None:
    async with stand_in(ScriptedEngine(["Yes."])) as vendors, raw(vendors, PATH) as socket:
        messages = await heard(socket, quiet(4.0))
    assert [message["event"] for message in messages[1:]] == ["Update"] * 15  # every 13th hop of 20 ms
    assert all(message["transcript"] == "" for message in messages[1:])


@pytest.mark.parametrize("threshold", ["0.9", "1.0"])
async def test_unfinished_words_wait_for_the_timeout(threshold: str) -> None:
    path = f"{PATH}&eot_threshold={threshold}&eot_timeout_ms=1500"
    async with stand_in(ScriptedEngine(["My number is"])) as vendors, raw(vendors, path) as socket:
        messages = await heard(socket, tone(1.0), quiet(2.0))
    ended = next(message for message in messages if message.get("event") == "EndOfTurn")
    assert ended["trigger"] == "timeout"
    assert ended["audio_window_end"] == pytest.approx(2.5, abs=0.05)


async def test_a_turn_can_be_ended_by_hand() -> None:
    async with stand_in(ScriptedEngine(["One two three four."])) as vendors, raw(vendors, EAGER) as socket:
        await socket.send('{"type": "ForceEndTurn"}')
        warning = await until(socket, "Warning")
        await socket.send(tone(0.7))
        await until(socket, "TurnInfo", event="StartOfTurn")
        await socket.send('{"type": "ForceEndTurn"}')
        ended = await until(socket, "TurnInfo", event="EndOfTurn")
    assert warning["code"] == "NO_ACTIVE_TURN"
    assert (ended["trigger"], ended["transcript"]) == ("manual", "One two")


async def test_the_vendors_client_configures_a_session() -> None:
    audio = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": 16000}
    async with stand_in(ScriptedEngine(["Yes."])) as vendors, sdk(vendors).listen.v2.connect(**audio) as connection:
        await connection.send_configure(
            {"type": "Configure", "thresholds": {"eager_eot_threshold": 0.4}, "keyterms": ["refund"]}
        )
        await connection.send_configure({"type": "Configure", "thresholds": {"eot_threshold": 0.2}})
        await connection.send_configure({"type": "Configure", "thresholds": 7})
        await connection.send_force_end_turn()
        for frame in frames(tone(0.5) + quiet(1.0)):
            await connection.send_media(frame)
        await connection._send("nonsense")
        messages = checked([message async for message in _until_closed(connection)])
    names = [type(message).__name__ for message in messages if type(message).__name__ != "ListenV2TurnInfo"]
    assert names == [
        "ListenV2Connected",
        "ListenV2ConfigureSuccess",
        "ListenV2ConfigureFailure",
        "ListenV2ConfigureFailure",
        "ListenV2Warning",
        "ListenV2FatalError",
    ]
    assert messages[1].thresholds.eager_eot_threshold == 0.4
    assert messages[1].keyterms == ["refund"]
    assert messages[-1].code == "UNPARSABLE_CLIENT_MESSAGE"
    assert "EagerEndOfTurn" in {getattr(message, "event", "") for message in messages}


async def _until_closed(connection: Any) -> Any:
    from websockets.exceptions import ConnectionClosedError

    async with asyncio.timeout(DEADLINE_S):
        try:
            async for message in connection:
                yield message
        except ConnectionClosedError:
            return


@pytest.mark.parametrize("frame", ["no json", "[]", '{"type": "KeepAlive"}', '{"type": "Configure", "threshold": {}}'])
async def test_what_cannot_be_read_ends_the_session(frame: str) -> None:
    async with stand_in(ScriptedEngine(["Yes."])) as vendors, raw(vendors, PATH) as socket:
        await socket.send(frame)
        error = await until(socket, "Error")
        await socket.wait_closed()
    assert error["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert "Could not deserialize" in error["description"]
    assert socket.close_code == 1008


async def test_a_session_without_audio_ends() -> None:
    async with stand_in(ScriptedEngine(["Yes."])) as vendors:
        vendors.desk.deepgram.idle_s = 0.1
        async with raw(vendors, PATH) as socket:
            error = await until(socket, "Error")
            await socket.wait_closed()
    assert error["code"] == "INACTIVE_CLIENT"
    assert socket.close_code == 1011


async def test_what_was_said_is_told_before_the_stream_closes() -> None:
    async with stand_in(ScriptedEngine(["One two three four."])) as vendors, raw(vendors, PATH) as socket:
        messages = await heard(socket, tone(0.65))
    assert messages[-1]["event"] == "Update"
    assert messages[-1]["transcript"] == "One two"
    assert socket.close_code == 1000


@pytest.mark.parametrize(
    "query",
    [
        f"model=nova-3&{RATE}",
        RATE,
        f"model=flux-general-en&eot_threshold=0.2&{RATE}",
        f"model=flux-general-en&eager_eot_threshold=0.95&{RATE}",
        f"model=flux-general-en&eager_eot_threshold=0.8&eot_threshold=0.6&{RATE}",
        f"model=flux-general-en&eot_timeout_ms=100&{RATE}",
        f"model=flux-general-en&language_hint=en&{RATE}",
        "model=flux-general-en&encoding=linear16",
    ],
)
async def test_parameters_that_the_vendor_does_not_take_are_refused(query: str) -> None:
    async with stand_in(ScriptedEngine(["Yes."])) as vendors:
        with pytest.raises(InvalidStatus) as refused:
            await raw(vendors, f"/v2/listen?{query}")
    assert refused.value.response.status_code == 400
    assert orjson.loads(refused.value.response.body or b"")["err_msg"]


async def test_an_empty_vendor_hears_nothing() -> None:
    async with stand_in(ScriptedEngine(["Yes."])) as vendors, raw(vendors, PATH) as socket:
        vendors.set_fault(Stage.ASR, Fault.EMPTY)
        messages = await heard(socket, tone(1.0), quiet(1.0))
    assert events(messages) == ["StartOfTurn", "EndOfTurn"]
    assert {message["transcript"] for message in messages[1:]} == {""}


async def test_the_end_of_a_turn_is_as_late_as_the_desk_says() -> None:
    async with stand_in(ScriptedEngine(["Yes."])) as vendors, raw(vendors, PATH) as socket:
        vendors.desk.delays[Stage.ASR] = Delays(first_s=0.15)
        await socket.send(tone(0.5) + quiet(1.0))
        await until(socket, "TurnInfo", event="EndOfTurn")
        asked = vendors.desk.journal.find(Mark.RECEIVED, stage=Stage.ASR, text="audio")
        sent = vendors.desk.journal.find(Mark.LAST_BYTE, stage=Stage.ASR)
    assert asked is not None
    assert sent is not None
    assert sent.at_s - asked.at_s >= 0.15
