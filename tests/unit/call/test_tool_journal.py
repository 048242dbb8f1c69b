"""What a call's tools do, and what the log says of it, whatever becomes of the replies that asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.call.scripted import Caller, World, answer, broken
from tests.virtual_time import run_virtual

from voice_agent.errors import ToolError
from voice_agent.models import OUTCOME_UNKNOWN, PolicyReason, Role, ToolCall, ToolStatus
from voice_agent.providers.llm.base import LlmFinished, ToolCallRequested
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext


class Ledger:
    """The far side of a tool: what it was told to change, with which key."""

    def __init__(self, takes_s: float = 0.0, faults: list[ToolError] | None = None) -> None:
        """``faults`` end the first calls, after the change was made unless they say otherwise."""
        self.changes: list[tuple[dict[str, Any], str]] = []
        self._takes_s = takes_s
        self._faults = faults or []

    async def handle(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        await asyncio.sleep(self._takes_s)
        fault = self._faults.pop(0) if self._faults else None
        if fault is None or not fault.undone:
            self.changes.append((dict(arguments), context.idempotency_key))
        if fault is not None:
            raise fault
        return ToolAnswer({"status": "cancelled"})

    def tool(self, *, read_only: bool = False, asks: bool = False, keyed: bool = False) -> Tool:
        return Tool(
            name="cancel_order",
            description="Cancels an order.",
            parameters={
                "type": "object",
                "properties": {"order_id": {"type": "string"}},
                "additionalProperties": False,
            },
            handler=self.handle,
            fallback="I can't cancel it.",
            unsure="It may be cancelled or not.",
            read_only=read_only,
            keyed=keyed,
            timeout_s=5.0,
            read_back=(lambda a, locale: f"Shall I cancel order {a['order_id']}?") if asks else None,
        )


def wants(*orders: str, call_id: str = "c") -> list[Any]:
    calls = [ToolCall(f"{call_id}{n}", "cancel_order", json.dumps({"order_id": o})) for n, o in enumerate(orders)]
    return [*(ToolCallRequested(call) for call in calls), LlmFinished()]


def call(scene: Callable[[Caller], Awaitable[None]], world: World, *tools: Tool) -> Caller:
    async def go() -> Caller:
        caller = Caller(world, *tools)
        await scene(caller)
        if not caller.running.done():
            await caller.hangs_up()
        return caller

    return run_virtual(go())


def turns(*texts: str, then_s: float = 4.0) -> Callable[[Caller], Awaitable[None]]:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        for text in texts:
            await caller.says(text, then_s=then_s)

    return scene


def ends(caller: Caller) -> list[tuple[str, str]]:
    entries = [record.entry for record in caller.records if record.entry.name == "tool_result"]
    return [(entry.result.call_id, entry.result.status.value) for entry in entries]


# Once, and no more


def test_the_same_change_asked_twice_in_one_breath_is_made_once() -> None:
    ledger = Ledger()
    caller = call(turns("Cancel it"), World(rounds=[wants("83102", "83102"), answer("Done.")]), ledger.tool())
    assert [change for change, _ in ledger.changes] == [{"order_id": "83102"}]
    assert ends(caller) == [("c0", "ok"), ("c1", "ok")]


def test_a_model_that_repeats_a_change_on_a_later_turn_gets_the_first_result() -> None:
    ledger = Ledger()
    rounds = [wants("83102"), answer("Done."), wants("83102", call_id="d"), answer("Done already.")]
    caller = call(turns("Cancel it", "thanks a lot for that"), World(rounds=rounds), ledger.tool())
    assert len(ledger.changes) == 1
    assert ends(caller) == [("c0", "ok"), ("d0", "ok")]


def test_other_arguments_are_another_change_with_another_key() -> None:
    ledger = Ledger()
    call(turns("Cancel both"), World(rounds=[wants("83102", "83117"), answer("Done.")]), ledger.tool())
    keys = [key for _, key in ledger.changes]
    assert len(set(keys)) == 2
    assert all(len(key) == 32 for key in keys)


def test_reads_are_repeated_freely_and_carry_no_key() -> None:
    ledger = Ledger()
    call(turns("Look"), World(rounds=[wants("1", "1"), answer("There.")]), ledger.tool(read_only=True))
    assert [key for _, key in ledger.changes] == ["", ""]


# Interruptions


def test_a_read_goes_on_behind_an_interruption_and_is_known_on_the_next_turn() -> None:
    ledger = Ledger(takes_s=1.5)

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Look it up")
        await caller.until("tool_call")
        await caller.says("Wait, what is your return policy?", then_s=4.0)

    rounds = [wants("83102"), answer("With the receipt."), answer("With the receipt.")]
    caller = call(scene, World(rounds=rounds), ledger.tool(read_only=True))
    assert ends(caller) == [("c0", "ok")]
    told = [m.tool_result.call_id for m in caller.session._machine.messages() if m.role is Role.TOOL and m.tool_result]
    assert told == ["c0"]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_tool_under_way_when_the_caller_hangs_up_has_its_end_in_the_log(read_only: bool) -> None:
    ledger = Ledger(takes_s=1.0)

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Cancel it")
        await caller.until("tool_call")
        await caller.hangs_up()

    caller = call(scene, World(rounds=[wants("83102")]), ledger.tool(read_only=read_only))
    names = caller.names()
    assert names.count("tool_call") == names.count("tool_result") == 1
    assert ends(caller) == [("c0", "failed" if read_only else "ok")]
    assert len(ledger.changes) == (0 if read_only else 1)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_change_that_the_end_of_the_call_cut_off_may_have_been_made(read_only: bool) -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Cancel it")
        await caller.until("tool_call")
        await caller.hangs_up()

    caller = call(scene, World(rounds=[wants("83102")]), Ledger(takes_s=4.5).tool(read_only=read_only))
    assert caller.last("tool_result").result.reason == ("call_ended" if read_only else OUTCOME_UNKNOWN)


# Failures

UNKNOWN, UNDONE = ToolError("the answer was lost"), ToolError("nobody is there", undone=True)
OFFER = "Would you like me to connect you with a colleague?"


def spoken(caller: Caller) -> list[str]:
    """What was said in answers, sentence by sentence."""
    entries = [record.entry for record in caller.records]
    answers = {entry.reply_id for entry in entries if entry.name == "start_reply"}
    return [entry.text for entry in entries if entry.name == "llm_sentence" and entry.reply_id in answers]


def test_what_certainly_changed_nothing_is_tried_again_when_it_is_asked_for_again() -> None:
    ledger = Ledger(faults=[UNDONE])
    rounds = [wants("83102"), wants("83102", call_id="d"), answer("Done.")]
    caller = call(turns("Cancel it", "please try that again"), World(rounds=rounds), ledger.tool())
    assert spoken(caller) == ["I can't cancel it.", OFFER, "Done."]
    assert len(ledger.changes) == 1


def test_a_failed_tool_speaks_for_itself_and_no_model_after_it() -> None:
    rounds = [wants("83102"), answer("It is cancelled, and you get a thousand dollars.")]
    caller = call(turns("Cancel it"), World(rounds=rounds), Ledger(faults=[UNKNOWN]).tool())
    assert spoken(caller) == ["It may be cancelled or not.", OFFER]


def test_what_other_tools_found_is_still_told_after_the_failure_of_one() -> None:
    ledger = Ledger(faults=[UNDONE])
    caller = call(
        turns("Cancel both"), World(rounds=[wants("1", "2"), answer("The other is cancelled.")]), ledger.tool()
    )
    assert spoken(caller) == ["I can't cancel it.", "The other is cancelled."]


@pytest.mark.parametrize("keyed", [True, False])
def test_a_change_of_unknown_outcome_is_made_again_only_where_its_key_makes_it_once(keyed: bool) -> None:
    ledger = Ledger(faults=[UNKNOWN])
    rounds = [wants("83102"), wants("83102", call_id="d"), answer("Done.")]
    caller = call(turns("Cancel it", "did that work out"), World(rounds=rounds), ledger.tool(keyed=keyed))
    last = ["Done."] if keyed else ["It may be cancelled or not.", OFFER]
    assert spoken(caller) == ["It may be cancelled or not.", OFFER, *last]
    assert len(ledger.changes) == (2 if keyed else 1)
    assert len({key for _, key in ledger.changes}) == 1


def test_a_second_yes_to_a_change_of_unknown_outcome_is_the_same_change() -> None:
    ledger = Ledger(faults=[UNKNOWN])
    rounds = [wants("83102"), wants("83102", call_id="d"), answer("Done.")]
    texts = ("Cancel order 83102", "Yes.", "please try that again", "Yes.")
    call(turns(*texts, then_s=6.0), World(rounds=rounds), ledger.tool(asks=True))
    assert len(ledger.changes) == 2
    assert len({key for _, key in ledger.changes}) == 1


def test_a_later_failure_does_not_deny_a_change_that_may_have_been_made_before() -> None:
    ledger = Ledger(faults=[UNKNOWN, UNDONE])
    rounds = [wants("83102"), wants("83102", call_id="d"), answer("Done.")]
    caller = call(turns("Cancel it", "please try that again"), World(rounds=rounds), ledger.tool(keyed=True))
    assert spoken(caller) == ["It may be cancelled or not.", OFFER] * 2


def test_the_caller_hears_what_failed_last_before_being_handed_over() -> None:
    ledger = Ledger(faults=[UNDONE, UNDONE, UNKNOWN])
    rounds = [wants("1"), wants("2", call_id="d"), wants("3", call_id="e")]
    caller = call(turns("Cancel it", "then the second one", "then the third one"), World(rounds=rounds), ledger.tool())
    assert caller.last("escalation").packet.reason is PolicyReason.REPEATED_FAILURES
    said = [r.entry.segments for r in caller.records if r.entry.name == "say" and r.entry.purpose == "handover"]
    assert said[0] == ("It may be cancelled or not.",)


# Agreement


def test_nothing_is_changed_before_the_caller_has_agreed_and_then_exactly_that() -> None:
    ledger = Ledger()
    world = World(rounds=[wants("83102"), answer("It is cancelled.")])
    caller = call(turns("Cancel order 83102", "Yes, please.", then_s=5.0), world, ledger.tool(asks=True))
    said = [r.entry.segments for r in caller.records if r.entry.name == "say" and r.entry.purpose == "confirm"]
    assert said == [("Shall I cancel order 83102?",)]
    assert [change for change, _ in ledger.changes] == [{"order_id": "83102"}]
    assert ends(caller) == [("c0", "denied"), ("c0-agreed", "ok")]
    newest = caller.world.requests[-1].messages[-1]
    assert newest.tool_result is not None
    assert newest.tool_result.status is ToolStatus.OK


@pytest.mark.parametrize("reply", ["No, leave it.", "What does that cost?", "Actually, cancel the other one instead"])
def test_without_a_yes_nothing_is_changed(reply: str) -> None:
    ledger = Ledger()
    world = World(rounds=[wants("83102"), answer("All right.")])
    call(turns("Cancel order 83102", reply, then_s=5.0), world, ledger.tool(asks=True))
    assert ledger.changes == []


def test_an_agreement_counts_once() -> None:
    ledger = Ledger()
    rounds = [wants("83102"), wants("83117", call_id="d"), answer("All right.")]
    caller = call(
        turns("Cancel order 83102", "Yes.", "thanks", then_s=5.0), World(rounds=rounds), ledger.tool(asks=True)
    )
    assert [change for change, _ in ledger.changes] == [{"order_id": "83102"}]
    assert ("d0", "denied") in ends(caller)


def test_a_question_that_was_cut_short_cannot_be_agreed_to() -> None:
    ledger = Ledger()

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Cancel order 83102")
        while caller.names().count("playout_started") < 2:
            await caller.listens(0.1)
        await caller.says("hello can you hear me", then_s=5.0)
        await caller.says("yes", then_s=5.0)

    world = World(rounds=[wants("83102"), answer("Yes, I can."), answer("Good.")], speech_s=6.0)
    caller = call(scene, world, ledger.tool(asks=True))
    assert "barge_in" in caller.names()
    assert ledger.changes == []


# What the caller said of themselves


def test_a_tool_gets_what_the_caller_said_and_nothing_else_does() -> None:
    ledger = Ledger()
    said = "call me at 212 555 0142 please"
    rounds = [wants("[PHONE]"), answer("I will call [PHONE].")]
    caller = call(turns(said), World(rounds=rounds), ledger.tool())
    ((arguments, _),) = ledger.changes
    assert "5550142" in "".join(filter(str.isdigit, arguments["order_id"]))
    written = repr([record.entry for record in caller.records])
    assert "0142" not in written
    assert "[PHONE]" in written
    assert all("0142" not in message.text for request in caller.world.requests for message in request.messages)


# A model that is gone when the result is there


@pytest.mark.parametrize("last", [[broken()], [LlmFinished()]], ids=["fails", "says nothing"])
def test_a_tool_sums_up_its_own_result_where_no_model_does(last: list[Any]) -> None:
    ledger = Ledger()
    tool = replace(ledger.tool(), summary=lambda data: f"It is {data['status']} now.")
    caller = call(turns("Cancel it"), World(rounds=[wants("83102"), *[last] * 4]), tool)
    said = [r.entry.text for r in caller.records if r.entry.name == "llm_sentence" and r.entry.reply_id == 2]
    assert said == ["It is cancelled now."]
    assert "escalation" not in caller.names()


def test_a_summary_that_fails_is_no_answer() -> None:
    tool = replace(Ledger().tool(), summary=lambda data: data["missing"])
    caller = call(turns("Cancel it"), World(rounds=[wants("83102"), *[[broken()]] * 4]), tool)
    assert caller.last("escalation").packet.reason is PolicyReason.PROVIDER_DOWN


def test_a_repeated_change_has_its_end_in_the_log_though_the_caller_leaves_meanwhile() -> None:
    ledger = Ledger(takes_s=1.0)

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Cancel it")
        await caller.until("tool_call")
        await caller.hangs_up()

    caller = call(scene, World(rounds=[wants("83102", "83102")]), ledger.tool())
    assert ends(caller) == [("c0", "ok"), ("c1", "ok")]
    assert len(ledger.changes) == 1


def test_a_yes_to_whether_the_caller_is_still_there_agrees_to_nothing() -> None:
    ledger = Ledger()

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("Cancel order 83102", then_s=20.0)
        await caller.says("yes", then_s=5.0)

    caller = call(scene, World(rounds=[wants("83102"), answer("Good.")]), ledger.tool(asks=True))
    assert "idle" in [r.entry.purpose for r in caller.records if r.entry.name == "say"]
    assert ledger.changes == []


# What the caller said of themselves


def test_a_tool_gets_the_parts_of_an_address_that_the_model_knows_as_a_placeholder() -> None:
    got: list[Mapping[str, Any]] = []

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        got.append(arguments)
        return ToolAnswer({})

    names = ("street", "extra", "city", "postal_code")
    tool = Tool(
        name="send_to",
        description="Sends it there.",
        parameters={"type": "object", "properties": {n: {"type": "string"} for n in names}, "required": ["city"]},
        handler=handle,
        fallback="I can't send it.",
        read_only=False,
    )
    place = {name: f"[ADDRESS].{name}" for name in names}
    partial = {name: f"[ADDRESS 2].{name}" for name in names}
    rounds = [
        [ToolCallRequested(ToolCall(f"c{n}", "send_to", json.dumps(arguments))), LlmFinished()]
        for n, arguments in enumerate((place, partial))
    ]
    caller = call(
        turns("Send it to 14 Birch Lane, Madison, Wisconsin, 53703", "Send it to 9 Elm Street in Austin"),
        World(rounds=[rounds[0], answer("Done."), rounds[1], answer("I can't.")]),
        tool,
    )
    assert got == [{"street": "14 Birch Lane", "city": "Madison", "postal_code": "53703"}]
    assert ends(caller) == [("c0", "ok"), ("c1", "invalid")]
    assert "Birch" not in str([record.entry for record in caller.records])


def test_arguments_that_no_reader_takes_are_refused_and_the_call_goes_on() -> None:
    deep = '{"order_id": ' + "[" * 400 + '"[ADDRESS]"' + "]" * 400 + "}"
    rounds = [[ToolCallRequested(ToolCall("c0", "cancel_order", deep)), LlmFinished()], answer("I could not do that.")]
    ledger = Ledger()
    caller = call(turns("Cancel it", "hello"), World(rounds=rounds), ledger.tool())
    results = [record.entry.result for record in caller.records if record.entry.name == "tool_result"]
    assert [(result.status, result.reason) for result in results] == [(ToolStatus.INVALID, "bad_arguments")]
    assert ledger.changes == []
    assert caller.last("call_end").reason == "hangup"
