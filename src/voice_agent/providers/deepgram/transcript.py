"""What was heard, on the call's own time line, and which utterance it belongs to. No I/O.

Rules:

1. Times are seconds of the caller's audio since the call began, whatever connection brought the words.
2. Segments are settled (never change again, in order of time), and at most one is pending: the vendor's newest guess about
   what follows the settled ones.
3. An utterance begins ``PRE_ROLL_S`` before ``begin`` was called: the voice detector needs some time to be sure. It takes
   every word whose middle lies after that, whether it is heard before or after the call of ``begin``. It does not take
   words that lie before audio for which a final was asked earlier, or that were part of an earlier final: those belong to
   the utterance before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from voice_agent.models import UtteranceId
from voice_agent.providers.asr import base
from voice_agent.providers.asr.base import Partial, Word

PRE_ROLL_S: Final = 0.4  # the detector's own delay, and the audio before the onset that belongs to the first word
_SEGMENTS_MAX: Final = 500  # of one utterance; beyond it the oldest is forgotten. Some 20 minutes of speech

# text as it is shown, start and end in seconds, confidence; a plain tuple, for some hundred are made every second
HeardWord = tuple[str, float, float, float]


@dataclass(slots=True)
class Segment:
    """A stretch of audio and what it says; ``words`` may be missing where the text is not."""

    start_s: float
    end_s: float
    text: str = ""
    words: list[HeardWord] = field(default_factory=list)


class Transcript:
    """The words of a call since its current utterance began. ``settled_s``: everything before it is settled."""

    def __init__(self) -> None:
        self._settled: deque[Segment] = deque(maxlen=_SEGMENTS_MAX)
        self._pending: Segment | None = None
        self._start_s = 0.0
        self._closed_s = 0.0
        self.settled_s = 0.0

    @property
    def pending_s(self) -> float:
        """Where the pending words end; 0 without any."""
        return self._pending.end_s if self._pending is not None and self._pending.text else 0.0

    def begin(self, at_s: float) -> None:
        """A new utterance; ``at_s`` is the end of the audio so far."""
        self._start_s = max(0.0, at_s - PRE_ROLL_S, self._closed_s)
        while self._settled and self._settled[0].end_s <= self._start_s:
            self._settled.popleft()

    def forget(self, before_s: float) -> None:
        """Between utterances: nothing this old can belong to the next one."""
        while self._settled and self._settled[0].end_s < before_s:
            self._settled.popleft()

    def close(self, at_s: float) -> None:
        """A final was asked for the audio up to here: what lies before it never belongs to a later utterance."""
        self._closed_s = max(self._closed_s, at_s)

    def settle(self, segment: Segment) -> None:
        """The vendor's last word on this stretch; of what was pending only later words remain (a new connection that
        catches up settles less than the old one had guessed)."""
        if self._pending is not None:
            later = [word for word in self._pending.words if _middle(word[1], word[2]) >= segment.end_s]
            text = " ".join(word[0] for word in later)
            self._pending = Segment(segment.end_s, self._pending.end_s, text, later) if later else None
        self.settled_s = max(self.settled_s, segment.end_s)
        if segment.text:
            self._settled.append(segment)

    def suppose(self, segment: Segment) -> None:
        self._pending = segment

    def partial(self, utterance_id: UtteranceId, *, resumed: bool = False) -> Partial | None:
        """The utterance as it stands; ``None`` while nothing was heard."""
        text, words = self._reading()
        return Partial(utterance_id, text, _mean(words), resumed) if text else None

    def final(self, utterance_id: UtteranceId, *, ends_turn: bool = False) -> base.Final:
        """The utterance from its start; empty, with confidence 0, when nothing was heard."""
        text, words = self._reading()
        if words:
            self.close(words[-1][2])
        start_s = self._start_s
        told = tuple(Word(word, max(0.0, at - start_s), max(0.0, to - start_s), sure) for word, at, to, sure in words)
        return base.Final(utterance_id, text, _mean(words) if text else 0.0, ends_turn, told)

    def _reading(self) -> tuple[str, list[HeardWord]]:
        texts: list[str] = []
        words: list[HeardWord] = []
        pending = (self._pending,) if self._pending is not None else ()
        for segment in (*self._settled, *pending):
            mine = self._mine(segment)
            if mine.text:
                texts.append(mine.text)
                words += mine.words
        return " ".join(texts), words

    def _mine(self, segment: Segment) -> Segment:
        """The part of the segment that belongs to the utterance. A whole one keeps the vendor's own text."""
        start_s, words = self._start_s, segment.words
        if not words:
            return segment if _middle(segment.start_s, segment.end_s) >= start_s else Segment(start_s, start_s)
        if _middle(words[0][1], words[0][2]) >= start_s:
            return segment
        mine = [word for word in words if _middle(word[1], word[2]) >= start_s]
        return Segment(start_s, segment.end_s, " ".join(word[0] for word in mine), mine)


def _middle(start_s: float, end_s: float) -> float:
    return (start_s + end_s) / 2


def _mean(words: list[HeardWord]) -> float:
    """The mean of the words' confidences: the vendor's own figure is about one segment, and not of every model. Without
    words nothing is told, which is 1 by the protocol."""
    return sum(word[3] for word in words) / len(words) if words else 1.0
