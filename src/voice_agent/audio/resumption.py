"""Where to go on after a pause in the middle of speech: not within a sound, but where one begins.

Speech that was cut and goes on at the very sample sounds broken; a listener expects the speaker to take up the syllable
or word again. The quietest moment shortly before the cut is such a place: a pause, or the closure before a consonant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def chunks_to_repeat(spoken: Sequence[bytes], at_most: int) -> int:
    """How many of the newest of ``spoken`` (16-bit mono PCM, equal lengths, oldest first) to speak again: from the
    quietest of the last ``at_most`` on, the latest of those that are equally quiet."""
    recent = spoken[max(0, len(spoken) - at_most) :]
    powers = [float(np.square(np.frombuffer(chunk, "<i2"), dtype=np.float32).mean()) for chunk in recent if chunk]
    if not powers:
        return 0
    quietest = min(range(len(powers)), key=lambda index: (powers[index], -index))
    return len(powers) - quietest
