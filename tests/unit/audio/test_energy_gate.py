"""Which hops need no model; the real model's part is tested with it."""

from __future__ import annotations

from voice_agent.audio.energy_gate import CAP_DBFS, HANGOVER_HOPS, EnergyGate


def power(dbfs: float) -> float:
    return 10.0 ** (dbfs / 10.0)


def heard(gate: EnergyGate, dbfs: float, probability: float, hops: int = 1) -> int:
    """Pushes hops of one level, of which the model says ``probability``; gives how many it had to look at."""
    judged = 0
    for _ in range(hops):
        if not gate.is_quiet(power(dbfs)):
            judged += 1
            gate.judged(power(dbfs), probability)
    return judged


def test_silence_is_never_judged_and_a_voice_always() -> None:
    gate = EnergyGate()
    assert heard(gate, -75, 0.0, 100) == 0
    assert heard(gate, -30, 0.9, 100) == 100


def test_the_gate_stays_open_behind_a_voice_and_closes_then() -> None:
    gate = EnergyGate()
    heard(gate, -30, 0.9)
    assert heard(gate, -75, 0.0, 50) == HANGOVER_HOPS


def test_a_quiet_consonant_within_a_word_is_judged() -> None:
    gate = EnergyGate()
    heard(gate, -30, 0.9, 5)
    assert heard(gate, -75, 0.3, 5) == 5, "a hop that may be speech keeps the gate open"


def test_steady_noise_is_learnt_and_a_voice_over_it_is_heard() -> None:
    gate = EnergyGate()
    heard(gate, -48, 0.01, 60)
    assert heard(gate, -48, 0.01, 100) == 0
    assert heard(gate, -44.5, 0.8) == 1, "a voice as loud as the noise adds three decibels"


def test_when_the_noise_ends_soft_speech_is_heard_within_a_few_hops() -> None:
    gate = EnergyGate()
    heard(gate, -45, 0.01, 100)
    heard(gate, -70, 0.0, 20)
    assert heard(gate, -52, 0.7) == 1


def test_loud_noise_never_deafens_the_gate() -> None:
    gate = EnergyGate()
    heard(gate, -20, 0.01, 500)
    assert heard(gate, CAP_DBFS + 1, 0.6) == 1


def test_the_gate_can_be_left_out() -> None:
    gate = EnergyGate(quiet_dbfs=-200)
    assert heard(gate, -90, 0.01) == 1
