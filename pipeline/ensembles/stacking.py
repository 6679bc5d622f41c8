"""Stackers: models on the members' predictions (Wolpert 1992).

Single-label tasks see all members' columns at once; multilabel and regression fit one model per
column, on that column of each member. An absent class or a column without both answers is no error.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import lightgbm
import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.config.schema import BLENDS_OF_PROBABILITIES, BlendKind
from pipeline.core.numerics import log_scale
from pipeline.core.task import Task
from pipeline.ensembles.nested import Applied, inner_oof
from pipeline.ensembles.weights import fit_weights, weighted_mean

Predictor = Callable[[np.ndarray], np.ndarray]  # features (N, F) -> (N, columns)

# Cross-fitted on 2 to 5 members of each of four competitions, 0.01 to 10 tried: the least log loss
# or at most 0.003 more (signdigits: 0.010). 0.03 doubts too much: 0.01 to 0.1 more.
LOGISTIC_C = 0.3
# From nearly least squares to nearly the members' plain mean; leave-one-out chooses.
RIDGE_ALPHAS = np.logspace(-1, 6, 15)
TREES = {
    "num_leaves": 4,
    "learning_rate": 0.05,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,  # else it times both ways, and the machine decides the result
    "num_threads": 1,
    "verbosity": -1,
}
TREE_ROUNDS = 100
# Of two levels. Trees are left out: fitted K times anew for each fold, they would take minutes.
FIRST_LEVEL = ("soft_vote", "geometric", "weighted", "class_weighted", "stack", "stack_ridge")
LEAF_ROWS, LEAF_SHARE = 20, 0.2  # of a leaf, at least: the fewer of both


@dataclass(frozen=True)
class Stack:
    """Fitted predictors, one for all columns or one per column.

    Attributes:
        predictors: 1 for single-label tasks, else C.
        transform: makes features of members' values, elementwise.
        adds_mean: whether predictors give what is to be added to the members' mean.
    """

    predictors: tuple[Predictor, ...]
    transform: Callable[[np.ndarray], np.ndarray]
    adds_mean: bool
    task: Task

    def __call__(self, members: np.ndarray) -> np.ndarray:
        """Stack members (M, N, C) to (N, C)."""
        inputs = _features(self.transform(members), self.task)
        parts = [predict(x) for predict, x in zip(self.predictors, inputs, strict=True)]
        stacked = np.concatenate(parts, axis=1)
        if self.adds_mean:
            stacked += members.mean(axis=0)
        return self.task.normalise(stacked)


def fit_stack(
    blend_kind: BlendKind, members: np.ndarray, targets: np.ndarray, task: Task, *, seed: int
) -> Stack:
    """Fit a stacker on members (M, N, C) and targets (N, C).

    stack: logistic regression on log probabilities (multilabel: log odds).
    stack_ridge, and stack for regression: ridge on what the members' mean leaves, so that a strong
    penalty means the plain mean and not zero; clipped and renormalised to probabilities.
    stack_lightgbm: small trees; for regression on what the mean leaves, as trees do not
    extrapolate.
    """
    adds_mean = task.is_regression or blend_kind == "stack_ridge"
    transform = np.asarray
    if blend_kind == "stack_lightgbm":
        fit = _fit_tree_values if adds_mean else _fit_tree_probs
    elif adds_mean:
        fit = _fit_ridge
    else:
        fit, transform = _fit_logistic, partial(log_scale, task=task)
    inputs = _features(transform(members), task)
    wanted = targets - members.mean(axis=0) if adds_mean else targets
    outputs = np.split(wanted, len(inputs), axis=1)
    predictors = tuple(fit(x, y, seed) for x, y in zip(inputs, outputs, strict=True))
    return Stack(predictors, transform, adds_mean, task)


def fit_two_level(
    fit: Callable[..., Applied],
    members: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray | None,
    task: Task,
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit blends of members (M, N, C), and weights of least smooth loss for the blends.

    Args:
        fit: (blend's kind, members, targets, folds) -> a fitted blend.
    """
    refused = BLENDS_OF_PROBABILITIES if task.is_regression else ()
    names = [name for name in FIRST_LEVEL if name not in refused]
    blends = [fit(name, members, targets, folds) for name in names]
    honest = np.stack([inner_oof(partial(fit, name), members, targets, folds) for name in names])
    weights = fit_weights(honest, targets, task)
    return lambda values: weighted_mean(
        np.stack([blend.apply(values) for blend in blends]), weights=weights
    )


def _features(members: np.ndarray, task: Task) -> list[np.ndarray]:
    """Features of each model: (N, M * C) of one, or (N, M) of each of C."""
    if not task.has_one_class_per_row:
        return [members[:, :, c].T for c in range(members.shape[-1])]
    return [np.concatenate(members, axis=1)]


def _labels(targets: np.ndarray) -> np.ndarray:
    """Class positions (N,) of one-hot (N, C), or 0/1 of a single column (N, 1)."""
    return targets.argmax(axis=1) if targets.shape[1] > 1 else (targets[:, 0] >= 0.5).astype(int)


def _fit_ridge(x: np.ndarray, y: np.ndarray, seed: int) -> Predictor:
    model = make_pipeline(StandardScaler(), RidgeCV(RIDGE_ALPHAS)).fit(x, y)
    return lambda features: model.predict(features).reshape(len(features), -1)


def _fit_logistic(x: np.ndarray, y: np.ndarray, seed: int) -> Predictor:
    labels = _labels(y)
    present = np.unique(labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=LOGISTIC_C, max_iter=500))
    if len(present) == 1:
        model = DummyClassifier()
    with warnings.catch_warnings():  # a stacker short of its optimum is a more regular one
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels)

    def predict(features: np.ndarray) -> np.ndarray:
        probs = np.zeros((len(features), max(2, y.shape[1])))
        probs[:, present] = model.predict_proba(features)
        return probs[:, -y.shape[1] :]

    return predict


def _fit_tree_probs(x: np.ndarray, y: np.ndarray, seed: int) -> Predictor:
    single = y.shape[1] == 1
    goal = (
        {"objective": "binary"} if single else {"objective": "multiclass", "num_class": y.shape[1]}
    )
    return _fit_trees(x, _labels(y), {**goal, "seed": seed})


def _fit_tree_values(x: np.ndarray, y: np.ndarray, seed: int) -> Predictor:
    return _fit_trees(x, y[:, 0], {"objective": "regression", "seed": seed})


def _fit_trees(x: np.ndarray, y: np.ndarray, parameters: dict) -> Predictor:
    leaf = max(1, min(LEAF_ROWS, int(LEAF_SHARE * len(x))))
    settings = TREES | {"min_data_in_leaf": leaf} | parameters
    trees = lightgbm.train(settings, lightgbm.Dataset(x, y), TREE_ROUNDS)
    return lambda features: trees.predict(features, num_threads=1).reshape(len(features), -1)
