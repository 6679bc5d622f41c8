"""Speed of the batched logistic regression against scikit-learn's loop over folds and penalties.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/solver.py

5 folds x 7 penalties on 3,409 x 1,280 features: the clothing photos' block where `make features`
has made it, else random ones with a decaying spectrum. Ours includes finding the axes. Both are
given the same rows and precision; scikit-learn's tolerance is the loosest power of ten at which its
mean losses are as low as ours (SAME, on average over the problems), so that neither wins by
stopping early. Prints CPU seconds of each, both objective values at each penalty, and the ratio.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from pipeline.core.runtime import tune_allocator
from pipeline.learners.projection import rotate
from pipeline.learners.solver.softmax import softmax_regression

STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
SAME = 1e-5  # relative difference of mean losses
NUM_FOLDS, NUM_ROWS, NUM_DIMS, NUM_CLASSES = 5, 3409, 1280, 10
BLOCKS, LABELS = Path("features/clothing/lite0"), Path("input/clothing/train.csv")


def main() -> None:
    """Measure both, features scaled as our learners do and to unit variance."""
    tune_allocator()
    features, labels = photos() if LABELS.exists() and any(BLOCKS.glob("*.npy")) else invented()
    print(f"rows {len(features)} dims {features.shape[1]} classes {labels.max() + 1}")
    for scale in ("rows of length 1", "unit variance"):
        factor = 1 if scale == "rows of length 1" else np.sqrt(np.float32(features.shape[1]))
        strengths = [strength * float(factor) ** 2 for strength in STRENGTHS]
        print(f"{scale}:")
        compare(features * factor, labels, strengths)


def compare(features: np.ndarray, labels: np.ndarray, strengths: list[float]) -> None:
    """Measure ours, then scikit-learn's loop, tighter until it is as good."""
    targets = np.eye(labels.max() + 1)[labels]
    kept = np.arange(len(labels)) % NUM_FOLDS != np.arange(NUM_FOLDS)[:, None]
    started = time.process_time()
    mean = features.mean(axis=0)
    rotated, back = rotate(features - mean)
    coefs, intercepts = softmax_regression(
        rotated, targets, kept.astype(float), strengths, tolerance=1e-6
    )
    coefs = back @ coefs
    our_seconds = time.process_time() - started
    ours = np.array(
        [
            [
                objective(features[rows] - mean, targets[rows], strength, W, b)
                for rows, W, b in zip(kept, of_penalty, constants, strict=True)
            ]
            for strength, of_penalty, constants in zip(strengths, coefs, intercepts, strict=True)
        ]
    )
    print(f"  ours          cpu {our_seconds:6.2f}s  mean loss {means(ours)}")
    for tolerance in (1e-4, 1e-5, 1e-6):
        theirs, seconds = sklearn_loop(features, labels, targets, kept, strengths, tolerance)
        excess = np.mean(theirs / ours) - 1
        print(f"  sklearn {tolerance:.0e} cpu {seconds:6.2f}s  mean loss {means(theirs)}")
        print(f"      ratio {seconds / our_seconds:5.1f}  its mean losses over ours {excess:+.1e}")
        if excess <= SAME:
            break


def sklearn_loop(
    features: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray,
    kept: np.ndarray,
    strengths: list[float],
    tolerance: float,
) -> tuple[np.ndarray, float]:
    """Objectives (S, K) of one fit after the other, and the CPU seconds of the fits alone."""
    found, seconds = np.empty((len(strengths), len(kept))), 0.0
    for index, strength in enumerate(strengths):
        for fold, rows in enumerate(kept):
            model = LogisticRegression(C=1 / strength, tol=tolerance, max_iter=10_000)
            started = time.process_time()
            model.fit(features[rows], labels[rows])
            seconds += time.process_time() - started
            found[index, fold] = objective(
                features[rows], targets[rows], strength, model.coef_.T, model.intercept_
            )
    return found, seconds


def objective(features, targets, strength, coefs, intercepts) -> float:
    """Mean penalised cross-entropy, in float64."""
    scores = features.astype(np.float64) @ coefs + intercepts
    losses = logsumexp(scores, axis=1) - (targets * scores).sum(axis=1)
    return losses.mean() + strength / 2 * np.sum(coefs.astype(np.float64) ** 2) / len(features)


def means(objectives: np.ndarray) -> str:
    """The mean over folds at each penalty, in words."""
    return " ".join(f"{mean:.6f}" for mean in objectives.mean(axis=1))


def photos() -> tuple[np.ndarray, np.ndarray]:
    """The clothing block as learners see it: mean of views, rooted, standardised by 1 / sqrt(D)."""
    block = np.load(next(BLOCKS.glob("*.npy")), mmap_mode="r")
    labels = pd.read_csv(LABELS)["label"].astype("category").cat.codes.to_numpy()
    return scaled(np.asarray(block[: len(labels)]).mean(axis=1)), labels


def invented() -> tuple[np.ndarray, np.ndarray]:
    """Positive features with a decaying spectrum, and classes that they tell partly."""
    print("solver: no clothing block here, so features are invented", file=sys.stderr)
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(NUM_DIMS, NUM_DIMS)))[0]
    hidden = rng.normal(size=(NUM_ROWS, NUM_DIMS)) / np.sqrt(1 + np.arange(NUM_DIMS))
    scores = hidden[:, :40] @ rng.normal(size=(40, NUM_CLASSES)) * 3
    labels = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return scaled(np.exp(hidden @ axes)), labels


def scaled(features: np.ndarray) -> np.ndarray:
    rooted = np.sign(features) * np.sqrt(np.abs(features))
    spread = np.maximum(rooted.std(axis=0), 1e-6) * np.sqrt(rooted.shape[1])
    return ((rooted - rooted.mean(axis=0)) / spread).astype(np.float32)


if __name__ == "__main__":
    main()
