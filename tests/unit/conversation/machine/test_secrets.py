"""The PIN: asked for, spoken, keyed, wrong, locked; and what was asked before it is answered after it."""

from __future__ import annotations

import pytest
from tests.unit.conversation.machine.driver import Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.models import (
    Meaning,
    OpenQuestion,
    PolicyReason,
    Role,
    SecretOutcome,
    ToolCall,
    ToolResult,
    ToolStatus,
)


def newest_request(driver: Driver) -> str:
    """What a model sees as the caller's last words."""
    return [m.text for m in driver.machine.messages() if m.role is Role.CALLER][-1]


def asked_for_pin(**options: object) -> Driver:
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY, **options).start()  # type: ignore[arg-type]
    driver.wait(6)
    driver.says("Where is my parcel?")
    driver.meaning = Meaning.NONE
    driver.wait(6)
    assert driver.machine.collecting_secret
    return driver


def test_a_request_that_needs_identity_asks_for_the_pin() -> None:
    driver = asked_for_pin()
    assert driver.last(c.Say).purpose is c.Purpose.ASK_SECRET
    assert driver.machine.waiting_for is OpenQuestion.PIN
    assert not driver.all(c.StartReply)


def test_the_request_made_before_the_pin_is_answered_after_it() -> None:
    driver = asked_for_pin(answer="It arrives tomorrow.")
    driver.says("[PIN]", secret_digits=4)
    assert driver.last(c.CheckSecret).digits == 4
    reply = driver.last(c.StartReply)
    assert reply.verified
    assert reply.lead_in
    last_caller = [m for m in driver.machine.messages() if m.role is Role.CALLER][-1]
    assert last_caller.text == "Where is my parcel?"
    assert all("PIN" not in m.text for m in driver.machine.messages())
    assert ("user", "[PIN]") in driver.machine.transcript()


def test_digits_in_two_breaths_are_one_pin() -> None:
    driver = asked_for_pin()
    driver.says("[PIN]", secret_digits=2)
    assert not driver.all(c.CheckSecret)
    driver.says("[PIN]", secret_digits=2)
    assert driver.all(c.CheckSecret)


@pytest.mark.parametrize("pause_s", [0.0, 0.5, 1.0, 1.7, 3.0])
def test_digits_spoken_first_and_keyed_then_are_one_pin(pause_s: float) -> None:
    driver = asked_for_pin()
    driver.begins()
    driver.wait(0.8)
    driver.pauses("[PIN]", secret_digits=2)
    driver.wait(pause_s)
    driver.feed(e.DtmfReceived(""))
    assert not driver.all(c.CheckSecret)
    driver.feed(e.DtmfReceived(""))
    assert driver.last(c.CheckSecret).digits == 4
    assert driver.machine.verified


def test_digits_of_a_partial_count_where_a_key_ends_their_turn() -> None:
    driver = asked_for_pin()
    driver.begins()
    driver.wait(0.8)
    driver.hears("[PIN]", secret_digits=2)
    driver.feed(e.DtmfReceived(""))
    driver.feed(e.TranscriptFinal(driver.last(c.DropTurn).turn_id, "[PIN]", 0.9, 3))
    assert not driver.all(c.CheckSecret)
    driver.feed(e.DtmfReceived(""))
    assert len(driver.all(c.CheckSecret)) == 1


def test_keys_behind_a_whole_spoken_pin_change_nothing() -> None:
    driver = asked_for_pin()
    driver.says("[PIN]", secret_digits=1)
    driver.begins()
    driver.wait(0.8)
    driver.hears("[PIN]", secret_digits=4)
    driver.feed(e.DtmfReceived(""))
    assert driver.last(c.CheckSecret).digits == 4


def test_a_whole_pin_is_not_made_of_more_parts_than_it_has_digits() -> None:
    driver = asked_for_pin()
    driver.says("[PIN]", secret_digits=1)
    driver.begins()
    driver.wait(0.8)
    driver.hears("[PIN]", secret_digits=3)
    driver.feed(e.DtmfReceived(""))
    assert not driver.all(c.CheckSecret)
    assert "4 digits" in driver.said()


def test_too_few_digits_are_asked_for_again_and_forgotten() -> None:
    driver = asked_for_pin()
    driver.says("[PIN]", secret_digits=3)
    driver.wait(driver.settings.secret_patience_s)
    assert "4 digits" in driver.said()
    assert driver.all(c.DiscardSecret)
    driver.wait(6)
    driver.says("[PIN]", secret_digits=4)
    assert driver.all(c.CheckSecret)


def test_a_wrong_pin_may_be_tried_again_and_the_lock_hands_over() -> None:
    driver = asked_for_pin(secret=SecretOutcome.WRONG)
    driver.says("[PIN]", secret_digits=4)
    assert "does not match" in driver.said()
    assert driver.machine.collecting_secret
    driver.wait(6)
    driver.secret = SecretOutcome.LOCKED
    driver.says("[PIN]", secret_digits=4)
    assert driver.last(c.Escalate).packet.reason is PolicyReason.IDENTITY_LOCKED
    assert not driver.machine.verified


def test_an_unknown_caller_hears_the_same_as_after_a_wrong_pin() -> None:
    spoken = []
    for outcome in (SecretOutcome.WRONG, SecretOutcome.UNKNOWN_CALLER):
        driver = asked_for_pin(secret=outcome)
        driver.says("[PIN]", secret_digits=4)
        spoken.append(driver.said())
    assert spoken[0] == spoken[1]


def test_keys_are_secret_while_a_pin_is_awaited_and_interrupt_the_prompt() -> None:
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY).start()
    driver.wait(6)
    driver.says("Where is my parcel?")
    assert driver.machine.keys_are_secret
    for _ in range(4):
        driver.feed(e.DtmfReceived(""))
    assert driver.last(c.CheckSecret).digits == 4
    assert driver.machine.verified


def test_a_pin_keyed_unasked_proves_the_caller() -> None:
    driver = Driver().start()
    driver.wait(6)
    assert driver.machine.keys_are_secret
    for _ in range(4):
        driver.feed(e.DtmfReceived(""))
    assert driver.machine.verified
    assert driver.machine.keys_are_secret, "a PIN that is keyed once more must not become a turn"
    assert driver.feed(e.DtmfReceived("")) == []


def test_a_human_can_be_had_instead_of_a_pin() -> None:
    driver = asked_for_pin()
    driver.meaning = Meaning.HUMAN_WANTED
    driver.says("I forgot it, give me a person please")
    assert driver.last(c.Escalate).packet.reason is PolicyReason.HUMAN_REQUESTED


def test_another_question_is_answered_instead_of_insisting() -> None:
    driver = asked_for_pin()
    driver.says("Never mind, what is your return policy?")
    assert driver.last(c.StartReply)
    driver.wait(3)
    driver.says("[PIN]", secret_digits=4)  # found after all
    assert driver.machine.verified
    assert newest_request(driver) == "Where is my parcel?"
    assert [text for _, text in driver.machine.transcript()].count("Where is my parcel?") == 1


def test_a_short_remark_gets_the_question_again() -> None:
    driver = asked_for_pin()
    driver.says("Hello there?")
    assert driver.last(c.Say).purpose is c.Purpose.ASK_SECRET
    assert driver.machine.collecting_secret


@pytest.mark.parametrize("remark", ["Hello?", "What?"])
def test_a_short_remark_after_an_ordinary_turn_gets_the_question_again_too(remark: str) -> None:
    driver = Driver().start()
    driver.wait(6)
    driver.says("What is your return policy?")
    driver.wait(6)
    driver.meaning = Meaning.NEEDS_IDENTITY
    driver.says("And where is my parcel?")
    driver.meaning = Meaning.NONE
    answered = len(driver.all(c.StartReply))
    for _ in range(2):
        driver.wait(6)
        driver.says(remark)
        assert driver.last(c.Say).purpose is c.Purpose.ASK_SECRET
    assert len(driver.all(c.StartReply)) == answered
    driver.wait(6)
    driver.says(remark)
    assert len(driver.all(c.StartReply)) == answered + 1, "not for ever"


def test_a_longer_remark_uses_the_short_ones_up_until_the_secret_is_asked_for_anew() -> None:
    driver = asked_for_pin(secret=SecretOutcome.WRONG)
    driver.says("Never mind, what is your return policy?")
    driver.wait(6)
    driver.says("Hello?")
    assert len(driver.all(c.StartReply)) == 2
    driver.wait(6)
    driver.says("[PIN]", secret_digits=4)
    assert "does not match" in driver.said()
    driver.wait(6)
    driver.says("Sorry?")
    assert len(driver.all(c.StartReply)) == 2
    assert driver.last(c.Say).purpose is c.Purpose.ASK_SECRET


def test_a_tool_that_is_denied_for_identity_leads_to_the_pin() -> None:
    driver = Driver(plays=False).start()
    driver.says("hm the thing I bought")
    reply = driver.last(c.StartReply).reply_id
    driver.feed(e.ToolStarted(reply, ToolCall("t1", "order_status", "{}")))
    driver.plays = True
    driver.feed(e.ToolReturned(reply, ToolResult("t1", "order_status", ToolStatus.DENIED, reason="identity_required")))
    assert driver.last(c.Say).purpose is c.Purpose.ASK_SECRET
    assert driver.machine.collecting_secret


@pytest.mark.parametrize("outcome", list(SecretOutcome))
def test_every_outcome_leaves_the_agent_speaking(outcome: SecretOutcome) -> None:
    driver = asked_for_pin(secret=outcome)
    driver.says("[PIN]", secret_digits=4)
    assert driver.machine.verified is (outcome is SecretOutcome.VERIFIED)
    assert driver.last(c.Say) or driver.last(c.StartReply)


def test_the_request_survives_when_the_caller_goes_on_with_digits() -> None:
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY).start()
    driver.wait(6)
    driver.plays = False
    driver.begins()
    driver.wait(0.8)
    driver.pauses("Where is my parcel")
    driver.wait(0.05)
    driver.begins()
    driver.wait(1.5)
    driver.plays = True
    driver.pauses("it's number [PIN]", secret_digits=5)
    driver.wait(8)
    assert "4 digits" in driver.said()
    driver.says("[PIN]", secret_digits=4)
    assert driver.machine.verified
    assert newest_request(driver) == "Where is my parcel"


def test_a_short_remark_is_not_what_gets_answered_after_the_pin() -> None:
    driver = asked_for_pin()
    driver.says("One moment please.")
    driver.wait(6)
    driver.says("[PIN]", secret_digits=4)
    assert newest_request(driver) == "Where is my parcel?"


def test_a_pin_keyed_while_the_request_is_still_being_decided_proves_it() -> None:
    driver = Driver(plays=True).start()
    driver.wait(6)
    driver.plays = False
    driver.says("Where is my parcel?")
    for _ in range(4):
        driver.feed(e.DtmfReceived(""))
    assert driver.machine.verified
    assert newest_request(driver) == "Where is my parcel?"
    assert driver.last(c.StartReply).verified


def test_digits_that_were_taken_back_cost_no_try() -> None:
    driver = asked_for_pin(secret=SecretOutcome.INCOMPLETE)
    driver.says("[PIN]", secret_digits=4)
    assert "4 digits" in driver.said()
    assert driver.machine.collecting_secret


def test_speech_that_begins_while_the_pin_is_checked_holds_the_answer_back() -> None:
    driver = asked_for_pin()
    react = driver._react
    driver._react = lambda command: None if isinstance(command, c.CheckSecret) else react(command)  # type: ignore[method-assign]
    driver.says("[PIN]", secret_digits=4)
    pin_turn = driver.last(c.CommitTurn).turn_id
    driver.begins()
    driver.feed(e.SecretChecked(SecretOutcome.VERIFIED, 3))
    reply = driver.last(c.StartReply)
    assert driver.last(c.PausePlayout).reply_id == reply.reply_id
    assert reply.turn_id == pin_turn
    driver.wait(0.8)
    driver.pauses("actually tell me about the other one")
    driver.wait(2)
    assert "the other one" in driver.last(c.CommitTurn).text


def test_a_cough_between_the_digits_does_not_forget_to_ask_for_the_rest() -> None:
    driver = asked_for_pin()
    driver.says("[PIN]", secret_digits=2)
    driver.begins()
    driver.wait(0.2)
    driver.pauses("", voiced_s=0.2)
    driver.wait(driver.settings.secret_patience_s + 0.1)
    assert "4 digits" in driver.said()


def test_a_late_final_does_not_make_a_turn_of_a_pin() -> None:
    driver = asked_for_pin()
    driver.begins()
    driver.feed(e.TranscriptPartial(driver.last(c.OpenTurn).utterance_id, "[PIN]", secret_digits=4))
    driver.wait(1.0)
    driver.feed(e.SpeechStopped(silence_s=0.16, voiced_s=1.0))
    driver.wait(4)
    assert driver.all(c.CheckSecret)
    assert not driver.all(c.StartReply) or driver.last(c.StartReply).verified
