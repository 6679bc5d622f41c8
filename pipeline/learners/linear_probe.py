"""Linear probe: a linear model on one network's frozen features, in the features' own scale."""

import numpy as np

from pipeline.config.schema import Learner
from pipeline.core.task import Task
from pipeline.learners.fit import fit_learner

BLOCK = "features"


def fit_linear_probe(
    features: np.ndarray,
    targets: np.ndarray,
    task: Task,
    *,
    weights: np.ndarray,
    groups: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logistic regression, or a ridge for regression, its penalty chosen by inner folds.

    Args:
        features: (n, D); targets: (n, C); weights: (n,).
        groups: (n,) rows that inner folds keep together.
    Returns:
        coefs (D, C) and intercepts (C,) of the features as they come; an intercept is infinite for
        a class that occurs never or always.
    """
    learner = "ridge" if task.is_regression else "logistic"
    settings = Learner(learner=learner, blocks={BLOCK: 1.0}, transform="none")
    blocks = {BLOCK: features[:, None]}
    fitted = fit_learner(settings, blocks, targets, task, weights=weights, groups=groups, seed=seed)
    scaling = fitted.concatenation.scalings[BLOCK]
    coefs = scaling.factor[:, None] * fitted.model.coefs
    return coefs, fitted.model.intercepts - scaling.centre @ coefs
