"""CatBoost on the principal axes of the concatenation; the package is installed beside."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from catboost import CatBoost, CatBoostError, Pool

from pipeline.learners.boosted_trees import BoostedTrees
from pipeline.learners.rows import TrainingRows
from pipeline.learners.trees import AXES, num_threads

LOSSES = {
    "regression": "RMSE",
    "cross_entropy": "CrossEntropy",  # labels may be soft
    "multiclass": "MultiClass",
}
DEFAULTS: dict[str, Any] = {
    "iterations": 200,
    "learning_rate": 0.05,
    "depth": 4,
    "rsm": 0.3,
    "bootstrap_type": "Bernoulli",
    "subsample": 0.8,
    "allow_writing_files": False,
    "logging_level": "Silent",
}
OF_THE_RUN = ("train_finish_time", "model_guid")  # the same trees give the same bytes without them


class CatBoostModel(BoostedTrees):
    """Boosters in CatBoost's binary format."""

    @staticmethod
    def score(booster: bytes, rotated: np.ndarray) -> np.ndarray:
        """Predict with one booster: (N, A) -> (N,), or (N, L) of several classes."""
        model = CatBoost().load_model(blob=booster)
        threads = num_threads(len(rotated))
        if "CrossEntropy" in model.get_metadata()["params"]:
            return model.predict(rotated, "Probability", thread_count=threads)[:, 1]
        several = model.classes_ is not None and len(model.classes_) > 0
        form = "Probability" if several else "RawFormulaVal"
        return model.predict(rotated, form, thread_count=threads)


def fit_catboost(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, axes: int = AXES, **params: Any
) -> CatBoostModel:
    """Boost symmetric trees for the tasks that our LightGBM has.

    Args:
        strengths: the L2 penalty of leaves, `l2_leaf_reg`; the first one is taken.
        axes: how many principal axes.
        params: CatBoost's, over DEFAULTS.
    """
    settings = {**DEFAULTS, "l2_leaf_reg": strengths[0], "random_seed": seed, **params}

    def train(
        objective: dict[str, Any], features: np.ndarray, labels: np.ndarray, weights: np.ndarray
    ) -> bytes:
        own = {"loss_function": LOSSES[objective["objective"]]}
        if "num_class" in objective:
            own["classes_count"] = objective["num_class"]
        try:
            model = CatBoost({"thread_count": num_threads(len(features)), **own, **settings})
            model.fit(Pool(features, labels, weight=weights))
        except CatBoostError as error:
            raise ValueError(str(error)) from error
        return _as_bytes(model)

    return CatBoostModel.fit(rows, train, seed=seed, axes=axes)


def _as_bytes(model: CatBoost) -> bytes:
    for key in OF_THE_RUN:
        model.get_metadata()[key] = ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.cbm"
        model.save_model(str(path), format="cbm")
        return path.read_bytes()
