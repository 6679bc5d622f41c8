"""Greedy selection: members are picked one by one on the metric, in bags of members."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.core.task import Task
from pipeline.ensembles.weights import MixtureLoss
from pipeline.estimates.row_loss import smooth_task
from pipeline.metrics.find_metric import Metric

BAGS = 5
BAG_SHARE = 0.75  # of the members, in each bag; a half was worse, out of fold
ROUNDS = 50
PATIENCE = 5  # picks without gain before a selection ends

# How many times each member (M,) was picked -> the pick, the metric and the smooth loss with it.
Choose = Callable[[np.ndarray], tuple[int, float, float]]


def select_in_bags(
    members: np.ndarray,
    targets: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    rng: np.random.Generator,
) -> np.ndarray:
    """Average the weights (M,) of selections, each from a part of the members.

    One selection can lean on a member that is lucky on these rows; some of the bags lack it. Parts
    are random; where they lack one member only (of 4 to 7), each is left out once.

    Source: Caruana 2004, ensemble selection from libraries of models, whose bags are halves.
    """
    num_members = len(members)
    size = max(2, int(np.ceil(num_members * BAG_SHARE)))
    if size >= num_members:
        # Of 3: ten bags of rows bring accuracy +0.001 ± 0.001, log loss 0.000; parts, 0.003 worse.
        bags = [np.arange(num_members)]
    elif size == num_members - 1:
        # Five at random leave some out twice: log loss is 0.002 to 0.008 worse, out of sample.
        bags = [np.delete(np.arange(num_members), m) for m in range(num_members)]
    else:
        bags = [np.sort(rng.choice(num_members, size, replace=False)) for _ in range(BAGS)]
    return select_greedily(members, targets, metric, task, bags=bags)


def select_greedily(
    members: np.ndarray,
    targets: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    rounds: int = ROUNDS,
    bags: Sequence[np.ndarray] | None = None,
) -> np.ndarray:
    """Pick members one by one, with replacement, each the one that helps the metric most.

    The best prefix of the picks is kept; weights (M,) are its shares. Ties, many where the metric
    counts labels, go to the smaller `MixtureLoss`, then to the earlier member.

    Args:
        bags: positions of members, the mean of whose selections is taken; default: one, of all.
    """
    loss = MixtureLoss.of(members, targets, smooth_task(task, metric))
    smooth = _orders_alike(loss, metric, targets)
    better = np.less if smooth else metric.is_better
    worst = np.inf if smooth else metric.worst
    bags = [np.arange(len(members))] if bags is None else bags
    weights = np.zeros(len(members))
    for bag in bags:
        of_bag = replace(loss, predictions=loss.predictions[bag])
        if smooth:
            choose = _on_loss(of_bag)
        else:
            choose = _on_metric(members[bag], targets, metric, task, of_bag)
        weights[bag] += _select(choose, better, len(bag), rounds=rounds, worst=worst)
    return weights / len(bags)


def _select(
    choose: Choose, better: Callable[..., bool], size: int, *, rounds: int, worst: float
) -> np.ndarray:
    """Shares (size,) of the best prefix of picks."""
    counts = best_counts = np.zeros(size)
    best_score, best_loss, since = worst, np.inf, 0
    for _ in range(rounds):
        pick, score, pick_loss = choose(counts)
        counts = counts + (np.arange(size) == pick)
        since += 1
        if better(score, best_score) or (score == best_score and pick_loss < best_loss):
            best_score, best_loss, best_counts, since = score, pick_loss, counts, 0
        if since >= PATIENCE:
            break
    return best_counts / best_counts.sum()


def _orders_alike(loss: MixtureLoss, metric: Metric, targets: np.ndarray) -> bool:
    """Whether the smooth loss prefers what the metric prefers: always the same mixture."""
    if loss.is_log:
        return metric.name == "log_loss"
    return metric.name in ("rmse", "mse", "r2") and loss.aims.size == len(targets)  # one column


def _on_loss(loss: MixtureLoss) -> Choose:
    """Pick by the smooth loss, computing only candidates that its slope does not rule out."""
    total = np.zeros(loss.predictions.shape[1])
    tried = np.empty_like(total)

    def choose(counts: np.ndarray) -> tuple[int, float, float]:
        size = counts.sum()
        bounds = np.full(len(counts), -np.inf)
        if size:
            np.divide(total, size, out=tried)
            now, slopes = loss.at(tried), loss.gradient(tried)
            bounds = now + (slopes - slopes @ counts / size) / (size + 1)  # for it is convex
        pick, least = 0, np.inf
        for m in np.argsort(bounds, kind="stable"):
            if bounds[m] >= least:
                break
            np.add(total, loss.predictions[m], out=tried)
            value = loss.at(np.divide(tried, size + 1, out=tried))
            if value < least:
                pick, least = int(m), value
        total[:] += loss.predictions[pick]
        return pick, least, least

    return choose


def _on_metric(
    members: np.ndarray, targets: np.ndarray, metric: Metric, task: Task, loss: MixtureLoss
) -> Choose:
    total = np.zeros_like(members[0])

    def choose(counts: np.ndarray) -> tuple[int, float, float]:
        size = counts.sum() + 1
        scores = np.array([metric.score(targets, (total + m) / size, task) for m in members])
        scores[np.isnan(scores)] = metric.worst
        top_score = scores.max() if metric.greater_is_better else scores.min()
        tied = np.flatnonzero(scores == top_score)
        losses = [loss((counts + (np.arange(len(members)) == m)) / size)[0] for m in tied]
        pick = int(tied[np.argmin(losses)])
        total[:] += members[pick]
        return pick, float(top_score), float(min(losses))

    return choose
