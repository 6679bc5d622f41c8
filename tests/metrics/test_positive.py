"""The positive one of two classes: configured, else the sample's column, else the last one."""

import pandas as pd
import pytest
from conftest import TEST, TRAIN
from example_summary import example_summary
from pydantic import ValidationError

from pipeline.config.load import load_config
from pipeline.config.schema import Config, Task
from pipeline.core.read_competition import read_competition
from pipeline.errors import UserError
from pipeline.project import open_project
from pipeline.report.wording import positive_class
from pipeline.workflow.recipes import task_recipe

LABELS = ["benign", "malignant"]
LAST = "the last in sorted order; set task.positive to choose"
SAMPLES = "the column of sample_submission.csv"


@pytest.fixture
def opened(make_competition, tmp_path):
    def open_it(column="label", **task):
        labels = [LABELS[row % 2] for row in range(len(TRAIN))]
        make_competition(
            train=pd.DataFrame({"id": TRAIN, "label": labels}),
            sample_submission=pd.DataFrame({"id": TEST, column: "0"}),
        )
        config = Config(
            competition="tiny",
            task={"kind": "binary", "target": "label", **task},
            members={"ridge": {"learner": "ridge", "blocks": {"lite": 1.0}}},
            backbones={"lite": {"arch": "resnet10t"}},
        )
        return open_project(config, tmp_path)

    return open_it


@pytest.mark.parametrize(
    ("column", "task", "positive", "why"),
    [
        ("label", {}, "malignant", LAST),
        ("label", {"positive": "benign"}, "benign", "task.positive"),
        ("benign", {}, "benign", SAMPLES),
        ("malignant", {}, "malignant", SAMPLES),
        ("p_benign", {}, "benign", SAMPLES),
        ("Benign", {}, "benign", SAMPLES),
        ("benign", {"positive": "malignant"}, "malignant", "task.positive"),
        (
            "label",
            {"classes": LABELS[::-1]},
            "benign",
            LAST.replace("sorted order", "task.classes"),
        ),
    ],
)
def test_the_positive_class_is_the_last_one_and_targets_follow(opened, column, task, positive, why):
    project = opened(column, metric="f1", **task)
    made = project.competition
    assert made.positive == made.classes[-1] == positive
    assert made.targets[:, 1].tolist() == (made.train["label"] == positive).tolist()
    assert project.positive_class == f"{positive} ({why})"
    summary = example_summary(positive_class=project.positive_class)
    assert positive_class(summary) == f"Positive class: {positive} ({why})."


def test_nothing_is_said_where_the_two_classes_may_be_exchanged(opened):
    assert opened(metric="accuracy").positive_class == ""
    assert "malignant" in opened(metric="roc_auc").positive_class  # one column of probabilities
    assert positive_class(example_summary(positive_class="")) == ""


def test_f1_is_of_the_configured_class(opened):
    by_class = {}
    for positive in LABELS:
        project = opened(metric="f1", positive=positive)
        said = (project.competition.train["label"] == "malignant").to_numpy() + 0.0
        said[[1, 3]] = 0  # two of four malignant ones are missed
        of_classes = {"benign": 1 - said, "malignant": said}
        by_class[positive] = project.score(
            pd.DataFrame(of_classes)[list(project.competition.classes)].to_numpy()
        )
    assert by_class == {"malignant": pytest.approx(4 / 6), "benign": pytest.approx(10 / 12)}


def test_a_positive_class_that_is_none_is_refused(opened):
    with pytest.raises(UserError, match=r"task.positive is 'ill', but 'label' holds \['benign', "):
        opened(positive="ill")
    with pytest.raises(ValidationError, match="`positive` is for binary tasks"):
        Task(kind="multiclass", target="label", positive="a")


@pytest.mark.parametrize("name", ["no", "1", "1.0", "off", "malignant"])
def test_a_positive_class_is_named_as_it_is_written(tmp_path, name):
    (tmp_path / "c.yaml").write_text(
        f"competition: x\ntask: {{kind: binary, target: label, positive: {name}}}\n"
    )
    assert load_config(str(tmp_path / "c.yaml")).task.positive == name


def test_training_knows_the_positive_class_by_the_order_of_classes_alone(opened):
    one, other = opened(), opened(positive="benign")
    assert one.competition.rows_digest != other.competition.rows_digest
    assert one.competition.rows_digest == opened(positive="malignant").competition.rows_digest
    assert task_recipe(one.config.task) == task_recipe(other.config.task)
    known = {"kind", "target", "classes", "separator"}  # as in November 2026
    assert set(task_recipe(one.config.task)) == known


def test_a_column_named_like_no_class_and_other_tasks_keep_their_order(make_competition):
    labels = ["a" if row % 3 else "b" for row in range(len(TRAIN))]
    folder = make_competition(
        train=pd.DataFrame({"id": TRAIN, "label": labels}),
        sample_submission=pd.DataFrame({"id": TEST, "a": "0"}),
    )
    data = Config.model_fields["data"].default
    made = read_competition(folder, Task(kind="multiclass", target="label"), data)
    assert made.classes == ("a", "b")
    assert made.positive is None
