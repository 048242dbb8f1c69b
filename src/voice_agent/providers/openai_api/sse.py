"""Server-sent events, as far as language model servers use them: the data of each event.

The format is in the HTML standard, §9.2 "Server-sent events". Event names, ids and comments are skipped; lines end in LF or
CRLF (a lone CR, which the standard allows, is used by no server). What a stream ends with counts even without the empty line
that should follow it: several servers leave it out after ``[DONE]``.
"""

from __future__ import annotations

MAX_EVENT_BYTES = 2**20  # a whole answer in one event is some kilobytes


class EventStream:
    """Feed it a body's bytes in pieces of any size. Raises ``ValueError`` for an event of more than ``max_bytes``."""

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line = b""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that ``piece`` completes."""
        lines = (self._line + piece).split(b"\n")
        self._line = lines.pop()
        events: list[bytes] = []
        for raw in lines:
            line = raw[:-1] if raw.endswith(b"\r") else raw
            if line:
                self._take(line)
            elif self._data:
                events.append(self._dispatch())
        if len(self._line) > self._max_bytes:
            raise ValueError(f"a line of more than {self._max_bytes} bytes")
        return events

    def flush(self) -> list[bytes]:
        """The end of the body: the event that was not closed, if there is one."""
        line, self._line = self._line.removesuffix(b"\r"), b""
        if line:
            self._take(line)
        return [self._dispatch()] if self._data else []

    def _take(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        value = line[6:] if line[5:6] == b" " else line[5:]
        self._data_bytes += len(value)
        if self._data_bytes > self._max_bytes:
            raise ValueError(f"an event of more than {self._max_bytes} bytes")
        self._data.append(value)

    def _dispatch(self) -> bytes:
        data = b"\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        return data
