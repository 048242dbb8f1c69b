"""From a cosine to a probability: how sure it is that the best passage answers the question.

The confidence is a logistic function of the best passage's cosine. Its two numbers belong to an embedding model and to
the way passages are embedded (``pipeline.passage_texts``), and are fitted on labelled questions, answerable and not, to
the shipped documents (``tests/unit/rag/questions.yaml``; a test fits them again and compares).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NEWTON_STEPS = 50
_RIDGE = 0.01  # keeps the slope finite where the two classes happen to be separable


@dataclass(frozen=True, slots=True)
class Calibration:
    """confidence = 1 / (1 + exp(-slope · (cosine - centre)))."""

    slope: float
    centre: float

    def confidence(self, cosine: float) -> float:
        return 1.0 / (1.0 + math.exp(-self.slope * (cosine - self.centre)))


#: By ``EMBEDDING_MODEL``.
CALIBRATIONS = {"all-MiniLM-L6-v2": Calibration(slope=27.2, centre=0.430)}


def fit(cosines: Sequence[float], answerable: Sequence[bool]) -> Calibration:
    """The most likely calibration for labelled best cosines (logistic regression by Newton's method)."""
    features = np.column_stack([np.asarray(cosines, np.float64), np.ones(len(cosines))])
    labels = np.asarray(answerable, np.float64)
    ridge = np.diag([_RIDGE, 0.0])
    weights = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        predicted = 1.0 / (1.0 + np.exp(-features @ weights))
        curvature = (features.T * (predicted * (1.0 - predicted) + 1e-9)) @ features + ridge
        weights -= np.linalg.solve(curvature, features.T @ (predicted - labels) + ridge @ weights)
    return Calibration(slope=float(weights[0]), centre=float(-weights[1] / weights[0]))
