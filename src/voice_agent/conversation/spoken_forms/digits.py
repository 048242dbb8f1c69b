"""Finds every spoken or written run of digits in what a caller said, and cuts them all out.

This is a privacy function: PINs are captured with it, and what it leaves over is what the rest of the system sees.

Theory of operation. The text becomes tokens; each token is (part of) a number, or a mark or filler that may stand
inside a run ("four, um, two"), or a word that ends it. Numbers with nothing but marks and fillers between them are one
*chunk*. A chunk then has to look like digits rather than a quantity or a pronoun: "ten minutes", "one moment" and "no
one" are left alone. Words that only may be digits ("oh", and with ``lenient`` the homophones "for", "to", "won", "ate")
count between digits; at the edge of a chunk they count only as far as digits are missing. A comma, full stop or "and"
with four or more digits on each side separates two codes; otherwise it is taken as a pause.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from voice_agent.conversation.spoken_forms.english import ENGLISH
from voice_agent.conversation.spoken_forms.language import Language
from voice_agent.conversation.spoken_forms.numbers import Reading, read_homophone, read_number
from voice_agent.conversation.spoken_forms.tokens import Token, tokens_of

PLACEHOLDER: Final = "[PIN]"

_USUAL_LENGTH: Final = 4  # digits a code has at least, where the caller of this module does not say
_CODE_DIGITS: Final = 4  # this many on both sides of a comma are two codes, not one read out in groups
_ORDINAL_ENDINGS: Final = frozenset({"st", "nd", "rd", "th"})
_SEPARATORS: Final = frozenset({",", ".", ";", "and", "again", "then"})


@dataclass(frozen=True, slots=True)
class DigitRuns:
    """What was found in one utterance.

    ``runs``: each unbroken run of digits, in spoken order. ``attempt``: the digits said since the last correction ("no,
    sorry, …"), joined: what the caller now means. ``corrected``: a correction stands before ``attempt`` (or withdraws
    everything), so digits collected from earlier utterances are void. ``redacted``: the text with every run replaced.
    """

    runs: tuple[str, ...]
    attempt: str
    corrected: bool
    redacted: str
    attempt_runs: tuple[str, ...] = ()

    def candidate(self, length: int) -> str | None:
        """The code of ``length`` digits that the caller means, if this utterance holds one.

        It is the whole attempt, the same code said twice, or the last run of that length since the last correction
        ("order 83102, my PIN is 4271").
        """
        if len(self.attempt) == length:
            return self.attempt
        if len(self.attempt) == 2 * length and self.attempt[:length] == self.attempt[length:]:
            return self.attempt[:length]
        return next((run for run in reversed(self.attempt_runs) if len(run) == length), None)


class _Kind(Enum):
    NUMBER = auto()
    MARK = auto()
    FILLER = auto()
    INTRODUCTION = auto()
    CORRECTION = auto()
    ORDINAL = auto()  # "3rd": no digit of a code, but a digit character all the same
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class _Item:
    """One reading or token; ``first`` and ``after`` are token indices."""

    kind: _Kind
    first: int
    after: int
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    digits: str
    first: int  # token indices
    after: int


def digit_runs(
    text: str, *, lenient: bool = False, length: int | None = None, language: Language = ENGLISH
) -> DigitRuns:
    """All runs of digits in ``text``.

    ``lenient`` also takes homophones for digits where they stand among digits: for use while a secret is being
    collected. ``length`` is the number of digits asked for: it decides whether an "oh" or "for" at the edge of a run is
    a digit.
    """
    tokens = tokens_of(text)
    items = _items(tokens, language, lenient=lenient)
    runs = _all_runs(items, tokens, language, length)
    return _result(text, tokens, items, runs, language)


@dataclass(frozen=True, slots=True)
class LocatedRun:
    """A run of digits and its place in the text. ``spelled`` says that it is more than one word or figure."""

    digits: str
    start: int
    end: int
    spelled: bool


def located_runs(
    text: str, *, lenient: bool = False, length: int | None = None, language: Language = ENGLISH
) -> list[LocatedRun]:
    """The runs that ``digit_runs`` finds, each with its place."""
    tokens = tokens_of(text)
    items = _items(tokens, language, lenient=lenient)
    return [
        LocatedRun(run.digits, tokens[run.first].start, tokens[run.after - 1].end, run.after - run.first > 1)
        for run in _all_runs(items, tokens, language, length)
    ]


def _all_runs(items: Sequence[_Item], tokens: Sequence[Token], language: Language, length: int | None) -> list[_Run]:
    return [run for chunk in _chunks(items) for run in _runs_of(chunk, items, tokens, language, length)]


def _items(tokens: Sequence[Token], language: Language, *, lenient: bool) -> list[_Item]:
    items: list[_Item] = []
    at = 0
    while at < len(tokens):
        item = _item(tokens, at, language, lenient=lenient)
        items.append(item)
        at = item.after
    return items


def _item(tokens: Sequence[Token], at: int, language: Language, *, lenient: bool) -> _Item:
    token = tokens[at]
    glued = at + 1 < len(tokens) and tokens[at + 1].start == token.end
    if token.is_digits and glued and tokens[at + 1].word in _ORDINAL_ENDINGS:
        return _Item(_Kind.ORDINAL, at, at + 2)
    reading = read_number(tokens, at, language.numbers)
    if reading is None and lenient:
        reading = read_homophone(tokens, at, language.numbers)
    if reading is not None:
        return _Item(_Kind.NUMBER, at, reading.after, reading)
    for kind, words in (
        (_Kind.FILLER, language.secrets.fillers),
        (_Kind.CORRECTION, language.secrets.corrections),
        (_Kind.INTRODUCTION, language.secrets.introductions),
    ):
        if token.word in words:
            return _Item(kind, at, at + 1)
    return _Item(_Kind.MARK if token.is_mark else _Kind.OTHER, at, at + 1)


def _chunks(items: Sequence[_Item]) -> list[list[int]]:
    """Indices into ``items`` of the numbers that have only marks and fillers between them."""
    chunks: list[list[int]] = []
    unbroken = False
    for index, item in enumerate(items):
        if item.kind is _Kind.NUMBER:
            if not unbroken:
                chunks.append([])
            chunks[-1].append(index)
            unbroken = True
        elif item.kind not in (_Kind.MARK, _Kind.FILLER):
            unbroken = False
    return chunks


def _reading(item: _Item) -> Reading:
    assert item.reading is not None, "chunks hold numbers only"
    return item.reading


def _runs_of(
    chunk: list[int], items: Sequence[_Item], tokens: Sequence[Token], language: Language, length: int | None
) -> list[_Run]:
    sure = [place for place, index in enumerate(chunk) if not _reading(items[index]).doubtful]
    if not sure:
        # "oh oh oh oh", "to ate for won": only as a whole code, with nothing else said.
        whole = len(chunk) == length if length else len(chunk) >= _USUAL_LENGTH
        kept = chunk if whole and not _has_content(items) else []
    else:
        core = chunk[sure[0] : sure[-1] + 1]
        if _is_quantity(core, items, tokens, language) or _is_pronoun(core, items, tokens, language):
            return []
        kept = _with_edges(chunk, sure[0], sure[-1], items, tokens, length)
    return _split_codes(kept, items, tokens) if kept else []


def _has_content(items: Sequence[_Item]) -> bool:
    return any(item.kind is _Kind.OTHER for item in items)


def _is_quantity(core: list[int], items: Sequence[_Item], tokens: Sequence[Token], language: Language) -> bool:
    """ "ten minutes", "two or three days", "5 to 7 days", "four items": few digits before a counted noun."""
    after = items[core[-1]].after
    if after + 1 < len(tokens) and tokens[after].word == "-":
        after += 1  # "ten-minute"
    if after + 1 < len(tokens) and tokens[after].word in language.secrets.ranges:
        upper = read_number(tokens, after + 1, language.numbers)
        after = upper.after if upper else after
    if after >= len(tokens) or tokens[after].word not in language.secrets.counted:
        return False
    between = {tokens[at].word for at in range(items[core[0]].first, items[core[-1]].after)}
    is_range = len(core) <= 3 and bool(between & language.secrets.ranges)
    return (len(core) == 1 or is_range) and sum(len(_reading(items[index]).digits) for index in core) < _CODE_DIGITS + 1


def _is_pronoun(core: list[int], items: Sequence[_Item], tokens: Sequence[Token], language: Language) -> bool:
    """A lone "one" among other words, or after a word that makes it a pronoun ("this one")."""
    item = items[core[0]]
    if len(core) > 1 or item.after - item.first > 1 or tokens[item.first].word not in language.secrets.small_quantity:
        return False
    before = tokens[item.first - 1].word if item.first else ""
    return before in language.secrets.not_digit_after or _has_content(items)


def _with_edges(
    chunk: list[int],
    first_sure: int,
    last_sure: int,
    items: Sequence[_Item],
    tokens: Sequence[Token],
    length: int | None,
) -> list[int]:
    """Takes doubtful numbers at the chunk's edges in, as far as digits are missing."""
    first, last = first_sure, last_sure
    total = sum(len(_reading(items[index]).digits) for index in chunk[first : last + 1])
    target = length or _USUAL_LENGTH

    def wanted(index: int, *, leading: bool) -> bool:
        reading = _reading(items[index])
        if reading.homophone:
            return 2 <= total < target and (not leading or not _follows_content(items, index))
        if length:
            return total < target
        after = items[index].after
        pause = after < len(tokens) and tokens[after].is_mark and tokens[after].word != "-"
        # "oh, four two …" and "… seven one, oh I see" are exclamations; "oh four two", "seven oh" are zeros.
        return not pause if leading else pause or after == len(tokens)

    while first > 0 and wanted(chunk[first - 1], leading=True):
        first -= 1
        total += 1
    while last + 1 < len(chunk) and wanted(chunk[last + 1], leading=False):
        last += 1
        total += 1
    return chunk[first : last + 1]


def _follows_content(items: Sequence[_Item], index: int) -> bool:
    return index > 0 and items[index - 1].kind is _Kind.OTHER


def _split_codes(kept: list[int], items: Sequence[_Item], tokens: Sequence[Token]) -> list[_Run]:
    segments: list[list[int]] = [[kept[0]]]
    for before, index in itertools.pairwise(kept):
        gap = {tokens[at].word for at in range(items[before].after, items[index].first)}
        if gap & _SEPARATORS:
            segments.append([])
        segments[-1].append(index)
    runs: list[_Run] = []
    size_before = 0
    for segment in segments:
        digits = "".join(_reading(items[index]).digits for index in segment)
        span = (items[segment[0]].first, items[segment[-1]].after)
        if runs and not (size_before >= _CODE_DIGITS and len(digits) >= _CODE_DIGITS):
            runs[-1] = _Run(runs[-1].digits + digits, runs[-1].first, span[1])
        else:
            runs.append(_Run(digits, *span))
        size_before = len(digits)
    return runs


def _result(
    text: str, tokens: Sequence[Token], items: Sequence[_Item], runs: list[_Run], language: Language
) -> DigitRuns:
    inside = {at for run in runs for at in range(run.first, run.after)}
    corrections = [item.first for item in items if item.kind is _Kind.CORRECTION and item.first not in inside]
    last_run = runs[-1].first if runs else -1
    before_runs = [at for at in corrections if at < last_run]
    since = before_runs[-1] if before_runs else -1
    withdrawn = _is_withdrawn(tokens, items, runs, language)
    attempt = () if withdrawn else tuple(run.digits for run in runs if run.first > since)
    return DigitRuns(
        runs=tuple(run.digits for run in runs),
        attempt="".join(attempt),
        corrected=withdrawn or bool(before_runs),
        redacted=_redacted(text, tokens, items, runs),
        attempt_runs=attempt,
    )


def _is_withdrawn(tokens: Sequence[Token], items: Sequence[_Item], runs: Sequence[_Run], language: Language) -> bool:
    """The last digits are taken back ("… seven one, no wait"), or nothing but a correction is said ("no, sorry")."""
    after = runs[-1].after if runs else 0
    rest = [item for item in items if item.first >= after and item.kind not in (_Kind.MARK, _Kind.FILLER)]
    if not rest or (not runs and any(item.kind in (_Kind.OTHER, _Kind.NUMBER) for item in rest)):
        return False
    return tokens[rest[0].first].word in language.secrets.retractions


def _redacted(text: str, tokens: Sequence[Token], items: Sequence[_Item], runs: Sequence[_Run]) -> str:
    spans = [(tokens[run.first].start, tokens[run.after - 1].end) for run in runs]
    covered = {at for run in runs for at in range(run.first, run.after)}
    spans += [
        (tokens[item.first].start, tokens[item.first].end)
        for item in items
        if item.kind is _Kind.ORDINAL and item.first not in covered
    ]
    pieces: list[str] = []
    done = 0
    for start, end in sorted(spans):
        pieces += [text[done:start], PLACEHOLDER]
        done = end
    return "".join(pieces) + text[done:]
