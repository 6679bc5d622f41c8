"""A submission's form: what its columns hold, in which spelling."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pipeline.core.competition import Competition
from pipeline.metrics.find_metric import Metric

Holds = Literal["numbers", "flags", "label", "labels", "likeliest", "value", "level"]


@dataclass(frozen=True)
class Form:
    """How predictions become the cells of a submission.

    Attributes:
        holds: numbers: a probability or value of the column's class; flags: 1 where that class is
            the decision, else 0; label; labels: those over the threshold; likeliest: the k
            likeliest, in that order; value: the expected level; level: the one nearest to it.
        columns: the sample's columns without the id, and the position of each one's class; 0
            if one column holds all.
        names: (C,) classes as the file spells them.
        joint: separator of several labels in a cell.
        number: k of `likeliest`.
        empty: what a cell without a label holds: `likeliest`, or a word.
        facts: what a reader of the file must know.
        warnings: differences between the file and what the sample or the metric asks for.
    """

    holds: Holds
    columns: dict[str, int]
    names: tuple[str, ...] = ()
    joint: str = " "
    number: int = 1
    empty: str = ""
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def sample_of(competition: Competition, metric: Metric) -> pd.DataFrame:
    """Return the sample or, if the competition has none, its most likely form."""
    if competition.sample is not None:
        return competition.sample
    single_label = competition.task.has_one_class_per_row
    of_probabilities = metric.wants in ("probabilities", "shares")
    per_class = single_label and of_probabilities and len(competition.classes) > 2
    per_class &= metric.top is None
    columns = list(competition.classes) if per_class else competition.task.targets
    return pd.DataFrame({competition.data.id: competition.test_ids, **dict.fromkeys(columns, "")})
