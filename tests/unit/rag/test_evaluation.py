from __future__ import annotations

from pathlib import Path

import pytest

from voice_agent.errors import ConfigError
from voice_agent.rag.calibration import Evidence
from voice_agent.rag.evaluation import Asked, Question, evaluate, load_questions, summarise
from voice_agent.rag.hybrid import Hit
from voice_agent.rag.pipeline import KnowledgeBase


def asked(confidence: float, rank: int, *documents: str) -> Asked:
    hit = Hit("a.md", "A", "", "text", 0.5, 1.0, 0.6, confidence, Evidence(0.5, 0.0, None))
    return Asked(Question("q", documents), (hit,), rank)


def test_the_figures_are_what_they_say() -> None:
    found = summarise(
        [
            asked(0.95, 1, "a"),
            asked(0.90, 2, "a"),
            asked(0.70, 4, "a"),
            asked(0.20, 1, "a"),
            asked(0.80, 0),
            asked(0.10, 0),
        ],
        0.6,
    )
    assert (found.answerable, found.unanswerable) == (4, 2)
    assert found.recall == {1: 0.5, 3: 0.75, 5: 1.0}
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 4 + 1) / 4)
    assert (found.answered, found.refused) == (0.75, 0.5)
    assert found.wrong_first == pytest.approx(3 / 6)
    assert found.wrong_evidence == pytest.approx(2 / 6)
    rows = {row.low: (row.count, row.right) for row in found.reliability if row.count}
    assert rows == {0.1: (2, 0.5), 0.6: (1, 0.0), 0.8: (1, 0.0), 0.9: (2, 1.0)}
    assert found.brier == pytest.approx((0.05**2 + 0.1**2 + 0.7**2 + 0.8**2 + 0.8**2 + 0.1**2) / 6)
    assert [round(one.confidence, 2) for one in found.mistakes] == [0.9, 0.8, 0.7, 0.2]


async def test_questions_are_asked_of_the_documents(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "mascot.md").write_text("# Mascot\nOur mascot is a green otter.\n")
    file = tmp_path / "questions.yaml"
    file.write_text("answerable: [{q: which animal is the mascot, doc: [mascot]}]\nunanswerable: [who won the game]\n")
    await knowledge.add([tmp_path / "mascot.md"])
    found = await evaluate(knowledge, load_questions(file), 0.6)
    assert (found.recall[1], found.answered, found.refused, found.wrong_first) == (1.0, 1.0, 1.0, 0.0)
    with pytest.raises(ConfigError, match="'otters'"):
        await evaluate(knowledge, [Question("q", ("otters",))], 0.6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n", "need the lists"),
        ("questions: []\n", "need the lists"),
        ("{", "cannot be read"),
        ("answerable: []\n", "hold none"),
        ("answerable: [{q: a}]\n", "is not {q: QUESTION"),
        ("answerable: [{q: a, doc: []}]\n", "is not {q: QUESTION"),
        ("answerable: [a]\n", "is not {q: QUESTION"),
        ("unanswerable: [3]\n", "not a question"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "questions.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        load_questions(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_questions(tmp_path / "nowhere.yaml")
