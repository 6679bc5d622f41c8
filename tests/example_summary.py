"""A summary of two members and their blend, for tests of what is shown of it."""

from dataclasses import replace
from typing import Any

from pipeline.config.schema import Config
from pipeline.core.results import (
    AgainstConstant,
    AgainstLast,
    Choice,
    Comparison,
    Contestant,
    Diversity,
    Estimate,
    RoundGain,
    ShakeUp,
    Shift,
    WrittenForm,
)
from pipeline.core.summary import Summary
from pipeline.images.view_decision import DEFAULT, with_decision

CONFIG = {
    "competition": "tiny",
    "task": {"kind": "multiclass", "target": "label"},
    "backbones": {"b": {"arch": "a", "weights": "random"}},
    "members": {"first": {"learner": "ridge", "blocks": {"b": 1.0}}, "net": {"network": "b"}},
    "blends": ["soft_vote"],
}


def example_summary(config: Config | None = None, **changes: Any) -> Summary:
    """Return a summary in which the estimate is of the blend, with some fields changed."""
    interval = {"low": 0.71238, "high": 0.91239}
    scores = {"score": 0.81237, "fold_scores": [0.8, 0.81, 0.82]}
    blend = {
        "name": "soft_vote",
        "kind": "blend",
        "weights": {"first": 0.75, "net": 0.25},
        **scores,
    }
    member = {"name": "first", "kind": "member", "weights": None, **scores, "score": 0.79991}
    view_scores = {"original": 0.7, "mirrored": 0.71, "flipped": 0.6}
    summary = Summary(
        competition="tiny",
        submission="submissions/tiny/blend.csv",
        metric="accuracy",
        greater_is_better=True,
        positive_class="",
        form=WrittenForm("label", (), (), None),
        folds=3,
        repeats=1,
        rows=12,
        test_rows=6,
        choice=Choice("loss", [["soft_vote"]] * 3, 0.81237, 0.82237, "soft_vote"),
        estimate=Estimate(
            **blend,
            **interval,
            expected=0.81737,
            score_low=0.7555,
            score_high=0.8555,
            level=0.9,
            seed=42,
        ),
        shift=Shift(False, (), {"importance weights": 0.79}, 0.79, 0.7, 0.88),
        better_than_best_single=Comparison(probability=0.6349, low=-0.01231, high=0.02342),
        shake_up=ShakeUp(2, 4, (0.6, 1.0), (0.65, 0.95), (-0.25, 0.25), 0.0777),
        against_constant=AgainstConstant(
            score=0.5, no_better=[], probability=0.99, low=0.1, high=0.5
        ),
        best_single="first",
        better_than_last=AgainstLast(
            submission="submissions/tiny/before.csv",
            score=0.8,
            probability=0.7149,
            low=-0.02231,
            high=0.04342,
        ),
        contestants=[Contestant(**member, **interval), Contestant(**blend, **interval)],
        diversity=Diversity(
            error_correlation={
                "first": {"first": 1.0, "net": 0.4},
                "net": {"first": 0.4, "net": 1.0},
            },
            left_out_of="soft_vote",
            score_with_all=0.81237,
            score_without={"first": 0.80001, "net": 0.82227},
            better_without={},
        ),
        rounds=[
            [
                RoundGain(round=0, member="first", score=0.5, blends=3),
                RoundGain(
                    round=1,
                    member="net",
                    score=0.49,
                    blends=2,
                    gain=-0.01,
                    probability=0.125,
                    low=-0.02,
                    high=0.003,
                ),
            ]
        ],
        members={name: {"view_scores": dict(view_scores)} for name in ("first", "net")},
        fingerprint="abc",
        config=with_decision(config or Config.model_validate(CONFIG), DEFAULT),
    )
    return replace(summary, **changes)
