"""The speech gate on written-down probabilities; time is counted in hops of 32 ms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.audio.vad import SpeechBegan, SpeechEnded, SpeechFact, SpeechGate

HOP_S = 0.032


def feed(gate: SpeechGate, *probabilities: float, first_hop: int = 0) -> list[tuple[int, SpeechFact]]:
    """(hop, fact) for each fact."""
    facts = []
    for hop, probability in enumerate(probabilities, first_hop):
        fact = gate.update(probability, (hop + 1) * HOP_S)
        if fact is not None:
            facts.append((hop, fact))
    return facts


def test_speech_begins_after_the_start_time_and_is_dated_back() -> None:
    gate = SpeechGate(speech_start_s=0.064)
    assert feed(gate, 0, 0, 0.9, 0.9, 0.9) == [(3, SpeechBegan(at_s=pytest.approx(2 * HOP_S)))]
    assert gate.speaking
    assert gate.voiced
    assert gate.speech_s == pytest.approx(3 * HOP_S)


def test_a_single_loud_hop_is_no_speech() -> None:
    assert feed(SpeechGate(speech_start_s=0.064), 0, 0.9, 0.1, 0.9, 0.1, 0.9, 0) == []


def test_speech_ends_after_the_stop_time_with_the_last_voiced_sample() -> None:
    gate = SpeechGate(speech_start_s=0.032, speech_stop_s=0.16)
    facts = feed(gate, 0.9, 0.9, 0, 0, 0, 0, 0, 0)
    assert facts == [(0, SpeechBegan(0.0)), (6, SpeechEnded(last_voiced_s=pytest.approx(2 * HOP_S)))]
    assert not gate.speaking
    assert gate.speech_s == 0
    assert gate.silence_s == pytest.approx(6 * HOP_S)


def test_a_short_gap_does_not_end_speech() -> None:
    gate = SpeechGate(speech_start_s=0.032, speech_stop_s=0.16)
    assert [hop for hop, _ in feed(gate, 0.9, 0, 0, 0, 0, 0.9, 0, 0, 0, 0, 0)] == [0, 10]


def test_the_release_threshold_is_lower() -> None:
    gate = SpeechGate(threshold=0.5, speech_start_s=0.032, speech_stop_s=0.064)
    assert feed(gate, 0.4, 0.4, 0.4) == []
    facts = feed(gate, 0.6, 0.4, 0.36, 0.34, 0.4, 0.4, first_hop=3)
    assert [hop for hop, _ in facts] == [3, 7]
    assert facts[1][1] == SpeechEnded(last_voiced_s=pytest.approx(6 * HOP_S))


def test_a_low_threshold_still_has_a_release() -> None:
    gate = SpeechGate(threshold=0.1, speech_start_s=0.032, speech_stop_s=0.032)
    assert [type(fact) for _, fact in feed(gate, 0.2, 0.0)] == [SpeechBegan, SpeechEnded]


@given(
    st.lists(st.floats(0, 1), max_size=200),
    st.sampled_from([0.032, 0.064, 0.096]),
    st.sampled_from([0.064, 0.16, 0.32]),
)
def test_facts_alternate_and_agree_with_the_audio(probabilities: list[float], start_s: float, stop_s: float) -> None:
    gate = SpeechGate(speech_start_s=start_s, speech_stop_s=stop_s)
    last = None
    for hop, fact in feed(gate, *probabilities):
        now_s = (hop + 1) * HOP_S
        if isinstance(fact, SpeechBegan):
            assert not isinstance(last, SpeechBegan)
            assert now_s - fact.at_s >= start_s - 1e-6
            first = round(fact.at_s / HOP_S)
            assert probabilities[first] >= 0.5
            assert min(probabilities[first : hop + 1]) >= 0.35
        else:
            assert isinstance(last, SpeechBegan)
            assert fact.last_voiced_s > last.at_s
            assert now_s - fact.last_voiced_s >= stop_s - 1e-6
            assert max(probabilities[round(fact.last_voiced_s / HOP_S) : hop + 1]) < 0.5
        last = fact
    assert gate.speaking == isinstance(last, SpeechBegan)
