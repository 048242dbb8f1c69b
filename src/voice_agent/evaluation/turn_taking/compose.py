"""Utterances out of parts, with silences between them that are as long as they are said to be. Pure.

A part is cut at its first and last voiced window and keeps 20 ms of its own decay on either side; the silence put between
two parts is shortened by as much, so that from voiced sample to voiced sample it lasts what was asked (to 10 ms, the
window by which voicing is judged).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voice_agent.audio.frames import BYTES_PER_SAMPLE, FULL_SCALE, faded_in, faded_out, samples_of
from voice_agent.evaluation.caller_audio import voiced_span
from voice_agent.evaluation.caller_line import silence_between

_KEPT_S = 0.02
_WINDOW_S = 0.01
_VOICED_BELOW_PEAK_DB = 40.0
_READ_WITHIN = 0.93  # a phrase inside a sentence lasts this share of the same phrase alone, whose end is drawn out
_SEARCH_S = 0.12
_FADE_S = 0.008


def joined_speech(parts: Sequence[bytes], gaps_s: Sequence[float], rate_hz: int) -> bytes:
    """The parts in order with ``gaps_s[n]`` of silence behind part n. Raises ``ValueError`` for a gap under 40 ms, or
    for a part in which nothing is voiced."""
    if len(gaps_s) != len(parts) - 1:
        raise ValueError(f"{len(parts)} parts need {len(parts) - 1} gaps, not {len(gaps_s)}")
    if any(gap_s < 2 * _KEPT_S for gap_s in gaps_s):
        raise ValueError(f"a gap must last at least {2 * _KEPT_S} s")
    out = bytearray()
    for number, part in enumerate(parts):
        out += _trimmed(part, rate_hz)
        if number < len(gaps_s):
            out += silence_between(gaps_s[number] - 2 * _KEPT_S, rate_hz)
    return bytes(out)


def pauses_in(pcm: bytes, rate_hz: int, least_s: float = 0.15) -> list[tuple[float, float]]:
    """(start, end) of the silences of at least ``least_s`` between the first and last voiced window."""
    samples = samples_of(pcm).astype(np.float64) / FULL_SCALE
    window = round(_WINDOW_S * rate_hz)
    rows = samples[: samples.size // window * window].reshape(-1, window)
    level_db = 10 * np.log10(np.mean(np.square(rows), axis=1) + 1e-12)
    if level_db.size == 0:
        return []
    voiced = np.flatnonzero(level_db > max(-55.0, float(level_db.max()) - _VOICED_BELOW_PEAK_DB))
    gaps = np.flatnonzero(np.diff(voiced) * _WINDOW_S > least_s)
    return [(float(voiced[at] + 1) * _WINDOW_S, float(voiced[at + 1]) * _WINDOW_S) for at in gaps]


def _trimmed(pcm: bytes, rate_hz: int) -> bytes:
    """The voiced stretch with exactly ``_KEPT_S`` on either side (zeros where the recording has less)."""
    span = voiced_span(pcm, rate_hz)
    if span is None:
        raise ValueError("nothing is voiced in this part")
    kept = round(_KEPT_S * rate_hz)
    begin, end = round(span[0] * rate_hz) - kept, round(span[1] * rate_hz) + kept
    size = len(pcm) // BYTES_PER_SAMPLE
    before, after = max(0, -begin), max(0, end - size)
    inner = pcm[max(0, begin) * BYTES_PER_SAMPLE : min(size, end) * BYTES_PER_SAMPLE]
    return bytes(before * BYTES_PER_SAMPLE) + inner + bytes(after * BYTES_PER_SAMPLE)


def cut_before(whole: bytes, beginning: bytes, rate_hz: int) -> tuple[bytes, bytes]:
    """A sentence in two, cut where ``beginning`` (its first words, read alone) ends: the voice of somebody who goes on.

    Words read alone are slowed down and fall at their end, as in a finished sentence; read within one they are not. The cut
    is the weakest 20 ms near the place where the beginning would end. Raises ``ValueError`` where nothing is voiced.
    """
    spans = voiced_span(whole, rate_hz), voiced_span(beginning, rate_hz)
    if spans[0] is None or spans[1] is None:
        raise ValueError("nothing is voiced in this part")
    window = round(0.02 * rate_hz)
    step = window // 4
    expected = round((spans[0][0] + (spans[1][1] - spans[1][0]) * _READ_WITHIN) * rate_hz)
    reach = round(_SEARCH_S * rate_hz)
    samples = samples_of(whole).astype(np.float64) / FULL_SCALE
    places = range(max(0, expected - reach), min(samples.size - window, expected + reach), step)
    power = [float(np.mean(np.square(samples[at : at + window]))) for at in places]
    cut = places[int(np.argmin(power))] + window // 2
    size = cut * BYTES_PER_SAMPLE
    return faded_out(whole[:size], _FADE_S, rate_hz), faded_in(whole[size:], _FADE_S, rate_hz)
