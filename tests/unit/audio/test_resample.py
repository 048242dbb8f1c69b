"""The filter's promises, measured through ``Resampler.process`` as a call uses it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voice_agent.audio.resample import PASSBAND_EDGE, RATES_HZ, Resampler, resampled

PAIRS = [pair for pair in itertools.product(RATES_HZ, RATES_HZ) if pair[0] != pair[1]]
AMPLITUDE = 16_000.0


def tone(freq_hz: float, rate_hz: int, seconds: float = 0.5) -> bytes:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.rint(AMPLITUDE * np.sin(2 * np.pi * freq_hz * t)).astype("<i2").tobytes()


def through(pcm: bytes, in_hz: int, out_hz: int) -> NDArray[np.float64]:
    """The steady part of the converted tone."""
    resampler = Resampler(in_hz, out_hz)
    frame_bytes = in_hz // 50 * 2
    out = b"".join(resampler.process(pcm[i : i + frame_bytes]) for i in range(0, len(pcm), frame_bytes))
    settled = round(4 * resampler.delay_s * out_hz)
    return np.frombuffer(out, dtype="<i2").astype(np.float64)[settled:]


def level_db(samples: NDArray[np.float64]) -> float:
    return 20 * np.log10(max(1e-9, np.sqrt(np.mean(samples**2))) / (AMPLITUDE / np.sqrt(2)))


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_pass_band_is_flat(in_hz: int, out_hz: int) -> None:
    """Within 0.1 dB up to 0.85 of the lower Nyquist frequency (the promise to others is 1 dB)."""
    edge_hz = PASSBAND_EDGE * min(in_hz, out_hz) / 2
    for freq_hz in np.linspace(100, edge_hz, 12):
        assert level_db(through(tone(freq_hz, in_hz), in_hz, out_hz)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("in_hz", "out_hz"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_would_alias_is_removed(in_hz: int, out_hz: int) -> None:
    """At least 60 dB down from the lower Nyquist frequency on (the promise is 50 dB)."""
    for freq_hz in np.linspace(out_hz / 2 * 1.001, in_hz / 2 * 0.99, 25):
        assert level_db(through(tone(freq_hz, in_hz), in_hz, out_hz)) < -60


@pytest.mark.parametrize(("in_hz", "out_hz"), [pair for pair in PAIRS if pair[0] < pair[1]])
def test_no_images_appear(in_hz: int, out_hz: int) -> None:
    """Raising the rate leaves nothing above the old Nyquist frequency: at least 60 dB below the tone."""
    for freq_hz in (440.0, 0.6 * in_hz / 2, PASSBAND_EDGE * in_hz / 2):
        out = through(tone(freq_hz, in_hz), in_hz, out_hz)
        spectrum = np.abs(np.fft.rfft(out * np.hanning(out.size)))
        freqs = np.fft.rfftfreq(out.size, 1 / out_hz)
        image = spectrum[freqs > in_hz / 2].max() / spectrum.max()
        assert 20 * np.log10(image) < -60


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_the_delay_is_short_and_as_stated(in_hz: int, out_hz: int) -> None:
    resampler = Resampler(in_hz, out_hz)
    assert 0 < resampler.delay_s <= 0.0034
    click = np.zeros(in_hz // 10, dtype="<i2")
    at = in_hz // 50  # 20 ms
    click[at] = 30_000
    out = np.frombuffer(resampler.process(click.tobytes()), dtype="<i2")
    peak_s = int(np.argmax(np.abs(out))) / out_hz
    assert peak_s == pytest.approx(at / in_hz + resampler.delay_s, abs=1 / out_hz)


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_nothing_is_withheld_and_time_does_not_drift(in_hz: int, out_hz: int) -> None:
    resampler = Resampler(in_hz, out_hz)
    for _ in range(200):
        assert len(resampler.process(bytes(in_hz // 50 * 2))) == out_hz // 50 * 2


@settings(deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    cuts=st.lists(st.integers(0, 4_000), max_size=25),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_chunking_gives_the_same_bytes(pair: tuple[int, int], cuts: list[int], seed: int) -> None:
    pcm = np.random.default_rng(seed).integers(-32_768, 32_768, 2_000).astype("<i2").tobytes()
    whole = Resampler(*pair)
    expected = whole.process(pcm) + whole.flush()
    resampler = Resampler(*pair)
    edges = [0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]
    pieces = [resampler.process(pcm[start:end]) for start, end in itertools.pairwise(edges)]
    assert b"".join(pieces) + resampler.flush() == expected


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_a_flushed_stream_ends_whole_and_starts_afresh(in_hz: int, out_hz: int) -> None:
    resampler = Resampler(in_hz, out_hz)
    pcm = tone(300, in_hz, 0.0213)  # not a multiple of anything
    first = resampler.process(pcm) + resampler.flush()
    assert len(first) / 2 / out_hz >= len(pcm) / 2 / in_hz + resampler.delay_s - 1 / out_hz
    assert resampler.process(pcm) + resampler.flush() == first
    assert Resampler(in_hz, out_hz).flush() == bytes(len(Resampler(in_hz, out_hz).flush()))


@pytest.mark.parametrize(("in_hz", "out_hz"), PAIRS)
def test_a_whole_recording_keeps_its_timing(in_hz: int, out_hz: int) -> None:
    out = np.frombuffer(resampled(tone(400, in_hz), in_hz, out_hz), dtype="<i2").astype(np.float64)
    wanted = np.frombuffer(tone(400, out_hz), dtype="<i2").astype(np.float64)
    assert out.size == wanted.size
    inner = slice(out_hz // 50, -out_hz // 50)
    # The delay is half a sample off the output's grid at worst: at 400 Hz that is under 0.16 of the amplitude.
    assert np.max(np.abs(out[inner] - wanted[inner])) < 0.16 * AMPLITUDE


def test_full_scale_clips_instead_of_wrapping() -> None:
    square = np.where(np.arange(4_800) % 48 < 24, 32_767, -32_768).astype("<i2")
    out = np.frombuffer(Resampler(48_000, 16_000).process(square.tobytes()), dtype="<i2").astype(int)
    # A wrapped overshoot would jump the full range between neighbours; the true edge is spread over several.
    assert np.max(np.abs(np.diff(out))) < 50_000
    assert out.max() == 32_767


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_equal_rates_pass_through(rate_hz: int) -> None:
    resampler = Resampler(rate_hz, rate_hz)
    pcm = b"\x01\x02" * 100
    assert resampler.process(pcm) is pcm
    assert resampler.flush() == b""
    assert resampler.delay_s == 0.0
    assert resampled(pcm, rate_hz, rate_hz) is pcm


@pytest.mark.parametrize("pair", [(44_100, 16_000), (16_000, 0)])
def test_unknown_rates_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        Resampler(*pair)
