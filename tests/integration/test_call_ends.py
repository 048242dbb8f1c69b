"""However and whenever a call ends, nothing of it stays behind."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.conftest import StartServer
from tests.integration.calls import a_few_at_once, place_call, tools_used, wait_for_no_calls
from tests.servers import RunningServer, running_server

from voice_agent.errors import CallError
from voice_agent.evaluation.caller import SimulatedCaller

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.speech, pytest.mark.timeout(300)]

Bring = Callable[[SimulatedCaller, Callable[[str], bytes]], Awaitable[object]]


async def _connecting(caller: SimulatedCaller, voice: Callable[[str], bytes]) -> None:
    """Nothing has been received."""


async def _greeting(caller: SimulatedCaller, voice: Callable[[str], bytes]) -> None:
    await caller.wait_for_sound(seconds=0.3, since_s=caller.started_s)


async def _speaking(caller: SimulatedCaller, voice: Callable[[str], bytes]) -> None:
    await caller.wait_for_agent_to_finish()
    caller.begin(voice("What is your return policy?"))
    await caller.wait_for("state", lambda s: s["caller"] == "speaking")


async def _thinking(caller: SimulatedCaller, voice: Callable[[str], bytes]) -> None:
    await caller.wait_for_agent_to_finish()
    await caller.say(voice("Where is my order eight three one oh two?"))
    await caller.wait_for("state", lambda s: s["agent"] == "thinking")


async def _answering(caller: SimulatedCaller, voice: Callable[[str], bytes]) -> None:
    await caller.wait_for_agent_to_finish()
    asked = await caller.say(voice("What is your return policy?"))
    await caller.wait_for_sound(seconds=0.3, since_s=asked.last_voiced_s)


async def _collecting_the_pin(caller: SimulatedCaller, voice: Callable[[str], bytes]) -> None:
    await caller.wait_for_agent_to_finish()
    await caller.say(voice("Where is my order eight three one oh two?"))
    await caller.wait_for("state", lambda s: s["waiting_for"] == "pin")
    await caller.press("4")


async def _transferring(caller: SimulatedCaller, voice: Callable[[str], bytes]) -> None:
    await caller.wait_for_agent_to_finish()
    await caller.say(voice("I want to speak to a human."))
    await caller.wait_for("state", lambda s: s["call"] == "transferring")


@pytest.mark.parametrize("politely", [True, False], ids=["hangs up", "vanishes"])
@pytest.mark.parametrize(
    "bring", [_connecting, _greeting, _speaking, _thinking, _answering, _collecting_the_pin, _transferring]
)
async def test_hanging_up_in_any_state_ends_the_session(
    server: RunningServer, speech: Callable[..., bytes], bring: Bring, politely: bool
) -> None:
    async with place_call(server) as caller:
        await bring(caller, speech)
        if politely:
            await caller.hang_up()
            assert caller.closed is not None
            assert caller.closed.code == 1000
        else:
            caller.vanish()
    await wait_for_no_calls(server)


async def test_two_hundred_connects_and_disconnects_leave_nothing(server: RunningServer) -> None:
    process = psutil.Process(server.pid)

    async def connect_and_leave(number: int) -> None:
        async with place_call(server, caller_id=f"caller {number}") as caller:
            if number % 4:
                await caller.wait_for_sound(seconds=0.02 * (number % 5), since_s=caller.started_s)
            if number % 3:
                caller.vanish()
            else:
                with suppress(CallError):  # a connection that was never admitted is closed already
                    await caller.hang_up()

    await a_few_at_once(connect_and_leave, range(20))
    await wait_for_no_calls(server)
    before = (process.num_fds(), process.num_threads(), process.memory_info().rss)
    await a_few_at_once(connect_and_leave, range(200))
    await wait_for_no_calls(server)
    await asyncio.sleep(0.5)  # the kernel takes a moment to give the sockets back
    after = (process.num_fds(), process.num_threads(), process.memory_info().rss)
    assert after[0] <= before[0] + 4, "file descriptors are leaked"
    assert after[1] <= before[1] + 4, "threads are leaked"
    assert after[2] <= before[2] + 40e6, "memory is leaked"
    assert "Traceback" not in server.log_path.read_text(errors="replace")


async def test_a_silent_caller_is_asked_and_then_left(start_server: StartServer) -> None:
    server = start_server({"IDLE_PROMPT_S": "1", "IDLE_HANGUP_S": "1"})
    async with place_call(server) as caller:
        closed = await caller.wait_until_closed(timeout_s=30)
        said = " ".join(frame["text"] for frame in caller.frames("agent_text"))
    assert "still there" in said
    assert "Goodbye" in said
    assert closed.code == 1000
    assert caller.frames("end")[0]["reason"]
    await wait_for_no_calls(server)


async def test_a_caller_with_too_many_turns_is_handed_over(
    start_server: StartServer, speech: Callable[..., bytes]
) -> None:
    server = start_server({"MAX_TURNS_PER_SESSION": "2"})
    async with place_call(server) as caller:
        for text in ("What is your return policy?", "How much is standard shipping?", "Can I pay with PayPal?"):
            await caller.wait_for_agent_to_finish(timeout_s=30)
            if caller.closed is not None:
                break
            with suppress(CallError):  # the call may end while this is being said
                await caller.say(speech(text))
        closed = await caller.wait_until_closed(timeout_s=30)
        assert [frame["reason"] for frame in caller.frames("escalation")] == ["max_turns"]
        assert len([name for name, _ in tools_used(caller) if name == "knowledge_base"]) <= 2
    assert closed.code == 1000
    await wait_for_no_calls(server)


async def test_a_session_ends_when_its_time_is_up(start_server: StartServer) -> None:
    server = start_server({"SESSION_TTL_SECONDS": "5"})
    async with place_call(server) as caller:
        closed = await caller.wait_until_closed(timeout_s=30)
        assert "time limit" in " ".join(frame["text"] for frame in caller.frames("agent_text"))
    assert closed.code == 1000
    await wait_for_no_calls(server)


async def test_a_turn_without_an_answer_gets_a_fallback_in_time(tmp_path: Path, speech: Callable[..., bytes]) -> None:
    settings = {"TURN_TIMEOUT_MS": "1000", "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "tests.integration.hanging_server"]
    with running_server(tmp_path / "hanging", settings, program) as server:
        async with place_call(server) as caller:
            await caller.wait_for_agent_to_finish()
            utterance = await caller.say(speech("What is your return policy?"))
            heard = await caller.wait_for_answer(utterance)
            assert 0.9 < heard.received_s - utterance.last_voiced_s < 1.8
            await caller.wait_for("agent_text", lambda frame: frame["purpose"] == "fallback")
            await caller.wait_for_agent_to_finish()
            assert caller.closed is None
            await caller.hang_up()
        await wait_for_no_calls(server)


async def test_a_full_server_says_so_and_recovers(start_server: StartServer) -> None:
    server = start_server({"MAX_CALLS": "1"})
    async with place_call(server) as first:
        await first.wait_for("session")
        async with place_call(server) as second:
            assert (await second.wait_until_closed()).code == 1013
        await first.hang_up()
    await wait_for_no_calls(server)
    async with place_call(server) as third:
        await third.wait_for("session")
