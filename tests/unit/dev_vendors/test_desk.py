"""The desk: faults by name, delays, the journal, and both over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.unit.dev_vendors.openai_kit import DEADLINE_S, stand_in

from voice_agent.clock import process_seconds
from voice_agent.dev_vendors.desk import Delays, Journal, Mark
from voice_agent.dev_vendors.faults import (
    APPLICATION_FAULTS,
    LINE_FAULTS,
    Fault,
    FaultBoard,
    Stage,
    parse_fault,
)
from voice_agent.dev_vendors.server import running_vendors
from voice_agent.errors import ConfigError


def test_every_fault_is_done_by_a_server_or_by_a_line() -> None:
    board = FaultBoard()
    for fault in Fault:
        board.set(Stage.TTS, fault)
        assert (board.at_server(Stage.TTS) is fault) is (fault in APPLICATION_FAULTS)
        assert (board.on_line(Stage.TTS) is not None) is (fault in LINE_FAULTS)
        assert board.current(Stage.LLM) is None
    board.clear()
    assert board.current(Stage.TTS) is None


def test_listeners_hear_of_changes_until_they_are_taken_off() -> None:
    board, heard = FaultBoard(), []
    stop = board.listen(heard.append)
    board.set(Stage.ASR, Fault.RESET)
    stop()
    board.set(Stage.ASR, None)
    assert heard == [Stage.ASR]


def test_faults_are_read_from_the_command_line() -> None:
    assert parse_fault("llm=hang_midstream") == (Stage.LLM, Fault.HANG_MIDSTREAM)
    assert parse_fault("asr = none") == (Stage.ASR, None)


@pytest.mark.parametrize("text", ["", "llm", "llm=", "vad=reset", "llm=explode"])
def test_what_is_no_fault_is_said_with_what_there_is(text: str) -> None:
    with pytest.raises(ConfigError, match="hang_midstream"):
        parse_fault(text)


async def test_delays_hold_pieces_back_and_never_hurry_them() -> None:
    async def pieces() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async with stand_in() as desk:
        desk.desk.delays[Stage.TTS] = Delays(first_s=0.02, gap_s=0.01)
        exchange = desk.desk.open(Stage.TTS, "a request")
        came: list[float] = []
        async for _ in exchange.paced(pieces()):
            came.append(process_seconds() - exchange.begun_s)
    assert came[0] >= 0.02
    assert came[1] >= 0.03
    assert came[2] >= 0.04


async def test_the_journal_is_searched_and_waited_for() -> None:
    journal = Journal()
    journal.note(Stage.LLM, 1, Mark.REQUEST, "POST /v1/chat/completions")
    since_s = process_seconds()
    assert journal.find(Mark.REQUEST, stage=Stage.LLM, text="chat") is not None
    assert journal.find(Mark.REQUEST, stage=Stage.TTS) is None
    assert journal.find(Mark.REQUEST, since_s=since_s + 1) is None
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(journal.wait_for(Mark.SENT, timeout_s=DEADLINE_S)) for _ in range(2)]
        await asyncio.sleep(0)
        journal.note(Stage.LLM, 1, Mark.RECEIVED)
        await asyncio.sleep(0)
        journal.note(Stage.LLM, 1, Mark.SENT, "a chunk")
    assert [task.result().text for task in waiters] == ["a chunk", "a chunk"]
    with pytest.raises(TimeoutError):
        await journal.wait_for(Mark.CLOSED, timeout_s=0.01)


async def test_faults_and_journal_over_http() -> None:
    async with stand_in() as desk, httpx.AsyncClient(base_url=desk.vendors.direct_url) as http:
        switched = await http.put("/dev/faults/llm/server_error")
        refused = await http.put("/dev/faults/llm/explode")
        odd = await http.put("/dev/faults/llm/reset?after_bytes=some")
        async with desk.http as client:
            asked = await client.post("/chat/completions", json={})
        entries = (await http.get("/dev/journal")).json()["entries"]
        late = (await http.get("/dev/journal", params={"since_s": process_seconds()})).json()["entries"]
        bad = await http.get("/dev/journal?since_s=never")
        healed = await http.put("/dev/faults/llm/none")
    assert switched.json() == {"asr": "none", "llm": "server_error", "tts": "none"}
    assert (refused.status_code, odd.status_code, bad.status_code) == (400, 400, 400)
    assert "explode" in refused.json()["error"]
    assert asked.status_code == 503
    assert [(entry["stage"], entry["mark"]) for entry in entries] == [("llm", "request"), ("llm", "refused")]
    assert late == []
    assert healed.json()["llm"] == "none"


async def test_a_port_that_is_taken_is_one_clear_error() -> None:
    async with stand_in() as desk:
        taken = desk.vendors.lines[Stage.ASR].port
        with pytest.raises(ConfigError, match=str(taken)):
            async with running_vendors(desk.desk, port=taken):
                pass
