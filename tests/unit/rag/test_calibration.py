from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.rag.calibration import CALIBRATIONS, Calibration, Evidence, Logistic, fit, fit_logistic

shares = st.floats(0, 1)
evidence = st.builds(Evidence, st.floats(-1, 1), shares, shares)


@given(evidence, st.floats(0, 1))
def test_confidence_is_a_probability_that_follows_the_evidence(one: Evidence, more: float) -> None:
    for calibration in CALIBRATIONS.values():
        confidence = calibration.confidence(one)
        assert 0 < confidence < 1
        assert calibration.confidence(replace(one, embedding=one.embedding + more)) >= confidence
        assert calibration.confidence(replace(one, unknown=one.unknown + more)) <= confidence
        assert calibration.confidence(replace(one, rival=(one.rival or 0) + more)) <= confidence


def test_even_odds_and_none_at_all() -> None:
    assert Calibration(Logistic(20, -3, 0, 0), Logistic(1, 1, 1, 1)).confidence(Evidence(0, 0, None)) == 0.5
    sure = Logistic(20, -3, -10, -1000)
    assert Calibration(sure, sure).confidence(Evidence(0, 0, 0)) == pytest.approx(0, abs=1e-9)


def test_without_listed_questions_being_far_from_them_is_no_good_sign() -> None:
    for calibration in CALIBRATIONS.values():
        far = Evidence(0.3, 0, 0)
        assert calibration.confidence(replace(far, rival=None)) < 0.5
        assert calibration.confidence(replace(far, rival=None)) < calibration.confidence(far)


def test_fit_finds_the_calibration_that_made_the_labels() -> None:
    true = Logistic(embedding=15, unknown=-3, rival=-8, constant=-5)
    rng = random.Random(1)
    judge = Calibration(true, true)
    drawn = [Evidence(rng.uniform(0, 0.8), rng.random(), rng.choice((0.0, rng.random() / 2))) for _ in range(20_000)]
    found = fit_logistic(drawn, [rng.random() < judge.confidence(one) for one in drawn])
    for name in ("embedding", "unknown", "rival", "constant"):
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.08)


def test_fit_bears_separable_labels() -> None:
    drawn = [Evidence(cosine, 0, 0) for cosine in (0.1, 0.2, 0.6, 0.7)]
    found = fit(drawn, [False, False, True, True])
    assert found.confidence(drawn[1]) < 0.5 < found.confidence(drawn[2])
