"""Laws 6 and 7 on files: what is damaged is made anew, what changed redoes what hangs on it."""

import json
import os
import re
import shutil
import sys
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_project import CONFIG, NETWORK, load, run, submission, write_competition

from pipeline.config.load import load_config
from pipeline.core import artifacts, predictions
from pipeline.core.log_lines import JobFormatter
from pipeline.networks import training_run
from pipeline.project import open_project
from pipeline.stages import infer
from pipeline.workflow.plan import Plan

pytestmark = pytest.mark.slow
MEMBERS = CONFIG["members"] | {"net": NETWORK}
PATIENT = NETWORK | {"patience": 1, "epochs": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    write_competition(root)
    run(root, "report", members=MEMBERS)
    return root


@pytest.fixture
def jobs(caplog: pytest.LogCaptureFixture):
    """Names of the jobs that were done since the last call."""
    caplog.set_level("INFO", logger="pipeline.workflow")
    caplog.handler.setFormatter(JobFormatter())

    def done() -> list[str]:
        lines = re.findall(r"^\[\d+/\d+\] ([^·\n]+)", caplog.text, re.MULTILINE)
        caplog.clear()
        return list(dict.fromkeys(name.strip() for name in lines))

    return done


def results(root: Path) -> dict[str, bytes]:
    """Return what a run ends with, whatever it is called."""
    csv = submission(root)
    files = [csv, csv.with_suffix(".npz"), csv.with_suffix(".test.npz"), csv.with_suffix(".json")]
    return {path.name: path.read_bytes() for path in files}


def plan_of(root: Path, **changes) -> Plan:
    config = load_config(str(root / "tiny.yaml"), [f"{key}={v}" for key, v in changes.items()])
    return Plan(open_project(config, root))


# Damage

DAMAGES = {
    "flip": lambda content: bytes(
        byte ^ (0x41 if place == len(content) // 2 else 0) for place, byte in enumerate(content)
    ),
    "cut": lambda content: content[: len(content) * 2 // 3],
    "empty": lambda content: b"",
    "delete": None,
}


def above(artifact: Path, root: Path) -> list[Path]:
    """Artifacts to take away so that this one is read again."""
    models, submissions = root / "models" / "tiny", root / "submissions" / "tiny"
    if artifact.is_relative_to(root / "features"):
        return [models, submissions]
    if artifact == submissions:
        return [submissions / "report"]
    if artifact.is_relative_to(submissions):
        return []
    if artifact.parent == models:
        return [submissions]
    folders = [models / artifact.relative_to(models).parts[0] / "meta.json", submissions]
    is_model = (artifact / "trained_on.txt").exists() and artifact.name != "predictions"
    return [artifact / "predictions", *folders] if is_model else folders


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_law_6_a_damaged_or_deleted_file_is_named_and_made_anew(finished, tmp_path, caplog):
    expected, damages = results(finished), cycle(DAMAGES.items())
    metas = sorted(finished.glob("*/tiny/**/meta.json"))
    files = [
        (meta.parent, name) for meta in metas for name in [*json.loads(meta.read_text())["files"]]
    ]
    assert len(files) > 40
    for artifact, name in files:
        # folds.csv may be replaced by hand, so that only its absence is damage.
        damage, change = ("delete", None) if name == "folds.csv" else next(damages)
        what = f"{damage} {artifact.relative_to(finished)}/{name}"
        root = tmp_path / "copy"
        shutil.copytree(finished, root)
        folder = root / artifact.relative_to(finished)
        content = (folder / name).read_bytes()
        for path in above(folder, root):
            remove(path)
        if change is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(change(content))
        caplog.clear()
        run(root, "report", members=MEMBERS)
        assert str(folder / name) in caplog.text, what
        assert results(root) == expected, what
        assert (folder / name).read_bytes() == content, what
        shutil.rmtree(root)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name",
    [
        "features/tiny/meta.json",
        "features/tiny/images/index.npz",
        "features/tiny/small/meta.json",
        "models/tiny/linear/meta.json",
        "models/tiny/net/fold0/meta.json",
        "models/tiny/net/fold0/.begun",
        "submissions/tiny/meta.json",
    ],
)
def test_law_6_what_is_no_file_of_an_artifact_may_be_damaged_too(copied, name, damage):
    expected, path = results(copied), copied / name
    remove(copied / "submissions")
    remove(copied / "models" / "tiny" / "net" / "meta.json")
    if "fold0" in name:
        remove(copied / "models" / "tiny" / "net" / "fold0" / "predictions")
        remove(copied / "models" / "tiny" / "net" / "fold0" / "weights.safetensors")
    if name.startswith("submissions"):
        run(copied, "report", members=MEMBERS)
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    run(copied, "report", members=MEMBERS)
    assert results(copied) == expected


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_keeps_its_lines_and_stops_nobody(copied, damage, caplog):
    path = copied / "submissions" / "tiny" / "ledger.jsonl"
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    left = path.read_text(errors="replace") if path.exists() else ""
    run(copied, "report", members=MEMBERS, blends=["soft_vote"])
    lines = path.read_text(errors="replace").splitlines()
    assert lines[:-1] == left.splitlines()
    assert json.loads(lines[-1])["blend"] == "soft_vote"
    assert ("line 1 is damaged" in caplog.text) == (damage in ("flip", "cut"))


def test_models_of_those_that_teach_are_made_anew_for_a_student(copied, jobs):
    (copied / "models" / "tiny" / "net" / "fold0" / "weights.safetensors").unlink()
    run(copied, "train", members=MEMBERS | {"student": NETWORK | {"distill": {"teacher": "net"}}})
    assert "train net fold 0" in jobs()


# Stale


def test_law_6_an_interrupted_join_leaves_nothing_that_passes_for_the_old_one(copied, monkeypatch):
    expected, finish = results(copied), artifacts.finish

    def killed(folder, fingerprint, **meta):
        if "oof_score" in meta:
            raise KeyboardInterrupt
        return finish(folder, fingerprint, **meta)

    with monkeypatch.context() as patch:
        patch.setattr(infer.artifacts, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            run(copied, members=MEMBERS, tta={"views": ["original"]})
    (copied / "submissions" / "tiny" / "meta.json").unlink()
    run(copied, members=MEMBERS)
    assert results(copied) == expected


def test_law_7_predictions_of_another_recipe_are_refused(copied):
    path = copied / "models" / "tiny" / "linear" / "oof.npz"
    oof = load(copied, "linear", "oof")
    oof.meta["fingerprint"] = "another"
    oof.save(path)
    artifacts.finish(path.parent, **artifacts.read_meta(path.parent))
    (copied / "submissions" / "tiny" / "meta.json").unlink()
    with pytest.raises(Exception, match="fingerprint is 'another'"):
        run(copied, members=MEMBERS)


@pytest.mark.parametrize("name", ["oof.npz", "test.npz"])
def test_law_7_a_fold_s_predictions_of_another_recipe_are_refused(copied, name):
    member = copied / "models" / "tiny" / "linear"
    path = member / "fold0" / "predictions" / name
    made = predictions.load(path)
    made.meta["fingerprint"] = "another"
    made.save(path)
    artifacts.finish(path.parent, **artifacts.read_meta(path.parent))
    (member / "meta.json").unlink()
    (copied / "submissions" / "tiny" / "meta.json").unlink()
    with pytest.raises(Exception, match="fingerprint is 'another'"):
        run(copied, members=MEMBERS)


def test_law_7_groups_redo_learners_whose_inner_folds_keep_them_together(copied):
    csv = copied / "features" / "tiny" / "folds.csv"
    alone = plan_of(copied).train("linear", 0).fingerprint
    table = pd.read_csv(csv)
    recipes = {}
    for what, groups in {
        "found": table["group"],
        "pairs": [f"g{row // 2}" for row in range(len(table))],
        "pairs under other names": [f"h{row // 2}" for row in range(len(table))],
        "threes": [f"g{row // 3}" for row in range(len(table))],
    }.items():
        table.assign(group=groups).to_csv(csv, index=False)
        plan = plan_of(copied)
        recipes[what] = plan.train("linear", 0).fingerprint, plan.train("net", 0).fingerprint
    assert recipes["found"][0] == alone
    assert recipes["pairs"] == recipes["pairs under other names"]
    assert len({learner for learner, _ in recipes.values()}) == 3
    assert len({net for _, net in recipes.values()}) == 1  # no inner rows, no groups


def test_law_7_a_folds_csv_made_by_hand_keeps_groups_that_it_does_not_name(tmp_path, jobs, caplog):
    folder = write_competition(tmp_path)
    table = pd.read_csv(folder / "train.csv").assign(site=lambda rows: rows["given_fold"] % 3)
    table.to_csv(folder / "train.csv", index=False)
    data = {"group": "site"}
    run(tmp_path, data=data)
    csv = tmp_path / "features" / "tiny" / "folds.csv"
    folds = pd.read_csv(csv, dtype=str)
    groups = folds.set_index("id")["group"]
    folds[["id", "fold"]].to_csv(csv, index=False)
    jobs()
    run(tmp_path, data=data)
    assert "replaced by hand and is kept" in caplog.text
    assert "folds tiny" in jobs()  # audited as it is now
    project = plan_of(tmp_path).project
    assert project.folds.groups.tolist() == groups[project.competition.ids].tolist()
    assert len(set(project.folds.groups)) == 3  # the sites


def test_law_7_labels_redo_what_is_made_of_predictions_from_elsewhere(copied, tmp_path, jobs):
    made = tmp_path / "copy" / "elsewhere"
    made.mkdir()
    for name in ("oof", "test"):
        predicted = load(copied, "linear", name)
        values = predicted.values if name == "oof" else predicted.values.mean(0)
        table = pd.DataFrame(values, columns=predicted.classes)
        table.insert(0, "id", predicted.ids)
        table.to_csv(made / f"{name}.csv", index=False)
    members = {"other": {"external": "elsewhere"}}
    run(copied, members=members)
    right = json.loads(submission(copied).with_suffix(".json").read_text())["estimate"]["score"]
    csv = copied / "input" / "tiny" / "train.csv"
    table = pd.read_csv(csv)
    turned = {"blue": "green", "green": "red", "red": "blue"}
    table.assign(label=table["label"].map(turned)).to_csv(csv, index=False)
    jobs()
    run(copied, members=members)
    assert {"infer other", "ensemble tiny"} <= set(jobs())
    wrong = json.loads(submission(copied).with_suffix(".json").read_text())["estimate"]["score"]
    assert wrong > 2 * right  # log loss


def test_law_7_the_metric_redoes_scores_and_no_weights_but_those_that_it_chose(copied, jobs):
    members = MEMBERS | {"patient": PATIENT}
    run(copied, members=members)
    before = load(copied, "net", "oof").meta["view_scores"]
    jobs()
    run(copied, members=members, task=CONFIG["task"] | {"metric": "accuracy"})
    done = set(jobs())
    trained = {name for name in done if name.startswith("train")}
    assert trained == {f"train patient fold {fold}" for fold in range(3)}
    assert {"infer linear", "infer net", "ensemble tiny"} <= done
    assert not {name for name in done if name.startswith("infer net fold")}
    after = load(copied, "net", "oof").meta
    assert after["metric"] == "accuracy"
    assert after["view_scores"] != before


def test_law_7_the_code_of_an_own_metric_redoes_scores(copied, jobs, monkeypatch):
    monkeypatch.syspath_prepend(copied)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code = "def {name}(y, p):\n    return float((p.argmax(1) == y).mean())\n"
    task = CONFIG["task"] | {"metric": "stale_metric:score", "greater_is_better": True}
    task |= {"wants": "probabilities"}
    done = []
    for text in (code.format(name="score"), f"# changed\n{code.format(name='score')}", None):
        if text is not None:
            (copied / "stale_metric.py").write_text(text)
        jobs()
        run(copied, members=MEMBERS, task=task)
        done.append(set(jobs()))
    assert done[1] == {"infer linear", "infer net", "ensemble tiny", "scenes on small"}
    assert done[2] == set()


def test_law_7_an_image_replaced_with_the_same_size_and_time_is_seen(copied, jobs):
    one, other = (copied / "input" / "tiny" / "train" / f"00{n}.png" for n in (3, 4))
    stat = one.stat()
    content = other.read_bytes()
    one.write_bytes(content[: stat.st_size].ljust(stat.st_size, b"\0"))
    os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    run(copied, "features", members=MEMBERS)
    assert "features small" in jobs()


def test_a_checkpoint_of_another_metric_goes_on_without_its_scores(copied, jobs, monkeypatch):

    two = {"net": NETWORK | {"epochs": 2}}
    save, calls = training_run._save_checkpoint, []

    def dying(*args):
        save(*args)
        calls.append(args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "_save_checkpoint", dying)
        with pytest.raises(KeyboardInterrupt):
            run(copied, "train", members=two)
    run(copied, "train", members=two, task=CONFIG["task"] | {"metric": "accuracy"})
    log = pd.read_csv(copied / "models" / "tiny" / "net" / "fold0" / "log.csv")
    assert np.isnan(log["val_score"][0])
    assert 0 <= log["val_score"][1] <= 1
    assert len(calls) == 1
