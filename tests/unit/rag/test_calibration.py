from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.rag.calibration import CALIBRATIONS, Calibration, Evidence, fit

shares = st.floats(0, 1)
evidence = st.builds(Evidence, st.floats(-1, 1), shares, shares)


@given(evidence, st.floats(0, 1))
def test_confidence_is_a_probability_that_follows_the_evidence(one: Evidence, more: float) -> None:
    for calibration in CALIBRATIONS.values():
        confidence = calibration.confidence(one)
        assert 0 < confidence < 1
        assert calibration.confidence(replace(one, embedding=one.embedding + more)) >= confidence
        assert calibration.confidence(replace(one, unknown=one.unknown + more)) <= confidence
        assert calibration.confidence(replace(one, rival=one.rival + more)) <= confidence


def test_no_evidence_gives_the_constants_odds() -> None:
    assert Calibration(20, -3, -10, 0.0).confidence(Evidence(0, 0, 0)) == 0.5
    assert Calibration(20, -3, -10, -1000.0).confidence(Evidence(0, 0, 0)) == pytest.approx(0, abs=1e-9)


def test_fit_finds_the_calibration_that_made_the_labels() -> None:
    true = Calibration(embedding=15, unknown=-3, rival=-8, constant=-5)
    rng = random.Random(1)
    drawn = [Evidence(rng.uniform(0, 0.8), rng.random(), rng.choice((0.0, rng.random() / 2))) for _ in range(20_000)]
    found = fit(drawn, [rng.random() < true.confidence(one) for one in drawn])
    for name in ("embedding", "unknown", "rival", "constant"):
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.08)


def test_fit_bears_separable_labels() -> None:
    drawn = [Evidence(cosine, 0, 0) for cosine in (0.1, 0.2, 0.6, 0.7)]
    found = fit(drawn, [False, False, True, True])
    assert found.confidence(drawn[1]) < 0.5 < found.confidence(drawn[2])
