"""From log records to text frames, on calls played by the machine's own driver."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.conversation.machine.driver import Driver

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.machine import CallMachine
from voice_agent.gateway.wire import WireFold
from voice_agent.models import CallId, Meaning, OpenQuestion, ReplyId, ToolCall, ToolResult, ToolStatus, TurnId
from voice_agent.observability.record import LogRecord


@dataclass
class WiredCall(Driver):
    """A driven call whose log is folded as it grows; ``frames`` is what a client would have received."""

    frames: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._seq = 0
        self._fold = WireFold(machine=CallMachine(self.settings), in_rate_hz=8_000, out_rate_hz=24_000)

    def feed(self, event: e.Event) -> list[c.Command]:
        commands = self.machine.handle(event, self.now)
        self.log.extend((self.now, command) for command in commands)
        for entry in (event, *commands):
            self.frames += self._fold.frames(LogRecord(CallId("c1"), self._seq, self.now, entry))
            self._seq += 1
        for command in commands:
            self._react(command)
        return commands

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]


@pytest.fixture
def call() -> WiredCall:
    wired = WiredCall()
    wired.start()
    return wired


def without_t(frame: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in frame.items() if key not in ("type", "t")}


def test_a_call_begins_with_session_and_state(call: WiredCall) -> None:
    assert [frame["type"] for frame in call.frames[:2]] == ["session", "state"]
    assert without_t(call.frames[0]) == {
        "call_id": "c1",
        "caller_id": "+15550100",
        "locale": "en-US",
        "agent": "",
        "in_rate": 8_000,
        "out_rate": 24_000,
    }


def test_states_are_those_of_the_machine_and_come_once_each(call: WiredCall) -> None:
    call.wait(30 / 3)
    call.says("What is your return policy?")
    call.wait(10)
    states = [without_t(frame) for frame in call.of("state")]
    assert all(before != after for before, after in pairwise(states))
    assert [(s["caller"], s["agent"]) for s in states] == [
        ("silent", "thinking"),
        ("silent", "speaking"),
        ("silent", "idle"),
        ("speaking", "idle"),
        ("paused", "idle"),
        ("silent", "thinking"),
        ("silent", "speaking"),
        ("silent", "idle"),
    ]


def test_segments_are_announced_when_their_sound_begins(call: WiredCall) -> None:
    call.wait(10)
    greeting = call.last(c.Say).segments
    assert [frame["text"] for frame in call.of("agent_text")] == list(greeting)
    assert without_t(call.of("agent_heard")[0]) == {
        "reply_id": 1,
        "text": " ".join(greeting),
        "interrupted": False,
        "words": len(" ".join(greeting).split()),
        "of_words": len(" ".join(greeting).split()),
        "confidence": 1.0,
        "basis": "whole",
    }


def test_a_later_segment_waits_for_the_one_before() -> None:
    call = WiredCall(plays=False)
    call.start()
    for index, text in enumerate(("One two three.", "Four five six.")):
        call.feed(e.SegmentWritten(1, index, text))
        call.feed(e.SynthesisFinished(1, index, 2.0))
    assert call.of("agent_text") == []
    call.feed(e.PlayoutStarted(1))
    assert [frame["index"] for frame in call.of("agent_text")] == [0]
    call.feed(e.PlayoutAdvanced(1, 1.5))
    assert [frame["index"] for frame in call.of("agent_text")] == [0]
    call.feed(e.PlayoutAdvanced(1, 1.9))
    assert [frame["index"] for frame in call.of("agent_text")] == [0, 1]


def test_a_transcript_grows_and_ends_with_the_turns_text(call: WiredCall) -> None:
    call.wait(10)
    call.says("What is your return policy?", partial=True)
    transcripts = [without_t(frame) for frame in call.of("transcript")]
    assert transcripts[0] == {"turn_id": 1, "text": "What is your return policy?", "final": False}
    assert transcripts[-1] == {"turn_id": 1, "text": "What is your return policy?", "final": True}
    assert {frame["turn_id"] for frame in transcripts} == {1}


def test_words_that_come_after_their_turn_are_not_shown(call: WiredCall) -> None:
    call.wait(10)
    call.says("What is your return policy?")
    shown = len(call.of("transcript"))
    call.feed(e.TranscriptPartial(1, "What is your return policy and more?"))
    assert len(call.of("transcript")) == shown


def test_an_interruption_is_seen_with_what_was_heard(call: WiredCall) -> None:
    call.wait(10)
    call.answer = "This is a long answer, with a great many words, that nobody wants to hear to its end."
    call.says("What is your return policy?", lasting=1.0)
    call.begins()
    call.wait(0.3)
    call.feed(e.TranscriptPartial(2, "stop please wait"))
    call.wait(1.0)
    actions = [frame["action"] for frame in call.of("interruption")]
    assert actions[-1] == "stop"
    heard = call.of("agent_heard")[-1]
    assert heard["interrupted"] is True
    assert call.answer.startswith(heard["text"])
    assert heard["text"] != call.answer


def test_noise_is_withdrawn_and_the_agent_goes_on(call: WiredCall) -> None:
    call.wait(10)
    call.answer = "This is a long answer, with a great many words, that nobody wants to hear to its end."
    call.says("What is your return policy?", lasting=1.0)
    call.begins()
    call.wait(0.2)
    call.feed(e.TranscriptPartial(2, "mm-hmm"))
    call.pauses("mm-hmm", voiced_s=0.2)
    call.wait(1.0)
    assert [frame["action"] for frame in call.of("interruption")] == ["pause", "resume"]
    assert without_t(call.of("transcript")[-1]) == {"turn_id": 2, "text": "", "final": True}


def test_a_turn_that_goes_on_withdraws_its_first_half() -> None:
    call = WiredCall(plays=False)
    call.start()
    call.feed(e.PlayoutStarted(1))
    call.feed(e.ReplyFinished(1, 1.0))
    call.says("I want to return.")
    call.begins()
    call.wait(0.5)
    call.feed(e.TranscriptPartial(2, "my new shoes"))
    call.pauses("my new shoes.")
    call.wait(2.0)
    last = {frame["turn_id"]: frame["text"] for frame in call.of("transcript")}
    assert last == {1: "", 2: "I want to return. my new shoes."}


def test_tools_tell_name_and_status_only(call: WiredCall) -> None:
    call.feed(e.ToolStarted(1, ToolCall("t1", "order_status", '{"order_id":"83102"}')))
    call.feed(e.ToolReturned(1, ToolResult("t1", "order_status", ToolStatus.OK, {"status": "shipped"})))
    assert [without_t(frame) for frame in call.of("tool")] == [
        {"name": "order_status", "status": "started"},
        {"name": "order_status", "status": "ok"},
    ]


def test_a_handover_names_reason_and_reference_and_ends_the_call(call: WiredCall) -> None:
    call.wait(10)
    call.meaning = Meaning.HUMAN_WANTED
    call.says("I want to speak to a human.")
    call.wait(30)
    assert [without_t(frame) for frame in call.of("escalation")] == [
        {"reason": "human_requested", "reference": "CB-23467"}
    ]
    assert call.frames[-1]["type"] == "end"
    assert without_t(call.frames[-1]) == {"outcome": "escalated", "reason": "human_requested"}


def test_waiting_for_a_pin_and_verified_are_states(call: WiredCall) -> None:
    call.wait(10)
    call.meaning = Meaning.NEEDS_IDENTITY
    call.says("Where is my order?")
    call.wait(10)
    assert call.of("state")[-1]["waiting_for"] == "pin"
    assert call.of("state")[-1]["verified"] is False
    call.meaning = Meaning.NONE
    call.says("[PIN]", secret_digits=4)
    call.wait(10)
    assert call.of("state")[-1]["verified"] is True


def test_latencies_add_up(call: WiredCall) -> None:
    call.wait(10)
    call.says("What is your return policy?")
    call.wait(5)
    (metrics,) = call.of("metrics")
    parts = metrics["asr_ms"] + metrics["llm_ms"] + metrics["tts_ms"] + metrics["remainder_ms"]
    assert parts == pytest.approx(metrics["turn_ms"], abs=0.5)
    assert metrics["turn_id"] == 1


def test_time_never_runs_back(call: WiredCall) -> None:
    call.wait(10)
    call.says("What is your return policy?")
    call.wait(60)
    times = [frame["t"] for frame in call.frames]
    assert times == sorted(times)


def test_a_change_of_provider_is_told(call: WiredCall) -> None:
    call.feed(e.ProviderSwitched(e.Stage.LLM, "openai", "builtin", "timeout"))
    assert without_t(call.of("provider")[0]) == {
        "stage": "llm",
        "previous": "openai",
        "provider": "builtin",
        "reason": "timeout",
    }


def test_a_filler_is_shown_where_it_was_heard(call: WiredCall) -> None:
    call.wait(20)
    reply = ReplyId(50)
    call.frames.clear()
    call._fold.frames(LogRecord(CallId("c1"), 1, call.now, c.StartReply(reply, TurnId(1), OpenQuestion.NONE, False)))
    for event in (
        e.SegmentWritten(reply, 0, "Within thirty days."),
        e.FillerSpoken(reply, 0, "One moment, please.", 1.0),
        e.PlayoutStarted(reply),
        e.SynthesisFinished(reply, 0, 1.2),
        e.PlayoutAdvanced(reply, 1.1),
    ):
        call.frames += call._fold.frames(LogRecord(CallId("c1"), 2, call.now, event))
    shown = [frame["text"] for frame in call.of("agent_text")]
    assert shown == ["One moment, please.", "Within thirty days."]


def test_a_filler_before_a_segment_that_waits_for_its_sound_is_shown_before_it(call: WiredCall) -> None:
    call.wait(20)
    reply = ReplyId(50)
    call.frames.clear()
    call._fold.frames(LogRecord(CallId("c1"), 1, call.now, c.StartReply(reply, TurnId(1), OpenQuestion.NONE, False)))
    for event in (
        e.SegmentWritten(reply, 0, "Within thirty days."),
        e.SynthesisBegan(reply, 0),
        e.PlayoutStarted(reply),
        e.SynthesisFinished(reply, 0, 1.2),
        e.SegmentWritten(reply, 1, "With the receipt."),
        e.PlayoutAdvanced(reply, 1.2),
        e.FillerSpoken(reply, 1, "One moment, please.", 1.0),
        e.PlayoutAdvanced(reply, 1.9),
        e.SynthesisBegan(reply, 1),
        e.PlayoutAdvanced(reply, 2.3),
    ):
        call.frames += call._fold.frames(LogRecord(CallId("c1"), 2, call.now, event))
    shown = [(frame["index"], frame["text"]) for frame in call.of("agent_text")]
    assert shown == [(0, "Within thirty days."), (1, "One moment, please."), (2, "With the receipt.")]
