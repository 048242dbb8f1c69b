"""How loud speech is, in a way that compares a short word with a long sentence.

The level of speech is that of its loud parts: pauses and unvoiced sounds would make a slow speaker seem far away. So it is
the mean power of the loudest third of its hops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

SILENCE_DBFS: Final = -96.0
"""What 16-bit silence counts as."""

_LOUD_SHARE: Final = 3


def power_dbfs(power: float) -> float:
    """Decibels below a full-scale square wave of a mean square in [0, 1]."""
    return max(SILENCE_DBFS, 10.0 * math.log10(power)) if power > 0 else SILENCE_DBFS


def speech_level_dbfs(hops: Sequence[bytes]) -> float:
    """The level of speech given as hops of 16-bit mono PCM of one size, at any rate; ``SILENCE_DBFS`` for none."""
    if not hops:
        return SILENCE_DBFS
    samples = np.frombuffer(b"".join(hops), "<i2").reshape(len(hops), -1).astype(np.float32)
    powers = np.sort(np.einsum("ij,ij->i", samples, samples) / samples.shape[1])
    loud = powers[-max(1, len(hops) // _LOUD_SHARE) :]
    return power_dbfs(float(loud.mean()) / 32768.0**2)
