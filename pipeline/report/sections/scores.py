"""Sections on scores: what to expect of the submission, and who contributes what to it."""

import numpy as np

from pipeline.report import figures, wording
from pipeline.report.page import Part, Picture, Section, Table, Text, number_text
from pipeline.report.page_inputs import Findings
from pipeline.report.rounds import COLUMNS, round_rows


def estimate(found: Findings) -> Section:
    """What score to expect, and of which file."""
    summary, entry = found.summary, found.summary.estimate
    direction = "higher" if summary.greater_is_better else "lower"
    facts = [
        (f"{summary.metric} ({direction} is better)", f"{entry.score:.4f}"),
        ("expected on test rows", f"{entry.expected:.4f}"),
        (f"{entry.level:.0%} interval", wording.span(entry.low, entry.high)),
        ("submitted", f"{entry.kind} {entry.name}"),
        ("folds", f"{summary.folds}{wording.repeats(summary)}"),
        ("seed", str(entry.seed)),
        ("training rows", f"{summary.rows:,}"),
        ("test rows", f"{summary.test_rows:,}"),
    ]
    for rival, gain in (
        ("best member", summary.better_than_best_single),
        ("last submission", summary.better_than_last),
    ):
        if gain is not None and getattr(gain, "refused", None) is None:
            facts.append((f"better than {rival}", wording.how_likely(gain)))
    look = (
        "Expect the leaderboard's score inside the interval, if test images come from where "
        "training images come from; every row was scored by models, weights and a choice of blend "
        "made without it."
    )
    said = [
        wording.nothing_learnt(summary),
        wording.expected(summary),
        wording.less_than_promised(summary),
        wording.suspicious(found.findings),
        wording.positive_class(summary),
        wording.averaging(summary),
        wording.choice(summary),
        wording.no_better_members(summary),
        wording.against_best_single(summary),
        wording.against_last(summary),
        f"Submitted file: {summary.submission}",
        wording.form(summary),
    ]
    return Section(
        "Estimate", look, [*(Text("", text) for text in said if text), *_shaken(found)], facts
    )


def _shaken(found: Findings) -> list[Part]:
    """What a public leaderboard would show of it."""
    summary = found.summary
    shaken = summary.shake_up
    if shaken is None:
        return []
    entry = summary.estimate
    ranges = {
        "out of fold": (entry.score_low, entry.score_high),
        "all test rows": (entry.low, entry.high),
        f"public, {shaken.public_rows} rows": shaken.public,
        f"private, {shaken.private_rows} rows": shaken.private,
    }
    picture = figures.ranges(ranges, entry.expected, metric=summary.metric, level=entry.level)
    alt = f"Intervals of the score on {', '.join(ranges)}"
    return [Picture("Shake-up", wording.shake_up(summary), picture, alt)]


def members(found: Findings) -> Section:
    """Who contributes what."""
    summary = found.summary
    chosen, entries = summary.estimate.name, summary.contestants
    parts: list[Part] = [
        _contestants(found),
        Picture(
            "Intervals",
            "Intervals that overlap widely are not told apart by these rows; ticks far from the "
            "dot are folds that are unlike the others.",
            figures.intervals(  # a constant lies so far off that it would squeeze the rest
                [entry for entry in entries if entry.kind],
                chosen,
                metric=summary.metric,
                level=summary.estimate.level,
            ),
            f"Scores with intervals of {', '.join(entry.name for entry in entries)}",
        ),
    ]
    parts += [*_diversity(found), *_rounds(found), *_view_scores(found)]
    look = "Look for blends that beat all members by more than the spread of folds."
    return Section("Members and blends", look, parts)


def _contestants(found: Findings) -> Table:
    entries = found.summary.contestants
    level = found.summary.estimate.level
    rows = [
        [
            f"{entry.kind} {entry.name}".strip(),
            f"{entry.score:.4f}",
            wording.span(entry.low, entry.high),
            wording.over_folds(entry.fold_scores),
            ", ".join(
                f"{name} {weight:.2f}"
                for name, weight in (entry.weights or {}).items()
                if abs(weight) > 0.005
            )
            or "–",
        ]
        for entry in entries
    ]
    chosen = found.summary.estimate.name
    return Table(
        f"Out-of-fold {found.summary.metric}",
        "The bold row is submitted; all rows are scored on the same folds. "
        + wording.prepared(found.summary),
        ["", "score", f"{level:.0%} interval", "over folds", "weights"],
        rows,
        bold=[number for number, entry in enumerate(entries) if entry.name == chosen],
        words=["weights"],
    )


def _diversity(found: Findings) -> list[Part]:
    """What a blend is without each member, and whose errors are whose."""
    diversity, names = found.summary.diversity, list(found.config.members)
    if len(names) == 1:
        return []
    by_name = diversity.error_correlation
    matrix = np.array([[by_name[one][other] for other in names] for one in names])
    return [
        Table(
            "Without each member",
            f"Out-of-fold {found.summary.metric} of {diversity.left_out_of}: "
            f"{diversity.score_with_all:.4f} with all members. Change by leaving one out, below "
            "0 is worse: that member is needed; near or above 0, it could go.",
            ["member", "score without it", "change"],
            [
                [name, f"{score:.4f}", f"{change:+.4f}"]
                for name, score, change in wording.without_each(found.summary)
            ],
        ),
        Picture(
            "How alike members' errors are",
            "The lower the correlation of two good members' errors, the more their blend gains; "
            "near 1.00, one of them could go.",
            figures.heat_map(matrix, names),
            f"Correlation of out-of-fold errors of {', '.join(names)}",
        ),
    ]


def _rounds(found: Findings) -> list[Part]:
    """What each round of pseudo-labels brought, a table for each student."""
    look = (
        f"Out-of-fold {found.summary.metric}. Gain over the round before, above 0 is better; "
        "the probability that it is better and the interval come from the same resampled rows. "
        "Each fold's blend leaves out the rounds from the first without a gain on, by the rows "
        "that it is fitted on."
    )
    return [
        Table(
            f"Rounds of pseudo-labels: {rounds[-1].member}",
            look,
            COLUMNS,
            round_rows(rounds, found.summary.folds),
            words=["member"],
        )
        for rounds in found.summary.rounds
    ]


def _view_scores(found: Findings) -> list[Part]:
    """Each view's own score per member; those below the original's are marked and named."""
    scores = {
        name: found.summary.view_scores(name)
        for name in found.summary.members
        if len(found.summary.view_scores(name)) > 1
    }
    if not scores:
        return []
    metric, views = found.metric, found.config.tta.views
    marked, low = [], {}
    for row, (name, of_view) in enumerate(scores.items()):
        for column, view in enumerate(views, start=1):
            if metric.is_better(of_view.get("original", np.nan), of_view.get(view, np.nan)):
                marked.append((row, column))
                low.setdefault(view, []).append(name)
    named = ", ".join(f"{view} (in {', '.join(names)})" for view, names in low.items())
    look = "Each view alone, out of fold. " + (
        f"Worse than the original: {named}. See whether tta.views without them does better; "
        "an average may still gain."
        if low
        else "A view worse than the original would be marked; none is."
    )
    rows = [[name, *(number_text(of.get(view)) for view in views)] for name, of in scores.items()]
    return [Table("Test-time views", look, ["member", *views], rows, marked=marked)]
