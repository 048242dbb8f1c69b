"""Interruptions: who yields, who goes on, and what of the agent's words was heard."""

from __future__ import annotations

import pytest
from tests.unit.conversation.machine.driver import CHARS_PER_S, Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.states import AgentState
from voice_agent.models import Role

ANSWER = "You can return any item within thirty days of delivery, free of charge and without giving a reason."


def answering(answer: str = ANSWER) -> Driver:
    """A call in which the agent has just begun a long answer."""
    driver = Driver(answer=answer).start()
    driver.wait(6)
    driver.begins()
    driver.wait(0.8)
    driver.pauses("What is your return policy?")
    driver.wait(0.1)
    assert driver.machine.agent is AgentState.SPEAKING
    return driver


def test_speech_pauses_the_agent_at_once() -> None:
    driver = answering()
    driver.wait(1.0)
    onset = driver.now - 0.06
    driver.begins()
    driver.wait(0.1)
    paused_at = next(at for at, command in driver.log if isinstance(command, c.PausePlayout))
    assert paused_at - onset == pytest.approx(driver.settings.barge_in.pause_s)


def test_words_stop_the_agent_and_history_holds_what_was_heard() -> None:
    driver = answering()
    driver.wait(2.0)
    driver.begins()
    driver.wait(0.3)
    driver.feed(e.TranscriptPartial(driver.last(c.OpenTurn).utterance_id, "but what about"))
    stop = driver.last(c.StopForBargeIn)
    assert ANSWER.startswith(stop.heard_text)
    assert len(stop.heard_text) == pytest.approx(2.1 * CHARS_PER_S, abs=12)
    agent = [m for m in driver.machine.messages() if m.role is Role.AGENT][-1]
    assert agent.text == stop.heard_text
    assert agent.interrupted
    driver.wait(0.6)
    driver.pauses("but what about shoes?")
    driver.wait(2)
    assert driver.last(c.CommitTurn).text == "but what about shoes?"


@pytest.mark.parametrize("text", ["Mm-hmm.", "Okay.", "Right.", "", "Uh-huh.", "Eh-ha!"])
def test_a_backchannel_or_a_cough_only_pauses(text: str) -> None:
    driver = answering()
    driver.wait(1.5)
    driver.begins()
    driver.wait(0.3)
    driver.pauses(text, voiced_s=0.4)
    driver.wait(0.1)
    assert len(driver.all(c.PausePlayout)) == len(driver.all(c.ResumePlayout)) == 1
    driver.wait(10)
    assert not driver.all(c.StopForBargeIn)
    agent = [m for m in driver.machine.messages() if m.role is Role.AGENT][-1]
    assert agent.text == ANSWER
    assert not agent.interrupted


def test_a_click_shorter_than_the_pause_threshold_does_not_even_pause() -> None:
    driver = answering()
    driver.begins()
    driver.wait(0.01)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=0.06))
    driver.wait(0.05)
    assert not driver.all(c.PausePlayout)


@pytest.mark.parametrize("text", ["stop", "Wait.", "No.", "Hold on"])
def test_a_stop_word_stops_at_once(text: str) -> None:
    driver = answering()
    driver.wait(1)
    driver.begins()
    driver.wait(0.25)
    driver.feed(e.TranscriptPartial(driver.last(c.OpenTurn).utterance_id, text))
    assert driver.last(c.StopForBargeIn).rule == "stop_word"


def test_a_long_sound_without_words_lets_the_agent_go_on() -> None:
    driver = answering()
    driver.begins()
    driver.wait(driver.settings.barge_in.patience_s + 0.2)
    assert driver.all(c.ResumePlayout)
    assert not driver.all(c.StopForBargeIn)
    driver.feed(e.TranscriptPartial(driver.last(c.OpenTurn).utterance_id, "can you hear me"))
    assert driver.last(c.StopForBargeIn).rule == "words", "once there are words, it was somebody speaking"


def test_yes_to_a_question_that_was_heard_is_an_answer() -> None:
    driver = answering("Shall I connect you with a colleague?")
    driver.wait(2.3)
    driver.begins()
    driver.wait(0.3)
    driver.pauses("Yes.", voiced_s=0.4)
    driver.wait(1)
    assert driver.last(c.StopForBargeIn).rule == "answer"
    assert driver.last(c.CommitTurn).text == "Yes."


def test_a_passage_that_is_not_interruptible_is_finished() -> None:
    driver = Driver().start()
    driver.wait(6)
    driver.feed(e.StageFailed(e.Stage.ASR, "network"))  # a handover: its words are not interruptible
    driver.wait(0.5)
    driver.says("wait, stop, no")
    assert not driver.all(c.StopForBargeIn)
    driver.wait(15)
    assert driver.all(c.EndCall)


def test_a_reply_that_ends_while_the_caller_talks_leaves_a_normal_turn() -> None:
    driver = answering("Yes, we do.")
    driver.begins()
    driver.wait(0.05)
    reply = driver.last(c.StartReply).reply_id
    driver.feed(e.ReplyFinished(reply, 0.8))
    driver.wait(1)
    driver.pauses("And how long does it take?")
    driver.wait(1)
    assert driver.last(c.CommitTurn).text == "And how long does it take?"
    assert not driver.all(c.StopForBargeIn)


def test_a_key_interrupts() -> None:
    driver = answering()
    driver.wait(1)
    driver.feed(e.DtmfReceived("5"))
    assert driver.last(c.StopForBargeIn).rule == "keypad"


def test_events_of_a_cancelled_reply_are_dropped() -> None:
    driver = answering()
    driver.wait(1)
    stale = driver.last(c.StartReply).reply_id
    driver.feed(e.DtmfReceived("5"))
    before = driver.machine.messages()
    for event in (
        e.SegmentWritten(stale, 1, "more"),
        e.PlayoutAdvanced(stale, 3.0),
        e.ReplyFinished(stale, 9.0),
        e.ReplyFailed(stale, e.Stage.TTS, "network"),
    ):
        assert driver.feed(event) == []
    assert driver.machine.messages() == before


def test_a_mumble_that_was_taken_for_words_only_pauses() -> None:
    driver = answering()
    driver.wait(1.5)
    driver.begins()
    driver.wait(0.3)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=0.45))
    driver.feed(e.TranscriptFinal(driver.last(c.OpenTurn).utterance_id, "In a mum.", 0.63))
    assert not driver.all(c.ResumePlayout), "it may be the first of several words"
    driver.wait(0.4)
    assert driver.last(c.DropTurn).rule == "mumble"
    assert driver.all(c.ResumePlayout)
    assert not driver.all(c.StopForBargeIn)


def test_a_mumble_that_goes_on_is_an_interruption_without_the_agent_going_on_between() -> None:
    driver = answering()
    driver.wait(1.5)
    driver.begins()
    driver.wait(0.3)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=0.45))
    utterance = driver.last(c.OpenTurn).utterance_id
    driver.feed(e.TranscriptFinal(utterance, "Acts.", 0.63))
    driver.wait(0.1)
    driver.begins()
    driver.wait(0.6)
    driver.feed(e.TranscriptPartial(utterance, "Actually, do gift"))
    assert driver.all(c.StopForBargeIn)
    assert not driver.all(c.ResumePlayout)
