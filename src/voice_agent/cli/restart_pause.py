"""How long a process that died stays dead."""

from __future__ import annotations

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
# A process that lived so long did not die of how it was started.
LIVED_WELL_S = 60.0


class RestartPause:
    """Half a second, doubled up to half a minute while one dies young after another."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait after one that lived so long."""
        pause_s = FIRST_PAUSE_S if lived_s > LIVED_WELL_S else self._next_s
        self._next_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return pause_s
