"""XGBoost on the principal axes of the concatenation; the package is installed beside."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost as xgb

from pipeline.learners.boosted_trees import BoostedTrees
from pipeline.learners.rows import TrainingRows
from pipeline.learners.trees import AXES, num_threads

OBJECTIVES = {
    "regression": "reg:squarederror",
    "cross_entropy": "binary:logistic",  # labels may be soft
    "multiclass": "multi:softprob",
}
DEFAULTS: dict[str, Any] = {  # about those of our LightGBM
    "num_boost_round": 200,
    "learning_rate": 0.05,
    "grow_policy": "lossguide",
    "max_leaves": 7,
    "max_depth": 0,
    "subsample": 0.8,
    "colsample_bynode": 0.3,
    "tree_method": "hist",
    "verbosity": 0,
}
NATIVE = {"eta", "lambda", "alpha", "num_boost_round"}  # beside scikit-learn's names


class XGBoostModel(BoostedTrees):
    """Boosters in XGBoost's binary JSON."""

    @staticmethod
    def score(booster: bytes, rotated: np.ndarray) -> np.ndarray:
        """Predict with one booster: (N, A) -> (N,), or (N, L) of several classes."""
        model = xgb.Booster({"nthread": num_threads(len(rotated))}, model_file=bytearray(booster))
        return model.predict(xgb.DMatrix(rotated)).astype(np.float64)


def fit_xgboost(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, axes: int = AXES, **params: Any
) -> XGBoostModel:
    """Boost trees as our LightGBM does.

    Args:
        strengths: the L2 penalty of leaves, `reg_lambda`; the first one is taken.
        axes: how many principal axes.
        params: XGBoost's, over DEFAULTS.
    """
    # XGBoost itself ignores names that it does not know.
    if unknown := sorted(set(params) - set(xgb.XGBRegressor().get_params()) - NATIVE):
        raise TypeError(f"no parameters {unknown}")
    settings = {**DEFAULTS, "reg_lambda": strengths[0], "seed": seed, **params}
    rounds = settings.pop("num_boost_round")

    def train(
        objective: dict[str, Any], features: np.ndarray, labels: np.ndarray, weights: np.ndarray
    ) -> bytes:
        own = {**objective, "objective": OBJECTIVES[objective["objective"]]}
        threads = num_threads(len(features))
        trained = xgb.train(
            {"nthread": threads, **own, **settings},
            xgb.DMatrix(features, labels, weight=weights, nthread=threads),
            rounds,
        )
        return bytes(trained.save_raw("ubj"))

    return XGBoostModel.fit(rows, train, seed=seed, axes=axes)
