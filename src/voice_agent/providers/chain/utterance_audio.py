"""The audio that another recogniser must hear again when it takes over."""

from __future__ import annotations

from collections import deque

from voice_agent.providers.asr.base import SAMPLE_RATE_HZ

_BYTES_PER_S = SAMPLE_RATE_HZ * 2
# Longer than any utterance a call allows by default; two megabytes. What is older is not heard again.
_KEPT_BYTES = 60 * _BYTES_PER_S
# Audio before the beginning that may hold the first sound.
_BEFORE_BYTES = int(0.6 * _BYTES_PER_S)
# Pieces in which it is given again: vendors refuse large messages.
_PIECE_BYTES = _BYTES_PER_S


class UtteranceAudio:
    """The newest audio of a call, from a little before its current utterance on. 16-bit mono PCM at 16 kHz."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._limit_bytes = _BEFORE_BYTES

    def push(self, pcm: bytes) -> None:
        self._chunks.append(pcm)
        self._held_bytes += len(pcm)
        if self._held_bytes > self._limit_bytes:
            self._trim(self._limit_bytes)

    def begin(self, *, keep_before: bool) -> None:
        """An utterance begins; ``keep_before``: what came just before belongs to it, and does not come again."""
        self._trim(_BEFORE_BYTES if keep_before else 0)
        self._limit_bytes = _KEPT_BYTES

    def pieces(self) -> list[bytes]:
        pcm = b"".join(self._chunks)
        return [pcm[at : at + _PIECE_BYTES] for at in range(0, len(pcm), _PIECE_BYTES)]

    def _trim(self, most_bytes: int) -> None:
        while self._chunks and self._held_bytes > most_bytes:
            self._held_bytes -= len(self._chunks.popleft())
