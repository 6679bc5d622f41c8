"""Test rows without labels: whether they differ from training rows, and their score."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pipeline.core.results import Signal
from pipeline.estimates.evidence import Evidence
from pipeline.estimates.label_free_ways import label_noise, scores_by_way
from pipeline.estimates.paired_resampling import resampled_scores
from pipeline.estimates.resampling import Resampling
from pipeline.estimates.shift import ON_FEATURES, design_effect, signals_of_shift

RESAMPLES = 500
# How far down the interval reaches, measured on held-out clusters and sites of the example
# competitions (tests/bench/shift_coverage.py): of what models lose there they notice 40% in the
# worst cases; where features alone separate test rows, errors may grow by this per AUC beyond
# folds'.
REACH = 2.5
UNNOTICED = 2.0


@dataclass(frozen=True)
class LabelFree:
    """What is known of test rows without labels.

    Attributes:
        signals: what was compared, and whether test rows differ by it.
        by_way: estimates of the score on test rows by name, see `scores_by_way`; empty where no way
            applies.
        expected: their median, the worse of two in the middle, for models notice less than they
            lose; NaN where there are none.
        low, high: the interval of the score, wide enough for all ways.
        gain: what is left of the gain of averaging: the part that held-out rows bear out, 0 where
            test rows differ.
    """

    signals: tuple[Signal, ...]
    by_way: dict[str, float]
    expected: float
    low: float
    high: float
    gain: float

    @property
    def differs(self) -> bool:
        """Whether test rows differ from training rows by any signal."""
        return any(signal.differs for signal in self.signals)


def judge_test_rows(
    evidence: Evidence, *, gain: float = 0.0, level: float = 0.90, seed: int
) -> LabelFree:
    """Compare test rows with training rows, and estimate the score on them without labels.

    Args:
        gain: of averaging, as `gain_of_averaging` foretells it.
    """
    signals, separation = signals_of_shift(evidence, seed=seed)
    by_way = scores_by_way(evidence, separation, seed=seed)
    left = gain * share_borne_out(evidence)
    expected = low = high = np.nan
    if by_way:
        scores = sorted(by_way.values(), reverse=not evidence.metric.greater_is_better)
        expected = scores[(len(scores) - 1) // 2]
        margin = norm.ppf((1 + level) / 2) * _standard_error(evidence, seed)
        reached = _further(evidence, expected), _unnoticed(evidence, expected, signals)
        low, high = _interval(evidence, [*scores, *reached], gain=left, margin=margin)
    if any(signal.differs for signal in signals):
        left = 0.0
    return LabelFree(tuple(signals), by_way, expected, low, high, left)


def share_borne_out(evidence: Evidence) -> float:
    """Return the share of the gain of averaging that disagreement on held-out rows bears out.

    The gain grows with the square of how far models disagree on test rows (Krogh and Vedelsby
    1995), which held-out rows, predicted by one fold's model each, cannot confirm. Members disagree
    on both: where they do so more on test rows, models err more, and do not gain more. One member
    alone is judged by its doubts.
    """
    if evidence.num_members > 1:
        of_train, of_test = (values.mean() for values in evidence.disagreement())
    elif not evidence.task.is_regression:
        of_train, of_test = (1 - values.mean() for values in evidence.confidence())
    else:
        return 1.0
    return float(min(1.0, (of_train / of_test) ** 2)) if of_test > 0 else 1.0


def _interval(
    evidence: Evidence, scores: list[float], *, gain: float, margin: float
) -> tuple[float, float]:
    """From the worst to the best of scores; above lies what is left of the gain of averaging."""
    sign = 1 if evidence.metric.greater_is_better else -1
    worst, best = min(sign * score for score in scores), max(sign * score for score in scores)
    ends = worst - margin, best + max(sign * gain, 0.0) + margin
    low, high = sorted(evidence.clip(sign * end) for end in ends)
    return low, high


def _further(evidence: Evidence, expected: float) -> float:
    """REACH times as far from the out-of-fold score as the expected one; losses: in ratio."""
    start = evidence.oof_score
    if not evidence.metric.is_better(start, expected):
        return expected
    if evidence.metric.greater_is_better or start <= 0:
        return start + REACH * (expected - start)
    return start * (expected / start) ** REACH


def _unnoticed(evidence: Evidence, expected: float, signals: list[Signal]) -> float:
    """Return the out-of-fold score with errors grown by how well features tell test rows."""
    beyond = sum(s.test - s.train for s in signals if s.name == ON_FEATURES and s.differs)
    if not beyond or not np.isfinite(evidence.limits).any():
        return expected
    start = evidence.oof_score
    perfect = evidence.limits[1] if evidence.metric.greater_is_better else evidence.limits[0]
    grown = start + UNNOTICED * beyond * (start - perfect)
    return expected if evidence.metric.is_better(grown, expected) else grown


def _standard_error(evidence: Evidence, seed: int) -> float:
    """From the out-of-fold score, test rows' labels, and one more row that may be wrong."""
    sizes = len(evidence.oof), evidence.test.shape[1]
    (scores,) = resampled_scores(
        evidence.targets,
        [evidence.oof],
        evidence.metric,
        evidence.task,
        Resampling(seed, evidence.groups, rounds=RESAMPLES),
    )
    of_oof = float(np.nanstd(scores)) if np.isfinite(scores).any() else 0.0
    errors = np.abs(evidence.targets - evidence.oof).mean(axis=1)
    effect, _ = design_effect(errors, evidence.groups)
    of_test = label_noise(evidence, seed=seed) * np.sqrt(effect)
    if np.isnan(of_test):
        of_test = of_oof * np.sqrt(sizes[0] / sizes[1])
    low, high = evidence.limits
    of_one_row = (high - low) / (min(sizes) + 2) if np.isfinite(high - low) else 0.0
    return float(np.linalg.norm([of_oof, of_test, of_one_row]))
