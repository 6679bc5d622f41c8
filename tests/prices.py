"""A made competition of prices: the look of small images drives the logarithm of the target."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.core import predictions
from pipeline.core.summary import Summary, path_of_last
from pipeline.core.task import Task
from pipeline.metrics.find_metric import get_metric
from pipeline.workflow import make

CONFIG = {
    "competition": "prices",
    "task": {"kind": "regression", "target": "price", "metric": "rmsle"},
    "folds": {"n": 4, "seed": 1},
    "backbones": {
        "small": {"arch": "test_efficientnet", "weights": "random", "image_size": 32},
    },
    "members": {
        "ridge": {"learner": "ridge", "blocks": {"small": 1.0}},
        "trees": {"learner": "lightgbm", "blocks": {"small": 1.0}},
    },
    "tta": {"views": ["original"]},
    "blends": ["soft_vote", "stack"],
    "runtime": {"device": "cpu", "workers": 0},
}


def write_prices(
    root: Path,
    *,
    num_train: int = 240,
    num_test: int = 40,
    signal: float = 1.0,
    noise: float = 0.3,
    seed: int = 0,
) -> Path:
    """Write images whose colour and stripes drive log price; the price column is lognormal.

    Args:
        signal, noise: standard deviations of the logarithm, seen and unseen.
    """
    folder, rng = root / "input" / "prices", np.random.default_rng(seed)
    rows, across = [], np.arange(32)
    for row in range(num_train + num_test):
        red, stripes, phase = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0, 6)
        pixels = rng.normal(110, 18, (32, 32, 3))
        pixels[:, :, 0] += 70 * red
        pixels += (35 + 30 * stripes) * np.sin(0.9 * across + phase)[None, :, None]
        split = "train" if row < num_train else "test"
        path = folder / split / f"{row:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        seen = (red + stripes) * np.sqrt(1.5)  # of variance 1
        price = np.exp(8 + signal * seen + noise * rng.normal())
        rows.append({"id": path.name, "price": round(price, 2)})
    table = pd.DataFrame(rows)
    table[:num_train].to_csv(folder / "train.csv", index=False)
    table[num_train:][["id"]].to_csv(folder / "test.csv", index=False)
    table[num_train:].to_csv(root / "answers.csv", index=False)
    return folder


def run(root: Path, stage: str = "ensemble", **changes) -> Summary:
    """Run a stage with CONFIG and changes to its top level; return the last summary."""
    (root / "prices.yaml").write_text(yaml.safe_dump(CONFIG | changes))
    before = Path.cwd()
    os.chdir(root)
    try:
        make.run(stage, "prices.yaml", [])
    finally:
        os.chdir(before)
    return Summary.read(path_of_last(root / "submissions" / "prices"))


def scores(summary: Summary) -> dict[str, float]:
    """Return out-of-fold scores by contestant."""
    return {entry.name: entry.score for entry in summary.contestants}


def task(metric: str, transform: str = "auto", **keys) -> dict:
    """Return a config's task."""
    how = {"kind": "regression", "target": "price", "metric": metric, "transform": transform}
    return how | keys


def load(root: Path, member: str, name: str, scale: str | None = None) -> predictions.Predictions:
    """Return a member's predictions."""
    return predictions.load(root / "models" / "prices" / member / f"{name}.npz", scale=scale)


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
