"""What a competitor writes in forty lines of timm and scikit-learn: the score to beat.

    PYTHONPATH=. python tests/bench/plain.py ANSWERS_FOLDER clothing signdigits chula elpv

Pooled features of the backbones of `quick`, by timm's own transform; side by side, standardised; a
logistic regression for classes or labels, a ridge for numbers, each with its penalty by
cross-validation. Folds and metric are ours, so that scores compare. Prints a Markdown table.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from scores import values_of_file
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.backbones.create import create_backbone
from pipeline.config.load import load_config
from pipeline.core.levels import interpolate_levels
from pipeline.project import Project, open_project

warnings.simplefilter("ignore", FutureWarning)  # of scikit-learn, on defaults of later versions
BACKBONES = ("lite0", "lite1", "lite2")


@torch.inference_mode()
def features(project: Project) -> np.ndarray:
    """Return all images' features (N + N_test, D), one batch after the other."""
    blocks = []
    for name in BACKBONES:
        model = create_backbone(project.config.backbones[name]).eval()
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
        images = (transform(Image.open(path).convert("RGB")) for path in project.images.paths)
        blocks.append(np.stack([model(image[None])[0].numpy() for image in images]))
    return np.concatenate(blocks, axis=1)


def fit(project: Project, x: np.ndarray, y: np.ndarray) -> object:
    """Fit on rows x (n, D) and targets (n, C)."""
    kind = project.config.task.kind
    if kind == "ordinal":
        return make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 6, 11))).fit(
            x, y @ project.competition.levels
        )
    logistic = LogisticRegressionCV(
        Cs=np.logspace(-5, -1, 5), cv=3, max_iter=500, scoring="neg_log_loss"
    )
    if kind == "multilabel":
        return make_pipeline(StandardScaler(), OneVsRestClassifier(logistic)).fit(x, y)
    return make_pipeline(StandardScaler(), logistic).fit(x, y.argmax(1))


def predict(project: Project, model: object, x: np.ndarray) -> np.ndarray:
    """Return (n, C)."""
    if project.config.task.kind == "ordinal":
        return interpolate_levels(model.predict(x), project.competition.levels)
    return model.predict_proba(x)


def main(answers: Path, names: list[str]) -> None:
    """Print a row per competition."""
    print("| competition | metric | out of fold | test | minutes |\n|---|---|---|---|---|")
    for name in names:
        project = open_project(load_config(name), Path.cwd())
        started, targets = time.monotonic(), project.competition.targets
        x, folds, oof = features(project), project.folds.folds, np.zeros(targets.shape)
        train, test = x[: project.num_train], x[project.num_train :]
        for fold in np.unique(folds):
            mine = folds == fold
            oof[mine] = predict(project, fit(project, train[~mine], targets[~mine]), train[mine])
        predicted = predict(project, fit(project, train, targets), test)
        minutes = (time.monotonic() - started) / 60
        truth = values_of_file(answers / f"{name}.csv", project.competition, project.metric)
        score = project.metric.score(truth, predicted, project.task)
        metric = project.metric.name
        print(f"| {name} | {metric} | {project.score(oof):.4f} | {score:.4f} | {minutes:.0f} |")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
