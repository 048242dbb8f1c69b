"""Totality and whole-call invariants: any event, in any state, in any order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.conversation.states import CallState
from voice_agent.models import (
    CallId,
    Meaning,
    MeaningScore,
    ReplyId,
    SecretOutcome,
    ToolCall,
    ToolResult,
    ToolStatus,
    TransferReceipt,
    TurnId,
    UtteranceId,
)

small = st.integers(min_value=1, max_value=6)
texts = st.sampled_from(
    ["", "mm-hmm", "where is my order", "yes", "stop", "[PIN]", "no I meant", "83102", "my order is"]
)
seconds = st.floats(min_value=0, max_value=4, allow_nan=False)
meanings = st.sampled_from(list(Meaning)).map(lambda m: (MeaningScore(m, 0.9, m is not Meaning.NONE),))
results = st.builds(
    ToolResult,
    call_id=st.sampled_from(["a", "b"]),
    name=st.sampled_from(["order_status", "transfer_to_human", "end_call"]),
    status=st.sampled_from(list(ToolStatus)),
    reason=st.sampled_from(["", "identity_required", "timeout"]),
)
replies = small.map(ReplyId)
utterances = small.map(UtteranceId)
events = st.one_of(
    st.just(e.CallStarted(CallId("c"), "x", "en-US", "en-US", "")),
    st.builds(e.SpeechStarted, voiced_s=st.floats(0.03, 0.2)),
    st.builds(e.SpeechStopped, silence_s=st.floats(0.1, 0.3), voiced_s=seconds),
    st.builds(e.TranscriptPartial, utterance_id=utterances, text=texts, resumed=st.booleans()),
    st.builds(
        e.TranscriptFinal,
        utterance_id=utterances,
        text=texts,
        secret_digits=st.integers(0, 5),
        ends_turn=st.booleans(),
    ),
    st.builds(e.TurnScored, utterance_id=utterances, probability=st.floats(0, 1)),
    st.builds(e.DtmfReceived, key=st.sampled_from(["", "1", "*", "#"])),
    st.builds(e.TurnUnderstood, turn_id=small.map(TurnId), meanings=meanings, request=small),
    st.builds(e.SecretChecked, outcome=st.sampled_from(list(SecretOutcome)), attempts_left=st.just(1)),
    st.builds(e.SecondFactorAsked, digits=st.integers(4, 8), sentence=st.sampled_from(["", "It is in your app."])),
    st.builds(e.CodeChecked, outcome=st.sampled_from(list(SecretOutcome)), attempts_left=st.just(1)),
    st.builds(e.LlmStarted, reply_id=replies, round=st.just(1)),
    st.builds(e.LlmAnswered, reply_id=replies, round=st.just(1)),
    st.builds(
        e.FillerSpoken,
        reply_id=replies,
        before_index=st.integers(0, 2),
        text=st.just("One moment."),
        duration_s=seconds,
    ),
    st.builds(e.PlayoutStarved, reply_id=replies),
    st.builds(e.SegmentWritten, reply_id=replies, index=st.integers(0, 2), text=texts.filter(bool)),
    st.builds(e.LlmFinished, reply_id=replies, round=st.just(1), text=texts),
    st.builds(e.ToolStarted, reply_id=replies, tool_call=st.just(ToolCall("a", "order_status", "{}"))),
    st.builds(e.ToolReturned, reply_id=replies, result=results),
    st.builds(e.SynthesisStarted, reply_id=replies, index=st.integers(0, 2)),
    st.builds(e.SynthesisBegan, reply_id=replies, index=st.integers(0, 2)),
    st.builds(e.SynthesisFinished, reply_id=replies, index=st.integers(0, 2), duration_s=seconds),
    st.builds(e.PlayoutStarted, reply_id=replies),
    st.builds(e.PlayoutAdvanced, reply_id=replies, heard_s=seconds),
    st.builds(e.ReplyFinished, reply_id=replies, heard_s=seconds),
    st.builds(
        e.ReplyFailed,
        reply_id=replies,
        stage=st.sampled_from(list(e.Stage)),
        category=st.just("network"),
        exhausted=st.booleans(),
    ),
    st.builds(
        e.ProviderSwitched,
        stage=st.sampled_from(list(e.Stage)),
        previous=st.just("a"),
        provider=st.just("b"),
        reason=st.just("network"),
    ),
    st.builds(e.StageFailed, stage=st.sampled_from(list(e.Stage)), category=st.just("timeout")),
    st.builds(e.TransferFinished, receipt=st.sampled_from([None, TransferReceipt("CB-1", False)])),
    st.builds(e.CallerHungUp, reason=st.sampled_from(["hangup", "lost", "shutdown"])),
    st.just(e.TimerFired()),
)
rare = st.one_of(st.builds(e.CallerHungUp, reason=st.just("hangup")), st.just(None))
steps = st.lists(st.tuples(seconds, events), max_size=60)


def play(sequence: list[tuple[float, e.Event]], settings: MachineSettings | None = None) -> list[list[c.Command]]:
    """The commands of each event of a call; the first event always admits it."""
    machine = CallMachine(settings)
    out = [machine.handle(e.CallStarted(CallId("c"), "x", "en-US", "en-US", ""), 0.0)]
    now = 0.0
    for gap, event in sequence:
        now += gap
        out.append(machine.handle(event, now))
    return out


@settings(max_examples=400, deadline=None)
@given(steps)
def test_any_event_in_any_state_is_legal_and_the_call_stays_sane(sequence: list[tuple[float, e.Event]]) -> None:
    batches = play(sequence)
    live: set[int] = set()
    opened: list[int] = []
    ended = False
    for batch in batches:
        for command in batch:
            assert not ended, f"{command} after the end of the call"
            match command:
                case c.Say(reply_id=reply_id) | c.StartReply(reply_id=reply_id):
                    assert reply_id not in live
                    live.add(reply_id)
                case c.StopForBargeIn(reply_id=reply_id) | c.CancelReply(reply_id=reply_id):
                    assert reply_id in live, "a reply is cancelled that does not live"
                    live.discard(reply_id)
                case c.PausePlayout(reply_id=r) | c.ResumePlayout(reply_id=r) | c.ReleaseReply(reply_id=r):
                    assert r in live
                case c.OpenTurn(turn_id=turn_id):
                    assert not opened, "two turns are open"
                    opened.append(turn_id)
                case c.CommitTurn(turn_id=turn_id) | c.DropTurn(turn_id=turn_id):
                    assert opened == [turn_id]
                    opened.clear()
                case c.EndCall():
                    ended = True
                case _:
                    pass
        # Replies also end by being finished or failing, which is an event; then at most one new one begins.
        newest = max(live, default=0)
        live = {newest} - {0}


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_same_events_give_the_same_commands(sequence: list[tuple[float, e.Event]]) -> None:
    assert play(sequence) == play(sequence)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_every_call_ends_by_itself_when_nobody_acts(sequence: list[tuple[float, e.Event]]) -> None:
    """Whatever happened before, time alone (with replies that fail or finish) brings the call to its end."""
    machine = CallMachine(MachineSettings(session_ttl_s=300))
    machine.handle(e.CallStarted(CallId("c"), "x", "en-US", "en-US", ""), 0.0)
    now = 0.0
    newest = 1
    for gap, event in [*sequence, *[(0.0, e.TimerFired())] * 400]:
        now += gap
        if event == e.TimerFired() and gap == 0.0:
            deadline = machine.deadline()
            now = max(now, deadline) if deadline is not None else now + 1
        for command in machine.handle(event, now):
            newest = max(newest, getattr(command, "reply_id", 0))
        if event == e.TimerFired():
            machine.handle(e.ReplyFinished(ReplyId(newest), 1.0), now)
        if machine.call is CallState.ENDED:
            return
    raise AssertionError(f"the call is still {machine.call}")


@settings(max_examples=200, deadline=None)
@given(steps)
def test_heard_text_never_exceeds_what_was_written(sequence: list[tuple[float, e.Event]]) -> None:
    machine = CallMachine()
    machine.handle(e.CallStarted(CallId("c"), "x", "en-US", "en-US", ""), 0.0)
    now, written = 0.0, set[str]()
    for gap, event in sequence:
        now += gap
        if isinstance(event, e.SegmentWritten):
            written.update(event.text.split())
        for command in machine.handle(event, now):
            if isinstance(command, c.StopForBargeIn):
                assert set(command.heard_text.split()) <= written


proofs = st.lists(
    st.one_of(
        st.builds(e.DtmfReceived, key=st.just("")),
        st.builds(e.SecretChecked, outcome=st.sampled_from(list(SecretOutcome)), attempts_left=st.just(1)),
        st.builds(e.SecondFactorAsked, digits=st.integers(4, 8)),
        st.builds(e.CodeChecked, outcome=st.sampled_from(list(SecretOutcome)), attempts_left=st.just(1)),
        st.just(e.ReplyFinished(ReplyId(1), 1.0)),
        events,
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(st.booleans(), proofs)
def test_nobody_is_verified_but_by_the_answer_to_the_newest_check(code_due: bool, sequence: list[e.Event]) -> None:
    """A PIN's yes counts while a PIN is checked, a code's while a code is; whatever else happens verifies nobody."""
    machine = CallMachine()
    machine.handle(e.CallStarted(CallId("c"), "x", "en-US", "en-US", ""), 0.0)
    asked: c.CheckSecret | c.CheckCode | None = None
    pin: list[e.Event] = [e.DtmfReceived("")] * 4
    for number, event in enumerate([*pin, e.SecondFactorAsked(4), *sequence] if code_due else sequence):
        before = machine.verified
        commands = machine.handle(event, number * 0.3)
        if machine.verified and not before:
            expected = e.SecretChecked if isinstance(asked, c.CheckSecret) else e.CodeChecked
            assert asked is not None
            assert isinstance(event, expected)
            assert event.outcome is SecretOutcome.VERIFIED
        asked = next((cmd for cmd in commands if isinstance(cmd, c.CheckSecret | c.CheckCode)), asked)
