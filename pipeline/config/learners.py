"""Learners that `learner:` may name. A new one is its module in learners/ and an entry here."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LearnerEntry:
    """How a learner is fitted.

    Attributes:
        fit: "module:function", imported where it is fitted; it takes `TrainingRows`, `strengths`,
            `seed` and the config's `params`, and returns a dataclass with `predict`.
        strengths: penalties to choose from where the config names none.
        params: keys that `params` may have; None: those of its library.
        only_classes: whether it fits no regression.
        chooses: whether it chooses something inside a fold, at least how sure it is.
        penalties: how many `strength` may name: several to choose from, one, or none.
    """

    fit: str
    strengths: tuple[float, ...] = (1.0,)
    params: tuple[str, ...] | None = ()
    only_classes: bool = False
    chooses: bool = True
    penalties: Literal["several", "one", "none"] = "several"


LEARNERS = {  # the quickest to fit first
    "ridge": LearnerEntry(
        "pipeline.learners.ridge:fit_ridge", strengths=(30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
    ),
    "knn": LearnerEntry(
        "pipeline.learners.neighbours:fit_neighbours",
        params=("k", "temperature"),
        penalties="none",
    ),
    "logistic": LearnerEntry(
        "pipeline.learners.logistic:fit_logistic",
        strengths=(1.0, 0.3, 0.1, 0.03, 0.01),
        params=("tolerance", "max_iter"),
        only_classes=True,
    ),
    "svm": LearnerEntry(
        "pipeline.learners.logistic:fit_svm",
        strengths=(1.0, 0.3, 0.1, 0.03),
        params=("tolerance", "max_iter"),
        only_classes=True,
    ),
    "extra_trees": LearnerEntry(
        "pipeline.learners.forest:fit_extra_trees",
        params=(
            *("n_estimators", "min_samples_leaf", "max_features"),
            *("max_depth", "max_leaf_nodes"),
        ),
        chooses=False,
        penalties="none",
    ),
    "lightgbm": LearnerEntry(
        "pipeline.learners.trees:fit_lightgbm", params=None, chooses=False, penalties="one"
    ),
    "mlp": LearnerEntry(
        "pipeline.learners.perceptron:fit_perceptron",
        strengths=(0.1,),
        params=("hidden", "epochs", "batch", "lr", "dropout"),
        chooses=False,
        penalties="one",
    ),
}
