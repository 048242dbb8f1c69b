"""How well the shipped documents are found and how sure the knowledge base is of it, on labelled questions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.rag.conftest import MODEL

from voice_agent.models import KnowledgeAnswer
from voice_agent.rag.calibration import CALIBRATIONS, fit
from voice_agent.rag.corpus import PREFIX
from voice_agent.rag.pipeline import KnowledgeBase

QUESTIONS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("questions.yaml").read_text("utf-8"))


@dataclass(frozen=True)
class Asked:
    question: str
    document: str  # empty: nothing answers it
    answer: KnowledgeAnswer
    held_out: bool

    @property
    def found(self) -> list[str]:
        return [passage.source.removeprefix(PREFIX).removesuffix(".md") for passage in self.answer.passages]

    @property
    def decided_rightly(self) -> bool:
        return self.answer.answerable == bool(self.document)


@pytest.fixture
async def asked(shop: KnowledgeBase) -> list[Asked]:
    pairs = [[(entry["q"], entry["doc"]) for entry in QUESTIONS["answerable"]]]
    pairs.append([(question, "") for question in QUESTIONS["unanswerable"]])
    return [
        Asked(question, document, await shop.search(question), held_out=position % 2 == 1)
        for group in pairs
        for position, (question, document) in enumerate(group)
    ]


async def test_the_question_set_is_large_enough_and_covers_every_document(
    asked: list[Asked], shop: KnowledgeBase
) -> None:
    answerable = [one for one in asked if one.document]
    assert len(answerable) >= 60
    assert len(asked) - len(answerable) >= 40
    assert len({one.question.lower() for one in asked}) == len(asked)
    documents = {document.source for document in await shop.documents()}
    assert {f"{PREFIX}{one.document}.md" for one in answerable} == documents
    assert len(documents) >= 28


async def test_the_right_document_is_among_the_first_three_passages(asked: list[Asked]) -> None:
    answerable = [one for one in asked if one.document]
    missed = [(one.question, one.document, one.found) for one in answerable if one.document not in one.found[:3]]
    assert len(missed) <= 0.05 * len(answerable), missed
    first = sum(one.found[0] == one.document for one in answerable)
    assert first >= 0.9 * len(answerable)


async def test_what_is_answerable_is_decided_rightly(asked: list[Asked]) -> None:
    """On the questions the calibration has not seen, and on either kind alone: 'always yes' must not pass."""
    held_out = [one for one in asked if one.held_out]
    for group in (held_out, [o for o in held_out if o.document], [o for o in held_out if not o.document]):
        wrong = [(one.question, one.answer.confidence) for one in group if not one.decided_rightly]
        assert len(wrong) <= 0.1 * len(group), wrong


async def test_the_confidence_is_a_calibrated_probability(asked: list[Asked]) -> None:
    held_out = [one for one in asked if one.held_out]
    errors = [(one.answer.confidence - bool(one.document)) ** 2 for one in held_out]
    assert sum(errors) / len(errors) < 0.08  # always saying the base rate gives 0.23
    mean = sum(one.answer.confidence for one in held_out) / len(held_out)
    assert mean == pytest.approx(sum(bool(one.document) for one in held_out) / len(held_out), abs=0.05)


async def test_the_shipped_calibration_is_what_these_questions_give(asked: list[Asked]) -> None:
    shipped = CALIBRATIONS[MODEL]
    fitted_on = [one for one in asked if not one.held_out]
    odds = [one.answer.confidence / (1 - one.answer.confidence) for one in fitted_on]
    cosines = [math.log(ratio) / shipped.slope + shipped.centre for ratio in odds]
    again = fit(cosines, [bool(one.document) for one in fitted_on])
    assert again.slope == pytest.approx(shipped.slope, rel=0.15)
    assert again.centre == pytest.approx(shipped.centre, abs=0.015)
