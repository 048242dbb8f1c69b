"""Coughs, clicks and hums: reproducible, of the right length, level and kind."""

from __future__ import annotations

import numpy as np
import pytest

from voice_agent.audio.frames import duration_s, peak, samples_of
from voice_agent.evaluation.caller_noises import click, cough, hum


@pytest.mark.parametrize("make", [cough, click, hum])
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


@pytest.mark.parametrize("seed", range(12))
def test_hums_are_low_and_voiced(seed: int) -> None:
    sound = samples_of(hum(seed)).astype(np.float64)
    assert 0.4 < sound.size / 16_000 < 0.7
    power = np.square(np.abs(np.fft.rfft(sound)))
    frequency_hz = np.fft.rfftfreq(sound.size, 1 / 16_000)
    assert power[frequency_hz < 600].sum() > 0.8 * power.sum()
