"""The level of speech."""

from __future__ import annotations

import numpy as np
import pytest

from voice_agent.audio.level import SILENCE_DBFS, speech_level_dbfs

HOP = 512


def hop(amplitude: float) -> bytes:
    return (amplitude * np.sin(np.arange(HOP) * 2 * np.pi * 8 / HOP)).astype("<i2").tobytes()


def test_a_full_scale_sine_is_3_db_below_full_scale() -> None:
    assert speech_level_dbfs([hop(32767)]) == pytest.approx(-3.01, abs=0.01)


def test_pauses_do_not_make_speech_quieter() -> None:
    steady = speech_level_dbfs([hop(3000)] * 9)
    assert speech_level_dbfs([hop(3000)] * 3 + [bytes(2 * HOP)] * 6) == pytest.approx(steady, abs=0.01)


def test_half_the_amplitude_is_6_db_less() -> None:
    assert speech_level_dbfs([hop(4000)] * 3) - speech_level_dbfs([hop(2000)] * 3) == pytest.approx(6.02, abs=0.02)


def test_silence_and_nothing() -> None:
    assert speech_level_dbfs([]) == speech_level_dbfs([bytes(2 * HOP)]) == SILENCE_DBFS
