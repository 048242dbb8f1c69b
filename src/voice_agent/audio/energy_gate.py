"""Which hops are too quiet to be speech, so that no model need look at them.

A call is silence most of the time: while the agent speaks, while the caller listens. A hop's power tells so for a
hundredth of what a voice model costs. Rules, in the order of their use:

1. A hop below ``quiet_dbfs`` is no speech, whatever the line.
2. A hop no louder than the line's own noise by ``MARGIN_DB`` is none either. The noise is learnt from hops that were found
   to be no speech; it counts up to ``CAP_DBFS`` only, so that music or a crowd never deafens the gate.
3. After a hop that may be speech the gate stays open for ``HANGOVER_HOPS``: quiet consonants and short pauses are judged by
   the model, which has a memory and must not miss them.
"""

from __future__ import annotations

from typing import Final

QUIET_DBFS: Final = -60.0
MARGIN_DB: Final = 3.0
CAP_DBFS: Final = -40.0
HANGOVER_HOPS: Final = 8  # a quarter of a second at 32 ms: more than a pause within a word
# A probability this high may be the beginning of speech.
_MAYBE_SPEECH: Final = 0.15
# Noise is learnt slowly upwards (0.6 s at 32 ms), so that a word is not taken for it, and fast downwards.
_RISE: Final = 0.05
_FALL: Final = 0.3


def _power(dbfs: float) -> float:
    return float(10.0 ** (dbfs / 10.0))


class EnergyGate:
    """One call's gate. Powers are mean squares of samples in [-1, 1]."""

    __slots__ = ("_noise", "_open_hops", "_quiet")

    def __init__(self, quiet_dbfs: float = QUIET_DBFS) -> None:
        self._quiet = _power(quiet_dbfs)
        self._noise = 0.0
        self._open_hops = 0

    def is_quiet(self, power: float) -> bool:
        """Whether the next hop, of this power, is no speech for sure. Call it once for each hop, in order."""
        if power > self._quiet and power > min(self._noise * _MARGIN, _CAP):
            self._open_hops = HANGOVER_HOPS
            return False
        if self._open_hops:
            self._open_hops -= 1
            return False
        self._learn(power)
        return True

    def judged(self, power: float, probability: float) -> None:
        """What the model said of a hop that was not quiet."""
        if probability >= _MAYBE_SPEECH:
            self._open_hops = HANGOVER_HOPS
        else:
            self._learn(power)

    def _learn(self, power: float) -> None:
        self._noise += (_RISE if power > self._noise else _FALL) * (power - self._noise)


_MARGIN: Final = _power(MARGIN_DB)
_CAP: Final = _power(CAP_DBFS)
