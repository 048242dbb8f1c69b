"""The code of a second factor, after the PIN."""

from __future__ import annotations

import pytest
from tests.unit.conversation.machine.driver import Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.agent_rules import AgentRules, Phrase
from voice_agent.conversation.machine import MachineSettings
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


def asked_for_code(**world: object) -> Driver:
    """The caller asked for a parcel and gave the right PIN."""
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY, code_digits=6, **world).start()  # type: ignore[arg-type]
    driver.wait(6)
    driver.says("Where is my parcel?")
    driver.meaning = Meaning.NONE
    driver.wait(6)
    driver.says("[PIN]", secret_digits=4)
    driver.wait(8)
    return driver


def newest_request(driver: Driver) -> str:
    return [message for message in driver.machine.messages() if message.role is Role.CALLER][-1].text


def test_a_right_pin_verifies_nobody_while_a_code_is_due() -> None:
    driver = asked_for_code()
    assert not driver.machine.verified
    assert not driver.all(c.StartReply)
    say = driver.last(c.Say)
    assert say.purpose is c.Purpose.ASK_SECRET
    assert say.segments[1] == "It is in your app."
    assert "6 digit code" in say.segments[2]
    assert driver.last(c.ExpectSecret).digits == 6
    assert driver.machine.collecting_secret
    assert driver.machine.waiting_for is OpenQuestion.PIN


@pytest.mark.parametrize("own", [("Code?",), ("Well done.", "And now the code.", "All {expected} digits!")])
def test_an_agent_asks_in_its_own_words(own: tuple[str, ...]) -> None:
    rules = AgentRules(phrases=(Phrase("en", "ask_code", own),))
    say = asked_for_code(settings=MachineSettings(agent=rules)).last(c.Say)
    assert say.segments == (*own[:-1], "It is in your app.", own[-1].format(expected=6))


def test_the_request_made_before_both_is_answered_after_both() -> None:
    driver = asked_for_code()
    driver.says("[PIN]", secret_digits=6)
    assert driver.last(c.CheckCode).digits == 6
    assert driver.machine.verified
    assert driver.last(c.StartReply).verified
    assert driver.last(c.StartReply).lead_in
    assert newest_request(driver) == "Where is my parcel?"
    assert all("PIN" not in m.text for m in driver.machine.messages())
    assert [text for _, text in driver.machine.transcript()].count("Where is my parcel?") == 1


def test_without_a_request_the_caller_is_asked_what_for() -> None:
    driver = Driver(code_digits=6).start()
    driver.wait(6)
    for _ in range(10):
        driver.feed(e.DtmfReceived(""))
    assert driver.machine.verified
    assert "How can I help you" in driver.said()


@pytest.mark.parametrize("pieces", [(2, 2, 2), (3, 3), (1, 5)])
def test_a_code_comes_in_pieces(pieces: tuple[int, ...]) -> None:
    driver = asked_for_code()
    for digits in pieces[:-1]:
        driver.says("[PIN]", secret_digits=digits)
        assert not driver.all(c.CheckCode)
    driver.says("[PIN]", secret_digits=pieces[-1])
    assert driver.machine.verified


def test_four_digits_of_six_are_waited_for_and_asked_for_in_full() -> None:
    driver = asked_for_code()
    driver.says("[PIN]", secret_digits=4)
    assert driver.last(c.CommitTurn).rule == "secret_incomplete"
    driver.wait(driver.settings.secret_patience_s)
    assert "all 6 digits of the code" in driver.said()
    driver.wait(6)
    driver.says("[PIN]", secret_digits=6)
    assert driver.last(c.CommitTurn).rule == "secret_complete"
    assert driver.machine.verified


def test_too_many_digits_are_asked_for_again() -> None:
    driver = asked_for_code()
    driver.says("[PIN]", secret_digits=7)
    assert "all 6 digits of the code" in driver.said()
    assert not driver.all(c.CheckCode)


def test_a_wrong_code_may_be_tried_again_and_the_lock_hands_over() -> None:
    driver = asked_for_code(code=SecretOutcome.WRONG)
    driver.says("[PIN]", secret_digits=6)
    assert "that code is not right" in driver.said()
    assert driver.machine.collecting_secret
    driver.wait(8)
    driver.code = SecretOutcome.LOCKED
    driver.says("[PIN]", secret_digits=6)
    assert driver.last(c.Escalate).packet.reason is PolicyReason.IDENTITY_LOCKED
    assert not driver.machine.verified


def test_an_unavailable_factor_says_so_and_the_next_proof_begins_with_the_pin() -> None:
    driver = asked_for_code(code=SecretOutcome.UNAVAILABLE)
    driver.says("[PIN]", secret_digits=6)
    assert "can't check codes" in driver.said()
    assert not driver.machine.verified
    assert not driver.machine.collecting_secret
    assert driver.last(c.ExpectSecret).digits == 4
    driver.wait(8)
    driver.meaning = Meaning.NEEDS_IDENTITY
    driver.says("So where is my parcel?")
    assert "four digit PIN" in driver.said()


@pytest.mark.parametrize(
    ("outcome", "words"), [(SecretOutcome.UNAVAILABLE, "can't check codes"), (SecretOutcome.REFUSED, "second proof")]
)
def test_a_factor_that_cannot_ask_leaves_the_caller_unverified(outcome: SecretOutcome, words: str) -> None:
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY).start()
    driver.wait(6)
    driver.says("Where is my parcel?")
    driver.wait(6)
    react = driver._react
    driver._react = lambda command: None if isinstance(command, c.CheckSecret) else react(command)  # type: ignore[method-assign]
    driver.says("[PIN]", secret_digits=4)
    driver.feed(e.CodeChecked(outcome, 0))
    assert not driver.machine.verified
    assert words in " ".join(text for say in driver.all(c.Say)[-2:] for text in say.segments)
    assert bool(driver.all(c.Escalate)) is (outcome is SecretOutcome.REFUSED)


def test_a_refused_caller_goes_to_a_human_as_somebody_who_is_not_verified() -> None:
    driver = asked_for_code(code=SecretOutcome.REFUSED)
    driver.says("[PIN]", secret_digits=6)
    packet = driver.last(c.Escalate).packet
    assert (packet.reason, packet.verified) == (PolicyReason.IDENTITY_REQUIRED, False)


def test_a_yes_to_the_other_secret_verifies_nobody() -> None:
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY).start()
    driver.wait(6)
    driver.says("Where is my parcel?")
    driver.wait(6)
    react = driver._react
    ignored = (c.CheckSecret, c.CheckCode)
    driver._react = lambda command: None if isinstance(command, ignored) else react(command)  # type: ignore[method-assign]
    driver.says("[PIN]", secret_digits=4)
    driver.feed(e.CodeChecked(SecretOutcome.VERIFIED, 3))
    assert not driver.machine.verified
    driver.feed(e.SecondFactorAsked(6))
    driver.wait(8)
    driver.says("[PIN]", secret_digits=6)
    driver.feed(e.SecretChecked(SecretOutcome.VERIFIED, 3))
    driver.feed(e.SecondFactorAsked(4))
    assert not driver.machine.verified
    driver.feed(e.CodeChecked(SecretOutcome.VERIFIED, 3))
    assert driver.machine.verified


def test_a_human_can_be_had_instead_of_a_code() -> None:
    driver = asked_for_code()
    driver.meaning = Meaning.HUMAN_WANTED
    driver.says("I don't have my telephone, give me a person please")
    packet = driver.last(c.Escalate).packet
    assert packet.reason is PolicyReason.HUMAN_REQUESTED
    assert not packet.verified
    assert "the PIN was right, the code is missing" in packet.summary


def test_the_human_reads_what_was_proved() -> None:
    driver = asked_for_code()
    driver.says("[PIN]", secret_digits=6)
    driver.wait(6)
    driver.meaning = Meaning.HUMAN_WANTED
    driver.says("Give me a person please")
    assert "verified by PIN and a second factor" in driver.last(c.Escalate).packet.summary


def test_a_short_remark_gets_the_question_for_the_code_again() -> None:
    driver = asked_for_code()
    driver.says("What code?")
    assert driver.last(c.Say).purpose is c.Purpose.ASK_SECRET
    assert "6 digit code first" in driver.said()
    driver.wait(8)
    driver.says("[PIN]", secret_digits=6)
    assert newest_request(driver) == "Where is my parcel?"


def test_another_request_in_between_asks_for_the_code_not_for_the_pin() -> None:
    driver = asked_for_code()
    driver.meaning = Meaning.NEEDS_IDENTITY
    driver.says("And where is my other order then, please?")
    assert "6 digit code first" in driver.said()
    driver.wait(8)
    driver.says("[PIN]", secret_digits=6)
    assert driver.machine.verified
    assert newest_request(driver) == "And where is my other order then, please?"


def test_a_tool_that_needs_identity_leads_to_the_code_once_the_pin_was_right() -> None:
    driver = asked_for_code()
    driver.plays = False
    driver.says("So what about the thing that I bought then?")
    reply = driver.last(c.StartReply)
    assert not reply.verified
    driver.feed(e.ToolStarted(reply.reply_id, ToolCall("t1", "order_status", "{}")))
    driver.plays = True
    denied = ToolResult("t1", "order_status", ToolStatus.DENIED, reason="identity_required")
    driver.feed(e.ToolReturned(reply.reply_id, denied))
    assert "6 digit code first" in driver.said()


def test_keys_are_the_code_and_interrupt_the_prompt() -> None:
    driver = Driver(meaning=Meaning.NEEDS_IDENTITY, code_digits=8).start()
    driver.wait(6)
    driver.says("Where is my parcel?")
    for _ in range(4):
        driver.feed(e.DtmfReceived(""))
    assert not driver.machine.verified
    for _ in range(8):
        assert driver.machine.keys_are_secret
        driver.feed(e.DtmfReceived(""))
    assert driver.machine.verified


@pytest.mark.parametrize("outcome", list(SecretOutcome))
def test_every_outcome_leaves_the_agent_speaking(outcome: SecretOutcome) -> None:
    driver = asked_for_code(code=outcome)
    said = len(driver.all(c.Say)) + len(driver.all(c.StartReply))
    driver.says("[PIN]", secret_digits=6)
    assert driver.machine.verified is (outcome is SecretOutcome.VERIFIED)
    assert len(driver.all(c.Say)) + len(driver.all(c.StartReply)) > said
