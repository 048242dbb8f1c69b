"""Latencies of hand-written calls, with exact numbers. Times are multiples of 1/16 s, which floats hold exactly."""

from __future__ import annotations

import pytest

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.models import CallId, CallOutcome, OpenQuestion, ReplyId, TurnId, UtteranceId
from voice_agent.observability.record import LogRecord
from voice_agent.observability.turn_latency import TurnLatencies, TurnLatencyFold, latency_sink

Step = tuple[float, e.Event | c.Command]
R1, R2 = ReplyId(1), ReplyId(2)


def run(*steps: Step) -> list[tuple[int, TurnLatencies]]:
    """(position of the record that completed it, figures) of each answered turn."""
    fold = TurnLatencyFold()
    found = []
    for seq, (t, entry) in enumerate(steps):
        latencies = fold(LogRecord(CallId("c"), seq, t, entry))
        if latencies is not None:
            found.append((seq, latencies))
    return found


def spoken(turn: int = 1, at: float = 0.0) -> list[Step]:
    """Speech whose last voiced sample lies at ``at`` + 1, its final at +1.25, its commit at +1.5."""
    utterance = UtteranceId(turn)
    return [
        (at, e.SpeechStarted(0.0625)),
        (at, c.OpenTurn(TurnId(turn), utterance)),
        (at + 1.125, e.SpeechStopped(silence_s=0.125, voiced_s=1.0)),
        (at + 1.125, c.FinaliseTranscript(utterance)),
        (at + 1.25, e.TranscriptFinal(utterance, "where is my order")),
        (at + 1.5, e.TimerFired()),
        (at + 1.5, c.CommitTurn(TurnId(turn), "where is my order", "complete", 0.5)),
    ]


def answer(reply: ReplyId, turn: int, lead_in: str = "") -> c.StartReply:
    return c.StartReply(reply, TurnId(turn), OpenQuestion.NONE, False, lead_in)


def generated(reply: ReplyId, at: float, *, model: float, voice: float) -> list[Step]:
    """One sentence by the model, synthesised and played as soon as its first audio is there."""
    return [
        (at, e.LlmStarted(reply, 1)),
        (at + model, e.SegmentWritten(reply, 0, "It is on its way.")),
        (at + model, e.SynthesisStarted(reply, 0)),
        (at + model + voice, e.SynthesisBegan(reply, 0)),
        (at + model + voice + 0.0625, e.PlayoutStarted(reply)),
    ]


def test_the_parts_of_a_plain_turn() -> None:
    steps = [*spoken(), (1.5, answer(R1, 1)), *generated(R1, 1.5, model=0.25, voice=0.125)]
    [(position, turn)] = run(*steps)
    assert position == len(steps) - 1
    assert turn == TurnLatencies(
        turn_id=TurnId(1),
        reply_id=R1,
        turn_ms=937.5,
        asr_ms=250.0,
        llm_ms=250.0,
        tts_ms=125.0,
        remainder_ms=312.5,  # 250 of endpointing after the final, 62.5 of pacing
        endpointing_ms=500.0,
        stage_asr_ms=250.0,
        stage_llm_ms=250.0,
        stage_tts_ms=125.0,
    )


def test_several_turns_each_have_their_own_figures() -> None:
    first = [*spoken(), (1.5, answer(R1, 1)), *generated(R1, 1.5, model=0.25, voice=0.125)]
    second = [*spoken(2, at=8.0), (9.5, answer(R2, 2)), *generated(R2, 9.5, model=0.5, voice=0.25)]
    found = [latencies for _, latencies in run(*first, (4.0, e.ReplyFinished(R1, 2.0)), *second)]
    assert [(f.turn_id, f.turn_ms, f.llm_ms, f.tts_ms) for f in found] == [
        (1, 937.5, 250.0, 125.0),
        (2, 1312.5, 500.0, 250.0),
    ]


def test_after_a_pause_the_last_voiced_sample_is_the_later_one_and_the_early_final_is_not_used() -> None:
    steps = [
        *spoken()[:5],
        (1.75, e.SpeechStarted(0.0625)),
        (2.625, e.SpeechStopped(silence_s=0.125, voiced_s=0.75)),
        (2.875, e.TranscriptFinal(UtteranceId(1), "where is my order please")),
        (3.0, c.CommitTurn(TurnId(1), "where is my order please", "complete", 0.5)),
        (3.0, answer(R1, 1)),
        *generated(R1, 3.0, model=0.25, voice=0.25),
    ]
    [(_, turn)] = run(*steps)
    assert (turn.turn_ms, turn.asr_ms, turn.endpointing_ms) == (1062.5, 375.0, 500.0)


def test_a_late_final_has_no_asr_figure_and_its_time_is_remainder() -> None:
    steps = [step for step in spoken() if not isinstance(step[1], e.TranscriptFinal)]
    steps += [(1.5, answer(R1, 1)), *generated(R1, 1.5, model=0.25, voice=0.125)]
    [(_, turn)] = run(*steps)
    assert turn.stage_asr_ms is None
    assert (turn.turn_ms, turn.asr_ms, turn.remainder_ms) == (937.5, 0.0, 562.5)


def test_behind_a_lead_in_the_model_is_not_on_the_path_and_its_figure_comes_later() -> None:
    steps = [
        *spoken(),
        (1.5, answer(R1, 1, lead_in="Thank you, that's right.")),
        (1.5, e.SegmentWritten(R1, 0, "Thank you, that's right.")),
        (1.5, e.SynthesisStarted(R1, 0)),
        (1.5, e.LlmStarted(R1, 1)),
        (1.625, e.SynthesisBegan(R1, 0)),
        (1.625, e.PlayoutStarted(R1)),
        (2.0, e.LlmFinished(R1, 1, "")),
        (2.0, e.LlmStarted(R1, 2)),
        (2.25, e.SegmentWritten(R1, 1, "Your order is on its way.")),
        (2.5, e.SegmentWritten(R1, 2, "Anything else?")),
    ]
    [(position, turn)] = run(*steps)
    assert steps[position][1] == e.SegmentWritten(R1, 1, "Your order is on its way.")
    assert (turn.turn_ms, turn.asr_ms, turn.llm_ms, turn.tts_ms, turn.remainder_ms) == (625.0, 250.0, 0.0, 125.0, 250.0)
    assert turn.stage_llm_ms == 750.0


def test_a_lead_in_whose_reply_ends_early_still_gives_the_turn() -> None:
    steps = [
        *spoken(),
        (1.5, answer(R1, 1, lead_in="Thank you.")),
        (1.5, e.SegmentWritten(R1, 0, "Thank you.")),
        (1.5, e.LlmStarted(R1, 1)),
        (1.75, e.PlayoutStarted(R1)),
        (2.0, c.StopForBargeIn(R1, "Thank", "words")),
    ]
    [(position, turn)] = run(*steps)
    assert position == len(steps) - 1
    assert (turn.turn_ms, turn.stage_llm_ms) == (750.0, None)


def test_overlapping_stages_are_counted_once() -> None:
    """A reply that is generated before the turn is certain: the model starts ahead of the final."""
    steps = [
        *spoken()[:4],
        (1.125, answer(R1, 1)),
        (1.125, e.LlmStarted(R1, 1)),
        (1.25, e.TranscriptFinal(UtteranceId(1), "where is my order")),
        (1.375, e.SegmentWritten(R1, 0, "It is on its way.")),
        (1.375, e.SynthesisStarted(R1, 0)),
        (1.5, c.CommitTurn(TurnId(1), "where is my order", "complete", 0.5)),
        (1.625, e.SynthesisBegan(R1, 0)),
        (1.625, e.PlayoutStarted(R1)),
    ]
    [(_, turn)] = run(*steps)
    assert (turn.stage_asr_ms, turn.stage_llm_ms, turn.stage_tts_ms) == (250.0, 250.0, 250.0)
    assert (turn.asr_ms, turn.llm_ms, turn.tts_ms, turn.remainder_ms) == (250.0, 125.0, 250.0, 0.0)
    assert turn.turn_ms == 625.0


def test_fixed_text_answers_a_turn_without_the_model() -> None:
    steps = [
        *spoken(),
        (1.5, c.Say(R1, ("I can look that up for you.",), c.Purpose.ASK_SECRET)),
        (1.5, e.SynthesisStarted(R1, 0)),
        (1.625, e.SynthesisBegan(R1, 0)),
        (1.625, e.PlayoutStarted(R1)),
    ]
    [(_, turn)] = run(*steps)
    assert (turn.turn_ms, turn.asr_ms, turn.llm_ms, turn.tts_ms) == (625.0, 250.0, 0.0, 125.0)
    assert turn.stage_llm_ms is None


@pytest.mark.parametrize("purpose", [c.Purpose.GREETING, c.Purpose.IDLE])
def test_what_the_agent_says_of_its_own_accord_is_no_answer(purpose: c.Purpose) -> None:
    assert run(*spoken(), (2.0, c.Say(R1, ("Are you still there?",), purpose)), (2.5, e.PlayoutStarted(R1))) == []


def test_after_a_time_out_the_fallback_is_the_answer() -> None:
    steps = [
        *spoken(),
        (1.5, answer(R1, 1)),
        (1.5, e.LlmStarted(R1, 1)),
        (6.5, c.CancelReply(R1, c.CancelReason.TIMEOUT)),
        (6.5, c.Say(R2, ("I'm sorry, that is taking too long.",), c.Purpose.FALLBACK)),
        (6.5, e.SynthesisStarted(R2, 0)),
        (6.75, e.SynthesisBegan(R2, 0)),
        (6.75, e.PlayoutStarted(R2)),
    ]
    [(_, turn)] = run(*steps)
    assert (turn.reply_id, turn.turn_ms, turn.tts_ms, turn.stage_llm_ms) == (R2, 5750.0, 250.0, None)


def test_a_failed_reply_is_followed_by_another_answer() -> None:
    steps = [
        *spoken(),
        (1.5, answer(R1, 1)),
        (2.0, e.ReplyFailed(R1, e.Stage.LLM, "network")),
        (2.0, c.Say(R2, ("I'm sorry, something went wrong.",), c.Purpose.FALLBACK)),
        (2.5, e.PlayoutStarted(R2)),
    ]
    assert [(turn.reply_id, turn.turn_ms) for _, turn in run(*steps)] == [(R2, 1500.0)]


def test_a_merged_turn_has_no_latency_and_the_next_one_counts_from_its_own_end() -> None:
    steps = [
        *spoken(),
        (1.5, answer(R1, 1)),
        (1.75, e.SpeechStarted(0.0625)),
        (1.75, c.OpenTurn(TurnId(2), UtteranceId(2))),
        (2.25, c.CancelReply(R1, c.CancelReason.MERGED)),
        (3.125, e.SpeechStopped(silence_s=0.125, voiced_s=1.25)),
        (3.25, e.TranscriptFinal(UtteranceId(2), "please")),
        (3.5, c.CommitTurn(TurnId(2), "where is my order please", "complete", 0.5)),
        (3.5, answer(R2, 2)),
        *generated(R2, 3.5, model=0.25, voice=0.125),
    ]
    [(_, turn)] = run(*steps)
    assert (turn.turn_id, turn.turn_ms) == (2, 937.5)


def test_a_turn_dropped_meanwhile_does_not_disturb_the_one_that_waits() -> None:
    steps = [
        *spoken(),
        (1.5, answer(R1, 1)),
        (1.625, e.SpeechStarted(0.0625)),
        (1.625, c.OpenTurn(TurnId(2), UtteranceId(2))),
        (1.875, e.SpeechStopped(silence_s=0.125, voiced_s=0.125)),
        (2.0, c.DropTurn(TurnId(2), "backchannel")),
        *generated(R1, 2.0, model=0.25, voice=0.125),
    ]
    assert [(turn.turn_id, turn.turn_ms) for _, turn in run(*steps)] == [(1, 1437.5)]


def test_an_interrupted_answer_that_was_never_heard_gives_nothing() -> None:
    steps = [
        *spoken(),
        (1.5, answer(R1, 1)),
        (1.75, c.StopForBargeIn(R1, "", "words")),
        (2.0, c.Say(R2, ("Yes?",), c.Purpose.ANSWER)),
        (2.5, e.PlayoutStarted(R2)),
    ]
    assert run(*steps) == []


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([(1.0, c.CommitTurn(TurnId(1), "83102", "keypad", 0.0))], id="keys only"),
        pytest.param([*spoken(), (1.5, e.DtmfReceived(""))], id="keys after speech"),
        pytest.param([*spoken(), (1.5, c.DropTurn(TurnId(1), "handover"))], id="dropped"),
        pytest.param([*spoken(), (1.5, c.EndCall(CallOutcome.COMPLETED, "hangup"))], id="ended"),
        pytest.param(
            [
                *spoken(),
                (1.5, c.OpenTurn(TurnId(2), UtteranceId(2))),
                (1.6, c.CommitTurn(TurnId(2), "5", "keypad", 0.0)),
            ],
            id="keys in a turn of their own",
        ),
    ],
)
def test_turns_without_a_latency(steps: list[Step]) -> None:
    for reply in (answer(R1, 1), answer(R1, 2), c.Say(R1, ("Yes.",), c.Purpose.ANSWER)):
        assert run(*steps, (2.0, reply), (2.5, e.PlayoutStarted(R1))) == []


def test_an_answer_to_another_turn_does_not_count() -> None:
    assert run(*spoken(2), (1.5, answer(R1, 1)), (2.0, e.PlayoutStarted(R1))) == []


def test_the_sink_reports_each_turn() -> None:
    seen: list[TurnLatencies] = []
    sink = latency_sink(seen.append)
    steps = [*spoken(), (1.5, answer(R1, 1)), *generated(R1, 1.5, model=0.25, voice=0.125)]
    for seq, (t, entry) in enumerate(steps):
        sink(LogRecord(CallId("c"), seq, t, entry))
    assert [turn.turn_ms for turn in seen] == [937.5]
