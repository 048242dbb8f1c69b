"""Who has the floor: echoes, side talk, goodbyes, tools under way, passages that must be heard, and going on quickly."""

from __future__ import annotations

import pytest
from tests.unit.conversation.machine.driver import Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.states import AgentState
from voice_agent.models import CallOutcome, HeardBasis, Meaning, ReplyId, Role, ToolCall, ToolResult, ToolStatus

ANSWER = "You can return any item within thirty days of delivery, free of charge and without giving a reason."
USUAL_DBFS = -24.0


def answering(answer: str = ANSWER, **known: float) -> Driver:
    """A call in which the agent has spoken a second of a long answer, to a caller of the usual loudness."""
    driver = Driver(answer=answer, level_dbfs=USUAL_DBFS).start()
    driver.wait(6)
    driver.begins()
    driver.wait(0.8)
    driver.pauses("What is your return policy?")
    driver.wait(1.1)
    assert driver.machine.agent is AgentState.SPEAKING
    driver.level_dbfs = known.get("level_dbfs", USUAL_DBFS)
    driver.echo = known.get("echo")
    return driver


def thinking() -> Driver:
    """A call in which the model is at work and has said nothing yet."""
    driver = Driver(plays=True).start()
    driver.wait(6)
    driver.plays = False
    driver.begins()
    driver.wait(0.8)
    driver.pauses("Please cancel my order.")
    driver.wait(1)
    assert driver.machine.agent is AgentState.THINKING
    return driver


def reply_of(driver: Driver) -> ReplyId:
    return driver.last(c.StartReply).reply_id


# Echo


def test_an_echo_does_not_even_pause_the_agent_and_is_no_turn() -> None:
    driver = answering(echo=0.8)
    turns = len(driver.all(c.CommitTurn))
    driver.begins()
    driver.wait(0.4)
    driver.hears("within thirty days")
    driver.wait(0.6)
    driver.pauses("within thirty days of delivery")
    driver.wait(12)
    assert not driver.all(c.PausePlayout)
    assert not driver.all(c.StopForBargeIn)
    assert driver.last(c.DropTurn).rule == "echo"
    assert len(driver.all(c.CommitTurn)) == turns


def test_a_caller_who_speaks_over_the_echo_pauses_and_stops_the_agent() -> None:
    driver = answering(echo=0.8)
    driver.begins()
    driver.wait(0.5)
    assert not driver.all(c.PausePlayout)
    driver.echo, driver.level_dbfs = 0.1, USUAL_DBFS + 6
    driver.hears("wh", confidence=0.5)
    assert driver.all(c.PausePlayout), "it is something else than an echo"
    driver.wait(0.2)
    driver.hears("what about shoes")
    assert driver.last(c.StopForBargeIn).rule == "words"


def test_a_pause_within_an_echo_does_not_make_it_a_caller() -> None:
    driver = answering(echo=0.9)
    driver.begins()
    driver.wait(0.5)
    driver.hears("within thirty days")
    driver.echo, driver.level_dbfs = 0.1, USUAL_DBFS - 8
    driver.wait(0.4)
    driver.hears("within thirty days of delivery")
    assert not driver.all(c.PausePlayout)
    driver.wait(0.4)
    driver.hears("but what about shoes")
    assert driver.last(c.StopForBargeIn).rule in ("words", "stop_word"), "a second one does"


def test_the_agents_words_are_taken_out_of_a_turn_that_began_with_its_echo() -> None:
    driver = answering(echo=0.9)
    driver.begins()
    driver.wait(0.5)
    driver.hears("You can return any item")
    driver.echo, driver.level_dbfs = 0.0, USUAL_DBFS + 6
    driver.wait(0.5)
    driver.hears("You can return any item what about shoes")
    assert driver.all(c.StopForBargeIn)
    driver.wait(0.3)
    driver.pauses("You can return any item. What about shoes?")
    driver.wait(2)
    assert driver.last(c.CommitTurn).text == "What about shoes?"


def test_once_the_words_showed_that_the_line_echoes_less_evidence_holds_the_pause_back() -> None:
    driver = answering(echo=0.3)
    driver.begins()
    driver.wait(0.5)
    assert len(driver.all(c.PausePlayout)) == 1
    driver.pauses("You can return any item")
    driver.wait(0.5)
    assert driver.last(c.DropTurn).rule == "echo"
    driver.begins()
    driver.wait(0.5)
    driver.pauses("within thirty days of")
    driver.wait(0.5)
    assert len(driver.all(c.PausePlayout)) == 1


def test_the_echo_of_the_last_words_is_no_turn() -> None:
    driver = answering("Yes, we certainly do that.")
    driver.wait(0.7)
    assert driver.machine.agent is AgentState.IDLE
    driver.echo = 0.7
    driver.begins()
    driver.wait(0.3)
    driver.pauses("certainly do that", voiced_s=0.3)
    driver.wait(3)
    assert driver.last(c.DropTurn).rule == "echo"


def test_a_caller_who_repeats_the_agents_words_later_is_heard() -> None:
    driver = answering("Yes, we certainly do that.")
    driver.wait(3)
    driver.says("You certainly do that?")
    assert driver.last(c.CommitTurn).text == "You certainly do that?"


# Side talk


def test_a_quiet_voice_far_from_the_telephone_does_not_interrupt() -> None:
    driver = answering(level_dbfs=USUAL_DBFS - 14)
    driver.begins()
    driver.wait(0.6)
    driver.hears("put the dog out please")
    assert driver.all(c.ResumePlayout), "it goes on while they still talk"
    driver.wait(0.5)
    driver.pauses("Put the dog out please.", voiced_s=1.2)
    driver.wait(1)
    assert not driver.all(c.StopForBargeIn)
    assert driver.last(c.DropTurn).rule == "side_talk"


def test_the_same_words_at_the_callers_own_level_do() -> None:
    driver = answering()
    driver.begins()
    driver.wait(0.6)
    driver.hears("put the dog out please")
    assert driver.last(c.StopForBargeIn).rule == "words"


def listening(level_db: float, answer: str = "We open at nine.") -> Driver:
    """A call in which the agent has answered and is silent, and the next voice is ``level_db`` beside the caller's."""
    driver = Driver(answer=answer, level_dbfs=USUAL_DBFS).start()
    driver.wait(6)
    driver.says("What is your return policy?", partial=True)
    driver.wait(3)
    assert driver.machine.agent is AgentState.IDLE
    driver.level_dbfs = USUAL_DBFS + level_db
    return driver


def test_a_quiet_voice_in_the_agents_silence_is_no_turn() -> None:
    driver = listening(-14)
    driver.says("Did you put the kettle on?", partial=True)
    assert driver.last(c.DropTurn).rule == "side_talk"
    assert len(driver.all(c.CommitTurn)) == 1


def test_who_repeats_it_is_heard_and_known_from_then_on() -> None:
    driver = listening(-14)
    driver.says("Do you ship to Canada?", partial=True)
    driver.says("Do you ship to Canada?", partial=True)
    assert driver.last(c.CommitTurn).text == "Do you ship to Canada?"
    driver.wait(3)
    driver.says("And to Norway?", partial=True)
    assert driver.last(c.CommitTurn).text == "And to Norway?"


def test_a_quiet_answer_to_a_question_counts() -> None:
    driver = listening(-14, "Shall I send it?")
    driver.says("Yes, please.", partial=True)
    assert driver.last(c.CommitTurn).text == "Yes, please."


def test_a_quiet_voice_that_is_asked_whether_it_is_there_counts() -> None:
    driver = listening(-14)
    driver.wait(driver.settings.idle_prompt_s + 3)
    driver.says("Yes, I am still here.", partial=True)
    assert driver.last(c.CommitTurn).text == "Yes, I am still here."


def test_a_caller_who_moves_away_is_known_again_after_some_turns() -> None:
    driver = listening(-9)
    for text in ("Do you ship to Canada?", "Do gift cards expire?"):
        driver.says(text, partial=True)
        driver.wait(3)
    driver.level_dbfs = USUAL_DBFS - 12
    driver.says("Can I pay by card?", partial=True)
    assert driver.last(c.CommitTurn).text == "Can I pay by card?"


# Going on


def test_after_a_backchannel_the_agent_goes_on_before_the_final_is_there() -> None:
    driver = answering()
    driver.begins()
    driver.wait(0.25)
    driver.hears("Okay.")
    driver.wait(0.1)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=0.25))
    assert driver.last(c.ResumePlayout).rewind_s == driver.settings.barge_in.rewind_s
    driver.feed(e.TranscriptFinal(driver.last(c.OpenTurn).utterance_id, "Okay.", 0.9))
    assert len(driver.all(c.ResumePlayout)) == 1
    assert driver.last(c.DropTurn).rule == "backchannel"


def test_a_backchannel_that_turns_out_to_be_the_start_of_more_still_stops_it() -> None:
    driver = answering()
    driver.begins()
    driver.wait(0.25)
    driver.hears("Okay.")
    driver.wait(0.1)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=0.25))
    driver.feed(e.TranscriptFinal(driver.last(c.OpenTurn).utterance_id, "Okay, but what about shoes?", 0.9))
    assert driver.last(c.StopForBargeIn).rule == "stop_word"


def test_what_is_held_before_it_was_heard_begins_at_its_beginning() -> None:
    driver = thinking()
    driver.begins()
    driver.wait(0.3)
    driver.pauses("Mm-hmm.", voiced_s=0.3)
    driver.wait(0.1)
    assert driver.last(c.ResumePlayout).rewind_s == 0.0


def test_an_answer_to_the_question_under_way_need_not_wait_for_its_last_word() -> None:
    driver = answering("Shall I connect you with one of my colleagues?")
    driver.wait(1.2)
    driver.begins()
    driver.wait(0.3)
    driver.pauses("Yes.", voiced_s=0.3)
    assert driver.last(c.StopForBargeIn).rule == "answer"


# The ledger


def test_a_stop_tells_how_much_was_heard_and_the_model_hears_of_it() -> None:
    driver = answering()
    driver.feed(e.PlayoutAdvanced(reply_of(driver), 1.0, acknowledged=True))
    driver.begins()
    driver.wait(0.6)
    driver.hears("what about shoes")
    stop = driver.last(c.StopForBargeIn)
    assert stop.basis is HeardBasis.ACKNOWLEDGED
    assert stop.heard_words == len(stop.heard_text.split())
    assert (stop.written_words, 0 < stop.confidence < 1) == (len(ANSWER.split()), True)
    message = [m for m in driver.machine.messages() if m.role is Role.AGENT][-1]
    assert (message.text, message.interrupted) == (stop.heard_text, True)
    assert message.heard_confidence == stop.confidence


# Goodbyes


def test_a_goodbye_said_back_lets_the_call_end_once() -> None:
    driver = thinking()
    reply = reply_of(driver)
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "end_call", "{}"), writes=True))
    driver.begins()
    driver.wait(0.4)
    driver.pauses("Thank you, bye.", voiced_s=0.7)
    driver.feed(e.ToolReturned(reply, ToolResult("t1", "end_call", ToolStatus.OK)))
    driver.feed(e.SegmentWritten(reply, 0, "Goodbye, and thank you for calling."))
    driver.feed(e.PlayoutStarted(reply))
    driver.wait(0.5)
    driver.begins()
    driver.wait(0.4)
    driver.pauses("Bye bye.", voiced_s=0.4)
    driver.wait(0.5)
    driver.feed(e.ReplyFinished(reply, 2.0))
    assert not driver.all(c.StopForBargeIn)
    assert not driver.all(c.CancelReply)
    assert len(driver.all(c.StartReply)) == 1
    assert driver.last(c.EndCall).outcome is CallOutcome.COMPLETED


def test_an_afterthought_over_the_goodbye_keeps_the_call() -> None:
    driver = thinking()
    reply = reply_of(driver)
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "end_call", "{}"), writes=True))
    driver.feed(e.ToolReturned(reply, ToolResult("t1", "end_call", ToolStatus.OK)))
    driver.feed(e.SegmentWritten(reply, 0, "Goodbye, and thank you for calling."))
    driver.feed(e.PlayoutStarted(reply))
    driver.begins()
    driver.wait(0.8)
    driver.pauses("Wait, where is my order?")
    driver.wait(2)
    assert driver.last(c.StopForBargeIn).rule == "stop_word"
    assert driver.last(c.CommitTurn).text == "Wait, where is my order?"
    assert not driver.all(c.EndCall)


# Tools


def test_a_tool_that_changes_something_is_finished_before_what_was_said_counts() -> None:
    driver = thinking()
    reply = reply_of(driver)
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "cancel_order", "{}"), writes=True))
    driver.begins()
    driver.wait(0.6)
    driver.hears("no wait please do not")
    driver.wait(0.4)
    driver.pauses("No wait, please do not.")
    driver.wait(3)
    assert not driver.all(c.CancelReply)
    driver.feed(e.ToolReturned(reply, ToolResult("t1", "cancel_order", ToolStatus.OK)))
    driver.wait(1)
    assert driver.last(c.CancelReply).reason is c.CancelReason.MERGED
    assert [result.call_id for m in driver.machine.messages() if (result := m.tool_result) is not None] == ["t1"]
    assert driver.last(c.CommitTurn).text == "Please cancel my order. No wait, please do not."


def test_okay_does_not_disturb_a_tool() -> None:
    driver = thinking()
    reply = reply_of(driver)
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "cancel_order", "{}"), writes=True))
    driver.begins()
    driver.wait(0.3)
    driver.pauses("Okay.", voiced_s=0.4)
    driver.wait(1)
    driver.feed(e.ToolReturned(reply, ToolResult("t1", "cancel_order", ToolStatus.OK)))
    driver.wait(1)
    assert not driver.all(c.CancelReply)
    assert driver.last(c.DropTurn).rule == "backchannel"


def test_a_reading_tool_may_be_overtaken_by_the_callers_words() -> None:
    driver = thinking()
    driver.feed(e.ToolStarted(reply_of(driver), ToolCall("t1", "order_status", "{}")))
    driver.begins()
    driver.wait(0.6)
    driver.hears("the one from last week")
    assert driver.last(c.CancelReply).reason is c.CancelReason.MERGED


# Secrets


def test_digits_over_the_prompt_for_them_stop_it_at_once() -> None:
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY).start()
    driver.wait(6)
    driver.says("Where is my order?")
    assert driver.machine.agent is AgentState.SPEAKING
    driver.begins()
    driver.wait(0.25)
    driver.hears("", secret_digits=0)
    assert not driver.all(c.StopForBargeIn)
    driver.hears("[PIN]", secret_digits=1, confidence=0.5)
    assert driver.last(c.StopForBargeIn).rule == "digits"


# What must be heard


def disclosing() -> Driver:
    """The agent speaks a passage of two seconds that must be heard, then goes on."""
    driver = thinking()
    reply = reply_of(driver)
    driver.feed(e.SegmentWritten(reply, 0, "This call is being recorded for training.", interruptible=False))
    driver.feed(e.SegmentWritten(reply, 1, "Your order can be cancelled until it has left our house."))
    driver.feed(e.SynthesisFinished(reply, 0, 2.0))
    driver.feed(e.SynthesisFinished(reply, 1, 4.0))
    driver.feed(e.PlayoutStarted(reply))
    return driver


def test_what_is_said_over_a_passage_that_must_be_heard_is_answered_after_it() -> None:
    driver = disclosing()
    driver.begins()
    driver.wait(0.4)
    driver.hears("what about my money")
    driver.wait(0.2)
    driver.pauses("What about my money?")
    assert not driver.all(c.PausePlayout)
    driver.wait(0.5)
    assert not driver.all(c.StopForBargeIn)
    driver.wait(1.0)
    stop = driver.last(c.StopForBargeIn)
    assert stop.rule == "after_passage"
    assert stop.heard_text.startswith("This call is being recorded for training.")
    assert driver.last(c.CommitTurn).text == "What about my money?"


def test_keys_over_it_count_after_it() -> None:
    driver = disclosing()
    for key in "831#":
        driver.feed(e.DtmfReceived(key))
    driver.wait(1.5)
    assert not driver.all(c.StopForBargeIn)
    driver.wait(0.7)
    assert driver.last(c.StopForBargeIn).heard_text.startswith("This call is being recorded for training.")
    assert driver.last(c.CommitTurn).text == "831"


def test_keys_do_not_drop_what_a_tool_is_changing() -> None:
    driver = thinking()
    reply = reply_of(driver)
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "cancel_order", "{}"), writes=True))
    for key in "831#":
        driver.feed(e.DtmfReceived(key))
    driver.wait(1)
    assert not driver.all(c.CancelReply)
    driver.feed(e.ToolReturned(reply, ToolResult("t1", "cancel_order", ToolStatus.OK)))
    driver.wait(1)
    assert driver.all(c.CancelReply)
    assert driver.last(c.CommitTurn).text.endswith("831")


def test_a_backchannel_over_it_is_let_pass() -> None:
    driver = disclosing()
    driver.begins()
    driver.wait(0.3)
    driver.pauses("Okay.", voiced_s=0.3)
    driver.wait(3)
    assert not driver.all(c.PausePlayout)
    assert driver.last(c.DropTurn).rule == "backchannel"


def test_who_talks_on_beyond_it_interrupts_then() -> None:
    driver = disclosing()
    driver.wait(1.5)
    driver.begins()
    driver.wait(0.3)
    driver.hears("but I did not agree to that")
    assert not driver.all(c.StopForBargeIn)
    driver.wait(0.5)
    assert driver.last(c.StopForBargeIn).rule in ("words", "stop_word")


@pytest.mark.parametrize("text", ["", "Hm.", "Amen."])
def test_sounds_over_an_answer_leave_no_trace_in_the_dialogue(text: str) -> None:
    driver = answering()
    before = driver.machine.transcript()
    driver.begins()
    driver.wait(0.3)
    driver.feed(e.SpeechStopped(0.16, 0.3))
    driver.feed(e.TranscriptFinal(driver.last(c.OpenTurn).utterance_id, text, 0.5))
    driver.wait(0.5)
    assert driver.machine.transcript() == before


def test_an_echo_of_the_last_words_in_a_noisy_room_is_not_asked_to_say_it_again() -> None:
    driver = answering()
    while driver.machine.agent is not AgentState.IDLE:
        driver.wait(0.1)
    driver.wait(0.2)
    driver.echo, driver.level_dbfs = 0.7, USUAL_DBFS - 6
    driver.begins()
    driver.wait(0.5)
    driver.echo, driver.level_dbfs = 0.1, USUAL_DBFS
    driver.hears("without giving a")
    driver.wait(0.4)
    driver.pauses("Without giving a reason.", voiced_s=1.0)
    driver.wait(3)
    assert driver.last(c.DropTurn).rule == "echo"
    assert [say.purpose for say in driver.all(c.Say)] == [c.Purpose.GREETING]
