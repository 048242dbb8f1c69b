"""Coughs and clicks: reproducible, of the right length, level and kind."""

from __future__ import annotations

import numpy as np
import pytest

from voice_agent.audio.frames import duration_s, peak, samples_of
from voice_agent.evaluation.caller_noises import click, cough


@pytest.mark.parametrize("make", [cough, click])
def test_a_seed_gives_one_sound(make: object) -> None:
    assert callable(make)
    assert make(3) == make(3)
    assert make(3) != make(4)


@pytest.mark.parametrize("seed", range(12))
def test_coughs_are_short_loud_and_start_abruptly(seed: int) -> None:
    sound = cough(seed)
    assert 0.15 < duration_s(len(sound), 16_000) < 0.5
    assert peak(sound) == pytest.approx(0.4, abs=0.01)
    loud_at = int(np.argmax(np.abs(samples_of(sound).astype(np.int32))))
    assert loud_at < 0.04 * 16_000


@pytest.mark.parametrize("seed", range(12))
def test_clicks_last_a_few_milliseconds(seed: int) -> None:
    magnitude = np.abs(samples_of(click(seed)).astype(np.int32))
    assert np.count_nonzero(magnitude > 0.1 * magnitude.max()) < 0.02 * 16_000
