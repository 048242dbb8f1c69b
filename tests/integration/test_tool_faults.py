"""A shop that fails: one spoken call, and fifty at once. ``benchmarks/tool_faults.py`` does it at length."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from benchmarks.shop.crowd import THRESHOLD, Report, crowd
from benchmarks.shop.crowd_writes import writes
from sqlalchemy import func, select
from tests.integration.calls import CALLER, place_call, tools_used
from tests.servers import running_server
from tests.shops import TOKEN, open_shop
from tests.speech import synthesise
from tests.vendors import scripted_engines, vendors_in_thread

from voice_agent.demo_backend import tables
from voice_agent.demo_backend.faults import Endpoint, Fault
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.evaluation.caller import SimulatedCaller
from voice_agent.models import CallId, Role, ToolCall
from voice_agent.providers.llm.base import LlmEvent, LlmRequest, ToolCallRequested
from voice_agent.tools.base import ToolContext

pytestmark = pytest.mark.timeout(180)

WISH = "What is your return policy?"  # nothing that policy acts on: what the model makes of it is scripted
UNSURE, OFFER = (
    "I'm sorry, I couldn't find out whether the callback was arranged.",
    "Would you like me to connect you with a colleague?",
)
QUESTION = "Shall I have a colleague call you back as soon as possible?"
DONE = "We will call you back."


async def test_calls_that_change_something_under_random_faults_change_it_once_and_are_told_the_truth(
    tmp_path: Path,
) -> None:
    report = Report()
    async with crowd(tmp_path, recovery_s=0.3, request_ms=500) as place:
        await writes(place, report, 10)
    assert [row for row in report.rows if not row[2]] == []


async def test_fifty_who_ask_a_shop_that_failed_send_it_one_request(tmp_path: Path) -> None:
    async with crowd(tmp_path, recovery_s=1.0, request_ms=1500) as place:
        ask = ToolCall("t1", "order_status", '{"order_id": "83102"}')
        context = ToolContext(CallId("call-1"), CALLER, verified=True, locale="en-US")
        tool = place.tools.find("order_status")
        assert tool is not None

        async def all_ask(asking: int = 50) -> tuple[int, Counter[str]]:
            before = place.board.asked[Endpoint.GET_ORDER]
            results = await asyncio.gather(*(place.router.run(ask, context) for _ in range(asking)))
            return place.board.asked[Endpoint.GET_ORDER] - before, Counter(result.reason for result in results)

        place.board.set(Endpoint.GET_ORDER, Fault.REFUSED)
        for _ in range(THRESHOLD):
            await place.router.run(ask, context)
        assert await all_ask() == (0, Counter(breaker_open=50))
        place.board.set(Endpoint.GET_ORDER, Fault.HANG)
        await asyncio.sleep(1.0)
        assert await all_ask() == (1, Counter(breaker_open=49, timeout=1))
        assert await all_ask() == (0, Counter(breaker_open=50))
        place.board.set(Endpoint.GET_ORDER, None)
        await asyncio.sleep(1.0)
        assert await all_ask() == (1, Counter({"breaker_open": 49, "": 1}))
        requests, reasons = await all_ask()
        assert reasons.keys() <= {"", "busy"}  # who finds no place in time on a slow machine is told so, and never sent
        assert requests == reasons[""] >= tool.at_once
        assert await all_ask(tool.at_once) == (tool.at_once, Counter({"": tool.at_once}))


def _quick_speech() -> ToneSynthesizer:
    return ToneSynthesizer(lambda text: 0.02 * len(text))


def _clerk(request: LlmRequest) -> str | list[LlmEvent]:
    """Takes every wish for one to be called back; each turn has a call of its own."""
    if request.messages[-1].role is Role.TOOL:
        return DONE
    turns = sum(message.role is Role.CALLER for message in request.messages)
    return [ToolCallRequested(ToolCall(f"c{turns}", "callback_request", '{"topic": "an invoice"}'))]


async def test_a_caller_hears_what_is_known_of_a_change_and_it_is_made_once(tmp_path: Path) -> None:
    speech = synthesise(WISH, "joe", rate_hz=16_000)[0]
    async with open_shop(tmp_path) as shop:
        assert shop.faults is not None
        with ExitStack() as stack:
            vendors = stack.enter_context(
                vendors_in_thread(
                    lambda: scripted_engines((WISH, "Yes, please.") * 2, ScriptedModel(_clerk), _quick_speech())
                )
            )
            settings = {
                **dict.fromkeys(("LLM_PROVIDER", "TTS_PROVIDER"), "openai"),
                "ASR_PROVIDER": "deepgram",
                "DEEPGRAM_URL": vendors.deepgram_url,
                "DEEPGRAM_API_KEY": vendors.key,
                "OPENAI_BASE_URL": vendors.openai_base_url,
                "OPENAI_API_KEY": vendors.key,
                "SHOP_API_URL": shop.url,
                "SHOP_API_TOKEN": TOKEN,
                "SHOP_API_TIMEOUT_MS": "1000",
            }
            # In threads: the shop answers in this loop while the server starts.
            server = await asyncio.to_thread(stack.enter_context, running_server(tmp_path / "server", settings))
            async with place_call(server) as caller:
                await caller.wait_for_agent_to_finish()
                shop.faults.set(Endpoint.CALLBACK_REQUEST, Fault.HANG_AFTER)
                assert await _ask(caller, speech) == [QUESTION]
                assert await _ask(caller, speech) == [UNSURE, OFFER]
                shop.faults.set(Endpoint.CALLBACK_REQUEST, None)
                assert await _ask(caller, speech) == [QUESTION]
                assert await _ask(caller, speech) == [DONE]
                await caller.hang_up()
            assert await asyncio.to_thread(server.metric, "voice_tool_failures_total") == 1
            await asyncio.to_thread(stack.close)
        async with shop.database.read() as connection:
            query = select(func.count()).where(tables.callbacks.c.caller_id == CALLER)
            assert (await connection.execute(query)).scalar_one() == 1
    assert [outcome for _, outcome in tools_used(caller)] == ["denied", "failed", "denied", "ok"]
    assert _longest_silence_s(caller) <= 2.0


async def _ask(caller: SimulatedCaller, speech: bytes) -> list[str]:
    """What the agent says to it, fillers left out."""
    since = len(caller.events)
    await caller.say(speech)
    await caller.wait_for_agent_to_finish()
    return [frame["text"] for frame in caller.frames("agent_text", since) if "moment" not in frame["text"]]


def _longest_silence_s(caller: SimulatedCaller) -> float:
    """From the caller's last voiced sample to sound, and inside of what the agent says until the caller speaks again."""
    spans = caller.playback.sound_spans()
    longest_s = 0.0
    words = [(utterance.first_voiced_s, utterance.last_voiced_s) for utterance in caller.utterances]
    for (_, begin_s), (until_s, _) in pairwise([*words, (caller.now(), caller.now())]):
        heard = [(begin_s, begin_s), *(span for span in spans if span[1] > begin_s and span[0] < until_s)]
        longest_s = max(longest_s, *(later[0] - earlier[1] for earlier, later in pairwise(heard)))
    return longest_s
