"""Levels, a telephone's band, noise at a given ratio, and echo with its delay and attenuation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_agent.audio.frames import pcm_of, samples_of, silence
from voice_agent.evaluation.caller import CallOptions, SimulatedCaller
from voice_agent.evaluation.caller_line import (
    NOMINAL_DBFS,
    CallerLine,
    Echo,
    active_level_dbfs,
    levelled,
    through_telephone,
)
from voice_agent.evaluation.caller_noises import noise_bed

RATE_HZ = 16_000


def tone(seconds: float, hz: float = 500.0, amplitude: float = 0.2, rate_hz: int = RATE_HZ) -> bytes:
    return pcm_of(amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz))


def rms_dbfs(samples: NDArray[np.int16]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples / 32_768.0))))


def test_pauses_do_not_lower_a_speech_level() -> None:
    spoken = tone(1.0)
    paused = tone(0.5) + silence(2.0, RATE_HZ) + tone(0.5)
    assert active_level_dbfs(spoken, RATE_HZ) == pytest.approx(20 * np.log10(0.2 / np.sqrt(2)), abs=0.1)
    assert active_level_dbfs(paused, RATE_HZ) == pytest.approx(active_level_dbfs(spoken, RATE_HZ), abs=0.1)
    with pytest.raises(ValueError, match="silence"):
        active_level_dbfs(silence(1.0, RATE_HZ), RATE_HZ)


@pytest.mark.parametrize("dbfs", [NOMINAL_DBFS, NOMINAL_DBFS - 18.0])
def test_levelled_speech_has_the_level(dbfs: float) -> None:
    assert active_level_dbfs(levelled(tone(0.7), RATE_HZ, dbfs), RATE_HZ) == pytest.approx(dbfs, abs=0.1)


@pytest.mark.parametrize(("hz", "passes"), [(150, False), (400, True), (1000, True), (3200, True), (3800, False)])
def test_a_telephone_passes_its_band_only(hz: float, passes: bool) -> None:
    out = through_telephone(tone(0.5, hz, rate_hz=8000), 8000)
    level_db = rms_dbfs(samples_of(out)) if any(out) else -120.0
    assert (level_db > -20.0) is passes


def test_a_telephone_leaves_the_noise_of_eight_bits() -> None:
    clean = samples_of(tone(0.5, 1000, rate_hz=8000)).astype(np.float64)
    noise = samples_of(through_telephone(tone(0.5, 1000, rate_hz=8000), 8000)) - clean
    snr_db = 10 * np.log10(np.mean(np.square(clean)) / np.mean(np.square(noise)))
    assert 30 < snr_db < 45, "mu-law has a signal to noise ratio of about 38 dB at any usual level"


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 5.0])
def test_noise_lies_below_the_voice_by_the_ratio(snr_db: float) -> None:
    speech = levelled(tone(1.0), RATE_HZ)
    line = CallerLine(noise=noise_bed(3, 5.0), noise_dbfs=NOMINAL_DBFS - snr_db)
    frames = [line.frame(silence(0.02, RATE_HZ), n * 320, RATE_HZ, lambda a, b: b"") for n in range(250)]
    noise = samples_of(b"".join(frames))
    assert active_level_dbfs(speech, RATE_HZ) - rms_dbfs(noise) == pytest.approx(snr_db, abs=0.3)


def test_a_noise_bed_goes_round_without_a_seam() -> None:
    bed = noise_bed(3, 2.0)
    line = CallerLine(noise=bed, noise_dbfs=-30.0)
    once = line.frame(silence(0.02, RATE_HZ), 40, RATE_HZ, lambda a, b: b"")
    again = line.frame(silence(0.02, RATE_HZ), 40 + bed.size, RATE_HZ, lambda a, b: b"")
    assert once == again
    steps = np.abs(np.diff(np.concatenate([bed, bed])))
    assert steps[bed.size - 1] < 6 * float(np.std(steps))


def test_an_echo_is_late_and_weak_by_what_was_asked() -> None:
    delay_s, attenuation_db = 0.15, 20.0
    line = CallerLine(echo=Echo(delay_s, attenuation_db))
    played = samples_of(pcm_of(np.random.default_rng(1).normal(0, 0.1, RATE_HZ)))

    def heard(end_s: float) -> object:
        def track(from_s: float, until_s: float) -> bytes:
            at = np.arange(round((end_s - from_s) * RATE_HZ), round((end_s - until_s) * RATE_HZ))
            inside = (at >= 0) & (at < played.size)
            return pcm_of(np.where(inside, played[np.clip(at, 0, played.size - 1)], 0).astype(np.int16))

        return track

    frames = [line.frame(silence(0.02, RATE_HZ), n * 320, RATE_HZ, heard((n + 1) * 0.02)) for n in range(60)]  # type: ignore[arg-type]
    echo = samples_of(b"".join(frames)).astype(np.float64)
    lag = int(np.argmax(np.correlate(echo, played[:4000].astype(np.float64), "valid")))
    assert lag == pytest.approx(delay_s * RATE_HZ, abs=2)
    body = echo[round((delay_s + 0.1) * RATE_HZ) : RATE_HZ]
    level_db = 10 * np.log10(np.mean(np.square(body)) / np.mean(np.square(played.astype(np.float64))))
    assert level_db == pytest.approx(-attenuation_db, abs=1.0)


def test_an_echo_needs_one_rate_both_ways() -> None:
    with pytest.raises(ValueError, match="echo"):
        SimulatedCaller("ws://x", CallOptions(), line=CallerLine(echo=Echo(0.1, 20.0)))
