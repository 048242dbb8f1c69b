"""How good the knowledge base is on labelled questions: what it finds, what it refuses, and whether its confidence is true.

A question file is YAML::

    answerable:
      - {q: "how long do i have to return something", doc: returns}
      - {q: "what does shipping cost", doc: [shipping-costs, international-shipping]}
    unanswerable:
      - "do you rent out kayaks"

``doc`` names the documents that answer: a whole source, or the name of its file with or without the suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from voice_agent.errors import ConfigError
from voice_agent.rag.hybrid import Hit
from voice_agent.rag.pipeline import KnowledgeBase

RECALL_AT = (1, 3, 5)
_DEPTH = 10  # passages looked through for the right document; beyond that it counts as not found
_EVIDENCE = 3  # passages that a language model is sure to read
_BINS = ((0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.0))


@dataclass(frozen=True, slots=True)
class Question:
    """``documents`` is empty for a question that nothing answers."""

    text: str
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what was found for it; ``rank`` is the place of the first passage of a right document (from 1), 0
    where there is none."""

    question: Question
    hits: tuple[Hit, ...]
    rank: int

    @property
    def right(self) -> bool:
        """Whether the evidence, the passages that a language model is sure to read, holds one of a right document."""
        return 0 < self.rank <= _EVIDENCE

    @property
    def confidence(self) -> float:
        return self.hits[0].confidence if self.hits else 0.0


@dataclass(frozen=True, slots=True)
class ReliabilityRow:
    """Of the questions whose confidence lies in [low, high): the mean confidence, and how often a right document was
    among the evidence."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures, as shares from 0 to 1.

    ``wrong_first`` and ``wrong_evidence`` are of all questions: answered with confidence although there is no answer, or
    although the first passage (none of the first three) is of a right document. ``calibration_error`` is the mean
    distance between confidence and what came true, over the rows of ``reliability``.
    """

    answerable: int
    unanswerable: int
    recall: dict[int, float]
    mrr: float
    answered: float
    refused: float
    wrong_first: float
    wrong_evidence: float
    calibration_error: float
    brier: float
    reliability: tuple[ReliabilityRow, ...]
    mistakes: tuple[Asked, ...]


def load_questions(path: Path) -> tuple[Question, ...]:
    """Reads a question file. Raises ``ConfigError`` naming the entry that is wrong."""
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the questions {str(path)!r} cannot be read: {error}.") from None
    if not isinstance(content, dict) or not content.keys() <= {"answerable", "unanswerable"}:
        raise ConfigError(
            f"the questions {str(path)!r} need the lists 'answerable' and 'unanswerable', and nothing else."
        )
    questions = [_answerable(entry, path) for entry in content.get("answerable") or ()]
    for entry in content.get("unanswerable") or ():
        if not isinstance(entry, str) or not entry.strip():
            raise ConfigError(f"the questions {str(path)!r}: {entry!r} in 'unanswerable' is not a question in quotes.")
        questions.append(Question(entry, ()))
    if not questions:
        raise ConfigError(f"the questions {str(path)!r} hold none.")
    return tuple(questions)


async def evaluate(
    knowledge: KnowledgeBase, questions: Sequence[Question], threshold: float, *, locale: str = ""
) -> Evaluation:
    """Asks all questions. Raises ``ConfigError`` for a document that does not exist, and what searching raises."""
    documents = await knowledge.documents(locale=locale) or await knowledge.documents()
    known = [document.source for document in documents]
    for question in questions:
        for name in question.documents:
            if not any(_is(source, name) for source in known):
                raise ConfigError(f"the question {question.text!r} names {name!r}, but there is no such document.")
    asked: list[Asked] = []
    for question in questions:
        hits = await knowledge.hits(question.text, _DEPTH, locale=locale)
        right = (
            place for place, hit in enumerate(hits, 1) if any(_is(hit.source, name) for name in question.documents)
        )
        asked.append(Asked(question, hits, next(right, 0)))
    return summarise(asked, threshold)


def summarise(asked: Sequence[Asked], threshold: float) -> Evaluation:
    """The figures for questions that were asked."""
    answerable = [one for one in asked if one.question.documents]
    unanswerable = [one for one in asked if not one.question.documents]
    sure = [one for one in asked if one.confidence >= threshold]
    reliability = _reliability(asked)
    wrong_first = [one for one in sure if one.rank != 1]
    unsure = [one for one in answerable if one.confidence < threshold]
    return Evaluation(
        answerable=len(answerable),
        unanswerable=len(unanswerable),
        recall={k: _share(sum(0 < one.rank <= k for one in answerable), answerable) for k in RECALL_AT},
        mrr=_share(sum(1 / one.rank for one in answerable if one.rank), answerable),
        answered=_share(sum(one.confidence >= threshold for one in answerable), answerable),
        refused=_share(sum(one.confidence < threshold for one in unanswerable), unanswerable),
        wrong_first=_share(len(wrong_first), asked),
        wrong_evidence=_share(sum(not one.right for one in sure), asked),
        calibration_error=_share(sum(row.count * abs(row.confidence - row.right) for row in reliability), asked),
        brier=_share(sum((one.confidence - one.right) ** 2 for one in asked), asked),
        reliability=reliability,
        mistakes=(*sorted(wrong_first, key=lambda one: -one.confidence), *unsure),
    )


def _reliability(asked: Sequence[Asked]) -> tuple[ReliabilityRow, ...]:
    rows: list[ReliabilityRow] = []
    for low, high in _BINS:
        inside = [one for one in asked if low <= one.confidence < high or one.confidence == high == 1.0]
        mean = _share(sum(one.confidence for one in inside), inside)
        rows.append(ReliabilityRow(low, high, len(inside), mean, _share(sum(one.right for one in inside), inside)))
    return tuple(rows)


def _share(count: float, of: Sequence[object]) -> float:
    return count / len(of) if of else 0.0


def _answerable(entry: Any, path: Path) -> Question:
    if isinstance(entry, dict) and entry.keys() == {"q", "doc"} and isinstance(entry["q"], str):
        names = entry["doc"] if isinstance(entry["doc"], list) else [entry["doc"]]
        if names and all(isinstance(name, str) and name for name in names):
            return Question(entry["q"], tuple(names))
    raise ConfigError(f"the questions {str(path)!r}: {entry!r} in 'answerable' is not {{q: QUESTION, doc: DOCUMENT}}.")


def _is(source: str, name: str) -> bool:
    file = source.removeprefix("shop:").rstrip("/").rsplit("/", 1)[-1]
    return name in (source, file, file.rsplit(".", 1)[0])
