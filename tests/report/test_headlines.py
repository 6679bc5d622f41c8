"""The five lines that a run ends with."""

from dataclasses import replace

from example_summary import example_summary

from pipeline.core.finding import Finding
from pipeline.core.results import AgainstConstant, Comparison, Shift, Signal, WrittenForm
from pipeline.report.headlines import headlines, warnings


def test_five_lines_say_score_gain_file_warning_and_advice() -> None:
    summary = example_summary()
    lines = headlines(summary, [])
    assert list(lines) == ["Expected", "Best member", "Submission", "Warning", "Try next"]
    assert lines["Expected"] == (
        "accuracy 0.8174 on the test set (higher is better), 90% interval 0.7124 to 0.9124; out of "
        "fold 0.8124, test rows get the mean of 3 models"
    )
    best = summary.better_than_best_single
    assert lines["Best member"] == (
        f"first 0.7999 out of fold; the submitted blend 0.8124, 0.0125 better (probability of "
        f"being better {best.probability:.0%})"
    )
    assert lines["Submission"] == "submissions/tiny/blend.csv (6 rows)"


def test_a_score_that_is_better_when_low_gains_by_falling() -> None:
    summary = example_summary(
        greater_is_better=False,
        metric="rmse",
        better_than_best_single=Comparison(probability=0.25, low=-0.1, high=0.02),
    )
    line = headlines(summary, [])["Best member"]
    assert "0.0125 worse (probability of being better 25%)" in line
    assert "(lower is better)" in headlines(summary, [])["Expected"]


def test_an_estimate_without_a_gain_names_no_second_score() -> None:
    summary = example_summary()
    estimate = replace(summary.estimate, expected=summary.estimate.score)
    assert "out of fold" not in headlines(replace(summary, estimate=estimate), [])["Expected"]


def test_that_test_images_differ_is_said_before_the_score() -> None:
    summary = example_summary()
    signal = Signal("confidence", 0.9, 0.7, 0.001, True)
    differs = replace(summary, shift=replace(summary.shift, differs=True, signals=(signal,)))
    line = headlines(differs, [])["Expected"]
    assert line.startswith(
        "test images differ from training images; estimated without labels: accuracy 0.8174 on"
    )
    unknown = replace(differs, shift=replace(differs.shift, by_way={}))
    assert "as out of fold, which may not hold: accuracy" in headlines(unknown, [])["Expected"]


def test_the_worst_warning_comes_first_and_the_others_are_counted() -> None:
    calm = replace(
        example_summary(),
        against_constant=AgainstConstant(
            probability=1.0, low=0.1, high=0.2, score=0.5, no_better=[]
        ),
        shift=Shift(False, (), {}, None, None, None),
        form=WrittenForm("label", (), (), None),
        growing_errors=(),
    )
    assert headlines(calm, [])["Warning"] == "none"
    shift = Shift(True, (Signal("confidence", 0.9, 0.7, 0.001, True),), {}, None, None, None)
    finding = Finding("file size", "suspicious", "predicts the target", "look at it")
    no_signal = replace(calm.against_constant, low=-0.1)
    bad = replace(calm, against_constant=no_signal, shift=shift)
    found = warnings(bad, [finding])
    assert [text.partition(" ")[0] for text in found] == ["No", "1", "Test"]
    assert headlines(bad, [finding])["Warning"] == (
        f"{found[0]} (2 more in the report, or with VERBOSE=1)"
    )
