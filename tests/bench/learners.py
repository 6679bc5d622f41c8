"""Logistic regressions of few and many classes, against scikit-learn and a plain torch solver.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/learners.py         # minutes
    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/learners.py large   # 1,000 classes, too

Features are invented: positive, correlated, of a decaying spectrum, as those of frozen networks.
Each solver gets the same rows in float32, and the penalty in scikit-learn's terms. A solver that
stops early looks fast, so the objective that each ends at stands beside its time. Prints a Markdown
section: CPU seconds as medians of REPEATS, the others' as multiples of ours with their range.
"""

import platform
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from pipeline.core.runtime import tune_allocator
from pipeline.core.task import Task
from pipeline.learners.logistic import fit_logistic
from pipeline.learners.rows import TrainingRows
from pipeline.learners.solver.softmax import softmax_path

CASES = [(3_409, 10, 1_280), (2_350, 81, 5_120), (4_000, 200, 1_280)]  # rows, classes, dims
LARGE = (20_000, 1_000, 1_280)
STRENGTH, PATH = 0.1, (1.0, 0.3, 0.1, 0.03, 0.01)
REPEATS, TORCH_ITERATIONS = 3, 300
INNER_FOLDS = 4

Found = tuple[np.ndarray, np.ndarray]  # coefs (D, C), intercepts (C,)


def main() -> None:
    """Measure all cases, and print the section."""
    tune_allocator()
    torch.set_num_threads(1)
    print("## Logistic regression\n")
    print(f"{platform.processor() or platform.machine()}, one thread, CPU seconds\n")
    print("| rows x classes x dims | ours, one penalty | scikit-learn | torch L-BFGS |", end="")
    print(" objective above the least: ours, scikit-learn, torch | ours, five penalties |")
    print("|---|---|---|---|---|---|")
    for case in [*CASES, *([LARGE] if "large" in sys.argv[1:] else [])]:
        print(row_of(case, repeats=1 if case == LARGE else REPEATS), flush=True)


def row_of(case: tuple[int, int, int], *, repeats: int) -> str:
    """Return the table's row of one case."""
    features, labels = invented(*case)
    targets = np.eye(case[1])[labels]
    solvers: list[Callable[[], Found]] = [
        lambda: ours(features, targets),
        lambda: scikit_learn(features, labels),
        lambda: plain_torch(features, labels, case[1]),
    ]
    seconds, ends = np.empty((repeats, len(solvers))), np.empty(len(solvers))
    for repeat in range(repeats):
        for index, solve in enumerate(solvers):
            started = time.process_time()
            found = solve()
            seconds[repeat, index] = time.process_time() - started
            ends[index] = objective(features, targets, *found)
    started = time.process_time()
    fit_logistic(training_rows(features, targets), strengths=PATH, seed=0)
    path_seconds = time.process_time() - started
    ratios = seconds[:, 1:] / seconds[:, :1]
    cells = [
        " x ".join(f"{number:,}" for number in case),
        f"{np.median(seconds[:, 0]):.1f} s",
        *(f"{np.median(of):.1f} ({of.min():.1f} to {of.max():.1f})" for of in ratios.T),
        ", ".join(f"{end - ends.min():.0e}" for end in ends),
        f"{path_seconds:.1f} s",
    ]
    return f"| {' | '.join(cells)} |"


def ours(features: np.ndarray, targets: np.ndarray) -> Found:
    """Solve as the last fit of a fold does."""
    ((_, solved),) = softmax_path(features, targets, np.ones((1, len(targets))), [STRENGTH])
    coefs, intercepts = solved
    return coefs[0], intercepts[0]


def scikit_learn(features: np.ndarray, labels: np.ndarray) -> Found:
    """Solve as a user would."""
    model = LogisticRegression(C=1 / STRENGTH, tol=1e-5, max_iter=10_000).fit(features, labels)
    return model.coef_.T, model.intercept_


def plain_torch(features: np.ndarray, labels: np.ndarray, num_classes: int) -> Found:
    """Minimise the same objective with torch's L-BFGS and its line search."""
    rows, truth = torch.from_numpy(features), torch.from_numpy(labels)
    model = torch.nn.Linear(rows.shape[1], num_classes)
    torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=TORCH_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(rows), truth)
        loss = loss + STRENGTH / 2 / len(rows) * model.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return model.weight.detach().numpy().T, model.bias.detach().numpy()


def objective(
    features: np.ndarray, targets: np.ndarray, coefs: np.ndarray, intercepts: np.ndarray
) -> float:
    """Mean penalised cross-entropy; sums in float64."""
    scores = (features @ coefs.astype(np.float32)).astype(np.float64) + intercepts
    losses = logsumexp(scores, axis=1) - (targets * scores).sum(axis=1)
    return losses.mean() + STRENGTH / 2 * np.sum(coefs.astype(np.float64) ** 2) / len(features)


def training_rows(features: np.ndarray, targets: np.ndarray) -> TrainingRows:
    """Return what a learner gets in one fold."""
    folds = np.arange(len(targets)) % INNER_FOLDS
    return TrainingRows(features, targets, np.ones(len(targets)), Task("multiclass"), folds, 0)


def invented(num_rows: int, num_classes: int, num_dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, D) scaled as learners scale them, and classes (N,) that they tell partly."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(num_rows) % num_classes)
    hidden = rng.normal(size=(num_rows, 512)).astype(np.float32)
    hidden[:, :128] += 1.2 * rng.normal(size=(num_classes, 128)).astype(np.float32)[labels]
    hidden /= np.sqrt(1 + np.arange(512, dtype=np.float32))
    features = hidden @ rng.normal(size=(512, num_dims)).astype(np.float32)
    features += 0.3 * features.std() * rng.normal(size=features.shape).astype(np.float32)
    features -= features.mean(axis=0)
    return features / (features.std(axis=0) * np.float32(np.sqrt(num_dims))), labels


if __name__ == "__main__":
    main()
