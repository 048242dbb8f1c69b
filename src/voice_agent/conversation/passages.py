"""Passages that must be heard to their end, a legal disclosure for instance, marked in prompts and in a model's text.

``<must-hear>This call is recorded.</must-hear> How can I help you?`` A mark may span several segments. A sentence that has
any marked words counts as marked: speech is not stopped within it.
"""

from __future__ import annotations

import re

PASSAGE_END = "</must-hear>"
_MARK = re.compile(r"<(/?)must-hear>", re.IGNORECASE)
_SENTENCE_ENDS = (".", "!", "?", "…", "؟")


class PassageReader:
    """Takes the marks out of one reply's segments, in order."""

    def __init__(self) -> None:
        self._open = False

    def take(self, segment: str) -> list[tuple[str, bool]]:
        """The segment without marks, parted where a sentence ends at one; and of each part whether it may be
        interrupted."""
        parts: list[tuple[str, bool]] = []
        begin = 0
        for mark in _MARK.finditer(segment):
            self._add(segment[begin : mark.start()], parts)
            self._open = not mark.group(1)
            begin = mark.end()
        self._add(segment[begin:], parts)
        return parts

    def _add(self, text: str, parts: list[tuple[str, bool]]) -> None:
        text = text.strip()
        if not text:
            return
        if parts and not parts[-1][0].endswith(_SENTENCE_ENDS):
            before, interruptible = parts.pop()
            parts.append((f"{before} {text}", interruptible and not self._open))
        else:
            parts.append((text, not self._open))
