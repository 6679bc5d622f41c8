"""Images inside Parquet, CSV and HDF5 files, and paths as Windows writes them."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_project import run, submission, write_competition

from pipeline.config.schema import Data
from pipeline.core.archives import with_unpacked
from pipeline.core.image_tables import members_of
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What the images as files give."""
    root = tmp_path_factory.mktemp("plain")
    write_competition(root)
    run(root)
    return submission(root).read_text()


def packed(root: Path) -> tuple[Path, dict[str, pd.DataFrame]]:
    """Return a competition, and its tables with the images' bytes."""
    folder = write_competition(root)
    tables = {}
    for split in ("train", "test"):
        table = pd.read_csv(folder / f"{split}.csv", dtype=str)
        content = [(folder / split / name).read_bytes() for name in table["id"]]
        tables[split] = table.assign(image=content)
        (folder / f"{split}.csv").unlink()
        for name in table["id"]:
            (folder / split / name).unlink()
    return folder, tables


def rows_and_images(ending: str) -> dict[str, str]:
    """Paths through the tables train and test."""
    of_splits = {
        split: {
            f"{split}_csv": f"{split}.{ending}/rows.csv",
            f"{split}_images": f"{split}.{ending}/image/{{id}}",
        }
        for split in ("train", "test")
    }
    return of_splits["train"] | of_splits["test"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base64", "data URL"])
def test_base64_in_a_csv_gives_what_files_give(tmp_path, plain, kind):
    folder, tables = packed(tmp_path)
    front = "data:image/png;base64," if kind == "data URL" else ""
    for split, table in tables.items():
        cells = [front + base64.b64encode(content).decode() for content in table["image"]]
        table.assign(image=cells).to_csv(folder / f"{split}.csv", index=False)
    run(tmp_path, data=rows_and_images("csv"))
    assert submission(tmp_path).read_text() == plain


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bytes", "struct"])
def test_bytes_in_parquet_give_what_files_give(tmp_path, plain, kind):
    pytest.importorskip("pyarrow", reason="make install EXTRAS=parquet")
    folder, tables = packed(tmp_path)
    for split, table in tables.items():
        if kind == "struct":  # as the library `datasets` writes them
            cells = [{"bytes": content, "path": "x"} for content in table["image"]]
            table = table.assign(image=cells)
        table.to_parquet(folder / f"{split}.parquet")
    run(tmp_path, data=rows_and_images("parquet"))
    assert submission(tmp_path).read_text() == plain


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bytes", "pixels"])
def test_datasets_of_hdf5_give_what_files_give(tmp_path, plain, kind):
    h5py = pytest.importorskip("h5py", reason="make install EXTRAS=hdf5")
    folder, tables = packed(tmp_path)
    for split, table in tables.items():
        with h5py.File(folder / f"{split}.hdf5", "w") as opened:
            for row_id, content in zip(table["id"], table["image"], strict=True):
                pixels = np.asarray(Image.open(io.BytesIO(content)))
                opened[row_id] = np.void(content) if kind == "bytes" else pixels
        table.drop(columns="image").to_csv(folder / f"{split}.csv", index=False)
    ending = ".npy" if kind == "pixels" else ""
    data = {f"{split}_images": f"{split}.hdf5/{{id}}{ending}" for split in tables}
    run(tmp_path, data=data)
    assert submission(tmp_path).read_text() == plain


def test_a_stack_of_images_is_named_by_numbers(tmp_path):
    h5py = pytest.importorskip("h5py", reason="make install EXTRAS=hdf5")
    stack = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened["deep/images"] = stack
        opened["labels"] = np.arange(2)
    found = {name: content.read() for name, _, content in members_of(tmp_path / "a.h5", "id")}
    assert sorted(found) == ["deep/images/0.npy", "deep/images/1.npy"]
    np.testing.assert_array_equal(np.load(io.BytesIO(found["deep/images/1.npy"])), stack[1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\na,red\n", r"no column holds images, as bytes or base64; it has \['id', 'label"),
        ("name,image\na,iVBORw0KGgo=\n", r"no column 'id' \(data\.id\), which names its images"),
        ('id,image\n"a', "not readable as CSV"),
    ],
)
def test_a_table_without_images_is_refused(tmp_path, text, said):
    workspace = Workspace(tmp_path, "tiny")
    workspace.input.mkdir(parents=True)
    (workspace.input / "train.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        with_unpacked(workspace, Data(train_images="train.csv/image/{id}"))
    assert not list(workspace.unpacked.glob("train.csv*"))


def test_another_id_column_names_the_images_anew(tmp_path):
    workspace = Workspace(tmp_path, "tiny")
    workspace.input.mkdir(parents=True)
    (workspace.input / "train.csv").write_text("id,other,image\na,b,iVBORw0KGgo=\n")
    for column, name in (("id", "a"), ("other", "b")):
        data = Data(id=column, train_images=f"train.csv/image/{{{column}}}")
        folder = with_unpacked(workspace, data)
        assert [path.name for path in (folder / "train.csv/image").iterdir()] == [f"{name}.png"]
        assert (folder / "train.csv/rows.csv").read_text() == "id,other\na,b\n"


@pytest.mark.slow
def test_paths_as_windows_writes_them_are_found(tmp_path, plain):
    folder = write_competition(tmp_path)
    for split in ("train", "test"):
        table = pd.read_csv(folder / f"{split}.csv", dtype=str)
        paths = [f"{split}\\{name[:-4]}" for name in table["id"]]  # an ending is found, too
        table.assign(path=paths).to_csv(folder / f"{split}.csv", index=False)
    run(tmp_path, data={"train_images": "{path}", "test_images": "{path}"})
    assert submission(tmp_path).read_text() == plain
