"""Results that a summary is made of: scores, intervals and comparisons.

A score that is undefined is NaN while it is computed, null in the file, and None once it is read.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Score = float | None  # None: the metric is undefined


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A member, a blend or the constant, scored out of fold.

    Attributes:
        kind: member or blend; empty for the constant.
        low, high: the interval of the score.
        fold_scores: (K,).
        weights: mean over folds by member; None where the blend has no weights.
        as_predicted: of a member, the score before it is calibrated and decided.
    """

    name: str
    kind: Annotated[str, Field(alias="is")]
    score: Score
    low: Score
    high: Score
    fold_scores: list[Score]
    weights: dict[str, float] | None
    as_predicted: Score = None

    @property
    def score_as_predicted(self) -> Score:
        """The score before calibration and decisions; of a blend, its score."""
        return self.score if self.as_predicted is None else self.as_predicted


@dataclass(frozen=True, kw_only=True)
class Estimate(Contestant):
    """The submitted contestant, and the score to expect of it on the test rows.

    Attributes:
        expected: on the test rows.
        low, high: its interval.
        score_low, score_high: the interval of the out-of-fold score.
        level: the share of scores that an interval holds.
    """

    expected: float
    score_low: Score
    score_high: Score
    level: float
    seed: int


@dataclass(frozen=True)
class WrittenForm:
    """How predictions are written to the file.

    Attributes:
        holds: see `submission.form.Form`, as for facts and warnings.
        score_as_written: the out-of-fold score of the written values; None where it is the
            estimate's.
    """

    holds: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    score_as_written: Score


@dataclass(frozen=True)
class GrowingErrors:
    """A regression target whose out-of-fold errors grow with the prediction.

    Attributes:
        correlation: of ranks, of the size of errors with predictions, on the task's scale.
        scale: the task's.
    """

    target: str
    correlation: float
    scale: str


@dataclass(frozen=True)
class Choice:
    """How folds chose their blends.

    Attributes:
        rule: loss or metric, see `choose_by_fold`.
        by_fold: names of the blends that each fold takes the mean of.
        nested: the out-of-fold score of that.
        naive: the best score of one blend on all rows, which chose it.
        best_overall: that blend.
    """

    rule: str
    by_fold: list[list[str]]
    nested: Score
    naive: Score
    best_overall: Annotated[str, Field(alias="of")]


@dataclass(frozen=True)
class Signal:
    """One comparison of test rows with training rows.

    Attributes:
        name: what was compared.
        train, test: its mean out of fold, and on test rows; for features, the AUC of the fold that
            differs most from the others, and that of the test rows.
        p_value: of differing so much by chance.
        differs: whether it says that test rows differ.
    """

    name: str
    train: float
    test: float
    p_value: float
    differs: bool


@dataclass(frozen=True)
class Shift:
    """Whether test rows differ from training rows, and the estimates without labels.

    Attributes:
        by_way: estimates of the score by the name of the method; empty where none applies.
        expected: their median. low, high: its interval.
    """

    differs: bool
    signals: tuple[Signal, ...]
    by_way: dict[str, float]
    expected: Score
    low: Score
    high: Score


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired comparison on resampled rows: the probability of being better, and the gain.

    Attributes:
        low, high: the interval of the gain; above 0 is better, whatever the metric.
    """

    probability: Score
    low: Score
    high: Score


@dataclass(frozen=True, kw_only=True)
class AgainstConstant(Comparison):
    """The submission compared with the best constant.

    Attributes:
        score: the constant's.
        no_better: members that are no better than the constant.
    """

    score: Score
    no_better: list[str]


@dataclass(frozen=True, kw_only=True)
class AgainstLast(Comparison):
    """The submission compared with the one before it, or why it is not.

    Attributes:
        submission: the other's CSV. score: the other's.
        refused: the reason; None where they are compared.
    """

    submission: str
    score: Score
    refused: str | None = None
    probability: Score = None
    low: Score = None
    high: Score = None


@dataclass(frozen=True)
class ShakeUp:
    """What a public leaderboard shows; intervals as (low, high), in the metric's unit.

    Attributes:
        public_rows, private_rows: how many of the test rows.
        public, private: of the scores on them.
        difference: of private less public score of one submission.
        noise: what the public difference of two submissions that are equally good, and as alike as
            the two that were compared, stays below; None where these two are the same.
    """

    public_rows: int
    private_rows: int
    public: tuple[Score, Score]
    private: tuple[Score, Score]
    difference: tuple[Score, Score]
    noise: Score


@dataclass(frozen=True)
class Diversity:
    """How alike members' errors are, and what a blend scores without each member.

    Attributes:
        error_correlation: member by member.
        left_out_of: the blend. score_with_all: its score.
        better_without: members whose loss improves the score, with the comparison.
    """

    error_correlation: dict[str, dict[str, float]]
    left_out_of: str
    score_with_all: Score
    score_without: dict[str, Score]
    better_without: dict[str, Comparison]


@dataclass(frozen=True, kw_only=True)
class RoundGain:
    """One round of pseudo-labels, compared with the round before; the first has a score only.

    Attributes:
        round: 0 without pseudo-labels.
        blends: how many folds' blends take the member.
        gain: above 0 is better, whatever the metric.
        low, high: its interval.
    """

    round: int
    member: str
    score: Score
    blends: int
    gain: Score = None
    probability: Score = None
    low: Score = None
    high: Score = None
