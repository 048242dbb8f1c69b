"""From evidence to a probability: how sure it is that the passages found answer the question.

The confidence is a logistic function of three facts about the best passage, or rather a blend of two such functions.
Their numbers belong to an embedding model and to the way passages are embedded (``pipeline.passage_texts``) and searched
(``hybrid.py``). They are fitted on labelled questions to the shipped documents (``tests/unit/rag/questions.yaml``; a test
fits them again and compares): "yes" where a passage of a right document is among the first three, which the language model
reads, "no" where it is not, or where no document answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

_NEWTON_STEPS = 50
_RIDGE = 0.02  # keeps the weights finite where the two classes happen to be separable
_PLAIN_SHARE = 0.35  # on the labelled questions it refuses as much as the more doubtful reading and answers more
_PER_FUSED = 27.0  # log-odds: what of two passages is the right one shows sooner than whether any is
_LOG_ODDS_MAX = 50.0  # far beyond what a float can tell from certainty; keeps exp() in range


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for and against a passage.

    ``embedding``: its cosine to the question. ``unknown``: the share of the question's words (weighed by how telling they
    are) that no passage at all holds. ``rival``: how near the question is to one that is known to be unanswered, see
    ``HybridIndex``; ``None`` where the collection lists none. That a passage holds the question's words decides which
    passage comes first; on the labelled questions it says nothing more about whether there is an answer.
    """

    embedding: float
    unknown: float
    rival: float | None


@dataclass(frozen=True, slots=True)
class Logistic:
    """The weight of each fact in the log-odds, and the log-odds of no evidence at all."""

    embedding: float
    unknown: float
    rival: float
    constant: float

    def log_odds(self, evidence: Evidence) -> float:
        rival = evidence.rival or 0.0
        return (
            self.embedding * evidence.embedding + self.unknown * evidence.unknown + self.rival * rival + self.constant
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Two readings of the same evidence.

    ``contrast`` knows that documents list questions without an answer, and takes it as a good sign that none is near. Where
    nobody has listed any, that sign means nothing, and ``plain`` alone counts. Elsewhere the log-odds are blended, so that a
    question far from everything is not held to be answered merely because it is far from the listed ones too.
    """

    plain: Logistic
    contrast: Logistic

    def confidence(self, evidence: Evidence, behind: float = 0.0) -> float:
        """For the best passage; for another one by how much its fused score is ``behind``."""
        log_odds = self.plain.log_odds(evidence)
        if evidence.rival is not None:
            log_odds = _PLAIN_SHARE * log_odds + (1 - _PLAIN_SHARE) * self.contrast.log_odds(evidence)
        log_odds = min(_LOG_ODDS_MAX, max(-_LOG_ODDS_MAX, log_odds - _PER_FUSED * behind))
        return 1.0 / (1.0 + math.exp(-log_odds))


#: By ``EMBEDDING_MODEL``.
CALIBRATIONS = {
    "all-MiniLM-L6-v2": Calibration(
        plain=Logistic(embedding=16.65, unknown=-3.07, rival=0.0, constant=-6.51),
        contrast=Logistic(embedding=9.43, unknown=-3.49, rival=-16.49, constant=-0.73),
    )
}


def fit(evidence: Sequence[Evidence], answered: Sequence[bool]) -> Calibration:
    """The most likely calibration for labelled best passages."""
    without = [replace(one, rival=None) for one in evidence]
    return Calibration(plain=fit_logistic(without, answered), contrast=fit_logistic(evidence, answered))


def fit_logistic(evidence: Sequence[Evidence], answered: Sequence[bool]) -> Logistic:
    """The most likely weights (logistic regression by Newton's method)."""
    features = np.array([(one.embedding, one.unknown, one.rival or 0.0, 1.0) for one in evidence], np.float64)
    labels = np.asarray(answered, np.float64)
    ridge = np.diag([_RIDGE] * (features.shape[1] - 1) + [0.0])
    weights = np.zeros(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        predicted = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -50, 50)))
        curvature = (features.T * (predicted * (1.0 - predicted) + 1e-9)) @ features + ridge
        weights -= np.linalg.solve(curvature, features.T @ (predicted - labels) + ridge @ weights)
    return Logistic(*weights.tolist())
