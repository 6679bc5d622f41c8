"""Scores of a regression with and without transforms of its targets, beside three lines of sklearn.

    PYTHONPATH=.:tests .venv/bin/python tests/bench/regression.py [ROWS] [SEEDS]

Rival: RidgeCV on log1p of the targets, on the same standardised features, rows and folds.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import prices

METRICS = ("rmsle", "rmse", "mae")


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
                    row = [scored[name] for name in names] + [prices.rival(root, metric)]
                    found.setdefault((metric, transform), []).append(row)
    for (metric, transform), rows in found.items():
        digits = 4 if metric == "rmsle" else 0
        cells = " | ".join(f"{score:.{digits}f}" for score in np.mean(rows, axis=0))
        print(f"| {metric} | {transform} | {cells} |")


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] or ["400"])[:1]), int((sys.argv[2:] or ["2"])[0]))
