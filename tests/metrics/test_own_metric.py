"""A metric of the user's own: what it declares, its trial before training, and failures later."""

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import TEST, TRAIN
from pydantic import ValidationError

from pipeline.config.schema import Config, Kind
from pipeline.config.schema import Task as TaskSection
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.estimates.evidence import Evidence
from pipeline.estimates.interval import interval_of_score
from pipeline.estimates.paired_resampling import resampled_scores
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import get_metric, metric_digest, task_metric
from pipeline.metrics.own import describe, try_metric
from pipeline.project import open_project
from pipeline.stages.ensemble import refuse_undefined

DECLARED = "\nfn.greater_is_better = {better}\nfn.wants = {wants!r}\n"
TARGETS: dict[Kind, np.ndarray] = {
    "binary": np.eye(2)[[0, 1, 0]],
    "multiclass": np.eye(3)[[0, 1, 2, 0]],
    "multilabel": np.array([[1.0, 0, 1], [0, 1, 0], [0, 0, 0]]),
    "ordinal": np.eye(3)[[0, 1, 2, 0]],
    "regression": np.array([[3.0], [0.0], [40.0], [0.0]]),
}
LEVELS = np.array([0.0, 1.0, 5.0])


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a module with `def fn(y, p)` and what follows it; return the metric's name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(body: str, after: str = "", name: str = "own_module") -> str:
        (tmp_path / f"{name}.py").write_text(
            f"import numpy as np\n\ndef fn(y, p):\n    {body}\n{after}"
        )
        sys.modules.pop(name, None)
        return f"{name}:fn"

    yield write
    sys.modules.pop("own_module", None)


def trial(name, kind="binary", *, threshold=0.5, **declared):
    declared = {"greater_is_better": True, "wants": "probabilities"} | declared
    metric = get_metric(name, kind, **declared)
    levels = LEVELS if kind == "ordinal" else None
    try_metric(metric, TARGETS[kind], Task(kind, levels, threshold=threshold))
    return metric


def test_the_config_goes_before_attributes_and_these_before_nothing(own):
    name = own("return 0.0", DECLARED.format(better=True, wants="labels"))
    metric = get_metric(name, "binary")
    assert (metric.greater_is_better, metric.wants) == (True, "labels")
    assert describe(metric) == "own_module:fn, higher is better, wants classes"
    task = TaskSection(
        kind="binary", target="y", metric=name, greater_is_better=False, wants="probabilities"
    )
    metric = task_metric(task)
    assert (metric.greater_is_better, metric.wants) == (False, "probabilities")
    for wants in ("classes", "labels"):
        assert get_metric(name, "binary", wants=wants).wants == "labels"


@pytest.mark.parametrize(
    ("after", "line"),
    [
        ("", r"which direction is better .* and what it wants to see .*`greater_is_better: true, "
             "wants: probabilities`"),
        ("fn.wants = 'classes'", r"which direction is better .*`greater_is_better: true`"),
        ("fn.greater_is_better = False", "does not say what it wants to see .*`wants: probabil"),
    ],
)  # fmt: skip
def test_what_is_not_declared_is_asked_for(own, after, line):
    with pytest.raises(UserError, match=line):
        get_metric(own("return 0.0", after), "binary")


def test_a_regression_gives_values_without_being_asked(own):
    name = own("return 0.0", "fn.greater_is_better = False")
    assert get_metric(name, "regression").wants == "values"
    with pytest.raises(UserError, match="wants classes, which a regression task has none of"):
        get_metric(name, "regression", wants="classes")
    with pytest.raises(UserError, match="wants values, which a binary task has none of"):
        get_metric(name, "binary", wants="values")
    assert get_metric(name, "ordinal", wants="levels").wants == "levels"


@pytest.mark.parametrize(
    ("kind", "wants", "expected"),
    [
        ("binary", "classes", "y.shape == p.shape == (24,) and set(y) == set(p) == {0, 1}"),
        ("binary", "probabilities", "p.shape == (24,) and ((p >= 0) & (p <= 1)).all()"),
        ("multiclass", "classes", "y.shape == p.shape == (24,) and set(y) == set(p) == {0, 1, 2}"),
        ("multiclass", "probabilities", "p.shape == (24, 3) and np.allclose(p.sum(1), 1)"),
        ("multilabel", "classes", "y.shape == p.shape == (24, 3) and set(p.ravel()) == {0, 1}"),
        ("multilabel", "probabilities", "p.shape == (24, 3) and set(y.ravel()) == {0, 1}"),
        ("ordinal", "levels", "set(y) == set(p) == {0, 1, 5}"),
        ("ordinal", "values", "set(y) == {0, 1, 5} and p.min() >= 0 and p.max() <= 5"),
        ("regression", "values", "y.shape == p.shape == (4,) and set(y) == {0, 3, 40}"),
    ],
)  # fmt: skip
def test_it_is_tried_on_rows_of_the_task(own, kind, wants, expected):
    trial(own(f"assert {expected}, (y, p)\n    return 1.0"), kind, wants=wants)


@pytest.mark.parametrize("threshold", [0.02, 0.5, 0.98])
def test_right_labels_are_right_at_any_threshold(own, threshold):
    name = own("return float((y == p).mean())")
    trial(name, "multilabel", wants="classes", threshold=threshold)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return float('nan')", "is nan on 24 made rows that hold every class"),
        ("return float('inf')", "is inf on 24 made rows"),
        ("return 'good'", "returned 'good' .str."),
        ("return None", "returned 'None' .NoneType."),
        ("pass", "returned 'None' .NoneType."),
        ("return True", "returned 'True' .bool."),
        ("return 1j", "returned '1j' .complex."),
        ("return (y == p)", "returned .* .ndarray."),
        ("return [1.0]", "returned '.1.0.' .list."),
        ("import sys; sys.exit(3)", "failed on .*: SystemExit: 3 .own_module.py, line 4: import"),
        ("raise SystemExit", "failed on .*: SystemExit"),
        ("return 1 / 0", r"ZeroDivisionError: division .*\(own_module.py, line 4: return 1 / 0"),
        ("return np.linalg.inv(p)", r"y_true int64 \(24,\), y_pred float64 \(24,\).*line 4: ret"),
        ("return 10**400", "OverflowError"),
        ("p[:] = 0\n    return 1.0", "changes the arrays that it is given"),
        ("y.sort()\n    return 1.0", "changes the arrays that it is given"),
        ("return float(abs(y - p).mean())",
         "is 0.05 for right .* and 0.95, .* for shuffled .*Set task.greater_is_better: false"),
    ],
)  # fmt: skip
def test_what_fails_is_refused_before_training(own, body, message):
    with pytest.raises(UserError, match=f"task.metric: own_module:fn.*{message}"):
        trial(own(body))


def test_the_other_direction_is_noticed_too(own):
    with pytest.raises(UserError, match=r"Set task.greater_is_better: true"):
        trial(own("return float((y == p.round()).mean())"), greater_is_better=False)
    trial(own("return float(abs(y - p).mean())"), greater_is_better=False)


def test_a_failure_says_what_it_may_be_meant_for(own):
    from_labels = (
        "from sklearn.metrics import matthews_corrcoef\n    return matthews_corrcoef(y, p)"
    )
    with pytest.raises(
        UserError, match=r"binary and continuous.*wants probabilities: if it is meant"
    ):
        trial(own(from_labels))
    assert trial(own(from_labels), wants="classes").wants == "labels"


def test_numbers_of_numpy_are_numbers(own):
    for number in ("np.float32(1)", "np.int64(1)", "np.array(1.0)", "1"):
        trial(own(f"return {number}"))


def test_a_module_that_ends_the_program_is_refused(own):
    with pytest.raises(UserError, match="cannot import 'own_module:fn': SystemExit: 1"):
        get_metric(own("return 0.0", "import sys; sys.exit(1)"), "binary")


def test_declarations_are_for_functions_only():
    for declared in ({"greater_is_better": True}, {"wants": "classes"}):
        with pytest.raises(ValidationError, match="is for module:function; accuracy is known"):
            TaskSection(kind="binary", target="y", metric="accuracy", **declared)


def test_rows_on_which_it_fails_are_left_out(own, caplog):
    """A resample may lack a class, which scikit-learn's AUC refuses."""
    name = own("assert len(set(y)) == 2, 'one class'\n    return float(((p > 0.5) == y).mean())")
    metric = get_metric(name, "binary", greater_is_better=True, wants="probabilities")
    about = (metric, Task("binary"))
    targets, values = np.eye(2)[[0, 0, 0, 0, 1]], np.eye(2)[[0, 0, 1, 0, 1]]
    with caplog.at_level(logging.WARNING):
        (scores,) = resampled_scores(targets, [values], *about, Resampling(0, rounds=200))
        low, high = interval_of_score(targets, values, *about, Resampling(0))
    assert 0 < np.isnan(scores).sum() < len(scores)
    assert 0 < low <= 0.8 <= high <= 1
    assert any("one class" in line and "undefined there" in line for line in caplog.messages)


def test_arrays_stay_as_they_were(own):
    name = own("p *= 0\n    return 1.0")
    metric = get_metric(name, "binary", greater_is_better=True, wants="probabilities")
    values = np.eye(2)
    metric.score(np.eye(2), values, Task("binary"))
    assert values.tolist() == [[1, 0], [0, 1]]


def test_the_digest_is_of_the_module_s_source(own):
    assert metric_digest("accuracy") is None
    before = metric_digest(own("return 0.0"))
    assert before == metric_digest(own("return 0.0")) != metric_digest(own("return 1.0"))
    with pytest.raises(UserError, match=r"cannot read the module of 'nowhere.at.all:fn'"):
        metric_digest("nowhere.at.all:fn")


def test_an_estimate_ends_at_what_the_truth_scores(own):
    for body, better, ends in (
        ("return float(((p > 0.5) == y).mean())", True, (-np.inf, 1)),
        ("return float((((p > 0.5) != y)).mean())", False, (0, np.inf)),
    ):
        metric = get_metric(own(body), "binary", greater_is_better=better, wants="probabilities")
        targets, folds = np.eye(2)[[0, 1, 0, 1]], np.arange(4) % 2
        evidence = Evidence(targets, targets, np.zeros((2, 3, 2)), folds, metric, Task("binary"))
        assert evidence.limits == ends


def test_a_competition_is_not_opened_with_a_metric_that_fails(own, make_competition, tmp_path):
    def opened(body, **task):
        labels = ["ab"[row % 2] for row in range(len(TRAIN))]
        make_competition(
            train=pd.DataFrame({"id": TRAIN, "label": labels}),
            sample_submission=pd.DataFrame({"id": TEST, "label": "a"}),
        )
        config = Config(
            competition="tiny",
            task={"kind": "binary", "target": "label", "metric": own(body), **task},
            members={"ridge": {"learner": "ridge", "blocks": {"lite": 1.0}}},
            backbones={"lite": {"arch": "resnet10t"}},
        )
        return open_project(config, tmp_path)

    declared = {"greater_is_better": True, "wants": "classes"}
    with pytest.raises(UserError, match="is nan on 24 made rows"):
        opened("return float('nan')", **declared)
    with pytest.raises(UserError, match="does not say which direction"):
        opened("return 0.0")
    project = opened("return float((y == p).mean())", **declared)
    assert project.score(project.competition.targets) == 1


def test_targets_that_a_metric_does_not_take_are_refused_at_the_door(make_competition, tmp_path):
    make_competition(
        train=pd.DataFrame({"id": TRAIN, "label": np.arange(len(TRAIN)) - 3}),
        sample_submission=pd.DataFrame({"id": TEST, "label": 0}),
    )
    config = Config(
        competition="tiny",
        task={"kind": "regression", "target": "label", "metric": "rmsle"},
        members={"ridge": {"learner": "ridge", "blocks": {"lite": 1.0}}},
        backbones={"lite": {"arch": "resnet10t"}},
    )
    with pytest.raises(UserError, match=r"rmsle needs targets of at least 0, found -3. Correct"):
        open_project(config, tmp_path)


def test_a_metric_without_a_score_for_any_member_ends_the_ensemble_with_its_reason(own):
    """NaN of one member only means that it never wins."""
    name = own("return 1 / (len(y) - 3)")
    metric = get_metric(name, "binary", greater_is_better=True, wants="classes")
    project = SimpleNamespace(
        metric=metric,
        score=lambda values: metric.score(np.eye(2)[[0, 1, 0]], values, Task("binary")),
        competition=SimpleNamespace(targets=np.eye(2)[[0, 1, 0]]),
        task=Task("binary"),
        num_train=3,
    )
    with pytest.raises(UserError, match=r"failed on .*ZeroDivisionError"):
        refuse_undefined(project, {"ridge": np.eye(2)[[0, 1, 1]]})
    project.metric = metric = get_metric("roc_auc", "binary")
    project.competition.targets = np.eye(2)[[0, 0, 0]]
    project.score = lambda values: np.nan if values[0, 0] else 0.5
    with pytest.raises(UserError, match=r"roc_auc is nan for the out-of-fold predictions of ridge"):
        refuse_undefined(project, {"ridge": np.eye(2)[[0, 1, 1]]})
    refuse_undefined(project, {"ridge": np.eye(2)[[0, 1, 1]], "net": np.eye(2)[[1, 1, 1]]})
