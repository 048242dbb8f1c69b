"""Pauses, holds, long turns, silence, keys, and words over a handover: what the machine makes of time."""

from __future__ import annotations

import pytest
from tests.unit.conversation.machine.driver import Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.machine import MachineSettings, SpeculationSettings
from voice_agent.conversation.states import AgentState, CallState
from voice_agent.models import OpenQuestion, PolicyReason, ToolCall, ToolResult, ToolStatus


def greeted(*, plays: bool = True, **options: object) -> Driver:
    driver = Driver(**options).start()  # type: ignore[arg-type]
    driver.wait(6)
    driver.plays = plays
    return driver


def asked_for_the_order_number() -> Driver:
    driver = greeted(answer="What is your order number?")
    driver.says("Where is it?")
    driver.wait(3)
    assert driver.machine.waiting_for is OpenQuestion.ORDER_NUMBER
    return driver


def speak(driver: Driver, text: str, lasting: float = 0.8) -> None:
    """Up to the moment at which final and score are there."""
    driver.begins()
    driver.wait(lasting)
    driver.pauses(text)


# Pauses inside a turn


def test_a_number_read_with_pauses_is_one_turn_and_ends_soon_after_its_last_digit() -> None:
    driver = asked_for_the_order_number()
    before = len(driver.all(c.CommitTurn))
    for text in ("It's eight", "It's eight three", "It's eight three one", "It's eight three one oh"):
        speak(driver, text)
        driver.wait(1.2)
        assert len(driver.all(c.CommitTurn)) == before
    speak(driver, "It's eight three one oh two")
    driver.wait(0.1)
    assert driver.last(c.CommitTurn).rule == "order_number_complete"


def test_a_hold_request_leaves_the_caller_time_and_the_number_joins_it() -> None:
    driver = asked_for_the_order_number()
    before = len(driver.all(c.CommitTurn))
    speak(driver, "Hold on, let me get it.")
    driver.wait(driver.settings.endpointing.hold_s - 0.5)
    assert len(driver.all(c.CommitTurn)) == before
    speak(driver, "Hold on, let me get it. It's 83102.")
    driver.wait(2)
    assert driver.last(c.CommitTurn).text.endswith("83102.")


def test_after_a_hold_request_nobody_asks_for_a_long_time_whether_the_caller_is_there() -> None:
    driver = greeted(answer="Take your time.")
    driver.says("One moment please.")
    driver.wait(driver.settings.endpointing.hold_s)
    assert driver.last(c.CommitTurn).rule == "hold"
    driver.wait(3 + driver.settings.idle_prompt_s)
    assert driver.last(c.Say).purpose is not c.Purpose.IDLE
    driver.wait(driver.settings.hold_patience_s)
    assert driver.all(c.Say)[1].purpose is c.Purpose.IDLE


def test_the_patience_of_a_hold_request_ends_with_the_callers_next_turn() -> None:
    driver = greeted(answer="Take your time.")
    driver.says("One moment please.")
    driver.wait(8)
    driver.says("What are your opening hours?")
    driver.wait(3 + driver.settings.idle_prompt_s)
    assert driver.last(c.Say).purpose is c.Purpose.IDLE


def waited(driver: Driver, text: str) -> float:
    driver.says(text)
    waited_s = driver.last(c.CommitTurn).waited_s
    driver.wait(3)
    return waited_s


def test_a_caller_who_pauses_long_twice_is_waited_for_longer_and_one_who_never_does_shorter() -> None:
    usual = waited(greeted(score=0.3), "It is the green jacket")
    slow = greeted(score=0.3)
    for text in ("It is the green", "It is the green jacket with", "It is the green jacket with a hood"):
        speak(slow, text)
        slow.wait(0.55)
    slow.wait(3)
    assert len(slow.all(c.CommitTurn)) == 1
    slow.wait(3)
    fluent = greeted(score=0.95)
    for _ in range(5):
        waited(fluent, "What are your opening hours?")
    fluent.score = 0.3
    assert waited(fluent, "It is the green jacket") < usual < waited(slow, "It is the green jacket")


def test_a_cut_off_teaches_patience() -> None:
    usual = waited(greeted(score=0.3), "It is the green jacket")
    driver = greeted(plays=False, settings=MachineSettings(max_failures=50))
    for more in ("in the box", "from last week"):
        driver.says("Where is my order")
        speak(driver, more)
        driver.wait(2)
        assert driver.last(c.CommitTurn).text == f"Where is my order {more}"
        driver.feed(e.ReplyFailed(driver.last(c.StartReply).reply_id, e.Stage.LLM, "network"))
        driver.feed(e.ReplyFailed(driver.last(c.Say).reply_id, e.Stage.TTS, "network"))
    driver.plays, driver.score = True, 0.3
    assert waited(driver, "It is the green jacket") > usual


def test_words_that_come_after_the_final_keep_the_turn_open() -> None:
    driver = greeted(score=0.97)
    driver.begins()
    driver.wait(0.8)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=0.8))
    utterance = driver.last(c.OpenTurn).utterance_id
    driver.feed(e.TranscriptFinal(utterance, "It is the green jacket", 0.9))
    driver.feed(e.TranscriptPartial(utterance, "It is the green jacket with"))
    driver.feed(e.TurnScored(utterance, 0.97))
    driver.wait(1.0)
    assert not driver.all(c.CommitTurn)
    driver.wait(2)
    assert driver.last(c.CommitTurn).text == "It is the green jacket with"


# Long turns


def monologue(driver: Driver, lasting: float) -> None:
    driver.begins()
    driver.wait(lasting)
    driver.pauses("And then I took it to the shop and")


def test_a_long_turn_is_acknowledged_at_a_pause_and_stays_the_callers() -> None:
    driver = greeted()
    monologue(driver, driver.settings.acknowledge_after_s + 1)
    driver.wait(0.4)
    said = driver.last(c.Say)
    assert said.purpose is c.Purpose.ACKNOWLEDGE
    assert driver.machine.agent is AgentState.IDLE
    assert not driver.all(c.CommitTurn)
    driver.begins()
    assert driver.last(c.CancelReply).reply_id == said.reply_id  # not a word over the caller's
    driver.wait(2)
    driver.pauses("And then I took it to the shop and they sent me here.")
    driver.wait(2)
    assert driver.last(c.CommitTurn).text.endswith("they sent me here.")
    assert len([say for say in driver.all(c.Say) if say.purpose is c.Purpose.ACKNOWLEDGE]) == 1
    assert "Okay." not in [message.text for message in driver.machine.messages()]


def test_the_caller_gets_time_to_go_on_after_an_acknowledgement() -> None:
    driver = greeted()
    monologue(driver, driver.settings.acknowledge_after_s + 1)
    driver.wait(0.4 + driver.settings.endpointing.unsure_s)
    assert not driver.all(c.CommitTurn)
    driver.wait(3)
    assert driver.all(c.CommitTurn)


def test_no_answer_is_drafted_over_an_acknowledgement() -> None:
    driver = greeted(plays=False, settings=MachineSettings(speculation=SpeculationSettings(max_wait_s=5.0)))
    monologue(driver, driver.settings.acknowledge_after_s + 1)
    driver.wait(0.4)
    said = driver.last(c.Say)
    assert said.purpose is c.Purpose.ACKNOWLEDGE
    driver.feed(e.TurnScored(driver.last(c.OpenTurn).utterance_id, 0.9))
    assert all(reply.reply_id < said.reply_id for reply in driver.all(c.StartReply)), "it would cut the okay off"


def test_a_finished_acknowledgement_is_not_cancelled() -> None:
    driver = greeted(plays=False)
    monologue(driver, driver.settings.acknowledge_after_s + 1)
    driver.wait(0.4)
    driver.feed(e.PlayoutStarted(driver.last(c.Say).reply_id))
    driver.feed(e.ReplyFinished(driver.last(c.Say).reply_id, 0.4))
    driver.begins()
    assert not driver.all(c.CancelReply)


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_acknowledgements_can_be_switched_off_and_short_turns_get_none(seconds: float) -> None:
    driver = greeted(settings=MachineSettings(acknowledge_after_s=seconds))
    monologue(driver, 25)
    driver.wait(5)
    assert [say.purpose for say in driver.all(c.Say)] == [c.Purpose.GREETING]


# Silence


def test_idle_time_does_not_run_while_a_tool_does() -> None:
    driver = greeted(plays=False, settings=MachineSettings(turn_timeout_s=100))
    driver.says("Where is my order?")
    reply = driver.last(c.StartReply).reply_id
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "order_status", "{}")))
    driver.wait(3 * driver.settings.idle_prompt_s)
    assert [say.purpose for say in driver.all(c.Say)] == [c.Purpose.GREETING]


def test_idle_time_counts_from_the_end_of_what_was_heard() -> None:
    driver = greeted(answer="word " * 90)  # thirty seconds of speech
    driver.says("Tell me everything")
    driver.wait(27)
    assert driver.machine.agent is AgentState.SPEAKING
    driver.wait(1 + driver.settings.idle_prompt_s - 1)
    assert [say.purpose for say in driver.all(c.Say)] == [c.Purpose.GREETING]
    driver.wait(3)
    assert driver.last(c.Say).purpose is c.Purpose.IDLE


# Keys


def test_the_last_digit_of_an_order_number_ends_the_turn_soon_without_a_hash() -> None:
    driver = asked_for_the_order_number()
    for key in "83102":
        driver.feed(e.DtmfReceived(key))
        driver.wait(0.2)
    driver.wait(driver.settings.key_complete_s)
    assert driver.last(c.CommitTurn).text == "83102"
    reply = driver.last(c.StartReply).reply_id
    driver.feed(e.DtmfReceived("#"))  # pressed all the same, after the answer began
    assert driver.machine.call is CallState.ACTIVE
    assert all(command.reply_id != reply for command in driver.all(c.StopForBargeIn))
    assert all(command.reply_id != reply for command in driver.all(c.CancelReply))


def test_one_digit_more_than_expected_still_belongs_to_the_number() -> None:
    driver = asked_for_the_order_number()
    for key in "831027":
        driver.feed(e.DtmfReceived(key))
        driver.wait(0.3)
    driver.wait(driver.settings.key_gap_s)
    assert driver.last(c.CommitTurn).text == "831027"


def test_a_hash_alone_is_nothing_but_a_sign_of_life() -> None:
    driver = greeted()
    driver.wait(driver.settings.idle_prompt_s - 3)
    driver.feed(e.DtmfReceived("#"))
    driver.wait(driver.settings.idle_prompt_s - 1)
    assert not driver.all(c.OpenTurn)
    assert [say.purpose for say in driver.all(c.Say)] == [c.Purpose.GREETING]
    driver.wait(2)
    assert driver.last(c.Say).purpose is c.Purpose.IDLE


# A handover


def announced(driver: Driver) -> int:
    """The model has said that it puts the caller through, and the words are being heard."""
    driver.says("This is beyond you")
    reply = driver.last(c.StartReply).reply_id
    driver.feed(e.SegmentWritten(reply, 0, "I'm putting you through to a colleague."))
    driver.feed(e.PlayoutStarted(reply))
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "transfer_to_human", "{}")))
    driver.feed(e.ToolReturned(reply, ToolResult("t1", "transfer_to_human", ToolStatus.OK)))
    return reply


def test_words_over_a_handover_go_along_and_do_not_stop_it() -> None:
    driver = greeted(plays=False)
    reply = announced(driver)
    speak(driver, "My name is Anna and the order is 83102")
    driver.wait(0.5)
    assert not driver.all(c.StopForBargeIn)
    driver.feed(e.ReplyFinished(reply, 2.0))
    packet = driver.last(c.Escalate).packet
    assert packet.reason is PolicyReason.MODEL_REQUESTED
    assert ("user", "My name is Anna and the order is 83102") in packet.transcript


def test_words_that_are_still_being_said_go_along_too() -> None:
    driver = greeted(plays=False)
    reply = announced(driver)
    driver.begins()
    driver.wait(0.8)
    driver.feed(e.TranscriptPartial(driver.last(c.OpenTurn).utterance_id, "tell them that I"))
    driver.feed(e.ReplyFinished(reply, 2.0))
    assert ("user", "tell them that I") in driver.last(c.Escalate).packet.transcript


@pytest.mark.parametrize("text", ["No, wait.", "Actually, cancel that.", "Stop, I don't want that"])
def test_a_caller_can_take_the_handover_back(text: str) -> None:
    driver = greeted(plays=False)
    reply = announced(driver)
    speak(driver, text)
    driver.wait(driver.settings.endpointing.hold_s)
    assert driver.last(c.StopForBargeIn).reply_id == reply
    assert not driver.all(c.Escalate)
    assert driver.last(c.CommitTurn).text == text


def test_keys_pressed_after_a_cough_over_the_agent_count() -> None:
    driver = greeted(answer="You can return any item within thirty days of delivery, free of charge.")
    driver.says("What is your return policy?", lasting=0.8)
    assert driver.machine.agent is AgentState.SPEAKING
    driver.begins()
    driver.wait(0.2)
    for key in "83102":
        driver.feed(e.DtmfReceived(key))
        driver.wait(0.1)
    driver.pauses("")
    driver.wait(4)
    assert driver.last(c.CommitTurn).text == "83102"


def test_a_number_keyed_after_words_is_waited_for_to_its_last_digit() -> None:
    driver = asked_for_the_order_number()
    speak(driver, "My order number is")
    for key in "83102":
        driver.wait(0.6)
        driver.feed(e.DtmfReceived(key))
    driver.wait(3)
    assert driver.last(c.CommitTurn).text == "My order number is 83102"
    assert driver.last(c.CommitTurn).rule == "order_number_complete"


def test_a_hash_ends_a_number_keyed_after_words() -> None:
    driver = asked_for_the_order_number()
    speak(driver, "My order number is")
    for key in "8310":
        driver.wait(0.6)
        driver.feed(e.DtmfReceived(key))
    driver.feed(e.DtmfReceived("#"))
    driver.wait(0.1)
    assert driver.last(c.CommitTurn).text == "My order number is 8310"
