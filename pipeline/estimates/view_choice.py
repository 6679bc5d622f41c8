"""Choice of views and augmentation by what a ridge on frozen features finds out about them.

The choice is made by labels of rows that are scored later. It cannot raise their scores by more
than chance allows: the default gives way only to a difference of two standard errors (of about one
loss in forty pairs without a difference), and where the features surely know something. On pure
noise they do not, and the default stays.
"""

import numpy as np

from pipeline.core.task import Task
from pipeline.estimates.view_effects import ViewEffect, ViewTrial
from pipeline.images.view_decision import ViewDecision

MIRRORED, FLIPPED, TURNED, HALF_TURN = "mirrored", "flipped", "rotated_90", "rotated_180"
GREY = "grey"
EXTRA = (FLIPPED, HALF_TURN, TURNED)  # tried as further views, in this order
TRIED = ("original", MIRRORED, FLIPPED, TURNED, HALF_TURN, GREY)


def sample_rows(
    targets: np.ndarray, folds: np.ndarray, task: Task, *, most: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw rows, as many of each class as there are or as of the others: ascending positions.

    A row with several labels counts for the rarest. Rows of a class that lies in one fold alone are
    left out: a ridge without that fold cannot know it.

    Args:
        targets: (N, C). folds: (N,).
        most: rows.
    """
    order = rng.permutation(len(targets))
    if task.is_regression:
        return np.sort(order[:most])
    frequency = np.where(targets > 0, targets.sum(axis=0), np.inf)
    rarest = np.where((targets > 0).any(axis=1), frequency.argmin(axis=1), targets.shape[1])
    rank = np.empty(len(targets), dtype=int)  # of a row among those of its class
    for stratum in np.unique(rarest):
        mine = order[rarest[order] == stratum]
        rank[mine] = np.arange(len(mine))
        if task.has_one_class_per_row and len(np.unique(folds[mine])) < 2:
            rank[mine] = -1
    order = order[rank[order] >= 0]
    return np.sort(order[np.argsort(rank[order], kind="stable")[:most]])


def choose_views(
    trial: ViewTrial, classes: tuple[str, ...]
) -> tuple[ViewDecision, list[ViewEffect]]:
    """Return what the rows' features allow, and what was measured.

    The mirrored view and horizontal flips stay unless they ruin or harm: most photographs allow
    them. The others are added to augmentation where they are surely harmless, and as views only
    where they surely help, for each costs a forward pass of every image.
    """
    effects = {view: trial.effect(view) for view in TRIED[1:-1]}
    mirrored = effects[MIRRORED]
    keeps = not (mirrored.ruins or mirrored.harms)
    views = ["original", MIRRORED] if keeps else ["original"]
    for view in EXTRA:
        if effects[view].harmless and trial.surely_better([*views, view], views):
            views.append(view)
    colour_matters = trial.knows and trial.refit_loses(GREY)
    decision = ViewDecision(
        views=tuple(views),
        horizontal_flips=keeps,
        vertical_flips=effects[FLIPPED].harmless,
        quarter_turns=effects[TURNED].harmless and effects[HALF_TURN].harmless,
        colour_matters=colour_matters,
        reason=_reason(trial, effects, colour_matters, classes),
    )
    return decision, list(effects.values())


def _reason(
    trial: ViewTrial,
    effects: dict[str, ViewEffect],
    colour_matters: bool,
    classes: tuple[str, ...],
) -> str:
    """Say why, what was refused first."""
    found = [_about_mirrored(effects[MIRRORED], classes)]
    if not trial.knows:
        rows = len(trial.targets)
        found.append(f"features of {rows} rows do not tell the targets, so no more is known")
        return "; ".join(filter(None, found))
    if not found[0]:
        found = ["mirrored images do no harm"]
    refused = [view for view in (FLIPPED, TURNED, HALF_TURN) if not effects[view].harmless]
    for view in refused:
        found.append(f"{view} {_loss(effects[view], classes)}")
    if colour_matters:
        found.append("colour matters, and `medium` and `heavy` change it")
    return "; ".join(found)


def _about_mirrored(effect: ViewEffect, classes: tuple[str, ...]) -> str:
    if not (effect.ruins or effect.harms):
        return ""
    return f"mirrored {_loss(effect, classes)}: no mirrored views, no horizontal flips"


def _loss(effect: ViewEffect, classes: tuple[str, ...]) -> str:
    """Say what speaks against a view, in the shortest way."""
    if effect.looks_like:
        one, other = effect.looks_like[0]
        return f"`{classes[one]}` looks like `{classes[other]}`"
    if effect.harms and not effect.ruins:
        return f"beside the original costs {effect.harm:.0%} of what the features know"
    if effect.ruins and not 0 <= effect.lost < 1:
        return "alone scores no better than a constant"
    if effect.ruins:
        return f"alone costs {effect.lost:.0%} of what the features know"
    return f"alone may cost {effect.lost + effect.lost_margin:.0%} of what the features know"
