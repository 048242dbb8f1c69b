"""Whole calls at a session, on virtual time: answers, tools, faults, interruptions, secrets, and clean ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.call.scripted import Caller, Round, World, answer, asks_tool, broken, quick
from tests.virtual_time import run_virtual

from voice_agent.conversation.commands import Purpose
from voice_agent.conversation.events import SegmentWritten, SpeechStopped
from voice_agent.conversation.machine import MachineSettings
from voice_agent.errors import StoreError
from voice_agent.models import CallOutcome, Meaning, PolicyReason, Role, ToolStatus
from voice_agent.providers.llm.base import LlmFinished, TextDelta
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext

ONE_OBJECT: Mapping[str, Any] = {"type": "object", "properties": {}}


def tool(name: str, handler: Callable[..., Awaitable[ToolAnswer]] | None = None, **more: Any) -> Tool:
    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        return ToolAnswer({"caller": context.caller_id})

    return Tool(name, "a tool", ONE_OBJECT, handler or handle, fallback="Sorry, that does not work.", **more)


def call(
    scene: Callable[[Caller], Awaitable[None]], world: World | None = None, *tools: Tool, **settings: Any
) -> Caller:
    """Plays ``scene`` and checks what holds for every call: no task, stream or reply is left behind."""
    callers: list[Caller] = []

    async def main() -> None:
        caller = Caller(world or World(), *tools, settings=quick(**settings))
        callers.append(caller)
        await scene(caller)
        if not caller.running.done():
            await caller.hangs_up()
        await asyncio.sleep(0)
        left = {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]
        assert not {name for name in left if "c1" in name or "reply" in name}, left
        assert caller.world.open_streams == 0
        assert caller.names().count("call_end") == 1
        assert caller.names()[-1] == "call_end"

    run_virtual(main())
    return callers[0]


def test_a_question_is_answered_and_remembered() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("What is your return policy?")
        await caller.listens(3)

    caller = call(scene, World(rounds=[answer("You have time. It is free.")]))
    assert caller.last("turn_committed").text == "What is your return policy?"
    assert [record.entry.text for record in caller.records if record.entry.name == "llm_sentence"][-2:] == [
        "You have time.",
        "It is free.",
    ]
    messages = caller.world.requests[0].messages
    assert messages[0].role is Role.SYSTEM
    assert messages[-1].text == "What is your return policy?"
    assert caller.last("call_end").outcome is CallOutcome.COMPLETED


def test_tools_run_with_the_callers_identity_and_their_results_go_back_to_the_model() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("What do you know?")
        await caller.listens(3)

    caller = call(scene, World(rounds=[asks_tool("look"), answer("I know you.")]), tool("look"))
    result = caller.last("tool_result").result
    assert result.status is ToolStatus.OK
    assert result.data == {"caller": "+1555"} or result.data == {"caller": "[PHONE]"}
    second = caller.world.requests[1].messages
    assert second[-1].tool_result == result
    assert second[-2].tool_calls[0].name == "look"


def test_tool_rounds_are_bounded() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Go round in circles")
        await caller.listens(4)

    world = World(rounds=[asks_tool("look") for _ in range(3)] + [answer("Enough.")])
    caller = call(scene, world, tool("look"), max_tool_rounds=4)
    assert len(caller.world.requests) == 4
    assert caller.world.requests[-1].tools == ()


def test_a_lost_recogniser_hands_the_caller_over() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("call_end", within_s=30)

    caller = call(scene, World(asr_fault=broken()))
    assert caller.last("stage_failed").stage == "asr"
    assert caller.last("call_end").outcome is CallOutcome.ESCALATED


def test_a_handover_that_cannot_be_recorded_says_so() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("A human, please")
        await caller.until("call_end", within_s=30)

    caller = call(scene, World(meanings=[Meaning.HUMAN_WANTED], handover_fault=StoreError("disk full")))
    assert caller.last("call_end").outcome is CallOutcome.ERROR
    assert "can't reach a colleague" in " ".join(caller.last("say").segments)


def test_an_interruption_stops_sending_and_synthesis_and_clears_the_far_side() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Tell me everything")
        await caller.listens(1.0)
        caller.world.words.append("no stop")
        await caller.speaks(0.7)
        await caller.listens(0.4)
        assert caller.last("barge_in").reply_id == 2
        sent_s = caller.door.sent_s
        assert caller.door.cleared == [2]
        await caller.listens(0.05)
        assert caller.door.sent_s == sent_s

    world = World(rounds=[answer(" ".join(f"This is sentence number {n}." for n in range(20))), [1.0, *answer("Yes.")]])
    caller = call(scene, world)
    interrupted = [m for m in caller.world.requests[1].messages if m.interrupted]
    assert interrupted, "the next request does not show the interruption"
    assert interrupted[0].text.startswith("This is sentence number 0.")


def test_a_cough_pauses_and_the_agent_goes_on() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Tell me everything")
        await caller.listens(0.5)
        caller.world.words.append("")
        await caller.speaks(0.25)
        await caller.listens(8)

    world = World(rounds=[answer("One. Two. Three.")])
    caller = call(scene, world)
    assert "pause_playout" in caller.names()
    assert "resume_playout" in caller.names()
    assert "barge_in" not in caller.names()
    assert caller.last("reply_finished").reply_id == 2
    repeated_s = caller.door.sent_s - (2 * 1.0 + 3 * 1.0)
    assert 0 < repeated_s <= caller.last("resume_playout").rewind_s, "it goes on at the beginning of a sound"
    assert caller.last("reply_finished").heard_s == pytest.approx(3.0), "what is said again counts once"


def test_a_long_turn_is_acknowledged_at_a_pause_and_answered_as_one() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        caller.world.words.append("I took it back to the shop and")
        await caller.speaks(6)
        await caller.listens(0.9)  # the pause; "okay" is said in it, and cut by the next word
        caller.world.words.append("I took it back to the shop and they sent me here.")
        await caller.speaks(1)
        await caller.listens(4)

    world = World(rounds=[answer("I see.")])
    machine = MachineSettings(acknowledge_after_s=5)
    caller = call(scene, world, machine=machine)
    said = [record.entry for record in caller.records if record.entry.name == "say"]
    assert [entry.purpose for entry in said] == [Purpose.GREETING, Purpose.ACKNOWLEDGE]
    assert caller.names().count("turn_committed") == 1
    assert caller.last("turn_committed").text.endswith("they sent me here.")
    started = [record.entry.reply_id for record in caller.records if record.entry.name == "playout_started"]
    assert said[1].reply_id in started
    assert caller.last("reply_finished").reply_id == caller.last("start_reply").reply_id


def test_marks_of_what_must_be_heard_are_not_spoken_but_kept_with_the_words() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Tell me everything")
        await caller.listens(5)

    caller = call(scene, World(rounds=[answer("<must-hear>This call is recorded.</must-hear> How can I help?")]))
    written = [record.entry for record in caller.records if isinstance(record.entry, SegmentWritten)]
    assert [(entry.text, entry.interruptible) for entry in written if entry.reply_id == 2] == [
        ("This call is recorded.", False),
        ("How can I help?", True),
    ]


def test_events_tell_how_loud_the_caller_is_and_that_it_is_no_echo() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Tell me everything")
        await caller.listens(0.5)
        await caller.says("Wait, what about shoes?")
        await caller.listens(1)

    caller = call(scene, World(rounds=[answer("One. Two. Three."), answer("Shoes too.")]))
    stops = [record.entry for record in caller.records if isinstance(record.entry, SpeechStopped)]
    levels = [stop.level_dbfs for stop in stops if stop.level_dbfs is not None]
    assert len(levels) == len(stops) == 2
    assert levels[0] == pytest.approx(levels[1], abs=1.0)
    assert -96 < levels[0] < 0, "louder than silence"
    assert all(stop.echo is None or stop.echo < 0.5 for stop in stops)


def test_a_spoken_pin_is_checked_and_the_request_answered_without_the_digits_anywhere() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Where is my parcel?")
        await caller.listens(2.5)
        await caller.says("four two seven one")
        await caller.listens(3)

    world = World(meanings=[Meaning.NEEDS_IDENTITY], rounds=[answer("A draft."), answer("It comes tomorrow.")])
    caller = call(scene, world)
    assert caller.world.checked == ["4271"]
    assert caller.world.requests[-1].messages[-1].text == "Where is my parcel?"
    assert caller.world.requests[-1].verified
    everything = repr([record.entry for record in caller.records]) + repr(caller.world.requests)
    for spelling in ("4271", "four two seven", "42 71", "4 2 7 1"):
        assert spelling not in everything


def test_a_keyed_pin_is_checked_too() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Where is my parcel?")
        await caller.listens(2.5)
        for key in "4271":
            caller.session.press(key)
            await caller.listens(0.2)
        await caller.listens(2)

    caller = call(scene, World(meanings=[Meaning.NEEDS_IDENTITY]))
    assert caller.world.checked == ["4271"]
    assert {record.entry.key for record in caller.records if record.entry.name == "dtmf"} == {""}


def test_a_card_keyed_for_an_order_number_is_not_seen() -> None:
    card = "4539148803436467"

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("I have a question")
        await caller.listens(4)
        for key in card:
            caller.session.press(key)
            await caller.listens(0.2)
        await caller.listens(3)

    world = World(rounds=[answer("What is your order number?"), answer("I see."), answer("I see."), answer("I see.")])
    caller = call(scene, world)
    assert "".join(record.entry.key for record in caller.records if record.entry.name == "dtmf") == card[:5]
    assert card[:6] not in repr(caller.world.requests)


def test_a_card_said_in_two_turns_is_neither_in_the_log_nor_shown_to_the_model() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        for said in (
            "charge my card four five three nine one four",
            "eight eight",
            "oh three four three six four six seven",
        ):
            await caller.says(said)
            await caller.listens(3)

    caller = call(scene, World(rounds=[answer("I see."), answer("I see."), answer("I see.")]))
    said = [record.entry for record in caller.records if record.entry.name != "call_started"]  # which holds the hour
    everything = repr(said) + repr(caller.world.requests)
    assert "[CARD]" in everything
    for piece in ("4539", "453914", "four five", "88", "eight", "0343"):
        assert piece not in everything


@pytest.mark.parametrize("at_s", [0.0, 0.02, 0.5, 2.2, 2.9, 3.05, 3.1, 3.2, 3.4, 4.0, 5.0, 6.5])
def test_hanging_up_at_any_moment_ends_cleanly(at_s: float) -> None:
    async def scene(caller: Caller) -> None:
        async def talk() -> None:
            await caller.listens(2.2)
            await caller.says("Where is my parcel?")
            await caller.listens(1)
            await caller.says("four two seven one")
            await caller.listens(3)

        talking = asyncio.create_task(talk(), name="talk")
        await asyncio.sleep(at_s)
        await caller.hangs_up()
        talking.cancel()
        await asyncio.wait([talking])

    call(scene, World(meanings=[Meaning.NEEDS_IDENTITY]))


def test_a_lost_connection_ends_the_call() -> None:
    async def scene(caller: Caller) -> None:
        await caller.listens(0.5)
        caller.door.gone = True
        await caller.until("call_end", within_s=2)
        await caller.running

    assert call(scene).last("call_end").reason == "lost"


def test_cancelling_the_call_ends_it_as_a_shutdown() -> None:
    async def scene(caller: Caller) -> None:
        await caller.listens(0.5)
        caller.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller.running

    assert call(scene).last("call_end").reason == "shutdown"


def test_a_client_that_stops_sending_when_it_stops_talking_is_still_answered() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        caller.world.words.append("What is your return policy?")
        await caller.speaks(0.8)
        await asyncio.sleep(3)

    assert "start_reply" in call(scene).names()


def test_an_idle_caller_is_asked_and_then_left() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("call_end", within_s=120)

    machine = replace(MachineSettings(), idle_prompt_s=3.0, idle_hangup_s=3.0)
    caller = call(scene, None, machine=machine)
    assert caller.last("call_end").reason == "idle"
    assert caller.last("call_end").outcome is CallOutcome.ABANDONED


def test_a_model_that_wants_a_human_hands_over() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("This is beyond you")
        await caller.until("call_end", within_s=30)

    caller = call(scene, World(rounds=[asks_tool("transfer_to_human")]), tool("transfer_to_human"))
    assert caller.world.packets[0].reason is PolicyReason.MODEL_REQUESTED


def test_a_tool_that_needs_identity_leads_to_the_pin_and_then_to_the_answer() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("The thing I bought")
        await caller.listens(3)
        await caller.says("four two seven one")
        await caller.listens(4)

    world = World(rounds=[asks_tool("orders"), asks_tool("orders"), answer("It comes tomorrow.")])
    caller = call(scene, world, tool("orders", identity=IdentityLevel.VERIFIED))
    statuses = [r.entry.result.status for r in caller.records if r.entry.name == "tool_result"]
    assert statuses == [ToolStatus.DENIED, ToolStatus.OK]
    assert "It comes tomorrow." in [r.entry.text for r in caller.records if r.entry.name == "llm_sentence"]


def test_speech_over_a_coming_answer_holds_its_audio_back() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        caller.world.words += ["Tell me everything", "about shoes"]
        await caller.speaks()
        await caller.listens(0.3)
        sent_s = caller.door.sent_s
        await caller.speaks(1.0)
        assert caller.door.sent_s == sent_s, "the agent spoke over the caller"
        await caller.listens(3)

    world = World(rounds=[[0.4, *answer("Never heard.")], answer("Shoes are fine.")])
    caller = call(scene, world)
    assert caller.last("turn_committed").text == "Tell me everything about shoes"
    assert "pause_playout" in caller.names()


def test_a_caller_who_asks_for_a_human_and_hangs_up_gets_the_callback() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("A human, please", then_s=0.0)
        await caller.until("escalation")
        await caller.hangs_up()

    caller = call(scene, World(meanings=[Meaning.HUMAN_WANTED], handover_delay_s=0.5))
    assert len(caller.world.packets) == 1


def test_a_pin_half_keyed_and_half_spoken_is_one_and_a_key_too_many_spoils_nothing() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Where is my parcel?")
        await caller.listens(2.5)
        for key in "90361":
            caller.session.press(key)
        await caller.listens(4)
        caller.session.press("4")
        caller.session.press("2")
        await caller.listens(0.5)
        await caller.says("seven one")
        await caller.listens(2)

    caller = call(scene, World(meanings=[Meaning.NEEDS_IDENTITY]))
    assert caller.world.checked == ["4271"]


@pytest.mark.parametrize("pause_s", [0.05, 0.6, 1.4, 2.5])
@pytest.mark.parametrize(
    "parts", [("four two", "71"), ("4", "two seven", "1"), ("four two seven", "1"), ("427", "one")]
)
def test_a_pin_in_spoken_and_keyed_parts_is_one_whatever_the_pause(parts: tuple[str, ...], pause_s: float) -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Where is my parcel?")
        await caller.listens(2.5)
        for part in parts:
            if part.isdigit():
                for key in part:
                    caller.session.press(key)
                    await caller.listens(0.1)
            else:
                await caller.says(part)
            await caller.listens(pause_s)
        await caller.listens(2)

    caller = call(scene, World(meanings=[Meaning.NEEDS_IDENTITY]))
    assert caller.world.checked == ["4271"]


def test_digits_that_a_recogniser_hears_anew_after_their_turn_is_over_do_not_count() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Where is my parcel?")
        await caller.listens(2.5)
        await caller.says("four two", then_s=2.0)
        assert caller.world.recognizer is not None
        caller.world.recognizer.gives("four two two")
        await caller.listens(0.5)
        await caller.says("seven one")
        await caller.listens(2)

    caller = call(scene, World(meanings=[Meaning.NEEDS_IDENTITY]))
    assert caller.world.checked == ["4271"]


@pytest.mark.parametrize("identity", list(IdentityLevel))
def test_public_answers_reach_the_model_as_they_are_and_personal_ones_masked(identity: IdentityLevel) -> None:
    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        return ToolAnswer({"text": "Write to care@shop.example."})

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        for key in "4271":
            caller.session.press(key)
        await caller.listens(4)
        await caller.says("How do I reach you?")
        await caller.listens(3)

    caller = call(scene, World(rounds=[asks_tool("look"), answer("By mail.")]), tool("look", handle, identity=identity))
    seen = caller.world.requests[1].messages[-1].tool_result.data["text"]
    assert ("care@shop.example" in seen) is (identity is IdentityLevel.NONE)
    assert "care@shop.example" not in repr([record.entry for record in caller.records])


def test_the_answer_to_a_long_turn_is_heard_whole_though_the_agent_said_okay_in_it() -> None:
    slow: Round = [TextDelta("You can bring it back. "), 1.7, TextDelta("It is free."), LlmFinished()]

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        caller.world.words.append("I bought the blue coat there")
        await caller.speaks(21)
        await caller.listens(8)

    caller = call(scene, World(rounds=[list(slow) for _ in range(3)]))
    assert Purpose.ACKNOWLEDGE in [record.entry.purpose for record in caller.records if record.entry.name == "say"]
    finished = [record.entry.reply_id for record in caller.records if record.entry.name == "reply_finished"]
    assert caller.last("turn_committed").text == "I bought the blue coat there"
    assert finished[-1] == caller.last("start_reply").reply_id
