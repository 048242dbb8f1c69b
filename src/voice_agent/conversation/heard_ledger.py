"""What was written of a reply, and how much of it has been heard, to the word.

Theory of operation: playout tells how many seconds have reached the ear; a segment's text and the length of its audio tell
which words those were. Synthesisers that give no word times leave an estimate within the segment: each word takes its share
of the segment's length, by its letters, with a pause behind punctuation. The estimate is exact at both ends of a segment
and weakest in its middle, and the clock has an error of its own, so every answer carries its confidence: the probability
that the cut lies between the right two words.

A listener knows a word a little before its end (Grosjean, Perception & Psychophysics 28, 1980); one cut earlier than that
was not heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from voice_agent.models import HeardBasis

# Used only until a segment's synthesis has ended: ordinary speech runs at about 15 characters a second.
_ASSUMED_CHARS_PER_S = 15.0
_SHORTEST_SEGMENT_S = 0.3
# A segment counts as heard when less than this is missing: its end is trimmed silence and the paced clock is coarse.
_TAIL_S = 0.12
_KNOWN_BEFORE_END_S = 0.1
# Lengths in letters: a digit is read as a word, and a voice pauses at a comma and between sentences.
_DIGIT = 4.0
_COMMA = 7.0
_FULL_STOP = 9.0
# Standard errors. The clock: a client's report is about 50 ms old; without one, network and device delays are unknown. The
# words: the share of a segment's length by which the middle of its text may be misplaced.
_ACKNOWLEDGED_ERROR_S = 0.05
_PACED_ERROR_S = 0.12
_WORD_ERROR = 0.08
_UNMEASURED_ERROR = 0.2


@dataclass(frozen=True, slots=True)
class Heard:
    """``text`` is what was heard: ``words`` of the ``written`` words. ``confidence``, in [0, 1], is the probability that
    it was cut at the right word."""

    text: str
    words: int
    written: int
    confidence: float
    basis: HeardBasis


@dataclass(slots=True)
class Segment:
    """``duration_s`` is None until all of its audio exists, ``began`` true once there is some; ``interruptible`` is false
    for a passage that must be heard."""

    text: str
    duration_s: float | None = None
    interruptible: bool = True
    began: bool = False

    @property
    def length_s(self) -> float:
        if self.duration_s is not None:
            return self.duration_s
        return max(_SHORTEST_SEGMENT_S, len(self.text) / _ASSUMED_CHARS_PER_S)

    def word_ends_s(self) -> list[float]:
        """When each word ends, in seconds since the segment began; the last one at its length."""
        words = self.text.split()
        ends: list[float] = []
        position = pause = 0.0
        for word in words:
            position += pause + _letters(word)
            pause = _pause_behind(word)
            ends.append(position)
        scale = self.length_s / position if position else 0.0
        return [end * scale for end in ends]


@dataclass(slots=True)
class HeardLedger:
    """The segments of one reply in the order in which they are spoken. ``at_s`` is seconds of the reply's audio."""

    segments: list[Segment] = field(default_factory=list)
    _written: list[Segment] = field(default_factory=list)  # those of the answer itself, by index

    def write(self, index: int, text: str, *, interruptible: bool = True) -> None:
        if index == len(self._written):
            self._written.append(Segment(text, interruptible=interruptible))
            self.segments.append(self._written[-1])

    def begun(self, index: int) -> None:
        """There is audio of the segment: no filler comes before it any more."""
        if index < len(self._written):
            self._written[index].began = True

    def measured(self, index: int, duration_s: float) -> None:
        if index < len(self._written):
            self._written[index].duration_s = duration_s

    def fill(self, before_index: int, text: str, duration_s: float) -> None:
        """A filler is spoken before the answer's segment ``before_index``, which may not be written yet."""
        place = len(self.segments)
        if before_index < len(self._written):
            late = self._written[before_index]
            place = next(at for at, segment in enumerate(self.segments) if segment is late)
        self.segments.insert(place, Segment(text, duration_s, began=True))

    def full_text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    def heard_text(self, at_s: float) -> str:
        """The words that were heard whole by ``at_s``."""
        return " ".join(self._words()[: self._count(at_s)])

    def heard(self, at_s: float, basis: HeardBasis = HeardBasis.PACED) -> Heard:
        words = self._words()
        count = self._count(at_s)
        text = " ".join(words[:count])
        return Heard(text, count, len(words), round(self._confidence(at_s, count, basis), 3), basis)

    def whole(self) -> Heard:
        """All of it was heard."""
        words = self._words()
        return Heard(self.full_text(), len(words), len(words), 1.0, HeardBasis.WHOLE)

    def around(self, at_s: float, *, before_s: float, after_s: float) -> str:
        """The words that were spoken from ``before_s`` before ``at_s`` to ``after_s`` after it."""
        ends = self._ends()
        return " ".join(
            word
            for word, end in zip(self._words(), ends, strict=True)
            if at_s - before_s <= end <= at_s + after_s + _TAIL_S
        )

    def understood_text(self, at_s: float) -> str:
        """What was heard by ``at_s``, and the rest of the sentence under way once more than half of it was: a listener
        answers a question before its last word."""
        words, count = self._words(), self._count(at_s)
        begin = count
        while begin > 0 and not _ends_sentence(words[begin - 1]):
            begin -= 1
        end = count
        while end < len(words) and not _ends_sentence(words[end]):
            end += 1
        whole = min(end + 1, len(words))
        return " ".join(words[:whole] if 2 * (count - begin) > whole - begin else words[:count])

    def interruptible(self, at_s: float) -> bool:
        """Whether the words at ``at_s`` may be interrupted."""
        begin_s = 0.0
        for segment in self.segments:
            begin_s += segment.length_s
            if at_s < begin_s - _TAIL_S or segment.duration_s is None:
                return segment.interruptible
        return True

    def _words(self) -> list[str]:
        return [word for segment in self.segments for word in segment.text.split()]

    def _ends(self) -> list[float]:
        """When each word ends, in seconds of the reply's audio."""
        begin_s = 0.0
        ends: list[float] = []
        for segment in self.segments:
            ends += [begin_s + end for end in segment.word_ends_s()]
            begin_s += segment.length_s
        return ends

    def _count(self, at_s: float) -> int:
        count = 0
        begin_s = 0.0
        for segment in self.segments:
            ends = segment.word_ends_s()
            if at_s < begin_s + segment.length_s - _TAIL_S:
                return count + sum(begin_s + end - _KNOWN_BEFORE_END_S <= at_s for end in ends)
            count += len(ends)
            begin_s += segment.length_s
        return count

    def _confidence(self, at_s: float, count: int, basis: HeardBasis) -> float:
        if at_s <= 0.0 or not self.segments:
            return 1.0
        ends = [end - _KNOWN_BEFORE_END_S for end in self._ends()]
        before_s = ends[count - 1] if count else -math.inf
        after_s = ends[count] if count < len(ends) else math.inf
        error_s = math.hypot(
            _ACKNOWLEDGED_ERROR_S if basis is HeardBasis.ACKNOWLEDGED else _PACED_ERROR_S, self._word_error_s(at_s)
        )
        # Where the end of the last word counted lies just ahead, "heard" was granted for the tail's sake.
        before_s = min(before_s, at_s)
        return _below((after_s - at_s) / error_s) - _below((before_s - at_s) / error_s)

    def _word_error_s(self, at_s: float) -> float:
        begin_s = 0.0
        for segment in self.segments:
            if at_s < begin_s + segment.length_s:
                share = max(0.0, (at_s - begin_s) / segment.length_s)
                if segment.duration_s is None:
                    return _UNMEASURED_ERROR * (at_s - begin_s)
                return 2.0 * _WORD_ERROR * math.sqrt(share * (1.0 - share)) * segment.length_s
            begin_s += segment.length_s
        return 0.0


def _letters(word: str) -> float:
    return max(1.0, sum(_DIGIT if letter.isdigit() else 1.0 for letter in word if letter.isalnum()))


def _pause_behind(word: str) -> float:
    if _ends_sentence(word):
        return _FULL_STOP
    return _COMMA if word.endswith((",", ";", ":", "،", "؛", "–", "—")) else 0.0


def _ends_sentence(word: str) -> bool:
    return word.rstrip("\"')»”").endswith((".", "!", "?", "…", "؟"))


def _below(deviations: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * (1.0 + math.erf(deviations / math.sqrt(2.0)))
