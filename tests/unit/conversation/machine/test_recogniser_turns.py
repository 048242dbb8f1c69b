"""Recognisers that judge turns themselves: what ends a turn, what begins a draft, and what takes both back."""

from __future__ import annotations

from tests.unit.conversation.machine.driver import Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e

UNSURE = 0.1  # what our own end-of-turn model says of it


def talking(words: str = "I want to return the tent", **changes: object) -> Driver:
    """The caller has paused after ``words``, which our own judgement would wait long for."""
    driver = Driver(score=UNSURE, **changes).start()  # type: ignore[arg-type]
    driver.wait(6.0)
    driver.begins()
    driver.wait(0.9)
    driver.pauses(words)
    return driver


def ends(driver: Driver, words: str) -> None:
    driver.feed(e.TranscriptFinal(driver._utterance, words, 0.9, ends_turn=True))


def test_a_sure_end_of_turn_commits_at_once() -> None:
    driver = talking()
    assert not driver.all(c.CommitTurn)
    ends(driver, "I want to return the tent")
    assert driver.last(c.CommitTurn).rule == "recogniser"


def test_a_sure_end_before_our_pause_commits_after_the_shortest_silence() -> None:
    driver = Driver(score=UNSURE).start()
    driver.wait(6.0)
    driver.begins()
    driver.wait(0.9)
    ends(driver, "I want to return the tent")
    assert not driver.all(c.CommitTurn)
    driver.wait(0.16)
    driver.feed(e.SpeechStopped(0.16, 0.9))
    driver.wait(0.05)
    assert driver.last(c.CommitTurn).rule == "recogniser"


def test_a_sure_end_does_not_outweigh_a_request_to_wait() -> None:
    driver = talking("Hold on, let me get it")
    ends(driver, "Hold on, let me get it")
    driver.wait(1.0)
    assert not driver.all(c.CommitTurn)


def test_a_sure_end_does_not_cut_a_number_short() -> None:
    driver = talking("My order number is eight three")
    ends(driver, "My order number is eight three")
    driver.wait(1.0)
    assert not driver.all(c.CommitTurn)


def test_speech_after_a_sure_end_that_came_too_soon_keeps_the_turn_open() -> None:
    driver = Driver(score=UNSURE).start()
    driver.wait(6.0)
    driver.begins()
    driver.wait(0.9)
    ends(driver, "I want to return")
    driver.feed(e.TranscriptPartial(driver._utterance, "I want to return the tent"))
    driver.wait(0.1)
    driver.pauses("I want to return the tent")
    driver.wait(0.2)
    assert not driver.all(c.CommitTurn)
    driver.wait(2.0)
    assert driver.last(c.CommitTurn).text == "I want to return the tent"


def test_a_likely_end_begins_a_draft_and_taking_it_back_drops_the_draft() -> None:
    driver = Driver(score=0.9).start()
    driver.wait(6.0)
    driver.begins()
    driver.wait(0.9)
    driver.feed(e.TranscriptFinal(driver._utterance, "Where is my parcel?", 0.9))
    drafts = [reply for reply in driver.all(c.StartReply) if reply.draft]
    assert len(drafts) == 1
    driver.feed(e.TranscriptPartial(driver._utterance, "Where is my parcel?", resumed=True))
    cancelled = driver.last(c.CancelReply)
    assert (cancelled.reply_id, cancelled.reason) == (drafts[0].reply_id, c.CancelReason.SPECULATION)
    driver.pauses("Where is my parcel and my coat?")
    driver.wait(2.0)
    assert driver.last(c.CommitTurn).text == "Where is my parcel and my coat?"
    assert driver.last(c.StartReply).reply_id != drafts[0].reply_id
