"""The kernel: from a copy of its folder alone, without network, the pipeline's predictions."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kinds import CONFIG_OF_KINDS, LEARNERS, TASKS, write_kind
from PIL import Image
from tiny_project import NETWORK, run, submission, write_competition

import pipeline
from pipeline.core.workspace import Workspace
from pipeline.serving import kernel
from pipeline.serving.kernel import Effort, predict_test_set
from pipeline.serving.kernel_folder import read_kernel_folder
from pipeline.stages import kernel as stage

MEMBERS = LEARNERS | {
    "own": {"learner": "nearest_mean", "blocks": {"small": 1.0}},
    "stacking": {"learner": "lightgbm", "blocks": {"small": 1.0}, "stacks": ["trees"]},
    "all": {"learner": "ridge", "blocks": {"small": 1.0}, "all_rows": True},
    "net": NETWORK | {"image_size": 40},
}
PLUGIN = """
from dataclasses import dataclass
import numpy as np
from pipeline.plugins import learner

@dataclass
class Mean:
    mean: np.ndarray
    def predict(self, features):
        return np.tile(self.mean, (len(features), 1)) + 0.01 * np.tanh(features[:, :1])

@learner("nearest_mean", chooses=False)
def fit(rows, *, strengths, seed):
    return Mean(0.1 + 0.8 * rows.targets.mean(axis=0))
"""
# Runs a notebook's code cells as Jupyter does, one after another in one namespace.
RUN_CELLS = """
import json, sys
namespace = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), "cell", "exec"), namespace)
import pipeline
assert pipeline.__file__.startswith(sys.argv[2]), pipeline.__file__
"""

SHOW = """
import some_package
names = sorted((p.name for p in Path(PACKAGES).glob("some*")), key=len)
print(some_package.answer, names)
"""


def make(root: Path, kind: str, **changes) -> Path:
    """Run the pipeline on a tiny competition and write its kernel's folder.

    Groups are known of training rows only.
    """
    train = write_kind(root, kind) / "train.csv"
    rows = pd.read_csv(train, dtype=str, keep_default_na=False)
    rows.assign(owner=[f"o{number // 2}" for number in range(len(rows))]).to_csv(train, index=False)
    (root / "my_parts.py").write_text(PLUGIN)
    data = CONFIG_OF_KINDS["data"] | {"group": "owner"}
    task = {"task": TASKS[kind], "data": data, "plugins": ["my_parts"], "members": MEMBERS}
    run(root, **CONFIG_OF_KINDS | task | changes)
    return stage.make_kernel(str(root / "tiny.yaml"), Workspace(root, "tiny"))


@pytest.fixture(autouse=True)
def no_wheels(monkeypatch) -> None:
    monkeypatch.setattr(stage, "PYTHONS", ())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The root of a regression with all sorts of members, and its kernel."""
    root, patch = tmp_path_factory.mktemp("made"), pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(stage, "PYTHONS", ())
        make(root, "regression")
    return root


def kernel_of(root: Path) -> Path:
    return root / "submissions" / "tiny" / "kernel"


def hidden_test(root: Path, folder: Path, *, times: int = 5) -> pd.DataFrame:
    """Write a test set of other rows, more of them and in another order; return its test.csv."""
    source, rng = root / "input" / "tiny", np.random.default_rng(5)
    (folder / "test").mkdir(parents=True)
    table = pd.read_csv(source / "test.csv", dtype=str, keep_default_na=False)
    table = pd.concat([table] * times, ignore_index=True)
    table["id"] = [f"{number:05d}.png" for number in rng.permutation(len(table))]
    for row_id in table["id"]:
        pixels = rng.integers(0, 200, (36, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "test" / row_id)
    table.to_csv(folder / "test.csv", index=False)
    sample = pd.read_csv(source / "sample_submission.csv", dtype=str)
    sample = pd.DataFrame({"id": sorted(table["id"])} | dict.fromkeys(sample.columns[1:], "9"))
    sample[["id", *sample.columns[:0:-1]]].to_csv(folder / "sample_submission.csv", index=False)
    return table


def expected(root: Path, folder: Path) -> pd.DataFrame:
    """Cells by id, as the pipeline's model decides them."""
    table = pd.read_csv(folder / "test.csv", dtype=str, keep_default_na=False)
    return pipeline.load(root / "tiny.yaml").decide(table, folder=folder)


def close(csv: Path, cells: pd.DataFrame) -> bool:
    found = pd.read_csv(csv, dtype={"id": str}).set_index("id").loc[cells.index]
    return np.allclose(found[cells.columns], cells.astype(float), rtol=1e-5)


def can_unshare() -> bool:
    return not shutil.which("unshare") or not subprocess.run(["unshare", "-rn", "true"]).returncode


@pytest.mark.slow
@pytest.mark.skipif(not can_unshare(), reason="no network namespaces here: unshare -rn")
@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_the_notebook_alone_predicts_as_the_pipeline(kind: str, tmp_path: Path) -> None:
    root, given = tmp_path / "root ü", tmp_path / "kaggle" / "input"
    folder = make(root, kind)
    dataset = given / "datasets" / "me" / "tiny-kernel"
    shutil.copytree(folder, dataset)
    competition = given / "competitions" / "tiny"
    competition.mkdir(parents=True)
    for name in ("test.csv", "sample_submission.csv"):
        shutil.copyfile(root / "input" / "tiny" / name, competition / name)
    shutil.copytree(root / "input" / "tiny" / "test", competition / "test")
    wanted = submission(root).read_text()
    shutil.rmtree(root)
    working = tmp_path / "working"
    working.mkdir()
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", RUN_CELLS, dataset / "kernel.ipynb", dataset],
        cwd=working,
        env={"PATH": os.environ["PATH"], "KERNEL_INPUT": str(given), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = (working / "submission.csv").read_text()
    if kind == "multilabel":  # decisions
        assert found == wanted
    else:
        tables = [[line.split(",") for line in text.split()] for text in (found, wanted)]
        assert [row[0] for row in tables[0]] == [row[0] for row in tables[1]]
        numbers = [np.array([row[1:] for row in table[1:]], dtype=float) for table in tables]
        assert np.allclose(*numbers, rtol=1e-5)
    assert [path.name for path in working.iterdir()] == ["submission.csv"]


@pytest.mark.slow
def test_other_and_more_rows_in_the_order_of_the_sample(made: Path, tmp_path: Path) -> None:
    table = hidden_test(made, tmp_path / "hidden", times=30)
    out = predict_test_set(kernel_of(made), tmp_path / "hidden", tmp_path / "submission.csv")
    found = pd.read_csv(out, dtype=str)
    assert list(found.columns) == ["id", "size", "price"]
    assert found["id"].tolist() == sorted(table["id"])
    assert len(found) == 270
    assert close(out, expected(made, tmp_path / "hidden"))


@pytest.mark.slow
def test_rows_without_a_readable_image_get_mean_predictions(made, tmp_path, caplog) -> None:
    hidden = tmp_path / "hidden"
    table = hidden_test(made, hidden)
    before = predict_test_set(kernel_of(made), hidden, tmp_path / "before.csv")
    (hidden / "test" / table["id"][3]).write_bytes(b"\x89PNG")
    (hidden / "test" / table["id"][7]).unlink()
    after = predict_test_set(kernel_of(made), hidden, tmp_path / "after.csv")
    assert "2 rows get mean predictions, for their images cannot be read" in caplog.text
    tables = [pd.read_csv(path, dtype={"id": str}).set_index("id") for path in (before, after)]
    changed = (tables[0] != tables[1]).any(axis=1)
    assert set(changed.index[changed]) == {table["id"][3], table["id"][7]}
    assert np.allclose(*tables[1].loc[[table["id"][3], table["id"][7]]].to_numpy())


@pytest.mark.slow
def test_no_rows_give_the_header(made: Path, tmp_path: Path) -> None:
    hidden_test(made, tmp_path / "hidden")
    for name in ("test.csv", "sample_submission.csv"):
        path = tmp_path / "hidden" / name
        path.write_text(path.read_text().split("\n")[0] + "\n")
    out = predict_test_set(kernel_of(made), tmp_path / "hidden", tmp_path / "submission.csv")
    assert out.read_text() == "id,size,price\n"


class Clock:
    """Seconds that pass by predictions alone, so that no test waits."""

    def __init__(self, monkeypatch, seconds: dict[str, float]) -> None:
        self.now, self.asked = 0.0, []
        predict = kernel.predict_layers

        def timed(rows, name: str) -> np.ndarray:
            views, number = rows.config.tta.views, len(rows.new_images.paths)
            self.now += seconds[name] * number * len(views)
            self.asked.append((name, len(views)))
            return predict(rows, name)

        monkeypatch.setattr(kernel, "predict_layers", timed)

    def __call__(self) -> float:
        return self.now


def test_what_is_left_out_is_worth_least_for_its_seconds() -> None:
    worth, seconds = {"slow": 0.8, "quick": 0.1}, {"slow": 10.0, "quick": 1.0}
    effort = Effort(["original", "mirrored"], worth, seconds)
    assert effort.seconds_for(2) == 22.0
    assert effort.shrink() == "views mirrored"
    assert effort.seconds_for(2) == 11.0
    assert effort.shrink() == "member slow"
    assert effort.seconds_for(2) == 1.0
    assert effort.shrink() == ""
    assert (effort.views, effort.worth) == (["original"], {"quick": 0.1})


SECONDS = {"linear": 1.0, "trees": 1.0, "own": 0.0, "stacking": 1.0, "all": 1.0, "net": 50.0}


def limited(made: Path, tmp_path: Path, monkeypatch, *, share: float) -> tuple[Path, Clock]:
    """Predict 270 rows in a share of the time that all members and views take."""
    hidden_test(made, tmp_path / "hidden", times=30)
    model = read_kernel_folder(kernel_of(made))
    clock = Clock(monkeypatch, SECONDS)
    all_of_it = 270 * 2 * sum(SECONDS[name] for name in model.members)
    hours = share * all_of_it / 3600 / kernel.SAFETY
    out = tmp_path / "submission.csv"
    predict_test_set(kernel_of(made), tmp_path / "hidden", out, hours=hours, clock=clock)
    return out, clock


@pytest.mark.slow
def test_with_enough_time_nothing_is_left_out(made, tmp_path, monkeypatch, caplog) -> None:
    out, clock = limited(made, tmp_path, monkeypatch, share=1.01)
    assert "leaves out" not in caplog.text
    assert {views for _, views in clock.asked} == {2}
    assert close(out, expected(made, tmp_path / "hidden"))


@pytest.mark.slow
def test_views_go_first_where_time_is_short(made, tmp_path, monkeypatch, caplog) -> None:
    out, clock = limited(made, tmp_path, monkeypatch, share=0.7)
    assert "leaves out views mirrored: 206 rows would take" in caplog.text
    assert "leaves out member" not in caplog.text
    assert clock.asked[-1][1] == 1
    assert len(pd.read_csv(out)) == 270


@pytest.mark.slow
def test_then_members_of_least_worth_for_their_time(made, tmp_path, monkeypatch, caplog) -> None:
    """The network, which takes nearly all the time, goes; the file is that of the others."""
    out, clock = limited(made, tmp_path, monkeypatch, share=0.3)
    assert "leaves out member net" in caplog.text
    assert caplog.text.count("leaves out member") == 1
    assert "net" in [name for name, _ in clock.asked[:6]]
    assert "net" not in [name for name, _ in clock.asked[6:]]
    assert len(pd.read_csv(out)) == 270


@pytest.mark.slow
def test_when_time_is_up_the_rest_gets_mean_predictions(
    made, tmp_path, monkeypatch, caplog
) -> None:
    out, _ = limited(made, tmp_path, monkeypatch, share=0.0)
    assert "time is up: 206 rows get mean predictions" in caplog.text
    table = pd.read_csv(out)
    assert len(table) == 270
    assert table["size"].duplicated(keep=False).sum() >= 206


@pytest.mark.slow
def test_a_member_that_fails_is_left_out(made, tmp_path, monkeypatch, caplog) -> None:
    hidden_test(made, tmp_path / "hidden")
    predict = kernel.predict_layers

    def failing(rows, name: str) -> np.ndarray:
        if name == "net":
            raise RuntimeError("CUDA out of memory")
        return predict(rows, name)

    monkeypatch.setattr(kernel, "predict_layers", failing)
    out = predict_test_set(kernel_of(made), tmp_path / "hidden", tmp_path / "submission.csv")
    assert "leaves out member net: CUDA out of memory" in caplog.text
    assert len(pd.read_csv(out)) == 45


@pytest.mark.slow
def test_a_test_set_that_does_not_fit_is_refused_and_nothing_written(made, tmp_path) -> None:
    hidden = tmp_path / "hidden"
    hidden_test(made, hidden)
    table = pd.read_csv(hidden / "test.csv", dtype=str)
    table.drop(columns="camera").to_csv(hidden / "test.csv", index=False)
    with pytest.raises(pipeline.UserError, match="camera"):
        predict_test_set(kernel_of(made), hidden, tmp_path / "submission.csv")
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.slow
def test_a_competition_without_csvs_is_found_by_its_folder_of_test_images(tmp_path: Path) -> None:
    root, hidden = tmp_path / "root", tmp_path / "hidden"
    folder = write_competition(root)
    labels = pd.read_csv(folder / "train.csv", dtype=str).set_index("id")["label"]
    for row_id, label in labels.items():
        (folder / "train" / label).mkdir(exist_ok=True)
        (folder / "train" / row_id).rename(folder / "train" / label / row_id)
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        (folder / name).unlink()
    run(root, data={"class_folders": "train", "train_images": "train/{id}"}, folds={"n": 3})
    made = stage.make_kernel(str(root / "tiny.yaml"), Workspace(root, "tiny"))
    assert json.loads((made / "kernel.json").read_text())["test"] == "test"
    shutil.copytree(folder / "test", hidden / "test")
    out = predict_test_set(made, hidden, tmp_path / "submission.csv")
    assert close(out, pd.read_csv(submission(root)).set_index("id"))


@pytest.mark.slow
def test_the_folder_holds_no_pickle_no_image_and_no_path_of_this_machine(made: Path) -> None:
    files = [path for path in kernel_of(made).rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {
        *(".py", ".yaml", ".json", ".ipynb", ".npz", ".safetensors", ".txt", ".csv"),
        *(".html", ".css", ".js"),  # of the report
    }
    for path in files:
        assert str(made).encode() not in path.read_bytes(), path
    metadata = json.loads((kernel_of(made) / "dataset-metadata.json").read_text())
    assert metadata["id"].endswith("/tiny-kernel")
    assert 6 <= len(metadata["title"]) <= 50


@pytest.mark.skipif(not can_unshare(), reason="no network namespaces here: unshare -rn")
def test_the_notebook_installs_wheels_that_the_machine_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "kaggle" / "tiny-kernel"
    (folder / "wheels").mkdir(parents=True)
    about = "some_package-1.5.dist-info"
    with zipfile.ZipFile(folder / "wheels" / "some_package-1.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_package.py", "answer = 42\n")
        wheel.writestr(f"{about}/METADATA", "Name: some_package\nVersion: 1.5\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    packages = {"some-package": "1.5", "pytest": pytest.__version__, "not-there": "2.0"}
    (folder / "kernel.json").write_text(json.dumps({"packages": packages}))
    cells = json.loads(stage.NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", "\n".join([*code[:2], SHOW])],
        env={"PATH": os.environ["PATH"], "KERNEL_INPUT": str(tmp_path / "kaggle")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "no wheel of not-there 2.0 for this Python; the one here is none",
        "42 ['some_package.py', 'some_package-1.5.dist-info']",
    ]


@pytest.mark.slow
def test_wheels_that_cannot_be_had_are_named(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(stage, "PYTHONS", ("3.11",))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    stage._download_wheels(tmp_path / "wheels", {"timm": "0.0.1"})
    assert "no wheels of timm==0.0.1 (Python 3.11): pip says" in caplog.text
