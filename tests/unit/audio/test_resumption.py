"""Where speech goes on after a pause."""

from __future__ import annotations

import numpy as np
import pytest

from voice_agent.audio.resumption import chunks_to_repeat


def chunk(amplitude: int) -> bytes:
    return np.full(480, amplitude, "<i2").tobytes()


@pytest.mark.parametrize(
    ("levels", "at_most", "repeated"),
    [
        ((900, 10, 800, 900), 4, 3),  # from the dip on
        ((5, 900, 10, 800, 900), 3, 3),  # an earlier, deeper dip is out of reach
        ((900, 900, 900), 3, 1),  # no dip: as little as possible
        ((900, 10, 10, 900), 4, 2),  # the latest of equals
        ((900,), 5, 1),
        ((), 5, 0),
        ((900, 10), 0, 0),
    ],
)
def test_the_quietest_moment_is_where_speech_goes_on(levels: tuple[int, ...], at_most: int, repeated: int) -> None:
    assert chunks_to_repeat([chunk(level) for level in levels], at_most) == repeated
