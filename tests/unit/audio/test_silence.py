from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.audio.frames import duration_s, silence
from voice_agent.audio.silence import SilenceTrimmer

RATE_HZ = 24_000


def sound(seconds: float, level: int = 3_000) -> bytes:
    return np.resize(np.array([level, -level], dtype="<i2"), round(seconds * RATE_HZ)).tobytes()


def trimmed(pcm: bytes, chunk_bytes: int = 960) -> bytes:
    trimmer = SilenceTrimmer(RATE_HZ)
    pieces = [trimmer.process(pcm[i : i + chunk_bytes]) for i in range(0, len(pcm), chunk_bytes)]
    return b"".join(pieces) + trimmer.flush()


def test_both_ends_are_trimmed() -> None:
    out = trimmed(silence(0.284, RATE_HZ) + sound(1.0) + silence(0.449, RATE_HZ))
    assert duration_s(len(out), RATE_HZ) == pytest.approx(0.02 + 1.0 + 0.2, abs=0.011)
    # 20 ms are kept, and what of the first loud hop is still silent
    assert 0.02 <= duration_s(out.index(sound(0.01)), RATE_HZ) < 0.025


def test_an_inner_pause_stays() -> None:
    pcm = sound(0.3) + silence(0.7, RATE_HZ) + sound(0.3)
    assert trimmed(pcm) == pcm


def test_a_short_tail_is_not_lengthened() -> None:
    pcm = sound(0.3) + silence(0.05, RATE_HZ)
    assert trimmed(pcm) == pcm


def test_silence_alone_gives_nothing() -> None:
    assert trimmed(silence(2.0, RATE_HZ)) == b""
    assert trimmed(b"") == b""
    assert trimmed(sound(0.5, level=50)) == b""  # -56 dBFS is a noise floor


def test_sound_passes_within_one_hop() -> None:
    """Each chunk of speech leaves with the chunk that completes its 5 ms hop: nothing waits for the end."""
    trimmer = SilenceTrimmer(RATE_HZ)
    assert trimmer.process(silence(0.3, RATE_HZ)) == b""
    given_bytes = passed_bytes = 0
    for _ in range(100):
        chunk = sound(0.003)
        given_bytes += len(chunk)
        passed_bytes += len(trimmer.process(chunk))
        assert given_bytes - passed_bytes < RATE_HZ * 2 * 0.005


def test_a_trimmer_serves_the_next_utterance() -> None:
    trimmer = SilenceTrimmer(RATE_HZ)
    pcm = silence(0.3, RATE_HZ) + sound(0.2) + silence(0.5, RATE_HZ)
    first = trimmer.process(pcm) + trimmer.flush()
    assert trimmer.process(pcm) + trimmer.flush() == first


@settings(deadline=None)
@given(
    parts=st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.4)), max_size=6),
    cuts=st.lists(st.integers(0, 60_000), max_size=20),
)
def test_any_chunking_gives_the_same_audio(parts: list[tuple[bool, float]], cuts: list[int]) -> None:
    pcm = b"".join(sound(seconds) if loud else silence(seconds, RATE_HZ) for loud, seconds in parts)
    trimmer = SilenceTrimmer(RATE_HZ)
    edges = [0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]
    pieces = b"".join(trimmer.process(pcm[start:end]) for start, end in itertools.pairwise(edges))
    out = pieces + trimmer.flush()
    assert out == trimmed(pcm, chunk_bytes=max(2, len(pcm)))
    assert out in pcm
