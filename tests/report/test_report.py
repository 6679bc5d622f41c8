"""The report: its numbers by hand, its page for every kind of task, and that it stands alone."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from example_summary import example_summary
from matplotlib.figure import Figure
from PIL import Image

from pipeline.config.schema import Config
from pipeline.core import artifacts
from pipeline.core.finding import Finding, read_findings
from pipeline.core.folds import folds_text
from pipeline.core.predictions import Predictions
from pipeline.core.results import Choice, Comparison, Diversity, Signal
from pipeline.core.summary import Summary
from pipeline.core.task import Task
from pipeline.project import open_project
from pipeline.report import figures, tables, wording
from pipeline.report.drawing import png, svg
from pipeline.report.hints import hints
from pipeline.report.page import LARGE, SMALL, Gallery, Section, Table, Tile, encode, render
from pipeline.report.summary import print_summary
from pipeline.report.tables import ranking_scores, regression_scores
from pipeline.stages.report import gather, make_report
from pipeline.workflow.plan import Plan

NUM_TRAIN, NUM_TEST, NUM_FOLDS = 12, 6, 3
LABELS = ["ant", "<b>bee</b>", "$cat$ of_a kind"]
TARGETS: dict[str, dict[str, list]] = {
    "binary": {"label": ["no", "yes"] * 6},
    "multiclass": {"label": LABELS * 4},
    "multilabel": {"wet": [0, 1] * 6, "old": [0, 0, 1] * 4, "never": [0] * 12},
    "ordinal": {"label": [0, 0.5, 2] * 4},
    "regression": {"age": [float(row) for row in range(12)]},
}
PLANTED = 7  # this training row's label is contradicted with certainty
DOUBTED = 3  # and this one's, before it, only just
IMAGES = [("told <best>", [("train/03.png", "fold 1"), ("test/12.png", "")])]
FINDINGS = [
    Finding("row order", "quiet", "tells nothing", "").as_json(),
    Finding("file size", "note", "tells a bit", "think", examples=["<x>"]).as_json(),
    Finding("border", "suspicious", "tells all", "look", images=IMAGES).as_json(),
]


def one_hot(positions: list[int], num_classes: int) -> np.ndarray:
    return np.eye(num_classes)[positions]


def test_a_confusion_matrix_counts_labels_in_rows() -> None:
    matrix = tables.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1]), 3)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_reliability_and_its_error_by_hand() -> None:
    bins = tables.reliability_bins(np.array([0.12, 0.18, 0.9, 1.0]), np.array([0.0, 1, 1, 1]))
    assert bins["middle"].tolist() == pytest.approx([0.15, 0.95])
    assert bins["predicted"].tolist() == pytest.approx([0.15, 0.95])
    assert bins["observed"].tolist() == pytest.approx([0.5, 1.0])
    assert bins["count"].tolist() == [2, 2]
    assert tables.calibration_error(bins) == pytest.approx((2 * 0.35 + 2 * 0.05) / 4)


def test_the_gap_between_distributions() -> None:
    low, high = np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])
    assert tables.distribution_gap(low, high) == pytest.approx(0.5)
    assert tables.distribution_gap(low, low) == 0
    assert tables.distribution_gap(low, high + 10) == 1


def test_scores_of_one_column() -> None:
    assert ranking_scores(np.array([True, False, True]), np.array([0.9, 0.5, 0.1])) == (
        pytest.approx((1 + 2 / 3) / 2),
        0.5,
    )
    assert np.isnan(ranking_scores(np.array([True, True]), np.array([0.9, 0.1]))).all()
    scores = regression_scores(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    assert scores == pytest.approx((1, 1, 0))


def test_scores_of_classes_by_hand() -> None:
    truth = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], dtype=bool)
    chosen = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], dtype=bool)
    values = np.array([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.1, 0.9, 0], [0.2, 0.8, 0]])
    f1, precision, recall, ap, auc = tables.class_scores(truth, chosen, values).T
    assert f1[:2].tolist() == pytest.approx([2 / 3, 0.8])
    assert precision[:2].tolist() == pytest.approx([1, 2 / 3])
    assert recall[:2].tolist() == pytest.approx([0.5, 1])
    assert ap[:2].tolist() == auc[:2].tolist() == [1, 1]
    assert np.isnan([f1[2], precision[2], recall[2], ap[2], auc[2]]).all()  # it never occurs


def test_thresholds_are_read_off_what_was_decided() -> None:
    task = Task("multilabel", threshold=0.4)
    values = np.array([[0.1, 0.3], [0.2, 0.35], [0.3, 0.39]])
    assert tables.effective_thresholds(values, values, task).tolist() == [0.4, 0.4]
    decided = np.array([[0.2, 0.1], [0.4, 0.2], [0.6, 0.3]])  # of the first, 0.2 and more
    first, second = tables.effective_thresholds(values, decided, task)
    assert first == pytest.approx(0.15)
    assert np.isnan(second)
    assert tables.effective_thresholds(values, values, Task("multiclass")) is None


def test_the_most_confused_classes_are_kept_in_their_order() -> None:
    matrix = np.array([[9, 0, 1, 0], [0, 9, 0, 0], [0, 0, 9, 3], [0, 0, 2, 9]])
    assert tables.most_confused(matrix, 2).tolist() == [2, 3]
    assert tables.most_confused(matrix, 9).tolist() == [0, 1, 2, 3]


def test_decisions_of_each_kind() -> None:
    probs = np.array([[0.4, 0.0, 0.6]])
    levels = np.array([0.0, 1.0, 2.0])
    multilabel = Task("multilabel", threshold=0.3)
    assert tables.decide(probs, Task("multiclass")).tolist() == [2]
    assert tables.decide(probs, Task("ordinal", levels)).tolist() == [1]  # expected 1.2
    assert tables.decide(probs, multilabel).tolist() == [[True, False, True]]
    assert tables.in_words(probs, list("abc"), multilabel) == ["a, c"]
    assert tables.in_words(probs * 0, list("abc"), multilabel) == ["none"]


def test_an_image_is_shown_small(tmp_path: Path) -> None:
    Image.new("RGB", (900, 300), "red").save(tmp_path / "wide.png")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "tiny.png")
    for name, side, kind, size in (
        ("wide.png", LARGE, "jpeg", (300, 100)),  # opens larger than it is shown
        ("wide.png", SMALL, "jpeg", (84, 28)),
        ("tiny.png", LARGE, "png", (8, 8)),
    ):
        before, _, content = encode(tmp_path / name, side).partition(";base64,")
        assert before == f"data:image/{kind}"
        assert Image.open(io.BytesIO(base64.b64decode(content))).size == size
        assert len(content) < 3000


def test_strangers_text_is_text() -> None:
    table = Table("", "", ["<i>id</i>"], [["<script>alert(1)</script>"]])
    html = render("a & b", [Section("s", "look", [table])])
    assert html.count("<script") == 1  # the page's own
    assert "&lt;script&gt;alert(1)" in html
    assert "&lt;i&gt;id" in html
    assert "a &amp; b" in html


def test_pictures_do_not_depend_on_the_user_s_matplotlibrc() -> None:
    shares = np.array([0.25, 0.75])

    def drawn() -> list[str]:
        names = ["$x", "y"]
        return [
            draw(figure)
            for draw in (png, partial(svg, alt="a", number=1))
            for figure in figures.class_shares(names, shares, shares, [1, 3])
        ]

    usual = drawn()
    with matplotlib.rc_context(
        {"font.size": 20, "axes.facecolor": "black", "svg.fonttype": "path"}
    ):
        assert drawn() == usual


def test_a_figure_s_text_is_text_in_the_page_s_colours_and_its_ids_are_its_own() -> None:
    rng = np.random.default_rng(0)
    panels = {"<i>$x$</i>": (rng.random(9), rng.random(9))}
    first, second = (
        svg(figures.histograms(panels, ("a", "b"))[0], alt='"<b>"', number=number)
        for number in (1, 2)
    )
    assert "&lt;i&gt;$x$&lt;/i&gt;</text>" in first
    assert 'aria-label="&quot;&lt;b&gt;&quot;"' in first
    assert "var(--blue)" in first
    assert not re.search("#1f2933|#2463a6|#ffffff|<style|https?:", first)
    ids = [{*re.findall(r' id="([^"]*)"', one)} for one in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("num_classes", [2, 100])
def test_a_picture_holds_few_and_many_classes(num_classes: int) -> None:
    names = [f"class number {number}" for number in range(num_classes)]
    shares = np.full(num_classes, 1 / num_classes)
    counts = np.full(num_classes, 3)
    rng = np.random.default_rng(0)
    values = [rng.random(5)] * (num_classes - 1) + [np.empty(0)]
    drawn = [
        figures.confusion(np.diag(counts), names),
        *figures.class_shares(names, shares, shares, counts),
        *figures.boxes(values, names, label="p"),
    ]
    assert len(drawn) == 1 + 2 * -(-num_classes // figures.ROWS)
    for figure in drawn:
        assert 1000 < len(svg(figure, alt="", number=0)) < 100_000


def write_project(root: Path, kind: str, *, names: tuple[str, str] = ("first", "net")) -> Config:
    """A finished ensemble of a learner and a network, as files, without any model behind it."""
    columns = TARGETS[kind]
    folder = root / "input" / "tiny"
    rng = np.random.default_rng(0)
    ids = [f"{row:02d}.png" for row in range(NUM_TRAIN + NUM_TEST)]
    for row, name in enumerate(ids):
        path = folder / ("train" if row < NUM_TRAIN else "test") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (20 + row % 3, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    pd.DataFrame({"id": ids[:NUM_TRAIN], **columns}).to_csv(folder / "train.csv", index=False)
    pd.DataFrame({"id": ids[NUM_TRAIN:]}).to_csv(folder / "test.csv", index=False)
    members = {"first": {"learner": "ridge", "blocks": {"b": 1.0}}, "net": {"network": "b"}}
    config = Config.model_validate(
        {
            "competition": "tiny",
            "task": {
                "kind": kind,
                "target": list(columns) if kind == "multilabel" else next(iter(columns)),
            },
            "backbones": {"b": {"arch": "a", "weights": "random"}},
            "members": {name: members[name] for name in names},
            "blends": ["soft_vote"],
        }
    )
    features = root / "features" / "tiny"
    features.mkdir(parents=True)
    folds = np.arange(NUM_TRAIN) % NUM_FOLDS
    groups = np.array(ids[:NUM_TRAIN])
    (features / "folds.csv").write_text(folds_text(groups, folds, groups))
    duplicates = {
        "contradicting": [["train/00.png", "train/01.png"]],
        "duplicates": [["train/00.png", "train/01.png", "near"]],
        "train_test_twins": [["train/02.png", "test/12.png", "exact"]],
    }
    artifacts.write_json(features / "audit.json", duplicates | {"findings": FINDINGS})
    write_predictions(root, config)
    return config


def write_predictions(root: Path, config: Config) -> None:
    """Predictions that agree with all labels but the planted one, the summary, the ledger."""
    project = open_project(config, root)
    competition, folds = project.competition, project.folds
    num_classes, kind = len(competition.classes), config.task.kind
    oof = competition.targets * 0.6 + 0.4 / num_classes
    if kind == "regression":
        oof = competition.targets + 0.5
        oof[DOUBTED] += 3
        oof[PLANTED] += 30
    elif kind == "multilabel":
        oof = competition.targets * 0.6 + 0.2
        oof[PLANTED, 0], oof[DOUBTED, 0] = 0.01, 0.45
    else:
        oof[DOUBTED] = 0.4 * competition.targets[DOUBTED] + 0.6 * np.roll(
            competition.targets[DOUBTED], 1
        )
        oof[PLANTED] = np.roll(competition.targets[PLANTED], 1) * 0.98 + 0.01
        oof[PLANTED] /= oof[PLANTED].sum()
    test = np.stack([oof[:NUM_TEST]] * NUM_FOLDS)
    meta = {"competition": "tiny", "folds_digest": folds.digest}
    views = {"view_scores": {"original": 0.7, "mirrored": 0.71, "flipped": 0.6}}
    models, submissions = root / "models" / "tiny", root / "submissions" / "tiny"
    for name in config.members:
        meta = meta | {"fingerprint": Plan(project).join(name).fingerprint}
        saved = Predictions(competition.ids, oof, competition.classes, folds.folds, meta)
        saved.save(models / name / "oof.npz")
        Predictions(competition.test_ids, test, competition.classes, meta=meta).save(
            models / name / "test.npz"
        )
        files = ["oof.npz", "test.npz"]
        artifacts.finish(models / name, meta["fingerprint"], files=files)
    log = pd.DataFrame({"epoch": [1, 2], "loss": 1.0, "lr": 0.1, "val_loss": 1.2, "val_score": 0.5})
    (models / "net" / "fold0").mkdir()
    log.to_csv(models / "net" / "fold0" / "log.csv", index=False)
    artifacts.finish(models / "net" / "fold0", "f", files=["log.csv"], metric="log_loss")
    saved.save(submissions / "blend.npz")
    Predictions(competition.test_ids, test[0], competition.classes, meta=meta).save(
        submissions / "blend.test.npz"
    )
    pd.DataFrame({"id": competition.test_ids, "guess": 0}).to_csv(
        submissions / "blend.csv", index=False
    )
    summary = example_summary(
        config,
        metric=project.metric.name,
        greater_is_better=project.metric.greater_is_better,
        members=dict.fromkeys(config.members, meta | views),
    )
    summary.write(submissions / "blend.json")
    line = {"time": "2025-01-02T03:04:05+00:00", "blend": "soft_vote", "fingerprint": "abc"}
    line |= {"submission": "submissions/tiny/blend.csv"}
    line |= {"metric": project.metric.name, "members": ["first"]}
    line |= {"score": 0.81237, "low": 0.71238, "high": 0.91239}
    (submissions / "ledger.jsonl").write_text(json.dumps(line) + "\n")
    artifacts.finish(submissions, "abc", summary="blend.json")


class Addresses(HTMLParser):
    """Every address and every tag of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.without_alt = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.found += [str(given[key]) for key in ("src", "href", "srcset") if key in given]
        self.without_alt += tag == "img" and not given.get("alt")


@pytest.fixture(autouse=True)
def statistics_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal says all that it knows; what it says else is in test_headlines."""
    monkeypatch.setenv("VERBOSE", "1")


@pytest.fixture(scope="module", params=list(TARGETS))
def reported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """(kind, submissions folder, page) of each kind of task."""
    root = tmp_path_factory.mktemp(request.param)
    config = write_project(root, request.param)
    folder = root / "submissions" / "tiny"
    make_report(folder / "report", "print", project=open_project(config, root))
    assert artifacts.is_current(folder / "report", "print")
    return request.param, folder, (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_s_numbers_are_the_summary_s(reported: tuple) -> None:
    _, folder, html = reported
    summary = Summary.read(folder / "blend.json")
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    direction = "higher" if summary.greater_is_better else "lower"
    assert (
        facts[f"out-of-fold {summary.metric} ({direction} is better)"]
        == f"{summary.estimate.score:.4f}"
    )
    assert facts["90% interval"] == "0.7124 to 0.9124"
    assert facts["submitted"] == "blend soft_vote"
    assert (facts["folds"], facts["seed"]) == ("3", "42")
    assert (facts["training rows"], facts["test rows"]) == ("12", "6")
    assert "(first): better with a probability of 63%" in html
    assert "gain is 90% sure to be between -0.0123 and +0.0234" in html
    assert facts["expected on test rows"] == "0.8174"
    name = summary.metric
    assert f"{name} 0.8174, 90% sure to be between 0.7124 and 0.9124." in html
    assert "out-of-fold score 0.8124 +0.0050: test rows get the mean of 3 models" in html
    assert "Blend: every fold chose soft_vote" in html
    assert "last submission (before.csv): better with a probability of 71%" in html
    assert "1 suspicious finding of the leak checks (border): the estimate may not hold" in html
    assert (facts["better than best member"], facts["better than last submission"]) == (
        "63%",
        "71%",
    )
    assert "30% of the test rows (2) would show 0.6000 to 1.0000" in html
    assert "between -0.2500 and +0.2500" in html
    assert "smaller than 0.0777 between two submissions as alike as this one and first" in html
    assert summary.submission in html
    assert "first 0.75, net 0.25" in html
    assert "0.7999" in html


def test_what_is_lost_without_a_member_is_below_0(reported: tuple) -> None:
    _, folder, html = reported
    summary = Summary.read(folder / "blend.json")
    table = html[html.index("<h3>Without each member") : html.index("<h3>Rounds of")]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
    needed = ["-0.0124", "+0.0099"] if summary.greater_is_better else ["+0.0124", "-0.0099"]
    assert cells == ["first", "0.8000", needed[0], "net", "0.8223", needed[1]]
    assert "of soft_vote: 0.8124 with all members" in table


def test_rounds_of_pseudo_labels_are_shown_on_the_page(reported: tuple) -> None:
    _, _, html = reported
    table = html[html.index("<h3>Rounds of pseudo-labels: net") : html.index("<h3>Test-time views")]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
    assert cells[:7] == ["0", "first", "0.5000", "–", "–", "–", "3 of 3"]
    assert cells[7:] == ["1", "net", "0.4900", "-0.0100", "0.12", "-0.0200 to +0.0030", "2 of 3"]


def test_rounds_of_pseudo_labels_are_shown_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_project(tmp_path, "multiclass")
    print_summary(tmp_path / "submissions" / "tiny", tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 net 0.4900 -0.0100 0.12 -0.0200 to +0.0030 2 of 3" in said


def test_the_terminal_says_what_each_member_is_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_project(tmp_path, "multiclass")
    print_summary(tmp_path / "submissions" / "tiny", tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "Without first: soft_vote 0.8000, -0.0124 (worse)" in lines
    assert "Without net: soft_vote 0.8223, +0.0099 (better)" in lines


def test_a_member_on_its_own_or_without_worth_in_words() -> None:
    diversity = Diversity({}, "greedy", 0.3, {"a": None}, {})
    summary = example_summary(greater_is_better=False, diversity=diversity)
    assert wording.without_members(summary) == ""
    diversity.score_without.update({"a": 0.30004, "b": 0.35})
    assert wording.without_members(summary).splitlines() == [
        "Without a: greedy 0.3000, +0.0000 (the same)",
        "Without b: greedy 0.3500, -0.0500 (worse)",
    ]


def summary_of(root: Path, kind: str) -> Summary:
    """Return the summary of a written project, in which the estimate is of the blend."""
    write_project(root, kind)
    return Summary.read(root / "submissions" / "tiny" / "blend.json")


def with_member(summary: Summary, **changes: Any) -> Summary:
    """Return the summary with its first contestant, a member, changed."""
    member, *others = summary.contestants
    return replace(summary, contestants=[replace(member, **changes), *others])


def with_settings(summary: Summary, **members: dict) -> Summary:
    """Return the summary with these sections of the members in its config."""
    raw = summary.config.model_dump(mode="json")
    raw["members"] |= members
    return replace(summary, config=Config.model_validate(raw))


def test_what_is_worth_knowing_is_said_in_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    summary = summary_of(tmp_path, "multiclass")
    print_summary(tmp_path / "submissions" / "tiny", tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("Expected on the test set") == 1
    assert "accuracy 0.8174, 90% sure to be between 0.7124 and 0.9124." in said
    assert "1 suspicious finding of the leak checks (border): the estimate may not hold" in said
    (tmp_path / "features" / "tiny" / "audit.json").unlink()  # as where only predictions are
    print_summary(tmp_path / "submissions" / "tiny", tmp_path)
    assert "suspicious" not in capsys.readouterr().out
    near = replace(summary.estimate, expected=summary.estimate.score + 0.00004)
    assert wording.averaging(replace(summary, estimate=near)) == ""


def test_that_test_images_differ_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    summary = summary_of(tmp_path, "multiclass")
    signals = (
        Signal("mean confidence", 0.931, 0.714, 0.001, True),
        Signal("mean predictions", 0.2, 0.21, 0.5, False),
    )
    summary = replace(summary, shift=replace(summary.shift, differs=True, signals=signals))
    summary.write(tmp_path / "submissions" / "tiny" / "blend.json")
    print_summary(tmp_path / "submissions" / "tiny", tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    first = (
        "Test images differ from training images (mean confidence 0.71, on held-out rows 0.93). "
        "Expected on the test set as it is: accuracy 0.8174, 90% sure to be between 0.7124 and "
        "0.9124, estimated without labels (importance weights 0.7900). The out-of-fold score "
        "0.8124 may not hold there."
    )
    assert first in said
    assert said.index(first) < said.index("Out of fold:")
    assert wording.averaging(summary) == ""
    summary.shift.by_way.clear()
    assert "the cost cannot be estimated without labels: accuracy 0.8174" in wording.expected(
        summary
    )


def test_what_is_the_same_is_not_called_better() -> None:
    same = {"probability": 0.5, "low": -0.00001, "high": 0.0}
    summary = example_summary(better_than_best_single=Comparison(**same))
    summary = replace(summary, better_than_last=replace(summary.better_than_last, **same))
    assert wording.against_best_single(summary).endswith("(first): the same score.")
    assert wording.against_last(summary).endswith("(before.csv): the same score.")
    summary = replace(summary, estimate=replace(summary.estimate, name="first"))
    assert (
        wording.against_best_single(summary) == "The submission is the best single member, first."
    )


def test_a_choice_that_differs_by_fold_says_what_it_cost() -> None:
    by_fold = [["soft_vote"], ["soft_vote", "greedy"], ["greedy"]]
    made = Choice("loss", by_fold, 0.81237, 0.82237, "soft_vote")
    summary = example_summary(choice=made)
    said = wording.choice(summary)
    assert "the mean of the blends whose loss on the other folds is near the least" in said
    assert "(soft_vote in 2, greedy in 2 of 3 folds); it scores 0.8124. soft_vote alone" in said
    summary = example_summary(choice=replace(made, rule="metric"))
    assert "takes the blend with the best score on the other folds" in wording.choice(summary)
    assert wording.choice(example_summary(choice=None)) == ""


def test_what_is_no_better_than_a_constant_is_named() -> None:
    summary = example_summary()
    assert wording.no_signal(summary) == wording.no_better_members(summary) == ""
    rival = replace(summary.against_constant, no_better=["first", "net"], low=-0.01)
    summary = replace(summary, against_constant=rival)
    said = wording.no_better_members(summary)
    assert said == "No better than a constant (0.5000): first, net."
    assert wording.no_signal(summary).startswith(
        "No signal yet: a constant scores 0.5000, the submission 0."
    )


def test_scores_before_calibration_are_told_where_they_differ() -> None:
    summary = example_summary()
    assert wording.scores_as_predicted(with_member(summary, as_predicted=0.79991)) == ""
    summary = with_member(summary, as_predicted=0.7)
    assert wording.scores_as_predicted(summary).endswith("Scores before that: first 0.7000.")


def test_what_is_undefined_is_said_and_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = write_project(tmp_path, "multiclass")
    path = tmp_path / "submissions" / "tiny" / "blend.json"
    summary = Summary.read(path)
    nothing = {"low": np.nan, "high": np.nan}
    member, blend = summary.contestants
    estimate = replace(summary.estimate, **nothing, score_low=np.nan, score_high=np.nan)
    none = (np.nan, np.nan)
    replace(
        summary,
        contestants=[
            replace(member, **nothing, fold_scores=[np.nan, 0.5, 0.75]),
            replace(blend, fold_scores=[np.nan] * 3),
        ],
        estimate=estimate,
        better_than_best_single=Comparison(probability=np.nan, **nothing),
        shake_up=replace(summary.shake_up, public=none, difference=none),
    ).write(path)
    assert "NaN" not in path.read_text()
    print_summary(path.parent, tmp_path)
    text = " ".join(capsys.readouterr().out.split())
    assert "0.5000–0.7500, undefined in 1" in text
    assert "no interval, the metric is undefined on all resampled rows" in text
    assert "first): not compared, the metric is undefined" in text
    assert not re.search(r"\bnan\b|None", text)
    make_report(path.parent / "report", "print", project=open_project(config, tmp_path))
    html = (path.parent / "report.html").read_text(encoding="utf-8")
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    assert (facts["90% interval"], facts["better than best member"]) == ("undefined",) * 2
    assert "0.5000 to 0.7500, undefined in 1" in html
    assert "would show undefined, the private one (4) 0.6500 to 0.9500" in html


def test_a_member_without_a_score_is_shown_with_a_dash(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = write_project(tmp_path, "multiclass")
    path = tmp_path / "submissions" / "tiny" / "blend.json"
    nothing = {"low": np.nan, "high": np.nan}
    summary = Summary.read(path)
    summary.contestants.append(replace(summary.contestants[0], name="net"))
    summary = with_member(summary, **nothing, score=np.nan, as_predicted=0.7)
    rival = replace(summary.against_constant, **nothing, score=np.nan, no_better=["first"])
    summary.members["first"]["view_scores"]["original"] = np.nan
    replace(summary, against_constant=rival, best_single="net").write(path)
    print_summary(path.parent, tmp_path)
    assert "member first – undefined" in " ".join(capsys.readouterr().out.split())
    make_report(path.parent / "report", "print", project=open_project(config, tmp_path))
    html = (path.parent / "report.html").read_text(encoding="utf-8")
    assert "<td>member first</td>" in re.sub(r' class="[^"]*"', "", html)
    assert "No better than a constant (–): first." in html


@pytest.mark.parametrize("kind", ["multiclass", "regression"])  # better high, better low
def test_a_better_member_is_named_first_with_the_key_that_submits_it(
    tmp_path: Path, kind: str
) -> None:
    summary = summary_of(tmp_path, kind)
    blend = summary.contestants[1]
    summary = with_member(summary, score=blend.score + summary.sign * 0.01)
    first = hints(summary)[0]
    assert (
        'SET="submission.blend=first" submits first, though the difference may be chance' in first
    )
    surely_worse = Comparison(probability=0.0, low=-0.02, high=-0.001)
    summary = replace(summary, better_than_best_single=surely_worse)
    assert hints(summary)[0].endswith("submits first.")
    summary = with_member(summary, score=blend.score - summary.sign * 0.01)
    assert not any("submission.blend" in hint for hint in hints(summary))


def test_the_teacher_proposed_is_the_best_that_may_teach() -> None:
    def teacher(summary: Summary) -> str:
        (hint,) = (hint for hint in hints(summary) if "pseudo" in hint)
        return re.search(r"teacher: (\w+)", hint)[1]

    summary = example_summary()
    assert teacher(summary) == "soft_vote"
    summary = with_member(summary, score=0.9)
    assert teacher(summary) == "first"
    summary.contestants.append(replace(summary.contestants[1], name="best", score=0.95))
    assert teacher(summary) == "first"  # a choice that differs by fold is no teacher
    summary = with_settings(summary, first={"external": "elsewhere"})
    assert teacher(summary) == "soft_vote"
    summary = with_settings(summary, net={"network": "b", "pseudo": {"teacher": "first"}})
    assert not any("pseudo" in hint for hint in hints(summary))


def test_only_a_member_whose_loss_is_a_sure_gain_is_to_be_left_out() -> None:
    summary = example_summary()
    better = summary.diversity.better_without
    better["net"] = Comparison(probability=0.94, low=-0.001, high=0.02)
    assert not any("leave" in hint for hint in hints(summary))
    better["net"] = replace(better["net"], low=0.001)
    assert (
        "leave net out of `members`: soft_vote scores 0.8223 without it, 0.8124 with it."
        in hints(summary)
    )


def test_fewer_views_are_advised_for_more_than_noise_only() -> None:
    summary = example_summary()
    score, of_view = summary.contestants[0].score, summary.members["first"]["view_scores"]
    of_view["original"] = score + 0.0024
    assert not any("tta.views" in hint for hint in hints(summary))
    of_view["original"] = score + 0.11  # half of its interval is 0.10
    assert any("a shorter tta.views than original, mirrored" in hint for hint in hints(summary))
    summary = with_member(summary, as_predicted=score + 0.11)  # what differs is the calibration
    assert not any("tta.views" in hint for hint in hints(summary))


def test_the_heat_map_is_of_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, drawn = [], figures.heat_map

    def spy(matrix: np.ndarray, names: list[str]) -> Figure:
        shown.append((matrix.tolist(), names))
        return drawn(matrix, names)

    monkeypatch.setattr(figures, "heat_map", spy)
    config = write_project(tmp_path, "multiclass")
    folder = tmp_path / "submissions" / "tiny" / "report"
    make_report(folder, "print", project=open_project(config, tmp_path))
    assert shown == [([[1, 0.4], [0.4, 1]], ["first", "net"])]


def test_a_view_worse_than_the_original_is_named(reported: tuple) -> None:
    _, folder, html = reported
    higher = Summary.read(folder / "blend.json").greater_is_better
    worse, better = ("flipped", "mirrored") if higher else ("mirrored", "flipped")
    # The config's views are original and mirrored: only these are judged.
    assert (f"{worse} (in first, net)" in html) == (worse == "mirrored")
    assert f"{better} (in" not in html


def test_the_test_set_shows_what_is_submitted_whatever_members_are_called(tmp_path: Path) -> None:
    # JSON sorts keys: the summary names the weights of `first` and `net`, the config `net` first.
    config = write_project(tmp_path, "multiclass", names=("net", "first"))
    project = open_project(config, tmp_path)
    ids, classes = project.competition.test_ids, project.competition.classes
    meta = {"competition": "tiny", "folds_digest": project.folds.digest}
    said = {"first": one_hot([0] * NUM_TEST, 3), "net": one_hot([2] * NUM_TEST, 3)}
    for name, values in said.items():
        meta = meta | {"fingerprint": Plan(project).join(name).fingerprint}
        test = Predictions(ids, np.stack([values] * NUM_FOLDS), classes, meta=meta)
        test.save(tmp_path / "models" / "tiny" / name / "test.npz")
    submitted = Predictions(ids, 0.75 * said["first"] + 0.25 * said["net"], classes, meta=meta)
    submitted.save(tmp_path / "submissions" / "tiny" / "blend.test.npz")
    shown = gather(project).test
    np.testing.assert_array_equal(shown, [[0.75, 0, 0.25]] * NUM_TEST)


def test_a_planted_label_error_is_listed_first(reported: tuple) -> None:
    kind, folder, html = reported
    listed = pd.read_csv(folder / "suspicious_labels.csv", dtype={"id": str})
    columns = ["likely", "probability", "label_probability"]
    if kind == "regression":
        columns = ["predicted", "times_median"]
        assert len(listed) == 1  # what is only just doubted is no more than others let expect
    assert list(listed.columns) == ["id", "label", *columns]
    assert listed.notna().all(axis=None)
    assert listed["id"][0] == f"{PLANTED:02d}.png"
    gallery = html[html.index("Possible label errors") :]
    assert re.search(r"<figcaption><span>(.*?)</span>", gallery)[1] == f"{PLANTED:02d}.png"


def test_the_worst_mistake_is_shown_first_with_what_was_true_and_predicted(
    reported: tuple,
) -> None:
    kind, _, html = reported
    gallery = html[html.index("<h3>Largest losses") : html.index("<h3>Possible label errors")]
    first, *_ = re.findall(r"<figcaption>(.*?)</figcaption>", gallery)
    lines = re.findall(r"<span>(.*?)</span>", first)
    assert lines[0] == f"{PLANTED:02d}.png"
    shown = {
        "binary": ["true yes", "predicted no (0.99)"],
        "multiclass": ["true &lt;b&gt;bee&lt;/b&gt;", "predicted ant (0.98)"],
        "multilabel": ["true wet", "predicted none"],
        "ordinal": ["true 0.5", "predicted 2.0 (0.98)"],
        "regression": ["true 7", "predicted 37.5"],
    }
    assert lines[1:] == shown[kind]


def test_findings_are_shown_worst_first_with_their_images(reported: tuple) -> None:
    _, _, html = reported
    section = html[html.index("<h2>Leakage checks") : html.index("<h2>Error analysis")]
    assert "2 of 3 checks found something" in section
    assert "`make audit` also checks" in section
    cells = re.findall(r"<td[^>]*>(.*?)</td>", section)
    assert cells[::3] == ["suspicious", "note", "quiet"]
    assert cells[1::3] == ["border", "file size", "row order"]
    assert section.index("tells a bit") < section.index("<details") < section.index("tells nothing")
    assert '<p class="look">look</p>' in section
    assert "&lt;x&gt;" in section
    assert "told &lt;best&gt;" in section
    shown = re.findall(r"<figcaption><span>(.*?)</span><span>(.*?)</span>", section)
    assert [path for path, _ in shown] == ["train/03.png", "test/12.png"]
    assert shown[1][1] == "test"
    assert "<span>fold 1</span>" in section
    assert section.count("data:image/") == 2


def test_the_audit_s_findings_count_where_they_are_of_these_folds(tmp_path: Path) -> None:
    workspace = open_project(write_project(tmp_path, "binary"), tmp_path).workspace
    test = Finding("permutation test", "quiet", "at chance").as_json()
    assert [finding.name for finding in read_findings(workspace)][-1] == "border"
    artifacts.write_json(workspace.findings_json, [*FINDINGS, test])
    assert [finding.name for finding in read_findings(workspace)][-1] == "permutation test"
    artifacts.write_json(workspace.findings_json, [*FINDINGS[:2], test])  # made of older folds
    assert [finding.name for finding in read_findings(workspace)][-1] == "border"


def test_estimated_wrong_labels_are_listed(reported: tuple) -> None:
    kind, folder, html = reported
    pairs = pd.read_csv(folder / "wrong_labels.csv")
    assert list(pairs.columns) == ["label", "likely", "images", "wrong", "share"]
    assert (len(pairs) > 0) == ("Estimated wrong labels" in html) == (kind != "regression")
    assert (pairs["wrong"] <= pairs["images"]).all()


def test_the_page_stands_alone(reported: tuple) -> None:
    _, _, html = reported
    page = Addresses(html)
    assert page.found
    assert all(address.startswith(("data:image/", "#")) for address in page.found)
    assert not page.tags & {"link", "iframe", "object"}
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in html  # no other one runs
    assert page.without_alt == 0
    assert not re.search(r"@import|url\((?!#)|https?://", re.sub(r"base64,[^\"]*", "", html))


def test_every_part_says_what_to_look_for_and_what_fits_the_task_is_there(reported: tuple) -> None:
    kind, _, html = reported
    titles = re.findall(r"<h[23]>(.*?)</h[23]>", html)
    assert re.findall(r'<a href="#[\w-]+">(.*?)</a>', html.partition("</nav>")[0]) == re.findall(
        r"<h2>(.*?)</h2>", html
    )
    single_label = kind in ("binary", "multiclass", "ordinal")
    assert ("Confusion matrix" in titles) == single_label
    assert ("Reliability" in titles) == (kind != "regression")
    assert ("Predicted against true" in titles) == (kind in ("ordinal", "regression"))
    for title in (
        "Duplicates",
        "Samples",
        "Possible label errors",
        "Most and least confident",
        "Ledger",
    ):
        assert title in titles
    assert html.count('<p class="look">') >= len(titles)
    assert "with different labels: 1 in all" in html
    assert "2 epochs" in html
    assert "weighted" in html or "weights" in html


def test_the_ledger_shows_public_scores_and_notes_and_draws_several_submissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, over_time = [], figures.over_time

    def spy(times: list[str], entries: list[dict], *, metric: str) -> Figure:
        drawn.append([(entry["score"], entry.get("public_score")) for entry in entries])
        return over_time(times, entries, metric=metric)

    monkeypatch.setattr(figures, "over_time", spy)
    config = write_project(tmp_path, "multiclass")
    folder = tmp_path / "submissions" / "tiny"
    make_report(folder / "report", "print", project=open_project(config, tmp_path))
    assert "Scores over time" not in (folder / "report.html").read_text(encoding="utf-8")
    first = json.loads((folder / "ledger.jsonl").read_text())
    known = first | {"public_score": 0.75, "note": "<b>more</b> data", "fingerprint": "xyz"}
    undefined = first | {"low": None, "high": None, "fingerprint": "uvw"}
    other_metric = first | {"metric": "roc_auc", "fingerprint": "rst"}
    lines = [json.dumps(entry) for entry in (first, known, undefined, other_metric)]
    (folder / "ledger.jsonl").write_text("\n".join(lines) + "\n")
    make_report(folder / "report", "print", project=open_project(config, tmp_path))
    html = (folder / "report.html").read_text(encoding="utf-8")
    table = html[html.index("<h3>Ledger") : html.index("<h3>Scores over time")]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
    assert cells[5:8] == ["–", "first", "–"]
    assert cells[13:16] == ["0.7500", "first", "&lt;b&gt;more&lt;/b&gt; data"]
    assert drawn == [[(0.81237, None), (0.81237, 0.75), (0.81237, None)]]


def test_the_same_artifacts_give_the_same_page(tmp_path: Path) -> None:
    config = write_project(tmp_path, "multiclass")
    folder = tmp_path / "submissions" / "tiny"
    pages_made = []
    for _ in range(2):
        make_report(folder / "report", "print", project=open_project(config, tmp_path))
        pages_made.append((folder / "report.html").read_bytes())
    assert pages_made[0] == pages_made[1]


def test_a_gallery_opens_only_what_it_shows(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "a.png")
    tile = Tile(tmp_path / "a.png", ["a"])
    html = render("t", [Section("s", "l", [Gallery("g", "l", [("", [tile, tile])])])])
    assert html.count("data:image/jpeg") == 2
