"""AutoGluon's part of rivals.py. It runs in an environment of its own, which needs

    python -m pip install "autogluon.tabular[lightgbm,catboost,xgboost,fastai]"

    python rivals_autogluon.py FOLDER

Reads FOLDER/task.json and rows.npz: train (N, D), test (N_test, D), targets (N, T), folds (N,).
Writes said_<t>.npz for each target: oof and test, (N, classes) or (N,).
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor


def main(folder: Path) -> None:
    """Fit one predictor per target, each in an even share of the time that is left."""
    task, rows = json.loads((folder / "task.json").read_text()), np.load(folder / "rows.npz")
    train, test = (pd.DataFrame(rows[part]).add_prefix("f") for part in ("train", "test"))
    targets, ends = rows["targets"].T, time.monotonic() + task["seconds"]
    for t, target in enumerate(targets):
        seconds = max(1.0, (ends - time.monotonic()) / (len(targets) - t))
        taught = train.assign(fold=rows["folds"], target=target)
        try:
            said = fit(folder / f"models_{t}", taught, test, task, seconds=seconds)
        except Exception as error:  # of many kinds: no model in the time, a label too rare
            print(f"target {t}, {seconds:.0f}s: what is frequent is predicted, for {error}"[:200])
            said = [np.array([frequent(target, task)] * len(part)) for part in (train, test)]
        np.savez(folder / f"said_{t}.npz", oof=said[0], test=said[1])


def fit(
    folder: Path, taught: pd.DataFrame, test: pd.DataFrame, task: dict, *, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold and test predictions, of models that are bagged over our folds."""
    predictor = TabularPredictor(
        label="target",
        groups="fold",
        problem_type=task["problem"],
        eval_metric=task["metric"],
        path=str(folder),
        verbosity=1,
    )
    # Dynamic stacking spends a quarter of the time on a trial, and ends the run where no model fits
    # into that.
    how = {"presets": "best_quality", "dynamic_stacking": False, "time_limit": seconds}
    predictor.fit(taught, **how)
    if task["problem"] == "regression":
        return np.asarray(predictor.predict_oof()), np.asarray(predictor.predict(test))
    return np.asarray(predictor.predict_proba_oof()), np.asarray(predictor.predict_proba(test))


def frequent(target: np.ndarray, task: dict) -> np.ndarray | float:
    """Each class's share, or the mean."""
    if task["problem"] == "regression":
        return target.mean()
    return np.bincount(target.astype(int), minlength=2) / len(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
