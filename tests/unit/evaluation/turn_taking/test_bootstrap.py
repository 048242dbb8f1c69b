"""Intervals: seeded, as wide as the spread, never falsely certain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voice_agent.evaluation.turn_taking.bootstrap import mean, quantile, rate, wilson


def test_a_seed_gives_one_interval() -> None:
    values = list(np.random.default_rng(1).normal(400, 80, 40))
    assert quantile(values, 0.5, 7) == quantile(values, 0.5, 7)
    assert quantile(values, 0.5, 7) != quantile(values, 0.5, 8)


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = list(np.random.default_rng(2).normal(0.0, 1.0, 400))
    figure = mean(values, 3)
    assert figure.value == pytest.approx(float(np.mean(values)))
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * float(np.std(values)) / math.sqrt(400), rel=0.1)
    assert figure.n == 400


def test_the_interval_of_a_rate_holds_it_and_narrows_with_trials() -> None:
    few, many = rate([True] * 9 + [False], 1), rate([True] * 90 + [False] * 10, 1)
    assert few.low <= 0.9 <= few.high
    assert many.high - many.low < few.high - few.low


def test_all_alike_is_not_certain() -> None:
    figure = rate([True] * 20, 1)
    assert (figure.value, figure.high) == (1.0, 1.0)
    assert figure.low == pytest.approx(0.839, abs=0.001), "Wilson's lower bound of 20 of 20"
    assert wilson(0, 20).high == pytest.approx(1 - 0.839, abs=0.001)


def test_no_trials_give_no_figure() -> None:
    for figure in (rate([], 1), mean([], 1), quantile([], 0.5, 1)):
        assert figure.n == 0
        assert math.isnan(figure.value)
