"""The whole chain on a tiny competition: one test per law of the design, each seen to fail."""

import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_project import (
    BACKBONE,
    CLASSES,
    CONFIG,
    NETWORK,
    SEARCHED,
    Killed,
    check_fold_0_is_blind_to,
    listing,
    load,
    run,
    submission,
    write_competition,
)

from pipeline.config.load import load_config
from pipeline.config.schema import Learner, Network
from pipeline.core import artifacts, predictions
from pipeline.core.log_lines import JobFormatter
from pipeline.ensembles import preparation
from pipeline.errors import UserError
from pipeline.learners.fit import FittedLearner
from pipeline.members.fold_data import fold_data
from pipeline.members.get_member import get_member
from pipeline.members.network import training_data
from pipeline.networks.trainer import Trainer
from pipeline.project import open_project
from pipeline.workflow import make
from pipeline.workflow.plan import Plan
from pipeline.workflow.recipes import settings_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project and run all stages once; tests that change it work on a copy."""
    root = tmp_path_factory.mktemp("finished")
    write_competition(root)
    run(root, members=CONFIG["members"] | {"net": NETWORK})
    return root


def test_law_1_nothing_under_input_is_ever_written(tmp_path: Path) -> None:
    folder = write_competition(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    before = listing(elsewhere)
    run(tmp_path, "report")
    assert listing(elsewhere) == before
    assert folder.is_symlink()


def test_the_submission_is_as_the_sample_asks_and_a_second_run_changes_nothing(
    copied: Path,
) -> None:
    sample = pd.read_csv(copied / "input" / "tiny" / "sample_submission.csv")
    written = pd.read_csv(submission(copied))
    assert list(written.columns) == list(sample.columns)
    assert written["id"].tolist() == sample["id"].tolist()
    assert np.allclose(written[list(CLASSES)].sum(1), 1, atol=1e-6)
    run(copied, members=CONFIG["members"] | {"net": NETWORK})  # looks once at what was copied
    before = listing(copied)
    run(copied, members=CONFIG["members"] | {"net": NETWORK})
    changed = {name for name, entry in listing(copied).items() if before.get(name) != entry}
    assert changed <= {"tiny.yaml", "features/tiny/.runs"}


def test_law_2_predictions_of_other_folds_are_refused(copied: Path) -> None:
    path = copied / "models" / "tiny" / "linear" / "oof.npz"
    oof = predictions.load(path)
    moved = predictions.Predictions(
        oof.ids, oof.values, oof.classes, np.roll(oof.folds, 3), oof.meta
    )
    moved.save(path)
    meta = artifacts.read_meta(path.parent)
    artifacts.finish(path.parent, **meta)  # as if it had been written so
    with pytest.raises(Exception, match="may have seen them"):
        run(copied, members=CONFIG["members"] | {"net": NETWORK}, blends=["soft_vote"])


@pytest.mark.parametrize("teacher", ["linear", "soft_vote"])
def test_laws_3_and_4_a_fold_s_labels_never_reach_what_is_predicted_for_it(
    tmp_path: Path, teacher: str
) -> None:
    """Other labels in fold 0 must change nothing that fold 0's models say, students included."""
    pseudo = {"teacher": teacher, "threshold": 0.2}
    members = CONFIG["members"] | {
        "net": NETWORK,
        "student": {"learner": "logistic", "blocks": {"small": 1.0}, "pseudo": pseudo},
        "searched": SEARCHED,
        "net_student": NETWORK | {"pseudo": pseudo | {"labels": "soft"}},
        "net_student_2": NETWORK | {"start": {"member": "net_student"}},
        "distilled": NETWORK | {"distill": {"teacher": teacher}},
    }

    def roll_labels(table: pd.DataFrame) -> None:
        in_fold = table["given_fold"] == 0
        table.loc[in_fold, "label"] = np.roll(table.loc[in_fold, "label"], 1)

    check_fold_0_is_blind_to(roll_labels, tmp_path, members=members, names=members)


ROUNDS = {"threshold": 0.35, "agreement": 0.5, "balance": True, "labels": "soft", "rounds": 3}
IN_ROUNDS = ("student", "student_round-2", "student_round-3")


def members_in_rounds(teacher: str, **settings) -> dict:
    """Two learners of round 0, one of them last by alphabet, and a student of three rounds."""
    linear, pseudo = CONFIG["members"]["linear"], ROUNDS | {"teacher": teacher} | settings
    ridge = {"learner": "ridge", "blocks": {"small": 1.0}}
    return {"linear": linear, "student": linear | {"pseudo": pseudo}, "voter": ridge}


@pytest.mark.parametrize("teacher", ["linear", "soft_vote"])
def test_law_4_a_fold_s_labels_reach_it_in_no_round(tmp_path: Path, teacher: str) -> None:
    """Fold 0 without its blue label: its members say the same, and the others' do not.

    Each leak would differ: a teacher of another fold, agreement with members of another fold, the
    shares of all rows' classes for balance.
    """

    def blue_to_red(table: pd.DataFrame) -> None:
        table.loc[(table["given_fold"] == 0) & (table["label"] == "blue"), "label"] = "red"

    members = members_in_rounds(teacher)
    said = check_fold_0_is_blind_to(blue_to_red, tmp_path, members=members, names=IN_ROUNDS)
    for earlier, later in pairwise(IN_ROUNDS):
        assert not np.array_equal(said[False, earlier][1], said[False, later][1])


def test_the_student_of_a_round_joins_the_blend_that_teaches_the_next(
    tmp_path: Path, caplog
) -> None:
    write_competition(tmp_path)
    members = members_in_rounds("soft_vote", agreement=1.0, balance=False)
    caplog.handler.setFormatter(JobFormatter())
    with caplog.at_level("INFO"):
        run(tmp_path, "report", members=members)
    project = open_project(load_config(str(tmp_path / "tiny.yaml")), tmp_path)
    for teachers, student in (
        (["linear", "voter"], "student"),
        (["linear", "voter", "student"], "student_round-2"),
        (["linear", "voter", "student_round-2"], "student_round-3"),
    ):
        taught = fold_data(project, student, 1).pseudo_labels
        said = [load(tmp_path, name, "test").values[1] for name in teachers]
        mean = np.mean(said, axis=0)
        agree = np.all([s.argmax(1) == mean.argmax(1) for s in said[:2]], axis=0)
        expected = np.flatnonzero(agree & (mean.max(1) >= ROUNDS["threshold"]))
        assert taught.rows.tolist() == expected.tolist()
        np.testing.assert_allclose(taught.targets, mean[expected], atol=1e-6)
    counts = ", ".join("[a-z]+ [0-9]+" for _ in CLASSES)
    line = f"train student_round-3 fold 2 · [0-9]+ pseudo-labels: {counts}; dropped by threshold "
    assert re.search(line + "[0-9]+, agreement [0-9]+", caplog.text)
    summary = json.loads(submission(tmp_path).with_suffix(".json").read_text())
    page = (tmp_path / "submissions" / "tiny" / "report.html").read_text()
    assert "Rounds of pseudo-labels: student_round-3" in page
    (rounds,) = summary["rounds"]
    scores = {entry["name"]: entry["score"] for entry in summary["contestants"]}
    assert [entry["member"] for entry in rounds] == ["linear", *IN_ROUNDS]
    assert [entry["round"] for entry in rounds] == [0, 1, 2, 3]
    for before, after in pairwise(rounds):
        assert after["gain"] == pytest.approx(
            scores[before["member"]] - scores[after["member"]]  # log loss is better low
        )
        assert after["blends"] <= before["blends"]
    weights = next(entry for entry in summary["contestants"] if entry["name"] == "soft_vote")
    for entry in rounds:
        assert (weights["weights"][entry["member"]] > 0) == (entry["blends"] > 0)


def test_rounds_killed_and_run_again_end_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    members = members_in_rounds("soft_vote")
    for root in (straight, killed):
        write_competition(root)
    run(straight, "infer", members=members)
    original = artifacts.finish
    for name in IN_ROUNDS:

        def finish_or_die(folder: Path, *args, **meta) -> None:
            """Die at fold 1 of a round, its weights written, its metadata not."""
            if folder.parts[-2:] == (name, "fold1"):  # noqa: B023
                raise Killed
            original(folder, *args, **meta)

        monkeypatch.setattr(artifacts, "finish", finish_or_die)
        with pytest.raises(Killed):
            run(killed, "infer", members=members)
        models = killed / "models" / "tiny"
        assert (models / name / "fold0" / "meta.json").exists()
        assert not (models / name / "oof.npz").exists()
    monkeypatch.setattr(artifacts, "finish", original)
    run(killed, "infer", members=members)
    for name in IN_ROUNDS:
        for part in ("oof", "test"):
            values = load(killed, name, part).values
            assert np.array_equal(values, load(straight, name, part).values), (name, part)


@pytest.mark.parametrize("teacher", ["linear", "soft_vote"])
def test_a_student_is_told_by_the_models_that_never_saw_its_fold(
    copied: Path, teacher: str
) -> None:
    taught = NETWORK | {"distill": {"teacher": teacher}, "pseudo": {"teacher": "linear"}}
    members = CONFIG["members"] | {
        "net": NETWORK,
        "student": taught,
    }
    run(copied, "infer", members=members)
    config = load_config(str(copied / "tiny.yaml"))
    project = open_project(config, copied)
    rows = fold_data(project, "student", 1)
    data = training_data(project, "student", rows)
    assert rows.num_pseudo_labelled == 9
    sources = ["linear"] if teacher == "linear" else ["linear", "net"]
    said = [get_member(project, name).predict(1, rows.rows)[0] for name in sources]
    np.testing.assert_allclose(data.teacher, np.mean(said, axis=0), atol=1e-6)
    test = np.mean([load(copied, name, "test").values[1] for name in sources], axis=0)
    np.testing.assert_allclose(data.teacher[-9:], test, atol=1e-6)


def test_cycles_are_members_that_start_where_the_last_one_ended(copied: Path) -> None:
    run(copied, "infer", members={"net": NETWORK | {"cycles": 3}})
    models = copied / "models" / "tiny"
    for before, after in (("net", "net_2"), ("net_2", "net_3")):
        one, other = load(copied, before, "oof"), load(copied, after, "oof")
        assert not np.allclose(one.values, other.values)
        snapshot = json.loads((models / after / "fold1" / "snapshot.json").read_text())
        assert snapshot["settings"]["start"] == {"member": before, "head": "keep"}
    stages = {path.parent.name for path in models.glob("*/oof.npz")}
    assert {"net", "net_2", "net_3"} <= stages


def test_law_7_what_was_fitted_when_order_counted_is_fitted_again(tmp_path: Path) -> None:
    """Learners once read their blocks back in another order where the YAML's was not by name."""
    write_competition(tmp_path)
    backbones = {"small": BACKBONE, "large": BACKBONE | {"image_size": 48}}
    linear = {"learner": "ridge", "blocks": {"small": 1.0, "large": 1.0}}
    run(tmp_path, "folds", members={"linear": linear}, backbones=backbones)
    recipes = []
    for blocks in ("{large: 1.0, small: 1.0}", "{small: 1.0, large: 1.0}"):
        config = load_config(str(tmp_path / "tiny.yaml"), [f"members.linear.blocks={blocks}"])
        project = open_project(config, tmp_path)
        recipes.append(Plan(project).train("linear", 0).fingerprint)
    assert recipes[0] != recipes[1]


def test_several_weightings_are_members_and_vote(tmp_path: Path) -> None:
    write_competition(tmp_path)
    varied = {"learner": "ridge", "blocks": {"small": 1.0, "large": 0.0}}
    members = {
        "linear": varied | {"vary": {"blocks.large": [0.0, 0.5, 4.0]}},
        "shares": varied | {"blocks": {"small": 0.2, "large": 0.4}, "concatenate": "pca"},
        "searched": varied | {"search": {"blocks": [0, 1, 2], "trials": 2}},
    }
    backbones = {"small": BACKBONE, "large": BACKBONE | {"image_size": 48}}
    run(tmp_path, members=members, backbones=backbones, blends=["soft_vote"])
    names = ["linear", "linear_blocks.large-0.5", "linear_blocks.large-4.0", "shares", "searched"]
    said = {name: load(tmp_path, name, "test").values.mean(axis=0) for name in names}
    assert len({values.tobytes() for values in said.values()}) >= 4  # searched may choose a weight
    written = pd.read_csv(submission(tmp_path)).set_index("id")[list(CLASSES)]
    rows = load(tmp_path, "linear", "test").ids
    every, voted = np.stack(list(said.values())), written.loc[rows].to_numpy()
    assert (voted > every.min(axis=0) - 1e-6).all()  # near-copies among them have no vote
    assert (voted < every.max(axis=0) + 1e-6).all()
    assert np.abs(voted - every).max(axis=(1, 2)).min() > 1e-4
    fold = tmp_path / "models" / "tiny" / "searched" / "fold1"
    found = json.loads((fold / "meta.json").read_text())["searched"]
    assert found["trials"] == 1 + 2
    assert found["seconds"] >= 0
    learner = json.loads((fold / "learner.json").read_text())
    assert learner["settings"]["blocks"] == found["chosen"]["blocks"]


def test_keys_that_came_later_leave_what_was_trained_before_valid() -> None:
    later = {"concatenate", "search", "stacks"}
    assert not later & set(settings_recipe(Learner(**CONFIG["members"]["linear"])))
    assert later - {"stacks"} <= set(settings_recipe(Learner(**SEARCHED)))
    trees = Learner(learner="lightgbm", blocks={"small": 1.0}, stacks=["linear"])
    assert "stacks" in settings_recipe(trees)
    assert "epochs" in settings_recipe(Network(**NETWORK))


def test_a_fold_that_fails_is_marked_and_the_others_go_on(tmp_path: Path, monkeypatch) -> None:
    write_competition(tmp_path)
    original = Trainer.gradients

    def poisoned(self, images, targets, weights):
        nan = float("nan") if self.name == "net fold 1" else 1.0
        return original(self, images, targets * nan, weights)

    monkeypatch.setattr(Trainer, "gradients", poisoned)
    members = CONFIG["members"] | {"net": NETWORK}
    with pytest.raises(
        UserError, match=r"(?s)1 of \d+ jobs failed; 2 that need.*net fold 1 epoch 1"
    ):
        run(tmp_path, "infer", members=members)
    folder = tmp_path / "models" / "tiny" / "net"
    assert "loss is nan" in json.loads((folder / "fold1" / "failed.json").read_text())["reason"]
    assert (folder / "fold1" / "failed_batch.pt").exists()
    assert (folder / "fold2" / "predictions" / "meta.json").exists()
    assert (tmp_path / "models" / "tiny" / "linear" / "oof.npz").exists()
    assert not (folder / "oof.npz").exists()
    monkeypatch.setattr(Trainer, "gradients", original)
    run(tmp_path, members=members)
    assert not (folder / "fold1" / "failed.json").exists()


def test_a_blend_goes_on_without_members_that_fail_and_says_so(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    """The file is that of a config without them; a later run tries them again."""
    write_competition(tmp_path)
    original = Trainer.gradients

    def poisoned(self, images, targets, weights):
        return original(self, images, targets * float("nan"), weights)

    monkeypatch.setattr(Trainer, "gradients", poisoned)
    student = {"extends": "linear", "pseudo": {"teacher": "net"}}
    members = CONFIG["members"] | {"net": NETWORK, "student": student}
    run(tmp_path, "report", members=members)
    warned = " ".join(capsys.readouterr().out.split())
    assert "Warning Without net, student, which failed (net: train net fold 0 epoch 1" in warned
    assert "Without net, student, which failed" in submission(tmp_path).with_name(
        "report.html"
    ).read_text(encoding="utf-8")
    without = submission(tmp_path).read_bytes()
    monkeypatch.setattr(Trainer, "gradients", original)
    run(tmp_path, "report", overrides=("members.student=null", "members.net=null"), members=members)
    assert submission(tmp_path).read_bytes() == without
    assert "which failed" not in capsys.readouterr().out
    run(tmp_path, members=members)
    summary = json.loads(submission(tmp_path).with_suffix(".json").read_text(encoding="utf-8"))
    assert list(summary["members"]) == list(members)


def test_params_that_a_library_refuses_fail_their_member_alone(tmp_path: Path) -> None:
    write_competition(tmp_path)
    trees = {"learner": "lightgbm", "blocks": {"small": 1.0}, "params": {"objective": "nonsense"}}
    members = {"trees": trees} | CONFIG["members"]
    with pytest.raises(UserError) as caught:
        run(tmp_path, "infer", members=members)
    models = tmp_path / "models" / "tiny"
    said = (
        r"(?s)3 of \d+ jobs failed; 4 that need them were left out.*"
        r"train trees fold 0, train trees fold 1, train trees fold 2: lightgbm does not take "
        r"`params` \{'objective': 'nonsense'\}: .*traceback: .*trees.fold0.traceback\.txt"
        r'.*To go on without: SET="members\.trees=null"\.'
    )
    assert re.search(said, str(caught.value))
    assert "LightGBMError" in (models / "trees" / "fold0" / "traceback.txt").read_text()
    assert (models / "linear" / "oof.npz").exists()
    run(tmp_path, overrides=("members.trees=null",), members=members)
    assert submission(tmp_path).exists()


def test_predictions_that_are_not_finite_fail_their_member_alone(tmp_path, monkeypatch) -> None:
    write_competition(tmp_path)
    original = FittedLearner.predict

    def poisoned(self, blocks, **more):
        values = original(self, blocks, **more)
        values[-1] = np.nan if type(self.model).__name__ == "NeighboursModel" else values[-1]
        return values  # the last is a test row: no score notices it

    monkeypatch.setattr(FittedLearner, "predict", poisoned)
    members = CONFIG["members"] | {"knn": {"learner": "knn", "blocks": {"small": 1.0}}}
    with pytest.raises(
        UserError, match=r"infer knn fold 2: 1 of 18 rows have NaN or infinite predictions"
    ):
        run(tmp_path, "infer", members=members)
    assert (tmp_path / "models" / "tiny" / "linear" / "oof.npz").exists()


def test_law_4_test_predictions_are_kept_per_fold(finished: Path) -> None:
    test = load(finished, "linear", "test")
    assert test.values.shape == (3, 9, 3)
    assert not np.allclose(test.values[0], test.values[1])


@pytest.mark.parametrize("views", [["original"], ["original", "mirrored", "scale_1.25"]])
def test_law_5_a_test_row_gets_what_its_twin_in_train_gets(
    tmp_path: Path, views: list[str]
) -> None:
    folder = write_competition(tmp_path)
    shutil.copy(folder / "train" / "004.png", folder / "test" / "033.png")  # 004 is of fold 1
    run(
        tmp_path,
        "infer",
        members=CONFIG["members"] | {"net": NETWORK},
        tta={"views": views},
    )
    for member in ("linear", "net"):
        oof, test = load(tmp_path, member, "oof"), load(tmp_path, member, "test")
        held_out = oof.values[oof.ids.tolist().index("004.png")]
        same_model = test.values[1, test.ids.tolist().index("033.png")]
        assert np.allclose(held_out, same_model, atol=1e-6)


def test_metadata_beside_blocks_and_alone_goes_through_the_whole_chain(tmp_path: Path) -> None:
    folder = write_competition(tmp_path)
    for name, first in (("train", 0), ("test", 30)):
        table = pd.read_csv(folder / f"{name}.csv")
        table["site"] = [CLASSES[row % 3].upper() for row in range(first, first + len(table))]
        table.to_csv(folder / f"{name}.csv", index=False)
    run(
        tmp_path,
        data={"categorical": ["site"]},
        backbones={"small": BACKBONE | {"stages": [1, -2]}},
        members={
            "deaf": {"learner": "logistic", "blocks": {"small": 1.0}, "metadata": False},
            "both": {"learner": "logistic", "blocks": {"small": 1.0, "metadata": 0.5}},
            "alone": {"learner": "lightgbm", "blocks": {"metadata": 1.0}},
        },
    )
    features = {path.name for path in (tmp_path / "features" / "tiny").iterdir()}
    assert {"small"} == features & {"small", "metadata"}
    (block,) = (tmp_path / "features" / "tiny" / "small").glob("*.npy")
    assert np.load(block).shape == (39, 2, 24 + 48 + 256)
    right = [row % 3 for row in range(39)]
    for member in ("both", "alone"):
        said = [load(tmp_path, member, "oof").values, *load(tmp_path, member, "test").values]
        assert all(
            (values.argmax(1) == right[start:][: len(values)]).all()
            for values, start in zip(said, (0, 30, 30, 30), strict=True)
        )


def test_law_3_numbers_of_rows_held_out_scale_nothing(tmp_path: Path) -> None:
    """A giant in fold 0 squeezes all other numbers, for the models that learnt from it only."""
    said = {}
    for giant in (1.0, 1e6):
        root = tmp_path / f"{giant:g}"
        folder = write_competition(root)
        for name in ("train", "test"):
            table = pd.read_csv(folder / f"{name}.csv")
            table["age"] = np.arange(len(table)) % 7.0
            if name == "train":
                table.loc[0, "age"] = giant  # its given fold is 0
            table.to_csv(folder / f"{name}.csv", index=False)
        alone = {"learner": "logistic", "blocks": {"metadata": 1.0}}
        members = {"alone": alone, "stacked": alone | {"learner": "mlp", "stacks": ["alone"]}}
        run(root, "infer", data={"numeric": ["age"]}, members=members)
        for member in members:
            said[member, giant] = load(root, member, "test").values
    for member in members:
        assert np.array_equal(said[member, 1.0][0], said[member, 1e6][0]), member
        assert not np.allclose(said[member, 1.0][1:], said[member, 1e6][1:]), member


def test_law_6_killed_anywhere_and_run_again_it_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = CONFIG["members"] | {"net": NETWORK | {"epochs": 2}}
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for root in (straight, killed):
        write_competition(root)
    run(straight, members=members)
    replace, kills = os.replace, 0

    for number in range(1, 100):
        renames = 0

        def replace_or_die(source, target) -> None:
            """Die at a file's renaming, in every other run before it, else after it."""
            nonlocal renames
            renames += 1
            if renames == number and number % 2:  # noqa: B023
                raise Killed
            replace(source, target)
            if renames == number:  # noqa: B023
                raise Killed

        monkeypatch.setattr(os, "replace", replace_or_die)
        try:
            run(killed, members=members)
        except Killed:
            kills += 1
        else:
            break
        finally:
            monkeypatch.setattr(os, "replace", replace)
    run(killed, members=members)
    assert kills > 8
    for member in members:  # a blend may leave one out
        for name in ("oof", "test"):
            values = load(killed, member, name).values
            assert np.array_equal(values, load(straight, member, name).values), member
    assert submission(killed).name == submission(straight).name
    assert submission(killed).read_bytes() == submission(straight).read_bytes()
    assert len((killed / "submissions" / "tiny" / "ledger.jsonl").read_text().splitlines()) == 1
    assert not list(killed.rglob(".*.tmp"))


def test_law_7_only_what_a_change_concerns_is_made_again(copied: Path) -> None:
    members = CONFIG["members"] | {"net": NETWORK}
    block = next((copied / "features" / "tiny" / "small").glob("*.npy"))
    net = copied / "models" / "tiny" / "net" / "fold0" / "weights.safetensors"
    made = block.stat().st_mtime_ns, net.stat().st_mtime_ns
    learner = CONFIG["members"]["linear"] | {"strength": 0.5}
    run(copied, members=members | {"linear": learner})
    assert (block.stat().st_mtime_ns, net.stat().st_mtime_ns) == made
    run(copied, members=members | {"linear": learner}, folds={"n": 2})
    assert block.stat().st_mtime_ns == made[0]
    assert net.stat().st_mtime_ns != made[1]


def test_a_training_that_a_setting_replaced_comes_back_with_it(copied: Path) -> None:
    members = CONFIG["members"] | {"net": NETWORK}
    net = copied / "models" / "tiny" / "net" / "fold0" / "weights.safetensors"
    before = net.stat().st_mtime_ns
    run(copied, "train", members=members | {"net": NETWORK | {"lr": 0.01}})
    assert net.stat().st_mtime_ns != before
    run(copied, "train", members=members)
    assert net.stat().st_mtime_ns == before


def test_law_8_adding_a_member_changes_no_other(copied: Path) -> None:
    before = {name: load(copied, name, "oof").values for name in ("linear", "net")}
    shutil.rmtree(copied / "models")
    members = {"first": NETWORK | {"lr": 0.01}, "net": NETWORK} | CONFIG["members"]
    run(copied, "infer", members=members)
    for name, values in before.items():
        assert np.array_equal(load(copied, name, "oof").values, values)


def test_law_8_another_seed_draws_otherwise(copied: Path) -> None:
    before = load(copied, "net", "oof").values
    run(copied, "infer", members=CONFIG["members"] | {"net": NETWORK}, seed=7)
    assert not np.array_equal(load(copied, "net", "oof").values, before)


@pytest.mark.parametrize("blend", ["soft_vote", "weighted"])
def test_law_9_estimate_and_submission_come_from_the_same_blend(copied: Path, blend: str) -> None:
    members = CONFIG["members"] | {"net": NETWORK}
    run(copied, members=members, submission={"blend": blend})
    csv = submission(copied)
    summary = json.loads(csv.with_suffix(".json").read_text())
    oof, truth = (
        predictions.load(csv.with_suffix(".npz")),
        pd.read_csv(copied / "input" / "tiny" / "train.csv"),
    )
    of_truth = oof.values[range(len(truth)), [CLASSES.index(label) for label in truth["label"]]]
    assert summary["estimate"]["name"] == blend
    assert summary["estimate"]["score"] == pytest.approx(-np.log(of_truth).mean())
    written = pd.read_csv(csv).set_index("id")[list(CLASSES)]
    kept = predictions.load(csv.with_suffix(".test.npz"), classes=CLASSES)
    assert np.allclose(written.loc[kept.ids], kept.values, atol=1e-6)
    if blend == "soft_vote":
        mean = np.mean([load(copied, name, "test").values.mean(0) for name in members], axis=0)
        assert np.allclose(written.loc[load(copied, "net", "test").ids], mean, atol=1e-6)


@pytest.mark.parametrize(
    ("blend", "left_out_of"),
    [("soft_vote", "soft_vote"), ("stack_two_level", "weighted")],  # where all are slow, weighted
)
def test_of_two_members_each_is_what_is_left_without_the_other(
    copied: Path, blend: str, left_out_of: str
) -> None:
    run(copied, members=CONFIG["members"] | {"net": NETWORK}, blends=[blend])
    summary = json.loads(submission(copied).with_suffix(".json").read_text())
    scores = {entry["name"]: entry["score"] for entry in summary["contestants"]}
    worth, left = summary["diversity"], {"linear": scores["net"], "net": scores["linear"]}
    assert worth["left_out_of"] == left_out_of
    assert worth["score_without"] == pytest.approx(left)
    better = {name for name, score in left.items() if score < worth["score_with_all"]}  # log loss
    assert set(worth["better_without"]) == better
    assert all(gain["high"] >= gain["low"] for gain in worth["better_without"].values())
    assert worth["score_with_all"] == pytest.approx(scores.get(left_out_of, scores["linear"]), 0.05)


def test_law_9_holds_where_folds_choose_different_blends(copied: Path, monkeypatch) -> None:
    choices = iter(["soft_vote", "weighted", "weighted"])
    monkeypatch.setattr("pipeline.ensembles.choice.best_blend", lambda *_, **__: next(choices))
    by_metric = {"choice": "metric"}
    run(copied, members=CONFIG["members"] | {"net": NETWORK}, seed=7, submission=by_metric)
    csv = submission(copied)
    summary = json.loads(csv.with_suffix(".json").read_text())
    assert summary["estimate"]["name"] == "best"
    assert summary["choice"]["by_fold"] == [["soft_vote"], ["weighted"], ["weighted"]]
    oof = predictions.load(csv.with_suffix(".npz"))
    members = [load(copied, name, "oof") for name in ("linear", "net")]
    in_first = oof.folds == 0
    mean = np.mean([member.values for member in members], axis=0)
    np.testing.assert_allclose(oof.values[in_first], mean[in_first])
    assert not np.allclose(oof.values[~in_first], mean[~in_first])
    truth = pd.read_csv(copied / "input" / "tiny" / "train.csv")["label"]
    of_truth = oof.values[range(len(truth)), [CLASSES.index(label) for label in truth]]
    assert summary["estimate"]["score"] == pytest.approx(-np.log(of_truth).mean())
    # A third of the submission is the first fold's soft vote, the rest nearly the better member.
    linear, net = (load(copied, name, "test").values for name in ("linear", "net"))
    layers = [(linear[0] + net[0]) / 2, linear[1], linear[2]]
    written = pd.read_csv(csv).set_index("id").loc[load(copied, "net", "test").ids]
    np.testing.assert_allclose(written[list(CLASSES)], np.mean(layers, axis=0), atol=0.02)


def test_a_submission_says_what_to_expect_and_is_compared_with_the_last(
    copied: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERBOSE", "1")
    members = CONFIG["members"] | {"net": NETWORK}
    first = submission(copied)
    before = json.loads(first.with_suffix(".json").read_text())
    assert before["better_than_last"] is None
    assert len(before["choice"]["by_fold"]) == 3
    estimate = before["estimate"]
    assert before["choice"]["nested"] == estimate["score"]
    # Nine test rows tell less than thirty.
    assert estimate["high"] - estimate["low"] > estimate["score_high"] - estimate["score_low"]
    assert estimate["expected"] < estimate["score"]  # log loss: three models lose less than one
    assert (before["shake_up"]["public_rows"], before["shake_up"]["private_rows"]) == (3, 6)
    run(copied, members=members, submission={"blend": "linear", "public_share": None})
    after = json.loads(submission(copied).with_suffix(".json").read_text())
    assert (after["choice"], after["shake_up"]) == (None, None)
    last = after["better_than_last"]
    assert last["submission"] == before["submission"]
    assert 0 <= last["probability"] <= 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"Against the last submission ({first.name}): " in said
    assert "The submission is the best single member, linear." in said


def test_a_member_made_elsewhere_joins_the_blend(copied: Path, caplog) -> None:
    folder = copied / "elsewhere"
    folder.mkdir()
    for name, index in (("oof", slice(None)), ("test", 0)):
        said = load(copied, "net", name)
        values = said.values[index] if name == "test" else said.values
        table = pd.DataFrame(values, columns=said.classes).assign(id=said.ids)
        table.sample(frac=1, random_state=0).to_csv(folder / f"{name}.csv", index=False)
    members = CONFIG["members"] | {"mine": {"external": "elsewhere"}}
    run(copied, members=members, blends=["soft_vote"])
    assert "has no column `fold`" in caplog.text
    mean = (load(copied, "net", "oof").values + load(copied, "linear", "oof").values) / 2
    blended = predictions.load(submission(copied).with_suffix(".npz"))
    np.testing.assert_allclose(blended.values, mean, atol=1e-5)
    with caplog.at_level("INFO"):
        run(copied, members=members, blends=["soft_vote"])
    assert "nothing to do" in caplog.text
    table = pd.read_csv(folder / "test.csv")
    table.assign(id="x").to_csv(folder / "test.csv", index=False)
    with pytest.raises(UserError, match="ids differ"):
        run(copied, members=members, blends=["soft_vote"])


def test_test_rows_that_differ_get_an_estimate_of_their_own(
    copied: Path, capsys: pytest.CaptureFixture
) -> None:
    """A member that is sure and right out of fold, and knows nothing of the test rows."""
    before = json.loads(submission(copied).with_suffix(".json").read_text())
    assert not before["shift"]["differs"]
    folder = copied / "elsewhere"
    folder.mkdir()
    for name, sure in (("oof", 0.94), ("test", 0.4)):
        ids, given = load(copied, "net", name).ids, load(copied, "net", name).classes
        right = np.array([given.index(CLASSES[int(number[:3]) % 3]) for number in ids])
        values = np.full((len(ids), 3), (1 - sure) / 2)
        values[np.arange(len(ids)), right] = sure
        pd.DataFrame(values, columns=given).assign(id=ids).to_csv(folder / f"{name}.csv")
    run(copied, members={"mine": {"external": "elsewhere"}}, blends=["soft_vote"])
    summary = json.loads(submission(copied).with_suffix(".json").read_text())
    entry, shift = summary["estimate"], summary["shift"]
    assert shift["differs"]
    assert set(shift["by_way"]) == {"difference of confidences", "average thresholded confidence"}
    assert (entry["expected"], entry["low"], entry["high"]) == (
        *(shift["expected"], shift["low"], shift["high"]),
    )
    assert entry["score"] < 0.2 < entry["expected"] < entry["high"]  # log loss
    said = capsys.readouterr().out
    assert "Expected     test images differ from training images" in said


def test_parts_done_one_by_one_count_as_done(tmp_path: Path) -> None:
    write_competition(tmp_path)
    before = Path.cwd()
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    os.chdir(tmp_path)
    try:
        for fold in range(3):
            make.run("train", "tiny.yaml", [], members="linear", folds=str(fold))
            folders = sorted((tmp_path / "models" / "tiny" / "linear").glob("fold*/meta.json"))
            assert len(folders) == fold + 1
        made = [path.stat().st_mtime_ns for path in folders]
        make.run("ensemble", "tiny.yaml", [])
        assert [path.stat().st_mtime_ns for path in folders] == made
    finally:
        os.chdir(before)


def test_a_subset_goes_through_the_whole_chain(tmp_path: Path) -> None:
    write_competition(tmp_path)
    run(tmp_path, data={"subset": 0.6})
    assert len(load(tmp_path, "linear", "oof").ids) == 18
    assert len(pd.read_csv(submission(tmp_path))) == 9


def test_folds_replaced_by_hand_are_kept_and_used(copied: Path) -> None:
    csv = copied / "features" / "tiny" / "folds.csv"
    table = pd.read_csv(csv)
    table["fold"] = [row % 2 for row in range(len(table))]
    table.to_csv(csv, index=False)
    text = csv.read_text()
    run(copied, "infer", overrides=("folds.seed=1",))
    assert csv.read_text() == text
    assert load(copied, "linear", "test").values.shape[0] == 2


@pytest.mark.parametrize("patience", [0, 1])
def test_a_model_of_all_rows_makes_the_submission_and_teaches_nobody(
    copied: Path, patience: int, monkeypatch
) -> None:
    # Networks of two epochs may be near-copies, which have no vote.
    monkeypatch.setattr(preparation, "originals", lambda correlation: np.arange(len(correlation)))
    net = NETWORK | {"all_rows": True, "patience": patience, "epochs": 2, "lr": 0.03}
    pseudo = {"teacher": "net", "threshold": 0.2}
    members = {
        "net": net,
        "student": {**CONFIG["members"]["linear"], "pseudo": pseudo, "all_rows": True},
        "again": net | {"start": {"member": "net"}, "distill": {"teacher": "soft_vote"}},
    }
    run(copied, members=members, blends=["soft_vote"])
    models = copied / "models" / "tiny"
    for name in members:
        learnt = (models / name / "all_rows" / "trained_on.txt").read_text().split()
        assert len(learnt) == 30
    said = [predictions.load(models / name / "test_all_rows.npz").values for name in members]
    folds = [load(copied, name, "test").values for name in members]
    assert not np.allclose(said[0], folds[0].mean(0))
    written = pd.read_csv(submission(copied))[list(CLASSES)].to_numpy()
    np.testing.assert_allclose(written, np.mean(said, axis=0), atol=1e-5)
    used = [json.loads((models / "net" / f"fold{k}" / "meta.json").read_text()) for k in range(3)]
    snapshot = json.loads((models / "net" / "all_rows" / "snapshot.json").read_text())
    expected = round(np.median([meta["epoch_used"] for meta in used])) if patience else 2
    assert snapshot["scores"]["epochs"] == expected
    assert snapshot["scores"]["score"] is None
    before = listing(models / "net" / "fold0")
    run(
        copied,
        members=members | {"net": net | {"all_rows": False}, "again": net | {"all_rows": False}},
    )
    assert listing(models / "net" / "fold0") == before  # folds are not trained again
