"""Tiny competitions of each kind of task, with metadata columns, and configs for them."""

from pathlib import Path

import numpy as np
import pandas as pd
from tiny_project import BACKBONE, CLASSES, CONFIG, write_competition

LEARNERS = {
    "linear": {"learner": "ridge", "blocks": {"small": 1.0, "metadata": 0.5}},
    "trees": {"learner": "lightgbm", "blocks": {"small": 1.0, "metadata": 1.0}},
}
TASKS = {
    "binary": {"kind": "binary", "target": "is_red", "metric": "f1", "positive": "1"},
    "multilabel": {"kind": "multilabel", "target": ["warm", "cold"], "metric": "f1_macro"},
    "ordinal": {"kind": "ordinal", "target": "grade", "metric": "qwk"},
    "regression": {"kind": "regression", "target": ["size", "price"], "metric": "rmsle"},
}
SAMPLES = {
    "binary": {"is_red": "0"},
    "multilabel": {"cold": "0", "warm": "0"},
    "ordinal": {"grade": "0"},
    "regression": {"price": "0.5", "size": "0.5"},
}
CONFIG_OF_KINDS = CONFIG | {
    "backbones": {"small": BACKBONE},
    "data": {"numeric": ["age"], "categorical": ["camera"]},
    "members": LEARNERS,
    "blends": ["soft_vote", "weighted", "greedy"],
    "calibrate": "isotonic",
}


def write_kind(root: Path, kind: str, *, num_train: int = 60, num_test: int = 9) -> Path:
    """Write input/tiny with the targets of a kind, noisy, and columns age and camera."""
    folder = write_competition(root, num_train=num_train, num_test=num_test)
    rng = np.random.default_rng(1)
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str)
        numbers = table["id"].str[:3].astype(int).to_numpy()
        levels = (numbers % 3 + (rng.random(len(table)) < 0.2)) % 3
        table["age"] = [str(number % 7) if number % 5 else "" for number in numbers]
        table["camera"] = np.array(["a", "b", "10"])[(levels + (numbers % 11 == 0)) % 3]
        if name == "train":
            table["is_red"] = (levels == CLASSES.index("red")).astype(int)
            table["warm"], table["cold"] = (levels > 0).astype(int), (levels < 2).astype(int)
            table["grade"] = levels
            table["size"] = np.exp(levels + rng.normal(0, 0.3, len(table))).round(3)
            table["price"] = (table["size"] ** 2).round(3)
        table.to_csv(folder / f"{name}.csv", index=False)
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
    sample.assign(**SAMPLES[kind]).to_csv(folder / "sample_submission.csv", index=False)
    return folder
