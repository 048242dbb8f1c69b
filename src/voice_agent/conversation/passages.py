"""Passages that must be heard to their end, a legal disclosure for instance, marked in prompts and in a model's text.

``<must-hear>This call is recorded.</must-hear> How can I help you?`` A mark may span several segments. A segment that has
any marked words counts as marked: speech is stopped between segments or not at all there.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"<(/?)must-hear>", re.IGNORECASE)


class PassageReader:
    """Takes the marks out of one reply's segments, in order."""

    def __init__(self) -> None:
        self._open = False

    def take(self, segment: str) -> tuple[str, bool]:
        """The segment without marks ("" if there is nothing else), and whether it may be interrupted."""
        must_hear = self._open
        for mark in _MARK.finditer(segment):
            self._open = not mark.group(1)
            must_hear = must_hear or self._open
        text = " ".join(_MARK.sub(" ", segment).split()) if must_hear or _MARK.search(segment) else segment
        return text, not must_hear
