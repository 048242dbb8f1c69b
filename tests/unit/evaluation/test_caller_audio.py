"""The playback model: what a client that honours pacing has heard, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.audio.frames import pcm_of, samples_of
from voice_agent.errors import ConfigError
from voice_agent.evaluation.caller_audio import PlaybackBuffer, read_wav, voiced_span, whole_resampled, write_wav

RATE_HZ = 24_000


def tone(seconds: float, rate_hz: int = RATE_HZ, level: float = 0.3) -> bytes:
    return pcm_of(level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz))


def quiet(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    return bytes(2 * round(seconds * rate_hz))


def test_audio_plays_behind_what_is_still_playing() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    buffer.receive(tone(0.1), 10.0)
    buffer.receive(tone(0.1), 10.02)
    assert buffer.ends_at_s == pytest.approx(10.2)
    buffer.receive(tone(0.1), 11.0)  # an underrun: it starts when it arrives
    assert buffer.ends_at_s == pytest.approx(11.1)


def test_clear_cuts_what_has_not_been_played() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    for number in range(5):
        buffer.receive(tone(0.1), 10.0 + number * 0.001)
    buffer.clear(10.23)
    assert buffer.ends_at_s == pytest.approx(10.23, abs=1e-3)
    assert buffer.sound_ends_at_s() == pytest.approx(10.23, abs=2e-3)
    buffer.receive(tone(0.1), 10.5)
    assert buffer.first_sound_after(10.4) is not None
    assert len(buffer.track(10.0, 10.6)) == 2 * round(0.6 * RATE_HZ)


def test_first_sound_skips_leading_silence() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    buffer.receive(quiet(0.02), 1.0)
    buffer.receive(quiet(0.01) + tone(0.01), 1.02)
    heard = buffer.first_sound_after(0.5)
    assert heard is not None
    assert heard.received_s == pytest.approx(1.02)
    assert heard.played_s == pytest.approx(1.03, abs=1e-3)
    assert buffer.first_sound_after(1.03) is None


def test_sound_end_is_bounded_on_both_sides() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    buffer.receive(tone(0.5) + quiet(0.5), 0.0)
    buffer.receive(tone(0.5), 2.0)
    assert buffer.sound_ends_at_s() == pytest.approx(2.5, abs=2e-3)
    assert buffer.sound_ends_at_s(before_s=1.5) == pytest.approx(0.5, abs=2e-3)
    assert buffer.sound_ends_at_s(before_s=0.25) == pytest.approx(0.25, abs=2e-3)
    assert buffer.sound_ends_at_s(after_s=3.0) is None


@given(st.binary(max_size=4000), st.lists(st.integers(1, 999), min_size=1, max_size=20))
def test_any_chunking_is_heard_the_same(pcm: bytes, sizes: list[int]) -> None:
    pcm = pcm[: len(pcm) // 2 * 2]
    whole, parts = PlaybackBuffer(RATE_HZ), PlaybackBuffer(RATE_HZ)
    whole.receive(pcm, 0.0)
    at = 0
    for size in sizes:
        parts.receive(pcm[at : at + size], 0.0)
        at += size
    parts.receive(pcm[at:], 0.0)
    assert whole.track(0.0, 0.1) == parts.track(0.0, 0.1)
    assert whole.sound_ends_at_s() == pytest.approx(parts.sound_ends_at_s())


def test_the_track_is_aligned_with_time() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    buffer.receive(tone(0.1), 0.25)
    track = samples_of(buffer.track(0.0, 0.5))
    loud = np.flatnonzero(track)
    assert loud[0] / RATE_HZ == pytest.approx(0.25, abs=1e-3)
    assert loud[-1] / RATE_HZ == pytest.approx(0.35, abs=1e-3)


def test_voiced_span_finds_the_speech() -> None:
    span = voiced_span(quiet(0.2) + tone(0.5) + quiet(0.3), RATE_HZ)
    assert span is not None
    assert span == pytest.approx((0.2, 0.7), abs=0.011)
    assert voiced_span(quiet(0.5), RATE_HZ) is None
    assert voiced_span(b"", RATE_HZ) is None


def test_wav_files_come_back_at_the_asked_rate(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(0.5, 44_100), 44_100)
    pcm = read_wav(tmp_path / "a.wav", 16_000)
    assert len(pcm) == 2 * 8000
    assert np.std(samples_of(pcm)) == pytest.approx(np.std(samples_of(tone(0.5, 16_000))), rel=0.02)


def test_a_file_that_is_no_wav_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.wav").write_bytes(b"not audio")
    with pytest.raises(ConfigError, match=r"b\.wav"):
        read_wav(tmp_path / "b.wav", 16_000)
    with pytest.raises(ConfigError, match=r"missing\.wav"):
        read_wav(tmp_path / "missing.wav", 16_000)


def test_resampling_keeps_the_tone() -> None:
    low = whole_resampled(np.sin(2 * np.pi * 300 * np.arange(8000) / 8000), 8000, 24_000)
    expected = np.sin(2 * np.pi * 300 * np.arange(24_000) / 24_000)
    assert np.max(np.abs(low[500:-500] - expected[500:-500])) < 0.01
