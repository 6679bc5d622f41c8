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
        # Dynamic stacking spends a quarter of the time on a trial fit, and ends the run where no
        # model fits into it.
        predictor = TabularPredictor(
            label="target",
            groups="fold",
            problem_type=task["problem"],
            eval_metric=task["metric"],
            path=str(folder / f"models_{t}"),
            verbosity=1,
        ).fit(taught, presets="best_quality", dynamic_stacking=False, time_limit=seconds)
        if task["problem"] == "regression":
            oof, said = predictor.predict_oof(), predictor.predict(test)
        else:
            oof, said = predictor.predict_proba_oof(), predictor.predict_proba(test)
        np.savez(folder / f"said_{t}.npz", oof=oof.to_numpy(), test=said.to_numpy())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
