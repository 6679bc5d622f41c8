"""Artifacts: whole or absent, known by a fingerprint, and never lost to a change of mind."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core import artifacts
from pipeline.core.artifacts import begin, fingerprint, finish, is_current, replacing


@pytest.mark.parametrize(
    "message",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "[enforce fail at inline_container.cc:664] . write(): Disk quota exceeded",
    ],
)
def test_a_full_disk_is_one_error_whatever_a_library_calls_it(tmp_path, message):
    path = tmp_path / "weights.safetensors"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left on device") as caught:
        with replacing(path):
            raise RuntimeError(message)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


def test_a_fingerprint_depends_on_content_not_on_the_order_of_keys():
    one = fingerprint(a=1, b={"x": [1, 2], "y": None})
    assert fingerprint(b={"y": None, "x": [1, 2]}, a=1) == one
    assert fingerprint(a=1, b={"x": [2, 1], "y": None}) != one
    assert fingerprint(a="1", b={"x": [1, 2], "y": None}) != one
    assert fingerprint(a=(1, 2)) == fingerprint(a=[1, 2])
    assert len(one) == 16


def test_a_fingerprint_is_the_same_on_every_machine_and_day():
    assert fingerprint(a=1) == "015abd7f5cc57a2d"  # sha256 of {"a":1}


def test_what_has_no_canonical_form_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(a=float("nan"))
    with pytest.raises(TypeError):
        fingerprint(a=Path("x"))


def test_a_file_digest_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert artifacts.file_digest(tmp_path / "x").startswith("ba7816bf8f01cfea")


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write_and_fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_write_replaces(tmp_path):
    path = tmp_path / "deep" / "x.npy"
    with replacing(path) as temporary:
        assert temporary.suffix == ".npy"  # np.save would add it to another name
        assert temporary.parent == path.parent  # a rename works within a file system only
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(tmp_path, umask, rights):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "x.npy") as temporary:
            temporary.unlink()  # as a library that writes a file anew
            temporary.write_text("new")
            temporary.chmod(0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "x.npy").stat().st_mode & 0o777 == rights


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.core.artifacts import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    left = [other for other in tmp_path.iterdir() if other != path]
    assert [other.name[0] for other in left] == ["."]  # there, and hidden


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"null"])
def test_damaged_metadata_counts_as_none(tmp_path, content):
    (tmp_path / "meta.json").write_bytes(content)
    assert artifacts.read_meta(tmp_path) is None
    assert not is_current(tmp_path, "f")


def test_current_means_this_fingerprint(tmp_path):
    assert not is_current(tmp_path / "nowhere", "f")
    finish(tmp_path, "f", rows=3)
    assert is_current(tmp_path, "f")
    assert not is_current(tmp_path, "g")
    assert json.loads((tmp_path / "meta.json").read_text()) == {
        "fingerprint": "f",
        "files": {},
        "rows": 3,
    }


# begin


def leave(folder: Path, recipe: str, content: str, *, attic: Path | None, whole: bool = False):
    begin(folder, recipe, attic=attic)
    (folder / "weights").write_text(content)
    if whole:
        finish(folder, recipe)


@pytest.fixture
def places(tmp_path):
    return tmp_path / "net" / "fold0", tmp_path / "attic"


@pytest.mark.parametrize("with_attic", [True, False])
def test_an_interrupted_run_of_the_same_recipe_is_continued(places, with_attic):
    folder, attic = places
    attic = attic if with_attic else None
    leave(folder, "a", "half", attic=attic)
    begin(folder, "a", attic=attic)
    assert (folder / "weights").read_text() == "half"


def test_another_recipes_content_waits_in_the_attic_and_comes_back(places):
    folder, attic = places
    leave(folder, "a", "a night", attic=attic, whole=True)
    leave(folder, "b", "another night", attic=attic)
    assert [path.name for path in attic.iterdir()] == ["net-fold0-a"]
    assert not is_current(folder, "a")
    begin(folder, "a", attic=attic)
    assert (folder / "weights").read_text() == "a night"
    assert is_current(folder, "a")
    begin(folder, "b", attic=attic)
    assert (folder / "weights").read_text() == "another night"
    assert not is_current(folder, "b")


def test_folds_of_two_members_do_not_meet_in_the_attic(tmp_path):
    attic = tmp_path / "attic"
    for member in ("one", "two"):
        leave(tmp_path / member / "fold0", "a", member, attic=attic)
        begin(tmp_path / member / "fold0", "b", attic=attic)
    begin(tmp_path / "one" / "fold0", "a", attic=attic)
    assert (tmp_path / "one" / "fold0" / "weights").read_text() == "one"


def test_without_an_attic_another_recipes_content_goes(places):
    folder, _ = places
    leave(folder, "a", "old", attic=None, whole=True)
    begin(folder, "b")
    assert [path.name for path in folder.iterdir()] == [".begun"]


def test_what_was_copied_without_dotfiles_is_not_lost(places):
    folder, attic = places
    leave(folder, "a", "a night elsewhere", attic=attic, whole=True)
    (folder / ".begun").unlink()
    begin(folder, "b", attic=attic)
    begin(folder, "a", attic=attic)
    assert (folder / "weights").read_text() == "a night elsewhere"


def test_what_says_nothing_of_its_recipe_is_kept_in_the_attic(places):
    folder, attic = places
    folder.mkdir(parents=True)
    (folder / "weights").write_text("whose?")
    begin(folder, "a", attic=attic)
    assert not (folder / "weights").exists()
    assert (attic / "net-fold0-unknown" / "weights").read_text() == "whose?"


def test_a_kill_while_deleting_leaves_nothing_that_claims_to_be_whole(places, monkeypatch):
    folder, _ = places
    leave(folder, "a", "old", attic=None, whole=True)

    def killed(path):
        os.unlink(path / "weights")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(artifacts.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            begin(folder, "b")
    assert not is_current(folder, "a")
    begin(folder, "a")  # the user went back to the old recipe
    assert [path.name for path in folder.iterdir()] == [".begun"]


# Digests


@pytest.fixture
def whole(tmp_path):
    folder = tmp_path / "block"
    folder.mkdir()
    (folder / "a.npy").write_bytes(b"first")
    (folder / "b.npy").write_bytes(b"other")
    finish(folder, "f", files=["a.npy", "b.npy"])
    return folder


@pytest.mark.parametrize("damage", [b"firsT", b"firs", b"", None])
def test_a_damaged_or_deleted_file_is_noticed_and_named(whole, damage):
    assert is_current(whole, "f")
    assert artifacts.damaged_files(whole, "f") == []
    if damage is None:
        (whole / "a.npy").unlink()
    else:
        (whole / "a.npy").write_bytes(damage)
    assert not is_current(whole, "f")
    what = "is missing" if damage is None else "was changed from outside"
    assert artifacts.damaged_files(whole, "f") == [f"{whole / 'a.npy'} {what}"]
    assert artifacts.damaged_files(whole, "another recipe") == []
    (whole / "a.npy").write_bytes(b"first")
    assert is_current(whole, "f")


def test_a_file_is_read_once_for_each_stamp(whole, monkeypatch):
    read = []
    digest = artifacts.file_digest
    monkeypatch.setattr(
        artifacts, "file_digest", lambda path: read.append(path.name) or digest(path)
    )
    assert is_current(whole, "f")
    assert read == []
    os.utime(whole / "b.npy", ns=(1, 1))  # as in a copy
    assert is_current(whole, "f")
    assert is_current(whole, "f")
    assert read == ["b.npy"]


def test_asked_to_verify_it_reads_what_seems_unchanged(whole, monkeypatch):
    monkeypatch.setattr(artifacts, "file_stamp", lambda _: [5, 1, 1])  # a disk that tells nothing
    finish(whole, "f", files=["a.npy", "b.npy"])
    (whole / "a.npy").write_bytes(b"firsT")
    assert is_current(whole, "f")
    monkeypatch.setenv("VERIFY", "1")
    assert not is_current(whole, "f")


def test_an_artifact_that_cannot_be_written_beside_is_read_all_the_same(whole, monkeypatch):
    os.utime(whole / "b.npy", ns=(1, 1))

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(artifacts, "write_json", refuse)
    assert is_current(whole, "f")


def test_withdrawn_metadata_is_none(whole):
    artifacts.withdraw(whole)
    artifacts.withdraw(whole)
    assert not is_current(whole, "f")


def test_a_checked_file_tells_damage_and_a_kill_between_its_writes_is_none(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"

    def write(text):
        with artifacts.replacing_checked(path) as temporary:
            temporary.write_text(text)

    write("one epoch")
    assert artifacts.is_as_written(path)
    with monkeypatch.context() as patch:
        patch.setattr(artifacts.os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        for text in ("two epochs", "two epochs, once more"):
            with pytest.raises(KeyboardInterrupt):
                write(text)
    assert path.read_text() == "one epoch"
    assert artifacts.is_as_written(path)
    write("two epochs")
    assert artifacts.is_as_written(path)
    path.write_text("two epochS")
    assert not artifacts.is_as_written(path)
    (tmp_path / ".last.pt.sha256").unlink()  # copied without dotfiles
    assert artifacts.is_as_written(path)
