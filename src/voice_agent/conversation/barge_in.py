"""Is this an interruption? The verdict on speech heard while the agent has the floor.

Theory of operation: the first evidence of speech pauses the agent (cheap and reversible); this verdict then decides
whether it stops for good or goes on where it paused. Words decide where there are any, as far as the recogniser is sure of
them; duration decides where there are none. The verdict is one table, read from the top: the first row that fits counts.

Recognisers make words of everything: of "mm-hmm" ("In them.", "Amen.", confidence 0.4 to 0.8), of laughter (0.3 to 0.6), of
noise. Real words of the same length come with 0.8 and more, longer speech with less. So the confidence that words need falls
with the length of the speech: a line from ``sure_confidence`` at ``short_s`` to ``enough_confidence`` at ``long_s``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from voice_agent.conversation.endpointing import words_of
from voice_agent.conversation.locales import LocaleProfile


class Verdict(StrEnum):
    INTERRUPTION = "interruption"
    NOT_INTERRUPTION = "not_interruption"
    UNDECIDED = "undecided"


class Floor(StrEnum):
    """What the agent is doing while the caller makes a sound; each has its own rules."""

    SPEAKING = "speaking"
    THINKING = "thinking"  # nothing is heard yet: waiting for more words costs nothing
    SECRET = "secret"  # noqa: S105 - a state; digits said over the prompt are what was asked for
    CLOSING = "closing"  # the call ends with this reply: a goodbye said back does not keep it open


@dataclass(frozen=True, slots=True)
class BargeInDecision:
    verdict: Verdict
    rule: str


@dataclass(frozen=True, slots=True)
class FloorRules:
    """While the caller still speaks: ``words`` that are sure take the floor, one alone after ``commit_s`` of speech."""

    words: int = 2
    commit_s: float = 0.6


@dataclass(frozen=True, slots=True)
class BargeInSettings:
    """Seconds, decibels, and shares in [0, 1].

    ``pause_s`` of speech pauses the agent: three hops of the voice detector, so that a click does not. Nothing without
    words is held undecided longer than ``patience_s``. Each floor has its own rules for words; a secret's prompt has those
    of speaking.

    ``sure_confidence`` is needed of words in speech up to ``short_s``, ``enough_confidence`` from ``long_s`` on.
    ``grace_s`` after an unsure word the agent goes on: more words may follow.

    ``rewind_s``: where the agent goes on, it may repeat this much to begin with a sound. ``side_talk_db`` below the
    caller's own usual level, speech is meant for somebody else. ``echo_share`` of the heard power that is the agent's own
    makes it an echo; ``echo_likeness`` of the words to the agent's does where the power leaves it open.
    """

    pause_s: float = 0.096
    patience_s: float = 1.5
    short_s: float = 0.6
    long_s: float = 1.35
    sure_confidence: float = 0.8
    enough_confidence: float = 0.35
    grace_s: float = 0.3
    rewind_s: float = 0.24
    side_talk_db: float = 10.0
    echo_share: float = 0.5
    echo_likeness: float = 0.8
    speaking: FloorRules = field(default_factory=FloorRules)
    thinking: FloorRules = field(default_factory=lambda: FloorRules(words=3, commit_s=1.0))
    closing: FloorRules = field(default_factory=lambda: FloorRules(words=3, commit_s=0.8))

    def rules(self, floor: Floor) -> FloorRules:
        if floor is Floor.THINKING:
            return self.thinking
        if floor is Floor.CLOSING:
            return self.closing
        return self.speaking


@dataclass(frozen=True, slots=True)
class SpeechEvidence:
    """What is known of the speech so far.

    ``text`` is the newest hypothesis (``final``: speech ended and this is all of it) with its ``confidence`` in [0, 1];
    ``voiced_s`` is how long the speech had lasted when it was heard, ``lasted_s`` how long it has now.
    ``answers_question`` says that the agent has just asked something which "yes" would answer. ``relative_db`` is the
    level against the caller's usual one, ``echo`` the share of the power that is the agent's own audio (None: not known),
    ``likeness`` how much of the words the agent has just said itself. ``secret_digits`` are digits of a secret in it.
    """

    text: str
    final: bool
    voiced_s: float
    lasted_s: float
    confidence: float = 1.0
    floor: Floor = Floor.SPEAKING
    answers_question: bool = False
    relative_db: float | None = None
    echo: float | None = None
    likeness: float = 0.0
    secret_digits: int = 0


# A share of echo this small speaks against an echo, whatever the words; between it and ``echo_share`` the words decide.
_LITTLE_ECHO = 0.2
# Echo cancellers leave a distorted rest that shares little with what was sent; it is also quieter than a caller.
_RESIDUE_DB = -6.0
# A word by which the caller takes the floor counts even if the recogniser is not quite sure; in a first partial, made of a
# quarter of a second, it must be.
_STOP_CONFIDENCE_FINAL = 0.5
_STOP_CONFIDENCE = 0.7
_FIRST_PARTIAL_S = 0.4
# Of a quiet voice, such a word counts only alone: "no, the blue one on the table" is not addressed to the agent.
_ADDRESSED_WORDS = 3
# This many times the difference of side talk is too far off to be the caller, whatever the words.
_FAR = 1.5
# Sounds rather than words, in any Latin script: nasals, breaths and open vowels ("mhm", "uhhuh", "ahh", "haha").
_HUM = re.compile(r"(?:[hmn]|[aeou]+h|h[aeou]+h?|[aeou]+m)+")
_LONGEST_PHRASE_WORDS = 4


class _Case:
    """The evidence with what follows from it."""

    def __init__(self, evidence: SpeechEvidence, locale: LocaleProfile, settings: BargeInSettings) -> None:
        self.e = evidence
        self.locale = locale
        self.s = settings
        self.words = words_of(evidence.text)

    @cached_property
    def backchannel(self) -> bool:
        return bool(self.words) and _made_of(self.words, self.locale.backchannels, hums=self.locale.yes_no_words)

    @cached_property
    def answer(self) -> bool:
        return self.e.answers_question and self.backchannel and any(w in self.locale.yes_no_words for w in self.words)

    @cached_property
    def farewell(self) -> bool:
        polite = self.locale.backchannels | self.locale.farewells
        return bool(self.words) and _made_of(self.words, polite, hums=frozenset())

    @cached_property
    def sure(self) -> bool:
        """The words are believed, for speech of this length."""
        s = self.s
        share = (self.e.voiced_s - s.short_s) / max(s.long_s - s.short_s, 1e-6)
        needed = s.sure_confidence - min(1.0, max(0.0, share)) * (s.sure_confidence - s.enough_confidence)
        return bool(self.words) and self.e.confidence >= needed

    @cached_property
    def stops(self) -> bool:
        if not any(word in self.locale.stop_words for word in self.words):
            return False
        if self.e.final:
            return self.e.confidence >= _STOP_CONFIDENCE_FINAL
        return self.sure or (self.e.voiced_s >= _FIRST_PARTIAL_S and self.e.confidence >= _STOP_CONFIDENCE)

    @cached_property
    def echo(self) -> bool:
        e, s = self.e, self.s
        if e.echo is not None and e.echo >= s.echo_share:
            return True
        if e.likeness < s.echo_likeness:
            return False
        quiet = e.relative_db is not None and e.relative_db <= _RESIDUE_DB
        return e.echo is None or e.echo >= _LITTLE_ECHO or quiet

    @cached_property
    def side_talk(self) -> bool:
        relative_db = self.e.relative_db
        if relative_db is None or relative_db > -self.s.side_talk_db:
            return False
        near = relative_db > -_FAR * self.s.side_talk_db
        return not (near and self.e.final and self.stops and len(self.words) <= _ADDRESSED_WORDS)

    @cached_property
    def enough(self) -> bool:
        rules = self.s.rules(self.e.floor)
        many = len(self.words) >= rules.words or (self.e.voiced_s >= _FIRST_PARTIAL_S and self.lasted(rules.commit_s))
        return self.sure and not self.backchannel and many

    def lasted(self, seconds: float) -> bool:
        return self.e.lasted_s >= seconds


@dataclass(frozen=True, slots=True)
class _Row:
    rule: str
    verdict: Verdict
    fits: Callable[[_Case], bool]


_YES, _NO, _OPEN = Verdict.INTERRUPTION, Verdict.NOT_INTERRUPTION, Verdict.UNDECIDED

_TABLE: tuple[_Row, ...] = (
    # Who is it?
    _Row("digits", _YES, lambda c: c.e.secret_digits > 0 and not c.echo),
    _Row("echo", _NO, lambda c: c.echo),
    _Row("side_talk", _NO, lambda c: c.side_talk),
    # What is said?
    _Row("farewell", _NO, lambda c: c.e.floor is Floor.CLOSING and c.farewell),
    _Row("answer", _YES, lambda c: c.answer),
    _Row("stop_word", _YES, lambda c: c.stops),
    # The speech has ended: what there is decides.
    _Row("noise", _NO, lambda c: c.e.final and not c.words),
    _Row("backchannel", _NO, lambda c: c.e.final and c.backchannel),
    _Row("mumble", _NO, lambda c: c.e.final and not c.sure),
    _Row("words", _YES, lambda c: c.e.final),
    # It goes on.
    _Row("words", _YES, lambda c: c.enough),
    _Row("backchannel", _OPEN, lambda c: c.backchannel),
    _Row("duration", _YES, lambda c: c.sure and c.lasted(c.s.patience_s)),
    _Row("noise", _NO, lambda c: c.lasted(c.s.patience_s)),
    _Row("no_words", _OPEN, lambda c: True),
)


def judge(evidence: SpeechEvidence, *, locale: LocaleProfile, settings: BargeInSettings) -> BargeInDecision:
    """The verdict, and the rule that gave it. One that is not final may change with the next evidence."""
    case = _Case(evidence, locale, settings)
    row = next(row for row in _TABLE if row.fits(case))
    return BargeInDecision(row.verdict, row.rule)


def _made_of(words: list[str], phrases: frozenset[str], *, hums: frozenset[str]) -> bool:
    """Whether ``words`` are nothing but ``phrases`` and hums; ``hums`` are words that look like one and are none."""
    at = 0
    while at < len(words):
        for size in range(min(_LONGEST_PHRASE_WORDS, len(words) - at), 0, -1):
            if " ".join(words[at : at + size]) in phrases:
                at += size
                break
        else:
            if words[at] in hums or _HUM.fullmatch(words[at]) is None:
                return False
            at += 1
    return True
