"""How well the shipped documents are found and how sure the knowledge base is of it, on labelled questions.

``questions.yaml`` fits the calibration; ``held_out.yaml`` was written after that, see its first lines.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from tests.unit.rag.conftest import MODEL

from voice_agent.rag.calibration import CALIBRATIONS, fit
from voice_agent.rag.chunking import chunk_markdown
from voice_agent.rag.corpus import PREFIX
from voice_agent.rag.evaluation import Question, evaluate, load_questions
from voice_agent.rag.pipeline import KnowledgeBase

HERE = Path(__file__).parent
TUNED_ON = load_questions(HERE / "questions.yaml")
HELD_OUT = load_questions(HERE / "held_out.yaml")
THRESHOLD = 0.6  # CONFIDENCE_THRESHOLD's default


def test_the_sets_are_large_enough_and_share_nothing() -> None:
    for questions, least in ((TUNED_ON, 300), (HELD_OUT, 120)):
        answerable = [question for question in questions if question.documents]
        assert len(questions) >= least
        assert 3 * len(answerable) <= 2 * len(questions) + 2  # a third has no answer
    texts = [_plain(question.text) for question in (*TUNED_ON, *HELD_OUT)]
    assert len(set(texts)) == len(texts)


def test_no_labelled_question_is_listed_in_a_document() -> None:
    folder = Path(str(resources.files("voice_agent").joinpath("data", "kb")))
    chunks = [chunk for file in folder.glob("*.md") for chunk in chunk_markdown(file.read_text("utf-8"), "x")]
    listed = {_plain(question) for chunk in chunks for question in (*chunk.asked, *chunk.unanswered)}
    assert len(listed) > 1000
    assert listed.isdisjoint(_plain(question.text) for question in (*TUNED_ON, *HELD_OUT))


async def test_every_document_has_a_question(shop: KnowledgeBase) -> None:
    asked = {f"{PREFIX}{name}.md" for question in TUNED_ON for name in question.documents}
    assert asked == {document.source for document in await shop.documents()}


@pytest.mark.parametrize("questions", [TUNED_ON, HELD_OUT], ids=["tuned-on", "held-out"])
async def test_the_right_document_is_found(shop: KnowledgeBase, questions: tuple[Question, ...]) -> None:
    found = await evaluate(shop, questions, THRESHOLD)
    assert found.recall[3] >= 0.95, found.mistakes
    assert found.recall[1] >= 0.88
    assert found.mrr >= 0.92


@pytest.mark.parametrize("questions", [TUNED_ON, HELD_OUT], ids=["tuned-on", "held-out"])
async def test_what_is_not_there_is_refused_and_what_is_there_answered(
    shop: KnowledgeBase, questions: tuple[Question, ...]
) -> None:
    found = await evaluate(shop, questions, THRESHOLD)
    assert found.refused >= 0.9, found.mistakes
    assert found.answered >= 0.85, found.mistakes  # "never sure" must not pass
    assert found.wrong_evidence <= 0.025, found.mistakes
    assert found.calibration_error <= 0.08
    assert found.brier <= 0.08  # always saying the base rate gives 0.22


async def test_the_shipped_calibration_is_what_the_questions_give(shop: KnowledgeBase) -> None:
    found = [(question, await shop.hits(question.text, 3)) for question in TUNED_ON]
    evidence = [hits[0].evidence for _, hits in found]
    sources = [{hit.source.removeprefix(PREFIX).removesuffix(".md") for hit in hits} for _, hits in found]
    again = fit(
        evidence, [not held.isdisjoint(question.documents) for held, (question, _) in zip(sources, found, strict=True)]
    )
    shipped = CALIBRATIONS[MODEL]
    for one in evidence:
        assert again.confidence(one) == pytest.approx(shipped.confidence(one), abs=0.03)


def _plain(text: str) -> str:
    return text.lower().strip("?!. ")
