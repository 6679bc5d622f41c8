"""Samples with names of their own, with some of the test rows, or packed."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from tiny_project import CLASSES, run, submission, write_competition

import pipeline
from pipeline.config.load import load_config
from pipeline.config.schema import Data, Submission, Task
from pipeline.core.read_competition import read_competition
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.project import open_project
from pipeline.serving.kernel import predict_test_set
from pipeline.stages import kernel as stage
from pipeline.submission.check_file import check_file
from pipeline.submission.mixing import read_submission

TASK = Task(kind="multiclass", target="label")
NAMES = {"class_0": "green", "class_1": "red", "class_2": "blue"}


def read(folder, **submission):
    return read_competition(folder, TASK, Data(), Submission(**submission))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A finished project with a plain sample, and the values that it submits, by id."""
    root = tmp_path_factory.mktemp("plain")
    write_competition(root)
    run(root)
    return root, pd.read_csv(submission(root), dtype={"id": str}).set_index("id")


def written_with(root, sample: pd.DataFrame, **keys) -> pd.DataFrame:
    """Write another sample, run again, and return the submission."""
    sample.to_csv(root / "input" / "tiny" / "sample_submission.csv", index=False)
    run(root, submission=keys)
    return pd.read_csv(submission(root), dtype=str)


def test_columns_of_other_names_hold_what_the_config_says(plain):
    root, values = plain
    ids = values.index[::-1]
    names = {"id": "image_name", "columns": NAMES}
    sample = pd.DataFrame({"image_name": ids, **dict.fromkeys(NAMES, 0.5)})
    written = written_with(root, sample, **names)
    assert written.columns.tolist() == ["image_name", *NAMES]
    assert written["image_name"].tolist() == ids.tolist()
    for column, label in NAMES.items():
        np.testing.assert_allclose(written[column].astype(float), values.loc[ids, label], rtol=1e-6)
    project = open_project(load_config(str(root / "tiny.yaml")), root)
    assert check_file(submission(root), project.competition, project.metric) == len(ids)
    ours = read_submission(submission(root), project.competition, project.form)
    wanted = values.loc[project.competition.test_ids, list(CLASSES)]
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)


@pytest.mark.slow
def test_a_kernel_and_decisions_have_the_names_of_the_sample(plain, tmp_path, monkeypatch):
    root, values = plain
    names = {"id": "image_name", "columns": NAMES}
    sample = pd.DataFrame({"image_name": values.index, **dict.fromkeys(NAMES, 0.5)})
    written = written_with(root, sample, **names)
    monkeypatch.setattr(stage, "PYTHONS", ())  # no wheels
    monkeypatch.chdir(root)
    folder = stage.make_kernel(str(root / "tiny.yaml"), Workspace(root, "tiny"))
    out = predict_test_set(folder, root / "input/tiny", out=tmp_path / "written.csv")
    found = pd.read_csv(out, dtype=str)
    assert found.columns.tolist() == ["image_name", *NAMES]
    assert found["image_name"].tolist() == written["image_name"].tolist()
    wanted = written[[*NAMES]].astype(float)
    np.testing.assert_allclose(found[[*NAMES]].astype(float), wanted, atol=2e-3)
    paths = [root / "input/tiny/test" / name for name in values.index[:2]]
    decided = pipeline.load("tiny").decide(paths)
    assert sorted(decided.columns) == sorted(NAMES)
    np.testing.assert_allclose(decided[[*NAMES]], wanted[:2], atol=2e-3)


def test_classes_of_a_long_sample_are_renamed_too(plain):
    root, values = plain
    pairs = [(name, row) for name in NAMES for row in values.index]
    sample = pd.DataFrame({"key": [f"{row}_{name}" for name, row in pairs], "p": 0.5})
    written = written_with(root, sample, id="key", columns=NAMES)
    assert written.columns.tolist() == ["key", "p"]
    assert written["key"].tolist() == sample["key"].tolist()
    wanted = [values.loc[row, NAMES[name]] for name, row in pairs]
    np.testing.assert_allclose(written["p"].astype(float), wanted, rtol=1e-6)


@pytest.mark.parametrize(("rows", "number"), [("sample", 4), ("test", 9)])
def test_a_sample_of_some_rows_is_written_as_it_is_or_completed(plain, rows, number):
    root, values = plain
    ids = values.index[3:7]
    sample = pd.DataFrame({"id": ids, **dict.fromkeys(CLASSES, 0.5)})
    written = written_with(root, sample, rows=rows).set_index("id").astype(float)
    assert written.index.tolist() == (ids if rows == "sample" else values.index).tolist()
    assert len(written) == number
    np.testing.assert_allclose(written, values.loc[written.index, list(CLASSES)], rtol=1e-6)


def test_part_of_a_long_sample_is_written_as_it_is(plain):
    root, values = plain
    pairs = [(row, name) for row in values.index[:2] for name in CLASSES]
    sample = pd.DataFrame({"id": [f"{row}_{name}" for row, name in pairs], "p": 0.5})
    written = written_with(root, sample, rows="sample")
    assert written["id"].tolist() == sample["id"].tolist()
    wanted = [values.loc[row, name] for row, name in pairs]
    np.testing.assert_allclose(written["p"].astype(float), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("sample", "keys", "said"),
    [
        (
            ["id", "a"],
            {"id": "image"},
            r"no column 'image' \(submission\.id\); it has \['id', 'a'\]",
        ),
        (
            ["id", "a"],
            {"columns": {"b": "red"}},
            r"no column 'b' \(submission\.columns\).*\['id', 'a",
        ),
        (["id", "a", "red"], {"columns": {"a": "red"}}, r"several columns the name 'red'"),
        (["id", "image", "a"], {"id": "image"}, r"several columns the name 'id'"),
    ],
)
def test_names_that_the_sample_does_not_have_are_refused(make_competition, sample, keys, said):
    folder = make_competition()
    ids = pd.read_csv(folder / "test.csv")["id"]
    table = pd.DataFrame({name: ids if name in ("id", "image") else 0 for name in sample})
    table.to_csv(folder / "sample_submission.csv", index=False)
    with pytest.raises(UserError, match=said):
        read(folder, **keys)


def test_a_long_sample_with_another_id_names_the_key(make_competition):
    folder = make_competition()
    ids = pd.read_csv(folder / "test.csv")["id"]
    cells = [f"{row}_{name}" for row in ids for name in CLASSES]
    pd.DataFrame({"key": cells, "p": 0}).to_csv(folder / "sample_submission.csv", index=False)
    with pytest.raises(
        UserError, match=r"row for each id and class: say `submission: \{id: key\}`"
    ):
        read(folder)


def test_keys_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="`rows: sample` writes some of them"):
        Submission(rows="sample", mix={"a.csv": 0.5})
    with pytest.raises(ValueError, match=r"several columns hold \['red'\]"):
        Submission(columns={"a": "red", "b": "red"})


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.csv", content)
    return stream.getvalue()


@pytest.mark.parametrize("ending", ["zip", "gz"])
def test_a_packed_sample_is_read(make_competition, ending):
    folder = make_competition()
    plain = folder / "sample_submission.csv"
    content = plain.read_bytes()
    packed = zipped(sample_submission=content) if ending == "zip" else gzip.compress(content)
    (folder / f"sample_submission.csv.{ending}").write_bytes(packed)
    wanted = read(folder).sample
    plain.unlink()
    data = Data(sample_submission=f"sample_submission.csv.{ending}")
    pd.testing.assert_frame_equal(read_competition(folder, TASK, data).sample, wanted)
    hint = f"say `data.sample_submission: sample_submission.csv.{ending}`"
    assert any(hint in note for note in read(folder).notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            zipped(a=b"id\n1", b=b"id\n2"),
            r"it holds 2 CSVs; a path such as a\.zip/b\.csv names one",
        ),
        (b"PK\x03\x04nothing", "cannot be unpacked"),
        (gzip.compress(b"id,label\n" * 99)[:-20], "cannot be unpacked"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(make_competition, content, said):
    folder = make_competition()
    (folder / "sample_submission.csv").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read(folder)
