from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.rag.calibration import CALIBRATIONS, Calibration, fit

cosines = st.floats(-1, 1)


@given(cosines, cosines)
def test_confidence_is_a_probability_that_grows_with_the_cosine(one: float, other: float) -> None:
    for calibration in CALIBRATIONS.values():
        low, high = sorted((one, other))
        assert 0 <= calibration.confidence(low) <= calibration.confidence(high) <= 1


def test_the_centre_is_even_odds() -> None:
    assert Calibration(slope=20, centre=0.4).confidence(0.4) == 0.5
    assert Calibration(slope=20, centre=0.4).confidence(0.5) == pytest.approx(1 / (1 + math.exp(-2)))


def test_fit_finds_the_calibration_that_made_the_labels() -> None:
    true = Calibration(slope=20, centre=0.4)
    rng = random.Random(1)
    drawn = [rng.uniform(0, 0.8) for _ in range(20_000)]
    found = fit(drawn, [rng.random() < true.confidence(cosine) for cosine in drawn])
    assert found.slope == pytest.approx(true.slope, rel=0.05)
    assert found.centre == pytest.approx(true.centre, abs=0.005)


def test_fit_bears_separable_labels() -> None:
    found = fit([0.1, 0.2, 0.6, 0.7], [False, False, True, True])
    assert found.confidence(0.2) < 0.5 < found.confidence(0.6)
