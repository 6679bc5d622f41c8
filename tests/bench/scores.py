"""Estimates against hidden answers: is the test score inside the interval that was promised?

    PYTHONPATH=. python tests/bench/scores.py ANSWERS_FOLDER clothing signdigits chula elpv

Reads each competition's newest submission and ANSWERS_FOLDER/<competition>.csv; prints a table.
Nothing that fits, tunes or chooses may read these answers; this runs after all that is done.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.schema import Config
from pipeline.core import predictions
from pipeline.core.artifacts import read_meta
from pipeline.core.competition import Competition
from pipeline.core.read_competition import read_competition
from pipeline.core.task import Task
from pipeline.metrics.find_metric import Metric, get_metric
from pipeline.submission.writing import values_of_submission


def main(answers: Path, names: list[str]) -> None:
    """Print one row per competition."""
    notes = []
    print("| competition | metric | blend | estimate | 90% interval | test score | inside |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        config, summary = newest(name)
        score = test_score(config, Path(summary["submission"]), answers / f"{name}.csv")
        estimate = summary["estimate"]
        inside = "yes" if estimate["low"] <= score <= estimate["high"] else "no"
        print(
            f"| {name} | {summary['metric']} | {estimate['name']} | {estimate['score']:.4f} | "
            f"{estimate['low']:.4f} to {estimate['high']:.4f} | {score:.4f} | {inside} |"
        )
        if config.task.kind in ("binary", "multiclass"):
            loss = log_loss(config, summary)
            notes.append(f"{name}: out-of-fold log loss of {estimate['name']} {loss:.4f}")
    print("\n".join(["", *notes]))


def newest(name: str) -> tuple[Config, dict]:
    """A competition's newest submission: its config and its summary."""
    folder = Path("submissions") / name
    summary = json.loads((folder / read_meta(folder)["summary"]).read_text())
    return Config.model_validate(summary["config"]), summary


def log_loss(config: Config, summary: dict) -> float:
    """Log loss of the submitted blend's out-of-fold predictions."""
    competition = read_competition(Path("input") / config.competition, config.task, config.data)
    oof = predictions.load(Path(summary["submission"]).with_suffix(".npz"))
    kind = config.task.kind
    values = oof.in_order_of(competition.ids).values
    return get_metric("log_loss", kind).score(competition.targets, values, Task(kind))


def test_score(config: Config, submission: Path, answers: Path) -> float:
    """Score a submission's CSV against a CSV of the same columns that holds the truth."""
    competition = read_competition(Path("input") / config.competition, config.task, config.data)
    metric = get_metric(config.task.metric, config.task.kind)
    return metric.score(
        values_of_file(answers, competition, metric),
        values_of_file(submission, competition, metric),
        Task(config.task.kind, competition.levels, threshold=config.submission.threshold),
    )


def values_of_file(path: Path, competition: Competition, metric: Metric) -> np.ndarray:
    """A submission's, or the answers', values (N_test, C), in the order of the test rows."""
    table = pd.read_csv(path, dtype=str).set_index(competition.data.id)
    return values_of_submission(table.loc[competition.test_ids].reset_index(), competition, metric)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
