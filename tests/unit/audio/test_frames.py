from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.audio import frames

PCM = st.binary(max_size=400).map(lambda data: data[: len(data) & ~1])


@given(chunks=st.lists(st.binary(max_size=50), max_size=30), size=st.integers(1, 40))
def test_any_chunking_gives_the_same_frames(chunks: list[bytes], size: int) -> None:
    whole = b"".join(chunks)
    assembler = frames.FrameAssembler(size)
    made = [frame for chunk in chunks for frame in assembler.push(chunk)]
    assert made == [whole[i : i + size] for i in range(0, len(whole) - size + 1, size)]
    assert assembler.pending_bytes == len(whole) % size
    last = assembler.flush()
    assert last == (whole[len(whole) - len(whole) % size :].ljust(size, b"\0") if len(whole) % size else b"")
    assert assembler.pending_bytes == 0
    assert list(frames.frames_of(chunks, size)) == made + ([last] if last else [])


def test_odd_byte_waits_for_its_other_half() -> None:
    assembler = frames.FrameAssembler(4)
    assert assembler.push(b"\x01\x02\x03") == []
    assert assembler.push(b"\x04\x05") == [b"\x01\x02\x03\x04"]
    assembler.clear()
    assert assembler.flush() == b""


def test_a_frame_needs_a_size() -> None:
    with pytest.raises(ValueError, match="empty"):
        frames.FrameAssembler(0)


@given(PCM)
def test_samples_and_bytes_are_inverse(pcm: bytes) -> None:
    assert frames.pcm_of(frames.samples_of(pcm)) == pcm
    assert frames.pcm_of(frames.floats_of(pcm)) == pcm


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        frames.samples_of(b"abc")


def test_floats_beyond_full_scale_clip() -> None:
    assert frames.samples_of(frames.pcm_of(np.array([1.5, -1.5, 0.0]))).tolist() == [32_767, -32_768, 0]


def test_levels_of_a_sine() -> None:
    sine = frames.pcm_of(0.5 * np.sin(2 * np.pi * 100 * np.arange(8_000) / 8_000))
    assert frames.peak(sine) == pytest.approx(0.5, abs=1e-4)
    assert frames.rms(sine) == pytest.approx(0.5 / np.sqrt(2), abs=1e-4)
    assert frames.dbfs(frames.rms(sine)) == pytest.approx(-9.03, abs=0.01)
    assert frames.peak(frames.pcm_of(np.array([-1.0]))) == 1.0


def test_silence_has_a_finite_level() -> None:
    assert frames.dbfs(frames.rms(frames.silence(0.02, 16_000))) == frames.SILENCE_DBFS
    assert frames.rms(b"") == frames.peak(b"") == 0.0


def test_durations() -> None:
    assert frames.bytes_for(0.02, 16_000) == 640
    assert frames.duration_s(640, 16_000) == pytest.approx(0.02)
    assert frames.silence(0.02, 24_000) == bytes(960)


def test_gain_scales_and_clips() -> None:
    pcm = np.array([1_000, -20_000], dtype="<i2").tobytes()
    assert frames.samples_of(frames.gained(pcm, 6.0206)).tolist() == [2_000, -32_768]
    assert frames.samples_of(frames.gained(pcm, -20)).tolist() == [100, -2_000]


def test_fades_touch_only_their_end() -> None:
    pcm = np.full(1_000, 10_000, dtype="<i2").tobytes()
    rising = frames.samples_of(frames.faded_in(pcm, 0.01, 16_000))
    assert rising[0] < 10
    assert np.all(np.diff(rising[:160].astype(int)) >= 0)
    assert np.all(rising[160:] == 10_000)
    falling = frames.samples_of(frames.faded_out(pcm, 0.01, 16_000))
    assert np.array_equal(falling, rising[::-1])


def test_a_fade_longer_than_the_audio_spans_it() -> None:
    pcm = np.full(10, 10_000, dtype="<i2").tobytes()
    falling = frames.samples_of(frames.faded_out(pcm, 1.0, 16_000))
    assert falling.size == 10
    assert falling[-1] < 100 < 9_000 < falling[0]
    assert frames.faded_in(b"", 1.0, 16_000) == b""
