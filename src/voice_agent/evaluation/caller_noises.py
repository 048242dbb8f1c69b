"""Sounds on a caller's line without words: coughs, clicks, hums, typing, knocks, music and noise, each from its seed.

A cough is an explosive burst of wide-band noise with a fast attack, a weaker airy phase and often a short voiced end
(after Korpáš et al., "Analysis of the cough sound", Pulm. Pharmacol. Ther. 1996); 250–450 ms in all. A click is one or
two damped resonances of a few milliseconds, as a mouse, a door latch or a bad line makes. A hum is the "mm-hmm" of a
listener: two voiced nasals, the second higher, with a breath between them. Typing is a burst of clicks at 5 to 9 keys a
second; a knock is two to four thuds of a wooden door (resonances at 90 to 400 Hz); music is chords under a melody, with
the decay of plucked strings; the noise bed is a room's: pink (its power falls by 3 dB per octave) and slowly swelling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.frames import pcm_of

_MURMUR = ((250.0, 60.0, 1.0), (1000.0, 120.0, 0.06), (2200.0, 150.0, 0.03))  # centre, width (Hz), weight
_PEAK = 0.4  # as loud as a test caller's speech


def cough(seed: int, rate_hz: int = 16_000) -> bytes:
    """One cough as PCM."""
    draw = np.random.default_rng(seed)
    burst = _shaped_noise(draw, 0.05 + 0.03 * draw.random(), rate_hz, low_hz=300, high_hz=5000, decay_s=0.04)
    airy = 0.25 * _shaped_noise(draw, 0.12 + 0.10 * draw.random(), rate_hz, low_hz=500, high_hz=3500, decay_s=0.10)
    parts = [burst, airy]
    if draw.random() < 0.6:
        time_s = np.arange(round((0.06 + 0.06 * draw.random()) * rate_hz)) / rate_hz
        pitch_hz = 180 + 150 * draw.random()
        voiced = sum(np.sin(2 * np.pi * pitch_hz * n * time_s) / n for n in range(1, 9))
        parts.append(0.3 * np.asarray(voiced) * np.exp(-time_s / 0.05))
    return _levelled(np.concatenate(parts))


def click(seed: int, rate_hz: int = 16_000) -> bytes:
    """One click, or press and release, as PCM."""
    draw = np.random.default_rng(seed)
    out = np.zeros(round(0.15 * rate_hz))
    for begin_s in (0.01, 0.01 + 0.05 + 0.06 * draw.random())[: 1 + int(draw.random() < 0.5)]:
        time_s = np.arange(round(0.02 * rate_hz)) / rate_hz
        tone = np.sin(2 * np.pi * (900 + 3500 * draw.random()) * time_s) * np.exp(-time_s / 0.0015)
        start = round(begin_s * rate_hz)
        out[start : start + tone.size] += tone
    return _levelled(out)


def hum(seed: int, rate_hz: int = 16_000) -> bytes:
    """One "mm-hmm" with closed lips as PCM."""
    draw = np.random.default_rng(seed)
    pitch_hz = 95 + 130 * draw.random()  # from a low man's to a high woman's voice
    first = _nasal(pitch_hz, pitch_hz * 0.92, 0.16 + 0.06 * draw.random(), rate_hz)
    breath = 0.02 * _shaped_noise(draw, 0.06, rate_hz, low_hz=200, high_hz=2500, decay_s=1.0)
    second = _nasal(pitch_hz * 1.05, pitch_hz * (1.2 + 0.2 * draw.random()), 0.2 + 0.1 * draw.random(), rate_hz)
    return _levelled(np.concatenate([0.8 * first, breath, second]))


def typing(seed: int, rate_hz: int = 16_000, seconds: float = 1.2) -> bytes:
    """A burst of typing as PCM: each key a click going down and a softer one coming up."""
    draw = np.random.default_rng(seed)
    out = np.zeros(round(seconds * rate_hz))
    at_s = 0.01
    while at_s < seconds - 0.1:
        for offset_s, gain in ((0.0, 0.6 + 0.4 * draw.random()), (0.06 + 0.03 * draw.random(), 0.3)):
            key = gain * _shaped_noise(draw, 0.02, rate_hz, low_hz=1200, high_hz=6000, decay_s=0.004)
            start = round((at_s + offset_s) * rate_hz)
            room = min(key.size, out.size - start)
            out[start : start + room] += key[:room]
        at_s += 1 / (5 + 4 * draw.random())
    return _levelled(out)


def knock(seed: int, rate_hz: int = 16_000) -> bytes:
    """Someone knocks at a door two to four times, as PCM."""
    draw = np.random.default_rng(seed)
    count, gap_s = int(draw.integers(2, 5)), 0.14 + 0.08 * draw.random()
    tones_hz = [90 + 60 * draw.random(), 180 + 90 * draw.random(), 300 + 150 * draw.random()]
    time_s = np.arange(round(0.12 * rate_hz)) / rate_hz
    body = sum(np.sin(2 * np.pi * tone * time_s) * np.exp(-time_s / 0.02) / n for n, tone in enumerate(tones_hz, 1))
    out = np.zeros(round((0.02 + count * gap_s + 0.12) * rate_hz))
    for number in range(count):
        thud = np.asarray(body) * (0.7 + 0.3 * draw.random())
        tap = 0.5 * _shaped_noise(draw, 0.015, rate_hz, low_hz=400, high_hz=3000, decay_s=0.003)
        thud[: tap.size] += tap
        start = round((0.01 + number * gap_s) * rate_hz)
        out[start : start + thud.size] += thud
    return _levelled(out)


def music(seed: int, rate_hz: int = 16_000, seconds: float = 2.5) -> bytes:
    """A few bars of music as PCM: one triad a second, a melody of four notes a second out of the chord above it."""
    draw = np.random.default_rng(seed)
    out = np.zeros(round(seconds * rate_hz))
    root = 48 + int(draw.integers(0, 8))  # MIDI note numbers
    for beat in range(int(np.ceil(seconds * 4))):
        if beat % 4 == 0:
            chord = root + np.array([0, 4, 7]) + int(draw.choice([0, 5, 7, 9]))
            for note in chord:
                _add_note(out, float(note), beat / 4, 1.0, 0.3, rate_hz)
        _add_note(out, float(draw.choice(chord)) + 12, beat / 4, 0.35, 0.6, rate_hz)
    return _levelled(out)


def noise_bed(seed: int, seconds: float, rate_hz: int = 16_000) -> NDArray[np.float64]:
    """A room's noise with an RMS of 1 whose end joins its beginning; see ``caller_line`` for its level."""
    draw = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(draw.standard_normal(count))
    frequency_hz = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum[frequency_hz < 60] = 0
    spectrum /= np.sqrt(np.maximum(frequency_hz, 60))
    swell = 1 + 0.25 * np.sin(2 * np.pi * np.arange(count) / count * round(seconds / 2.5) + 6 * draw.random())
    bed: NDArray[np.float64] = np.fft.irfft(spectrum, count) * swell
    bed /= np.sqrt(np.mean(np.square(bed)))
    return bed


def _add_note(out: NDArray[np.float64], note: float, at_s: float, seconds: float, gain: float, rate_hz: int) -> None:
    """A plucked tone of five harmonics, added in place."""
    start = round(at_s * rate_hz)
    time_s = np.arange(max(0, min(round(seconds * rate_hz), out.size - start))) / rate_hz
    pitch_hz = 440.0 * 2 ** ((note - 69) / 12)
    tone = sum(np.sin(2 * np.pi * n * pitch_hz * time_s) / n**1.5 for n in range(1, 6))
    out[start : start + time_s.size] += (
        gain * np.asarray(tone) * np.exp(-time_s / 0.4) * np.minimum(1.0, time_s / 0.005)
    )


def _nasal(from_hz: float, to_hz: float, seconds: float, rate_hz: int) -> NDArray[np.float64]:
    """A voiced [m]: a pulse train gliding in pitch, through the murmur's resonances (250, 1000, 2200 Hz)."""
    count = round(seconds * rate_hz)
    phase = 2 * np.pi * np.cumsum(np.linspace(from_hz, to_hz, count)) / rate_hz
    out = np.zeros(count)
    for number in range(1, 30):
        at_hz = number * (from_hz + to_hz) / 2
        gain = sum(weight / (1 + ((at_hz - centre) / width) ** 2) for centre, width, weight in _MURMUR)
        out += gain * np.sin(number * phase)
    edge = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.03 * rate_hz))
    return out * edge


def _shaped_noise(
    draw: np.random.Generator, seconds: float, rate_hz: int, *, low_hz: float, high_hz: float, decay_s: float
) -> NDArray[np.float64]:
    """Band-limited noise with a 3 ms attack and an exponential decay."""
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(draw.standard_normal(count))
    frequency_hz = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum[(frequency_hz < low_hz) | (frequency_hz > high_hz)] = 0
    time_s = np.arange(count) / rate_hz
    return np.fft.irfft(spectrum, count) * np.minimum(1.0, time_s / 0.003) * np.exp(-time_s / decay_s)


def _levelled(samples: NDArray[np.float64]) -> bytes:
    return pcm_of(samples * (_PEAK / np.max(np.abs(samples))))
