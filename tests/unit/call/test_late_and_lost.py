"""Providers and tools that are late or lost: what the caller hears instead of silence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from tests.unit.call.scripted import Caller, World, answer, asks_tool, broken
from tests.virtual_time import run_virtual

from voice_agent.conversation.events import FillerSpoken
from voice_agent.conversation.locales import resolve_locale
from voice_agent.errors import ProviderFault
from voice_agent.models import CallOutcome, Meaning, PolicyReason, Role
from voice_agent.observability.turn_latency import TurnLatencyFold
from voice_agent.providers.llm.base import LlmFinished, TextDelta
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext

PROMPTS = resolve_locale("en-US").prompts
Scene = Callable[[Caller], Awaitable[None]]


def call(scene: Scene, world: World, *tools: Tool) -> Caller:
    async def go() -> Caller:
        caller = Caller(world, *tools)
        await scene(caller)
        if not caller.running.done():
            await caller.hangs_up()
        return caller

    return run_virtual(go())


def asks_once(*, then: str, prepared: bool = True) -> Scene:
    async def scene(caller: Caller) -> None:
        if prepared:
            await caller.has_phrases()
        await caller.until("reply_finished")
        await caller.says("What is your return policy?")
        await caller.until(then)

    return scene


def fillers_of(caller: Caller) -> list[FillerSpoken]:
    return [record.entry for record in caller.records if isinstance(record.entry, FillerSpoken)]


def at(caller: Caller, name: str) -> float:
    """When the last entry of that name was logged, in call seconds."""
    return [record.t_s for record in caller.records if record.entry.name == name][-1]


# Nothing works


@pytest.mark.parametrize(
    "fault", [broken(), broken(ProviderFault.RATE), ConnectionResetError("reset by peer")], ids=lambda f: repr(f)[:30]
)
def test_a_model_that_never_answers_is_apologised_for_and_the_caller_handed_over(fault: Exception) -> None:
    caller = call(asks_once(then="call_end"), World(rounds=[[fault]] * 4))
    failed = caller.last("reply_failed")
    assert (failed.stage, failed.exhausted) == ("llm", True)
    assert caller.last("escalation").packet.reason is PolicyReason.PROVIDER_DOWN
    said = [entry.segments for entry in (r.entry for r in caller.records) if entry.name == "say"]
    assert said[1] == PROMPTS.unavailable
    assert "CB-23467" in " ".join(said[2])
    assert caller.last("call_end").outcome is CallOutcome.ESCALATED
    assert caller.last("failover").provider == ""


def test_the_apology_is_heard_while_the_handover_is_still_being_made() -> None:
    caller = call(asks_once(then="call_end"), World(rounds=[[broken()]] * 4, handover_delay_s=1.0))
    names = caller.names()
    assert names.index("transfer") > names.index("escalation") + 2
    apology = next(r.t_s for r in caller.records if r.entry.name == "say" and r.entry.segments == PROMPTS.unavailable)
    assert apology < at(caller, "transfer")
    assert len(caller.world.packets) == 1


def test_an_apology_longer_than_the_handover_may_take_keeps_its_outcome() -> None:
    caller = call(asks_once(then="call_end"), World(rounds=[[broken()]] * 4, speech_s=4.0))
    said = [entry.segments for entry in (r.entry for r in caller.records) if entry.name == "say"]
    assert "CB-23467" in " ".join(said[2])
    assert caller.last("call_end").outcome is CallOutcome.ESCALATED


def test_a_voice_lost_in_mid_call_leaves_the_prepared_words() -> None:
    async def scene(caller: Caller) -> None:
        await caller.has_phrases()
        await caller.until("reply_finished")
        caller.world.speech_fault = broken()
        await caller.says("What is your return policy?")
        await caller.until("call_end")

    caller = call(scene, World())
    finished = [r.entry for r in caller.records if r.entry.name == "reply_finished"]
    said = [r.entry.segments for r in caller.records if r.entry.name == "say"]
    assert said[1:] == [PROMPTS.unavailable, PROMPTS.handover_later]
    assert len(finished) == 3  # the greeting, the apology, the goodbye: each was heard to its end
    assert caller.last("call_end").outcome is CallOutcome.ESCALATED
    assert len(caller.world.packets) == 1


def test_a_voice_lost_while_the_handover_is_made_leaves_the_prepared_goodbye() -> None:
    async def scene(caller: Caller) -> None:
        await caller.has_phrases()
        await caller.until("reply_finished")
        await caller.says("I want to talk to a human.")
        await caller.until("escalation")
        caller.world.speech_fault = broken()
        await caller.until("call_end")

    caller = call(scene, World(meanings=[Meaning.HUMAN_WANTED], handover_delay_s=0.5))
    said = [r.entry.segments for r in caller.records if r.entry.name == "say"]
    assert said[-1] == PROMPTS.handover_later
    assert caller.names().count("reply_finished") == 2  # the greeting and the goodbye
    assert caller.last("call_end").outcome is CallOutcome.ESCALATED


def test_a_voice_that_was_never_there_ends_the_call_and_a_colleague_knows() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("call_end", within_s=30)

    caller = call(scene, World(speech_fault=broken()))
    assert caller.last("escalation").packet.reason is PolicyReason.PROVIDER_DOWN
    assert len(caller.world.packets) == 1


def test_what_was_said_before_the_voice_broke_is_heard() -> None:
    async def scene(caller: Caller) -> None:
        await caller.has_phrases()
        await caller.until("reply_finished")
        await caller.says("What is your return policy?", then_s=1.0)
        caller.world.speech_fault = broken()
        await caller.until("reply_failed")

    rounds = [
        [TextDelta("You can return goods with the receipt. "), 1.0, TextDelta("Refunds are quick."), LlmFinished()]
    ]
    caller = call(scene, World(rounds=rounds))
    assert caller.last("reply_failed").heard_s == pytest.approx(caller.world.speech_s, abs=0.05)


# Late


def test_a_late_model_is_bridged_by_a_filler_and_then_answers() -> None:
    caller = call(asks_once(then="reply_finished"), World(rounds=[[2.5, *answer("With the receipt.")]]))

    async def hears_all(caller: Caller) -> None:
        await asks_once(then="llm_done")(caller)
        await caller.listens(4)

    caller = call(hears_all, World(rounds=[[2.5, *answer("With the receipt.")]]))
    (filler,) = fillers_of(caller)
    assert filler.text in PROMPTS.fillers
    last_voiced = next(r.t_s - r.entry.silence_s for r in caller.records if r.entry.name == "speech_stopped")
    assert at(caller, "filler") - last_voiced < 2.0
    agent_words = [m.text for m in caller.session._machine.messages() if m.role is Role.AGENT]
    assert agent_words[-1] == f"{filler.text} With the receipt."


def test_the_latency_of_a_turn_counts_to_the_answer_not_to_the_filler() -> None:
    async def scene(caller: Caller) -> None:
        await asks_once(then="llm_done")(caller)
        await caller.listens(4)

    caller = call(scene, World(rounds=[[2.5, *answer("With the receipt.")]]))
    fold = TurnLatencyFold()
    (turn,) = [latencies for latencies in map(fold, caller.records) if latencies is not None]
    assert turn.turn_ms > 2500
    assert turn.stage_llm_ms == pytest.approx(2500, abs=20)


def slow_tool(seconds: float) -> Tool:
    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        await asyncio.sleep(seconds)
        return ToolAnswer({"text": "thirty days"})

    return Tool(
        name="lookup",
        description="Looks something up.",
        parameters={"type": "object", "properties": {}},
        handler=handle,
        fallback="I can't look that up.",
        identity=IdentityLevel.NONE,
        timeout_s=10.0,
    )


def test_a_late_tool_is_bridged_by_words_about_looking() -> None:
    async def scene(caller: Caller) -> None:
        await asks_once(then="tool_result")(caller)
        await caller.listens(4)

    caller = call(scene, World(rounds=[asks_tool("lookup"), answer("With the receipt.")]), slow_tool(3.0))
    assert {filler.text for filler in fillers_of(caller)} <= set(PROMPTS.fillers_looking)
    assert fillers_of(caller)
    assert caller.last("reply_finished").heard_s > caller.world.speech_s


def test_fillers_differ_and_a_turn_without_an_answer_still_times_out() -> None:
    async def scene(caller: Caller) -> None:
        await caller.has_phrases()
        await caller.until("reply_finished")
        await caller.says("What is your return policy?")
        await caller.until("cancel_reply", within_s=10)

    caller = call(scene, World(rounds=[[3.0, *asks_tool("lookup")]]), slow_tool(9.0))
    texts = [filler.text for filler in fillers_of(caller)]
    assert len(texts) >= 2
    assert len(set(texts)) == len(texts)
    reasons = [record.entry.reason for record in caller.records if record.entry.name == "cancel_reply"]
    assert reasons[0] == "timeout"


def test_a_silence_within_an_answer_is_bridged_too() -> None:
    async def scene(caller: Caller) -> None:
        await asks_once(then="llm_done")(caller)
        await caller.listens(4)

    rounds = [
        [TextDelta("With the receipt. "), *[TextDelta(" ")] * 3, 1.9, TextDelta(" "), 1.5, *answer("That is all.")]
    ]
    caller = call(scene, World(rounds=rounds))
    (filler,) = fillers_of(caller)
    assert filler.before_index == 1
    agent_words = [m.text for m in caller.session._machine.messages() if m.role is Role.AGENT]
    assert agent_words[-1] == f"With the receipt. {filler.text} That is all."


def test_a_cough_at_the_moment_of_the_filler_only_delays_it() -> None:
    async def scene(caller: Caller) -> None:
        await caller.has_phrases()
        await caller.until("reply_finished")
        await caller.says("What is your return policy?")
        await caller.until("playout_starved")
        starved_s = at(caller, "playout_starved")
        await caller.listens(1.1)
        caller.world.words.append("")
        await caller.speaks(0.4)  # over the time of the next filler
        await caller.listens(1.5)
        assert at(caller, "filler") - starved_s < 2.6

    rounds = [[TextDelta("With the receipt. "), *[TextDelta(" "), 1.9] * 4, *answer("That is all.")]]
    caller = call(scene, World(rounds=rounds))
    assert fillers_of(caller)


def test_without_prepared_phrases_there_is_no_filler() -> None:
    caller = call(asks_once(then="reply_finished", prepared=False), World(rounds=[[2.5, *answer("With the receipt.")]]))
    assert not fillers_of(caller)


def test_a_prompt_answer_has_no_filler() -> None:
    async def scene(caller: Caller) -> None:
        await asks_once(then="llm_done")(caller)
        await caller.listens(4)

    caller = call(scene, World(rounds=[answer("With the receipt.")]))
    assert not fillers_of(caller)
    assert "fill" not in caller.names()


# A model that breaks off


def test_an_answer_that_breaks_off_is_given_anew() -> None:
    async def scene(caller: Caller) -> None:
        await asks_once(then="llm_done")(caller)
        await caller.listens(6)

    first = [TextDelta("You can return goods with the receipt. They must "), broken()]
    caller = call(scene, World(rounds=[first, answer("With the receipt. Keep it.")]))
    written = [r.entry.text for r in caller.records if r.entry.name == "llm_sentence" and r.entry.reply_id == 2]
    assert written == [
        "You can return goods with the receipt.",
        PROMPTS.start_again,
        "With the receipt.",
        "Keep it.",
    ]
    assert caller.last("llm_done").text == "With the receipt. Keep it."


def test_an_answer_that_breaks_off_before_it_was_spoken_is_given_once() -> None:
    async def scene(caller: Caller) -> None:
        await asks_once(then="llm_done")(caller)
        await caller.listens(4)

    caller = call(scene, World(rounds=[[TextDelta("You can"), broken()], answer("With the receipt.")]))
    written = [r.entry.text for r in caller.records if r.entry.name == "llm_sentence" and r.entry.reply_id == 2]
    assert written == ["With the receipt."]


def test_a_passage_that_must_be_heard_ends_where_its_answer_breaks_off() -> None:
    async def scene(caller: Caller) -> None:
        await asks_once(then="llm_done")(caller)
        await caller.listens(6)

    first = [TextDelta("<must-hear>This call is recorded. We keep it for "), broken()]
    caller = call(scene, World(rounds=[first, answer("With the receipt.")]))
    written = [r.entry for r in caller.records if r.entry.name == "llm_sentence" and r.entry.reply_id == 2]
    assert [(segment.text, segment.interruptible) for segment in written] == [
        ("This call is recorded.", False),
        (PROMPTS.start_again, True),
        ("With the receipt.", True),
    ]
