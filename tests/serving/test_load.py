"""From Python: new images are predicted as the test images of the submission were."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kinds import CONFIG_OF_KINDS, TASKS, write_kind
from PIL import Image
from tiny_project import CONFIG, NETWORK, load, run, submission, write_competition

import pipeline
from pipeline.core import predictions
from pipeline.core.scale import from_scale
from pipeline.workflow import make

LINEAR = CONFIG["members"]["linear"]
MEMBERS = {
    "linear": LINEAR,
    "stacking": {"learner": "lightgbm", "blocks": {"small": 1.0}, "stacks": ["linear"]},
    "of_all_rows": {"learner": "ridge", "blocks": {"small": 1.0}, "all_rows": True},
    "net": NETWORK | {"image_size": 40},
}
BLENDS = ["soft_vote", "weighted", "greedy", "stack"]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A submission of learners, a network, a stack and a model of all rows, in two repeats."""
    root = tmp_path_factory.mktemp("finished")
    write_competition(root)
    repeats = {"n": 3, "repeats": 2}
    run(root, members=MEMBERS, folds=repeats, calibrate="temperature", blends=BLENDS)
    return root


def table_of(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "input" / "tiny" / "test.csv", dtype=str, keep_default_na=False)


def images_of(root: Path) -> list[Path]:
    return sorted((root / "input" / "tiny" / "test").glob("*.png"))


def submitted(root: Path, ids: pd.Index) -> np.ndarray:
    """Test predictions (n, C) beside the submission, in the targets' own unit."""
    found = predictions.load(submission(root).with_suffix(".test.npz"), scale=None)
    return from_scale(found.in_order_of(ids.to_numpy()).values, found.scale)


@pytest.mark.slow
def test_a_blend_predicts_what_was_submitted(finished: Path) -> None:
    model, table = pipeline.load("tiny.yaml", root=finished), table_of(finished)
    shuffled = table.sample(frac=1, random_state=1)
    found = model.predict(shuffled)
    assert found.index.tolist() == shuffled["id"].tolist()
    assert tuple(found.columns) == ("blue", "green", "red")
    assert np.allclose(found, submitted(finished, found.index), atol=TOLERANCE)
    twice = model.predict(pd.concat([table, table]))
    assert np.allclose(twice, np.tile(submitted(finished, table["id"]), (2, 1)), atol=TOLERANCE)
    assert model.predict(table[:0]).shape == (0, 3)
    assert model.predict([]).shape == (0, 3)


@pytest.mark.slow
def test_paths_and_pixels_are_predicted_alike_from_any_folder(
    finished: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = images_of(finished)[:2]
    odd = tmp_path / "ein Bild mit Umlaut ä.png"
    shutil.copyfile(second, odd)
    model = pipeline.load(finished / "tiny.yaml")
    by_path = model.predict([first, odd.name])
    pixels = [np.asarray(Image.open(path)) for path in (first, odd)]
    assert by_path.index.tolist() == [str(first), str(odd)]
    assert np.allclose(by_path, submitted(finished, table_of(finished)["id"])[:2], atol=TOLERANCE)
    assert np.allclose(model.predict(pixels), by_path, atol=TOLERANCE)
    assert np.allclose(model.predict(np.stack(pixels)), by_path, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MEMBERS))
def test_a_member_alone_predicts_the_mean_of_its_test_layers(finished: Path, name: str) -> None:
    model = pipeline.load("tiny.yaml", root=finished, member=name)
    assert model.members == [name]
    wanted = load(finished, name, "test").values.mean(0)
    if name == "of_all_rows":
        wanted = load(finished, name, "test_all_rows").values
    assert np.allclose(model.predict(table_of(finished)), wanted, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(TASKS))
def test_each_kind_of_task_predicts_and_decides_as_its_submission(kind: str, tmp_path) -> None:
    write_kind(tmp_path, kind)
    run(tmp_path, **CONFIG_OF_KINDS | {"task": TASKS[kind]})
    model, table = pipeline.load("tiny.yaml", root=tmp_path), table_of(tmp_path)
    assert np.allclose(model.predict(table), submitted(tmp_path, table["id"]), rtol=TOLERANCE)
    csv = pd.read_csv(submission(tmp_path), dtype={"id": str}).set_index("id")
    cells = model.decide(table)[csv.columns]
    assert cells.index.tolist() == csv.index.tolist()
    assert np.allclose(cells.astype(float), csv, rtol=TOLERANCE)


@pytest.mark.slow
def test_images_that_cannot_be_read_are_all_named(finished: Path, tmp_path: Path) -> None:
    broken, absent = tmp_path / "broken.png", tmp_path / "absent.png"
    broken.write_bytes(images_of(finished)[0].read_bytes()[:40])
    model = pipeline.load("tiny.yaml", root=finished, member="net")
    with pytest.raises(pipeline.UserError) as caught:
        model.predict([images_of(finished)[0], broken, absent])
    assert "broken.png: cannot be decoded" in str(caught.value)
    assert "absent.png: no such image" in str(caught.value)
    assert str(caught.value).count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("one.png", "expected a list of paths"),
        ([np.zeros((4, 4, 3))], r"images\[0\]: float64 \(4, 4, 3\); expected a path"),
        ([np.zeros((4, 4), np.uint8)], r"images\[0\]: uint8 \(4, 4\)"),
        (pd.DataFrame({"name": ["a"]}), r"no column \['id'\]; there are \['name'\]"),
        (pd.DataFrame({"id": [7, 8]}), r"read the table as text: pd.read_csv\(path, dtype=str\)"),
    ],
)
def test_what_is_no_image_is_refused(finished: Path, images, message: str) -> None:
    model = pipeline.load("tiny.yaml", root=finished, member="linear")
    with pytest.raises(pipeline.UserError, match=message):
        model.predict(images)


@pytest.mark.slow
def test_metadata_columns_are_needed_where_a_member_sees_them(tmp_path: Path) -> None:
    write_kind(tmp_path, "regression")
    run(tmp_path, **CONFIG_OF_KINDS | {"task": TASKS["regression"]})
    model, table = pipeline.load("tiny.yaml", root=tmp_path), table_of(tmp_path)
    with pytest.raises(pipeline.UserError, match=r"needs the columns \['age', 'camera'\]"):
        model.predict(images_of(tmp_path))
    with pytest.raises(pipeline.UserError, match=r"no column \['camera'\]"):
        model.predict(table.drop(columns="camera"))
    with pytest.raises(pipeline.UserError, match="1 cells of 'age' are no numbers"):
        model.predict(table.assign(age=["old", *table["age"][1:]]))


@pytest.mark.slow
def test_a_member_that_was_predicted_elsewhere_is_refused(tmp_path: Path) -> None:
    write_competition(tmp_path)
    run(tmp_path, "infer")
    folder = tmp_path / "teammate"
    folder.mkdir()
    for name in ("oof", "test"):
        found = load(tmp_path, "linear", name)
        values = found.values if name == "oof" else found.values.mean(0)
        table = pd.DataFrame(values**0.9, columns=found.classes).assign(id=found.ids)
        table[list(found.classes)] /= table[list(found.classes)].sum(axis=1).to_numpy()[:, None]
        table.to_csv(folder / f"{name}.csv", index=False)
    members = {"linear": LINEAR, "theirs": {"external": "teammate"}}
    run(tmp_path, members=members, submission={"blend": "theirs"})
    with pytest.raises(pipeline.UserError, match=r"members \['theirs'\]: their predictions were"):
        pipeline.load("tiny.yaml", root=tmp_path)
    assert pipeline.load("tiny.yaml", root=tmp_path, member="linear").members == ["linear"]


@pytest.mark.slow
def test_models_that_were_replaced_since_are_refused(tmp_path: Path, monkeypatch) -> None:
    write_competition(tmp_path)
    run(tmp_path)
    first = submission(tmp_path).stem
    run(tmp_path, "infer", overrides=("members.linear.strength=0.5",))
    with pytest.raises(pipeline.UserError, match=r"made anew since .* RUN=") as caught:
        pipeline.load("tiny.yaml", root=tmp_path)
    assert f"`make infer CONFIG=... RUN={first}`" in str(caught.value)
    run(tmp_path, "infer")
    assert pipeline.load("tiny.yaml", root=tmp_path).members == ["linear"]
    monkeypatch.chdir(tmp_path)
    make.run("infer", "tiny.yaml", ["members.linear.strength=0.5"], folds="0")
    with pytest.raises(pipeline.UserError, match="models/tiny/linear: not there, or made anew"):
        pipeline.load("tiny.yaml")
    run(tmp_path, "infer")
    (tmp_path / "models" / "tiny" / "linear" / "fold1" / "arrays.npz").unlink()
    with pytest.raises(pipeline.UserError, match="linear/fold1: not there, or made anew"):
        pipeline.load("tiny.yaml", root=tmp_path)


@pytest.mark.slow
def test_out_of_fold_predictions_come_with_folds_and_truth(finished: Path) -> None:
    oof = pipeline.read_oof("tiny.yaml", root=finished)
    saved = predictions.load(submission(finished).with_suffix(".npz"))
    train = pd.read_csv(finished / "input" / "tiny" / "train.csv", dtype=str)
    assert np.array_equal(oof[["blue", "green", "red"]], saved.values)
    assert oof["fold"].tolist() == saved.folds.tolist()
    assert oof["true_label"].to_dict() == dict(zip(train["id"], train["label"], strict=True))
    of_net = pipeline.read_oof("tiny.yaml", root=finished, member="net")
    assert np.array_equal(of_net[["blue", "green", "red"]], load(finished, "net", "oof").values)
    with pytest.raises(pipeline.UserError, match="member='nett': the submission has linear"):
        pipeline.read_oof("tiny.yaml", root=finished, member="nett")


@pytest.mark.slow
def test_a_target_runs_as_make_does_and_returns_the_summary(tmp_path: Path, monkeypatch) -> None:
    write_competition(tmp_path)
    run(tmp_path, "folds")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    keys = {"blends": ["soft_vote"], "members.linear.strength": 0.5}
    summary = pipeline.run(tmp_path / "tiny.yaml", set=keys)
    assert Path(summary.submission).name == submission(tmp_path).name
    assert summary.config.members["linear"].strength == 0.5
    assert pipeline.run(tmp_path / "tiny.yaml", target="folds") is None
    with pytest.raises(pipeline.UserError, match="target='trian': expected one of folds"):
        pipeline.run(tmp_path / "tiny.yaml", target="trian")


def test_the_package_imports_nothing_before_it_is_asked() -> None:
    code = "import sys, pipeline; print(sorted({'numpy', 'pandas', 'torch'} & {*sys.modules}))"
    root = Path(pipeline.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
    assert {"load", "run", "read_oof"} <= {*dir(pipeline)}
    with pytest.raises(AttributeError, match=re.escape("'pipeline' has no attribute 'laod'")):
        pipeline.laod  # noqa: B018


@pytest.mark.slow
def test_the_readme_shows_what_works(tmp_path: Path, monkeypatch) -> None:
    write_competition(tmp_path)
    run(tmp_path)
    monkeypatch.chdir(tmp_path)
    for number, path in enumerate(images_of(tmp_path)[:2], start=1):
        (tmp_path / "photos").mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / "photos" / f"{number}.jpg")
    readme = (Path(pipeline.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    namespace: dict = {}
    shown = block.replace("clothing", "tiny").replace('"folds.n": 3', '"blends": ["soft_vote"]')
    exec(shown, namespace)
    assert namespace["model"].members == ["linear"]
    assert namespace["summary"].config.blends == ["soft_vote"]
