"""Learners that `learner:` may name: those of plugins, and one for each entry here.

A new entry's module lies in learners/.
"""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from pipeline.config.own_parts import ITEMS


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
        takes_halves: whether it multiplies features only, which may then be a `HalfRows`.
        package: an optional package that it needs, and the extra that installs it.
    """

    fit: str
    strengths: tuple[float, ...] = (1.0,)
    params: tuple[str, ...] | None = ()
    only_classes: bool = False
    chooses: bool = True
    penalties: Literal["several", "one", "none"] = "several"
    takes_halves: bool = False
    package: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether its package, if it needs one, is there."""
        return not self.package or find_spec(self.package) is not None


BUILT_IN = {  # the quickest to fit first
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
        takes_halves=True,
    ),
    "svm": LearnerEntry(
        "pipeline.learners.logistic:fit_svm",
        strengths=(1.0, 0.3, 0.1, 0.03),
        params=("tolerance", "max_iter"),
        only_classes=True,
        takes_halves=True,
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
        "pipeline.learners.trees:fit_lightgbm",
        params=None,
        chooses=False,
        penalties="one",
        takes_halves=True,
    ),
    "mlp": LearnerEntry(
        "pipeline.learners.perceptron:fit_perceptron",
        strengths=(0.1,),
        params=("hidden", "epochs", "batch", "lr", "dropout"),
        chooses=False,
        penalties="one",
    ),
    "xgboost": LearnerEntry(
        "pipeline.learners.xgboost_trees:fit_xgboost",
        params=None,
        chooses=False,
        penalties="one",
        package="xgboost",
    ),
    "catboost": LearnerEntry(
        "pipeline.learners.catboost_trees:fit_catboost",
        strengths=(3.0,),
        params=None,
        chooses=False,
        penalties="one",
        package="catboost",
    ),
}
LEARNERS: Mapping[str, LearnerEntry] = ChainMap(ITEMS["learner"], BUILT_IN)  # plugins' come last
# Of a config that is read back, whose plugin is not imported.
UNKNOWN = LearnerEntry("", params=None, chooses=False)
