"""Scores of a regression with and without transforms of its targets, beside three lines of sklearn.

    PYTHONPATH=.:tests .venv/bin/python tests/bench/regression.py [ROWS] [SEEDS]

Rival: RidgeCV on log1p of the targets, on the same standardised features, rows and folds.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import prices
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.core.task import Task
from pipeline.metrics.find_metric import get_metric

METRICS = ("rmsle", "rmse", "mae")


def rival(root: Path, metric: str, name: str = "prices", column: str = "price") -> float:
    """Score sklearn's ridge on log1p out of fold, with our folds and our first block."""
    folds = pd.read_csv(root / "features" / name / "folds.csv").set_index("id")["fold"]
    table = pd.read_csv(root / "input" / name / "train.csv", dtype={"id": str})
    block = next((root / "features" / name).glob("*/features.npy"))
    features = np.load(block)[: len(table)].mean(axis=1).astype(float)
    held_out, values = folds.loc[table["id"]].to_numpy(), np.zeros(len(table))
    targets = table[column].to_numpy(dtype=float)
    for fold in np.unique(held_out):
        mine = held_out == fold
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 12)))
        ridge.fit(features[~mine], np.log1p(targets[~mine]))
        values[mine] = np.expm1(ridge.predict(features[mine]))
    pair = targets[:, None], np.maximum(values, 0)[:, None]
    return get_metric(metric, "regression").score(*pair, Task("regression"))


def main(num_rows: int, seeds: int) -> None:
    """Print a row for each metric and transform: mean over seeds."""
    logging.disable(logging.WARNING)
    names = [*prices.CONFIG["members"], *prices.CONFIG["blends"], "constant"]
    print("| metric | transform |", " | ".join(names), "| sklearn's ridge on log1p |")
    print("|---|---|" + "---|" * (len(names) + 1))
    found: dict[tuple[str, str], list] = {}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            prices.write_prices(root, num_train=num_rows, noise=0.5, seed=seed)
            for metric in METRICS:
                for transform in ("none", "auto"):
                    summary = prices.run(root, task=prices.task(metric, transform))
                    scored = prices.scores(summary)
                    row = [scored[name] for name in names] + [rival(root, metric)]
                    found.setdefault((metric, transform), []).append(row)
    for (metric, transform), rows in found.items():
        digits = 4 if metric == "rmsle" else 0
        cells = " | ".join(f"{score:.{digits}f}" for score in np.mean(rows, axis=0))
        print(f"| {metric} | {transform} | {cells} |")


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] or ["400"])[:1]), int((sys.argv[2:] or ["2"])[0]))
