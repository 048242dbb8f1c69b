"""Answers begun before their turn is certain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.conversation.machine.driver import Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.machine import MachineSettings
from voice_agent.conversation.machine.settings import SpeculationSettings
from voice_agent.models import Meaning, Role, ToolCall, ToolResult, ToolStatus

UNSURE = 0.1  # what the end-of-turn model says of a sentence that may go on


def listening(**changes: object) -> Driver:
    """A call whose greeting is over."""
    driver = Driver(**changes).start()  # type: ignore[arg-type]
    driver.wait(20.0 if not driver.machine.deadline() else 6.0)
    return driver


def unsure_turn(text: str = "Where is my parcel", **changes: object) -> Driver:
    patient = replace(MachineSettings(), speculation=SpeculationSettings(max_wait_s=5.0))
    driver = listening(score=UNSURE, **({"settings": patient} | changes))
    driver.begins()
    driver.wait(0.9)
    driver.pauses(text)
    return driver


def unasked_final(driver: Driver, text: str) -> None:
    driver.begins()
    driver.wait(0.9)
    driver.feed(e.TranscriptFinal(driver._utterance, text, 0.9))


def drafts(driver: Driver) -> list[c.StartReply]:
    return [reply for reply in driver.all(c.StartReply) if reply.draft]


def test_an_unsure_turn_is_answered_in_draft_and_the_commit_releases_it() -> None:
    driver = unsure_turn()
    assert len(drafts(driver)) == 1
    assert not driver.all(c.CommitTurn)
    assert driver.machine.messages()[-1].text == "Where is my parcel"
    driver.wait(2.0)
    assert [r.reply_id for r in driver.all(c.ReleaseReply)] == [drafts(driver)[0].reply_id]
    assert len(driver.all(c.Understand)) == 1
    assert len(driver.all(c.StartReply)) == 1
    requests = [m.text for m in driver.machine.messages() if m.role is Role.CALLER]
    assert requests == ["Where is my parcel"]


def test_a_caller_who_goes_on_gets_another_answer() -> None:
    driver = unsure_turn()
    driver.begins()
    driver.feed(e.TranscriptPartial(driver._utterance, "Where is my parcel and my coat"))
    assert driver.last(c.CancelReply).reason is c.CancelReason.SPECULATION
    assert driver.last(c.CancelReply).reply_id == drafts(driver)[0].reply_id
    driver.wait(0.5)
    driver.pauses("Where is my parcel and my coat")
    driver.wait(2.0)
    assert driver.last(c.CommitTurn).text == "Where is my parcel and my coat"
    assert driver.last(c.ReleaseReply).reply_id == driver.last(c.StartReply).reply_id


def test_a_cough_after_the_words_keeps_the_draft() -> None:
    driver = unsure_turn()
    driver.begins()
    driver.wait(0.2)
    driver.pauses("Where is my parcel?")
    driver.wait(2.0)
    assert len(driver.all(c.StartReply)) == 1
    assert driver.all(c.ReleaseReply)


def test_a_final_that_nobody_asked_for_starts_the_draft_while_the_voice_detector_still_waits() -> None:
    driver = listening()
    unasked_final(driver, "Where is my parcel?")
    assert len(drafts(driver)) == 1
    driver.wait(0.1)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=0.9))
    assert not driver.all(c.FinaliseTranscript), "the recogniser has said it all"
    driver.feed(e.TurnScored(driver._utterance, 0.95))
    driver.wait(0.1)
    assert driver.last(c.CommitTurn).waited_s == pytest.approx(0.2)
    assert driver.all(c.ReleaseReply)


def test_a_final_before_the_last_words_is_not_taken_for_all_of_them() -> None:
    driver = listening()
    unasked_final(driver, "Where is my parcel?")
    driver.wait(1.0)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=1.9))
    assert driver.all(c.FinaliseTranscript)


def test_policy_overrules_a_draft_but_only_once_the_turn_is_certain() -> None:
    driver = unsure_turn("Give me a person", meaning=Meaning.HUMAN_WANTED)
    assert driver.last(c.CancelReply).reason is c.CancelReason.SPECULATION
    assert not driver.all(c.Escalate)
    driver.wait(2.0)
    assert driver.all(c.Escalate)
    assert len(driver.all(c.Understand)) == 1


def test_a_draft_that_fails_is_made_again_for_the_certain_turn() -> None:
    driver = unsure_turn()
    driver.feed(e.ReplyFailed(drafts(driver)[0].reply_id, e.Stage.LLM, "network", 0.0))
    driver.wait(2.0)
    assert not driver.all(c.ReleaseReply)
    assert not driver.last(c.StartReply).draft


def test_a_caller_who_keeps_going_on_costs_no_more_than_the_limit() -> None:
    driver = unsure_turn("one")
    for text in ("one two", "one two three", "one two three four"):
        driver.begins()
        driver.feed(e.TranscriptPartial(driver._utterance, text))
        driver.wait(0.3)
        driver.pauses(text)
    assert len(drafts(driver)) == SpeculationSettings().drafts_per_turn


@pytest.mark.parametrize(
    "speculation", [SpeculationSettings(enabled=False), SpeculationSettings(max_wait_s=0.1)], ids=["off", "no patience"]
)
def test_speculation_can_be_left_out(speculation: SpeculationSettings) -> None:
    driver = unsure_turn(settings=replace(MachineSettings(), speculation=speculation))
    driver.wait(2.0)
    assert not drafts(driver)
    assert driver.all(c.StartReply)


def test_nothing_is_drafted_for_a_secret() -> None:
    driver = listening(meaning=Meaning.NEEDS_IDENTITY)
    driver.says("What is my balance")
    driver.wait(6.0)
    driver.score = UNSURE
    before = len(drafts(driver))
    driver.begins()
    driver.wait(0.9)
    driver.pauses("[PIN]", secret_digits=2)
    driver.wait(2.0)
    assert len(drafts(driver)) == before


def test_what_a_drafts_tools_brought_counts_once_the_turn_is_certain() -> None:
    driver = unsure_turn(answer="It is on its way.")
    reply_id = drafts(driver)[0].reply_id
    result = ToolResult("t1", "order_status", ToolStatus.OK, {"status": "sent"})
    driver.feed(e.ToolStarted(reply_id, ToolCall("t1", "order_status", "{}")))
    driver.feed(e.ToolReturned(reply_id, result))
    assert all(m.tool_result is None for m in driver.machine.messages())
    driver.wait(2.0)
    roles = [message.role for message in driver.machine.messages() if message.text or message.tool_result]
    assert roles[-3:] == [Role.CALLER, Role.TOOL, Role.AGENT]
    assert [m.tool_result for m in driver.machine.messages() if m.tool_result] == [result]


def test_a_wasted_drafts_tools_leave_nothing() -> None:
    driver = unsure_turn()
    reply_id = drafts(driver)[0].reply_id
    driver.feed(e.ToolStarted(reply_id, ToolCall("t1", "order_status", "{}")))
    driver.begins()
    driver.feed(e.TranscriptPartial(driver._utterance, "Where is my parcel and my coat"))
    driver.feed(e.ToolReturned(reply_id, ToolResult("t1", "order_status", ToolStatus.OK, {"status": "sent"})))
    driver.wait(0.5)
    driver.pauses("Where is my parcel and my coat")
    driver.wait(2.0)
    assert all(m.tool_result is None for m in driver.machine.messages())


def test_the_end_of_the_call_ends_a_draft() -> None:
    driver = unsure_turn()
    driver.feed(e.CallerHungUp("hangup"))
    assert driver.last(c.CancelReply).reply_id == drafts(driver)[0].reply_id


def test_a_drafts_passage_that_must_be_heard_is_not_interrupted() -> None:
    driver = unsure_turn(plays=False)
    reply_id = drafts(driver)[0].reply_id
    driver.feed(e.SegmentWritten(reply_id, 0, "This call is recorded for quality.", interruptible=False))
    driver.feed(e.SynthesisFinished(reply_id, 0, 4.0))
    driver.wait(2.0)
    assert driver.all(c.ReleaseReply)
    driver.feed(e.PlayoutStarted(reply_id))
    driver.wait(0.5)
    driver.begins()
    driver.wait(0.5)
    driver.feed(e.TranscriptPartial(driver._utterance, "stop stop now"))
    driver.wait(0.5)
    assert not driver.all(c.StopForBargeIn)


def test_a_failure_to_understand_earlier_words_of_the_turn_says_nothing_of_the_later_ones() -> None:
    driver = unsure_turn()
    turn_id = driver.last(c.Understand).turn_id
    driver.begins()
    driver.feed(e.TranscriptPartial(driver._utterance, "Where is my parcel and my coat"))
    driver._react = lambda command: None  # type: ignore[method-assign]  # nobody answers Understand
    driver.wait(0.5)
    driver.pauses("Where is my parcel and my coat")
    driver.wait(2.0)
    first, second = driver.all(c.Understand)
    driver.feed(e.StageFailed(e.Stage.UNDERSTANDING, "timeout", turn_id, first.request))
    assert not driver.all(c.Decide), "it must not stand for the answer that is still to come"
    driver.feed(e.StageFailed(e.Stage.UNDERSTANDING, "timeout", turn_id, second.request))
    assert driver.all(c.Decide)
