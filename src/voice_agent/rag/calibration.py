"""From evidence to a probability: how sure it is that the best passage answers the question.

The confidence is a logistic function of three facts about the best passage. Its numbers belong to an embedding model and to
the way passages are embedded (``pipeline.passage_texts``) and searched (``hybrid.py``); they are fitted on labelled
questions, answerable and not, to the shipped documents (``tests/unit/rag/questions.yaml``; a test fits them again and
compares). Between passages only ``fused`` differs, so the first one is always the surest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

_NEWTON_STEPS = 50
_RIDGE = 0.02  # keeps the weights finite where the two classes happen to be separable
_LOG_ODDS_MAX = 50.0  # far beyond what a float can tell from certainty; keeps exp() in range


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for and against a passage.

    ``embedding``: its cosine to the question. ``unknown``: the share of the question's words (weighed by how
    telling they are) that no passage at all holds. ``rival``: how near the question is to one that is known to be
    unanswered, see ``HybridIndex``. That a passage holds the question's words decides which passage comes first; on the
    labelled questions it says nothing more about whether there is an answer.
    """

    embedding: float
    unknown: float
    rival: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weight of each fact in the log-odds, and the log-odds of no evidence at all."""

    embedding: float
    unknown: float
    rival: float
    constant: float

    def confidence(self, evidence: Evidence) -> float:
        log_odds = sum(weight * fact for weight, fact in zip(astuple(self), (*astuple(evidence), 1.0), strict=True))
        return 1.0 / (1.0 + math.exp(-min(_LOG_ODDS_MAX, max(-_LOG_ODDS_MAX, log_odds))))


#: By ``EMBEDDING_MODEL``.
CALIBRATIONS = {"all-MiniLM-L6-v2": Calibration(embedding=15.31, unknown=-2.65, rival=-13.44, constant=-4.22)}


def fit(evidence: Sequence[Evidence], answerable: Sequence[bool]) -> Calibration:
    """The most likely calibration for labelled best passages (logistic regression by Newton's method)."""
    features = np.array([(*astuple(one), 1.0) for one in evidence], np.float64)
    labels = np.asarray(answerable, np.float64)
    ridge = np.diag([_RIDGE] * (features.shape[1] - 1) + [0.0])
    weights = np.zeros(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        predicted = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -50, 50)))
        curvature = (features.T * (predicted * (1.0 - predicted) + 1e-9)) @ features + ridge
        weights -= np.linalg.solve(curvature, features.T @ (predicted - labels) + ridge @ weights)
    return Calibration(*weights.tolist())
