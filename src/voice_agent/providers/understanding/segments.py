"""Cuts a caller turn into the parts that may each mean something: its sentences, and the clauses of long ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
_CLAUSE_START = re.compile(
    r",\s+(?:and\s+|but\s+|so\s+)?|\s+(?:and|but|so|because|also|plus|then|anyway|by the way)\s+", re.IGNORECASE
)
_LONG_SENTENCE_WORDS = 6  # shorter sentences rarely say two things
_CLAUSE_WORDS = 3  # shorter clauses mean too little by themselves
_MOST = 8  # bounds the work for a rambling turn


@dataclass(frozen=True, slots=True)
class Segment:
    """``clause``: a part of a sentence, so weaker evidence than a sentence or the whole turn."""

    text: str
    clause: bool = False


def split_turn(text: str) -> tuple[Segment, ...]:
    """The whole turn first, then its sentences, then clauses of long sentences; each text once, at most 8."""
    whole = " ".join(text.split())
    sentences = [part for part in _SENTENCE_END.split(whole) if part]
    found: dict[str, Segment] = {whole: Segment(whole)}
    for sentence in sentences:
        found.setdefault(sentence, Segment(sentence))
    for sentence in sentences:
        if len(sentence.split()) > _LONG_SENTENCE_WORDS:
            for part in clauses(sentence):
                found.setdefault(part, Segment(part, clause=True))
    return tuple(found.values())[:_MOST]


def clauses(sentence: str) -> list[str]:
    """The parts between commas and conjunctions; a part too short to stand alone stays with the one before it."""
    parts: list[str] = []
    start = 0
    for joint in _CLAUSE_START.finditer(sentence):
        if len(sentence[start : joint.start()].split()) >= _CLAUSE_WORDS:
            parts.append(sentence[start : joint.start()])
            start = joint.end()
    rest = sentence[start:]
    if parts and len(rest.split()) < _CLAUSE_WORDS:
        parts[-1] = sentence[sentence.index(parts[-1]) :]
    else:
        parts.append(rest)
    return parts if len(parts) > 1 else []
