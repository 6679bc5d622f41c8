"""Archives and folders of classes: read as they are, unpacked whole and safely."""

import io
import json
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_project import run, submission, write_competition

from pipeline.config.schema import Data, Task
from pipeline.core import archives
from pipeline.core.archives import with_unpacked
from pipeline.core.read_competition import read_competition
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError

TASK = Task(kind="multiclass", target="label")


def pack(root: Path, name: str, files: dict[str, bytes]) -> Workspace:
    """Write an archive into a competition's folder."""
    workspace = Workspace(root, "packed")
    workspace.input.mkdir(parents=True, exist_ok=True)
    path = workspace.input / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as opened:
            for inside, content in files.items():
                opened.writestr(inside, content)
    else:
        with tarfile.open(path, "w:" + name.rpartition(".")[2].replace("tar", "")) as opened:
            for inside, content in files.items():
                info = tarfile.TarInfo(inside)
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
    return workspace


@pytest.mark.parametrize("name", ["images.zip", "images.tar", "images.tar.gz", "images.tar.xz"])
def test_archives_are_folders_and_the_rest_is_linked(tmp_path, name) -> None:
    files = {"a/1.png": b"one", "é ü.png": b"two", "__MACOSX/a/._1.png": b"no"}
    workspace = pack(tmp_path, name, files)
    (workspace.input / "train.csv").write_text("id,label\n")
    data = Data(train_images=f"{name}/a/{{id}}.png")
    folder = with_unpacked(workspace, data)
    assert folder == tmp_path / "features" / "packed" / "unpacked"
    assert (folder / name / "a" / "1.png").read_bytes() == b"one"
    assert (folder / name / "é ü.png").read_bytes() == b"two"
    assert not (folder / name / "__MACOSX").exists()
    assert (folder / "train.csv").read_text() == "id,label\n"
    assert sorted(child.name for child in workspace.input.iterdir()) == [name, "train.csv"]  # law 1
    assert with_unpacked(workspace, Data()) == workspace.input


def test_an_archive_below_a_folder_leaves_its_neighbours_there(tmp_path) -> None:
    workspace = pack(tmp_path, "images.zip", {"1.png": b"one"})
    (workspace.input / "data").mkdir()
    (workspace.input / "images.zip").rename(workspace.input / "data" / "images.zip")
    (workspace.input / "data" / "notes.txt").write_text("notes")
    folder = with_unpacked(workspace, Data(train_images="data/images.zip/{id}.png"))
    assert (folder / "data" / "images.zip" / "1.png").read_bytes() == b"one"
    assert (folder / "data" / "notes.txt").read_text() == "notes"


def test_an_archive_is_unpacked_once_and_again_when_it_changed(tmp_path, monkeypatch) -> None:
    data = Data(train_images="images.zip/{id}.png")
    folder = with_unpacked(pack(tmp_path, "images.zip", {"1.png": b"one", "2.png": b"2"}), data)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_unpack", lambda *_: pytest.fail("unpacked twice"))
        with_unpacked(Workspace(tmp_path, "packed"), data)
    with_unpacked(pack(tmp_path, "images.zip", {"1.png": b"new"}), data)
    assert (folder / "images.zip" / "1.png").read_bytes() == b"new"
    assert not (folder / "images.zip" / "2.png").exists()


def test_a_kill_in_the_middle_leaves_nothing_that_counts(tmp_path, monkeypatch) -> None:
    workspace = pack(tmp_path, "images.zip", {"1.png": b"one", "2.png": b"two"})
    data = Data(train_images="images.zip/{id}.png")
    copy = shutil.copyfileobj

    def killed(content, stream):
        if content.name == "2.png":
            raise KeyboardInterrupt
        copy(content, stream)

    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "copyfileobj", killed)
        with pytest.raises(KeyboardInterrupt):
            with_unpacked(workspace, data)
    assert not (workspace.unpacked / "images.zip").exists()
    folder = with_unpacked(workspace, data)
    assert (folder / "images.zip" / "2.png").read_bytes() == b"two"


@pytest.mark.parametrize(
    "evil", ["../evil.png", "/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"]
)
@pytest.mark.parametrize("name", ["images.zip", "images.tar"])
def test_a_file_that_leads_out_of_its_folder_is_refused(tmp_path, name, evil) -> None:
    workspace = pack(tmp_path, name, {"1.png": b"one", evil: b"evil"})
    with pytest.raises(UserError, match="leads out of its folder"):
        with_unpacked(workspace, Data(train_images=f"{name}/{{id}}.png"))
    assert list(tmp_path.rglob("evil.png")) == []
    assert not (workspace.unpacked / name).exists()


def test_links_and_devices_are_left_out(tmp_path) -> None:
    workspace = pack(tmp_path, "images.tar", {"1.png": b"one"})
    with tarfile.open(workspace.input / "images.tar", "a") as opened:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("dev", b"3")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            opened.addfile(info)
    folder = with_unpacked(workspace, Data(train_images="images.tar/{id}.png"))
    assert [child.name for child in (folder / "images.tar").iterdir()] == ["1.png"]
    workspace = pack(tmp_path, "images.zip", {"1.png": b"one"})
    with zipfile.ZipFile(workspace.input / "images.zip", "a") as opened:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(info, "/etc/passwd")
    folder = with_unpacked(workspace, Data(train_images="images.zip/{id}.png"))
    assert [child.name for child in (folder / "images.zip").iterdir()] == ["1.png"]


def test_a_damaged_or_too_large_archive_is_one_message(tmp_path, monkeypatch) -> None:
    workspace = pack(tmp_path, "images.zip", {"1.png": os.urandom(5000)})
    data, path = Data(train_images="images.zip/{id}.png"), workspace.input / "images.zip"
    free = shutil._ntuple_diskusage(0, 0, 10)
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "disk_usage", lambda _: free)
        with pytest.raises(UserError, match=r"larger than the 0\.0 GiB"):
            with_unpacked(workspace, data)
    whole = path.read_bytes()
    for broken in (whole[:2000], whole[:1000] + b"xx" + whole[1002:], b"no zip"):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"images\.zip: cannot be unpacked, it seems damaged"):
            with_unpacked(workspace, data)


def test_images_in_an_archive_that_the_config_does_not_name_are_found(tmp_path) -> None:
    write_competition(tmp_path)
    folder = tmp_path / "input" / "tiny"
    shutil.make_archive(str(folder / "photos"), "zip", folder, "train")
    shutil.rmtree(folder / "train")
    with pytest.raises(UserError, match=r'photos\.zip holds .*"photos\.zip/train/\{id\}'):
        read_competition(folder, TASK, Data())


def write_class_folders(root: Path) -> Path:
    """Write the tiny competition as folders of classes, without any CSV."""
    write_competition(root)
    folder = root / "input" / "tiny"
    rows = pd.read_csv(folder / "train.csv", dtype=str)
    for row_id, label in zip(rows["id"], rows["label"], strict=True):
        (file,) = (folder / "train").glob(f"{row_id}*")
        (folder / "photos" / label).mkdir(parents=True, exist_ok=True)
        file.rename(folder / "photos" / label / file.name)
    shutil.rmtree(folder / "train")
    for csv in folder.glob("*.csv"):
        csv.unlink()
    (folder / "photos" / "empty").mkdir()
    (folder / "photos" / "readme.txt").write_text("no image")
    return folder


FOLDERS = {"class_folders": "photos", "train_images": "photos/{id}", "test_images": "test/{id}"}


def test_folders_of_classes_are_rows_in_an_order_that_tells_nothing(tmp_path) -> None:
    folder = write_class_folders(tmp_path)
    competition = read_competition(folder, TASK, Data(**FOLDERS))
    rows = competition.train
    assert (rows["id"].str.split("/").str[0] == rows["label"]).all()
    assert rows["label"].tolist() != sorted(rows["label"])
    assert competition.classes == tuple(sorted(set(rows["label"])))
    assert competition.test_ids.tolist() == sorted(
        file.name for file in (folder / "test").iterdir()
    )
    again = read_competition(folder, TASK, Data(**FOLDERS))
    assert again.train.equals(rows)


def test_no_folders_of_classes_are_named(tmp_path) -> None:
    folder = write_class_folders(tmp_path)
    with pytest.raises(UserError, match=r"no such folder.*there are.*photos"):
        read_competition(folder, TASK, Data(**FOLDERS | {"class_folders": "fotos"}))
    with pytest.raises(UserError, match="no images in folders of classes"):
        read_competition(folder, TASK, Data(**FOLDERS | {"class_folders": "test"}))


@pytest.mark.slow
def test_folders_of_classes_in_an_archive_go_to_a_submission(tmp_path) -> None:
    folder = write_class_folders(tmp_path)
    shutil.make_archive(str(folder / "all"), "gztar", folder)
    for name in ("photos", "test"):
        shutil.rmtree(folder / name)
    data = {key: f"all.tar.gz/{path}" for key, path in FOLDERS.items()}
    run(tmp_path, data=data, folds={"n": 3})
    audit = json.loads((tmp_path / "features" / "tiny" / "audit.json").read_text())
    assert "row order" not in yaml.safe_dump(audit.get("suspicious", []))
    written = pd.read_csv(submission(tmp_path), dtype=str)
    assert len(written) == len(
        list((tmp_path / "features/tiny/unpacked/all.tar.gz/test").iterdir())
    )


def test_a_folder_of_test_images_among_those_of_classes_is_no_class(tmp_path) -> None:
    folder = write_class_folders(tmp_path)
    for child in list((folder / "photos").iterdir()):
        child.rename(folder / child.name)
    competition = read_competition(
        folder, TASK, Data(class_folders=".", train_images="{id}", test_images="test/{id}")
    )
    assert "test" not in competition.classes
    assert len(competition.test_ids) == len(list((folder / "test").iterdir()))


def test_a_folder_stands_for_a_csv_of_test_rows(tmp_path) -> None:
    write_competition(tmp_path)
    folder = tmp_path / "input" / "tiny"
    ids = pd.read_csv(folder / "test.csv", dtype=str)["id"].tolist()
    for name in ("test.csv", "sample_submission.csv"):
        (folder / name).unlink()
    without_ending = Data(test_csv="test", test_images="test/{id}.png")
    competition = read_competition(folder, TASK, without_ending)
    assert [f"{name}.png" for name in competition.test_ids] == sorted(ids)
    for file in (folder / "test").iterdir():
        file.rename(folder / "train" / file.name)
    among_training_images = Data(test_csv="train", test_images="train/{id}")
    assert sorted(read_competition(folder, TASK, among_training_images).test_ids) == sorted(ids)
    with pytest.raises(UserError, match=r"no images for test rows.*`data\.test_images: test/\{id"):
        read_competition(folder, TASK, Data(test_csv="train"))
