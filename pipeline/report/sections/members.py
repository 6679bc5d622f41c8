"""Members section: scores of members and blends, and what each member contributes."""

import numpy as np

from pipeline.report import figures, wording
from pipeline.report.page import Folded, Part, Picture, Section, Table, Text
from pipeline.report.page_inputs import PageInputs


def members_section(inputs: PageInputs) -> Section:
    """Return scores, intervals, diversity, rounds of pseudo-labels and views."""
    parts = [
        _scores(inputs),
        _intervals(inputs),
        *_diversity(inputs),
        *_rounds(inputs),
        *_view_decision(inputs),
        *_view_scores(inputs),
    ]
    look = "Look for blends that beat all members by more than the spread over folds."
    return Section("Members and blends", look, parts)


def _scores(inputs: PageInputs) -> Table:
    summary = inputs.summary
    entries, estimate = summary.contestants, summary.estimate
    rows = [
        [
            f"{entry.kind} {entry.name}".strip(),
            wording.number_text(entry.score),
            wording.interval_text(entry.low, entry.high),
            wording.fold_range(entry.fold_scores),
            ", ".join(
                f"{name} {weight:.2f}"
                for name, weight in (entry.weights or {}).items()
                if abs(weight) > 0.005
            )
            or "–",
        ]
        for entry in entries
    ]
    return Table(
        f"Out-of-fold {summary.metric}",
        "The bold row is submitted; all rows are scored on the same folds. "
        + wording.scores_as_predicted(summary),
        ["", "score", f"{estimate.level:.0%} interval", "over folds", "weights"],
        rows,
        bold=[number for number, entry in enumerate(entries) if entry.name == estimate.name],
        words=["weights"],
    )


def _intervals(inputs: PageInputs) -> Picture:
    summary = inputs.summary
    # The constant's score lies so far off that it would squeeze the rest.
    entries = [e for e in summary.contestants if e.kind and e.score is not None]
    picture = figures.intervals(
        entries,
        summary.estimate.name,
        metric=summary.metric,
        level=summary.estimate.level,
    )
    look = (
        "Scores whose intervals overlap widely may differ by chance only; a tick far from its dot "
        "is a fold unlike the others."
    )
    alt = f"Scores with intervals of {', '.join(entry.name for entry in entries)}"
    return Picture("Intervals", look, picture, alt)


def _diversity(inputs: PageInputs) -> list[Part]:
    """Return what a blend scores without each member, and the correlation of errors."""
    summary = inputs.summary
    diversity, names = summary.diversity, list(inputs.project.config.members)
    if len(names) == 1:
        return []
    by_name = diversity.error_correlation
    matrix = np.array([[by_name[one][other] for other in names] for one in names])
    return [
        Picture(
            "Correlation of members' errors",
            "The lower the correlation of two good members' errors, the more their blend gains; "
            "near 1.00, one of them may be left out.",
            figures.heat_map(matrix, names),
            f"Correlation of out-of-fold errors of {', '.join(names)}",
        ),
        Table(
            "Without each member",
            f"Out-of-fold {summary.metric} of {diversity.left_out_of}: "
            f"{diversity.score_with_all:.4f} with all members. A change below 0 is worse: the "
            "member is needed. Near or above 0, it may be left out.",
            ["member", "score without it", "change"],
            [
                [name, f"{score:.4f}", f"{change:+.4f}"]
                for name, score, change in wording.without_each(summary)
            ],
        ),
    ]


def _rounds(inputs: PageInputs) -> list[Part]:
    """Return a table of rounds for each student of pseudo-labels."""
    summary = inputs.summary
    look = (
        f"Out-of-fold {summary.metric}. Gain over the round before, above 0 is better; the "
        "probability that it is better and the interval are from the same resampled rows. Each "
        "fold's blend stops before the first round without a gain on the rows that it is fitted on."
    )
    return [
        Table(
            f"Rounds of pseudo-labels: {rounds[-1].member}",
            look,
            wording.ROUND_COLUMNS,
            wording.round_rows(rounds, summary.folds),
            words=["member"],
        )
        for rounds in summary.rounds
    ]


def _view_decision(inputs: PageInputs) -> list[Part]:
    """Return what `auto` stands for in the config, and why."""
    decision = inputs.project.decision
    if decision is None:
        return []
    look = f"Decided by tests on frozen features: {decision.sentence()}."
    return [Folded("How views and augmentation were decided", [Text("", look)])]


def _view_scores(inputs: PageInputs) -> list[Part]:
    """Return each view's own score per member; those below the original's are marked and named."""
    scores = {
        name: inputs.summary.view_scores(name)
        for name in inputs.summary.members
        if len(inputs.summary.view_scores(name)) > 1
    }
    if not scores:
        return []
    metric, views = inputs.project.metric, inputs.project.config.tta.views
    marked, low = [], {}
    for row, (name, of_view) in enumerate(scores.items()):
        for column, view in enumerate(views, start=1):
            if metric.is_better(of_view.get("original", np.nan), of_view.get(view, np.nan)):
                marked.append((row, column))
                low.setdefault(view, []).append(name)
    named = ", ".join(f"{view} (in {', '.join(names)})" for view, names in low.items())
    look = "Each view alone, out of fold. " + (
        f"Worse than the original: {named}. Try tta.views without them; an average may still gain."
        if low
        else "No view is worse than the original."
    )
    rows = [
        [name, *(wording.number_text(of_view.get(view)) for view in views)]
        for name, of_view in scores.items()
    ]
    return [Table("Test-time views", look, ["member", *views], rows, marked=marked)]
