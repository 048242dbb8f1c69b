"""Whose voice is it: the agent's own coming back, somebody else's, or both."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_agent.audio.echo import EchoMeter

CHUNK_S = 0.02
ECHO = 0.5  # what BARGE_IN_ECHO_SHARE takes for one


def voice(seed: int, seconds: float, rate_hz: int) -> NDArray[np.float64]:
    """Something like speech: a wandering pulse train through slow syllables, the same at any rate."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    knots = np.arange(0, seconds + 0.1, 0.1)
    pitch_hz = np.interp(time_s, knots, 110 + 60 * draw.random(knots.size))
    loudness = np.interp(time_s, knots, draw.random(knots.size) ** 2)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    tilt = [np.interp(time_s, knots, draw.random(knots.size)) for _ in range(14)]
    return 6000 * loudness * sum(tilt[n] * np.sin((n + 1) * phase) / (n + 1) for n in range(14))


def pcm(samples: NDArray[np.float64]) -> bytes:
    return np.clip(samples, -32768, 32767).astype("<i2").tobytes()


def meter_of(agent: NDArray[np.float64], *, from_s: float = 100.0) -> EchoMeter:
    meter = EchoMeter()
    data, size = pcm(agent), round(24_000 * CHUNK_S) * 2
    for index in range(len(data) // size):
        meter.played(from_s + index * CHUNK_S, data[index * size : (index + 1) * size])
    return meter


def room(seed: int, echo_s: float = 0.15) -> NDArray[np.float64]:
    """An impulse response at 16 kHz: the direct sound and reflections that die away."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(round(echo_s * 16_000)) / 16_000
    tail = draw.normal(0, 1, time_s.size) * np.exp(-6.9 * time_s / echo_s)
    tail *= 0.5 / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    return tail


def heard_echo(seed: int, delay_s: float) -> NDArray[np.float64]:
    sound = np.convolve(voice(seed, 2.0, 16_000), room(seed))[: 2 * 16_000] * 0.1
    return np.concatenate([np.zeros(round(delay_s * 16_000)), sound])[: 2 * 16_000]


def share(meter: EchoMeter, heard: NDArray[np.float64], *, window_s: float = 0.4) -> float:
    got = meter.share(pcm(heard[-round(window_s * 16_000) :]), 102.0)
    assert got is not None
    return got


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("delay_s", [0.02, 0.15, 0.4])
def test_the_agents_voice_from_a_loudspeaker_is_an_echo(seed: int, delay_s: float) -> None:
    assert share(meter_of(voice(seed, 2.0, 24_000)), heard_echo(seed, delay_s)) > ECHO


@pytest.mark.parametrize("seed", range(4))
def test_another_voice_is_not(seed: int) -> None:
    assert share(meter_of(voice(seed, 2.0, 24_000)), 0.3 * voice(seed + 50, 2.0, 16_000)) < ECHO


@pytest.mark.parametrize("seed", range(4))
def test_a_caller_who_speaks_over_the_echo_is_heard(seed: int) -> None:
    both = heard_echo(seed, 0.15) + 0.5 * voice(seed + 50, 2.0, 16_000)
    assert share(meter_of(voice(seed, 2.0, 24_000)), both) < ECHO


def test_noise_is_not_an_echo() -> None:
    noise = np.random.default_rng(1).normal(0, 1000, 32_000)
    assert share(meter_of(voice(1, 2.0, 24_000)), noise) < 0.2


def test_nothing_is_known_where_the_agent_was_silent() -> None:
    assert EchoMeter().share(pcm(voice(1, 1.0, 16_000)), 5.0) is None
    assert meter_of(voice(1, 1.0, 24_000)).share(pcm(voice(1, 1.0, 16_000)), 140.0) is None


def test_too_little_tells_nothing() -> None:
    meter = meter_of(voice(1, 2.0, 24_000))
    assert meter.share(pcm(voice(1, 0.1, 16_000)), 102.0) is None
    assert meter.share(b"", 102.0) is None
    assert meter.share(bytes(16_000), 102.0) is None


def test_a_silent_agent_explains_nothing() -> None:
    assert meter_of(np.zeros(48_000)).share(pcm(voice(3, 1.0, 16_000)), 102.0) == 0.0


def test_old_audio_is_let_go() -> None:
    meter = meter_of(voice(1, 30.0, 24_000))
    assert len(meter._played) < 2.0 / CHUNK_S
