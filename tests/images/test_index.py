"""The index of images: files are opened once, and again when they change."""

import os

import numpy as np
import pytest
from conftest import COLOURS, TRAIN, write_image

from pipeline.core.artifacts import file_digest, file_stamp
from pipeline.errors import UserError
from pipeline.images import refresh_index as refreshing
from pipeline.images.decoding import decode
from pipeline.images.index import load_index
from pipeline.images.refresh_index import refresh_index

NAMES = [f"train/{name}" for name in TRAIN]


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that were opened, in order."""
    names = []

    def read(path, pixel_range):
        names.append(path.name)
        return decode(path, pixel_range)

    monkeypatch.setattr(refreshing, "decode", read)
    return names


@pytest.fixture
def refresh(tmp_path, competition_folder):
    path = tmp_path / "features" / "index.npz"
    return lambda names=NAMES: refresh_index(path, competition_folder, names)


def test_rows_say_what_the_files_are(refresh, competition_folder):
    found = refresh()
    assert found.paths.tolist() == NAMES
    assert found.sizes[:4].tolist() == [[24, 40], [40, 24], [32, 32], [28, 36]]
    for name, digest, stamp in zip(NAMES, found.digests, found.stamps, strict=True):
        assert digest == file_digest(competition_folder / name)
        assert stamp.tolist() == file_stamp(competition_folder / name)
    assert found.thumbnails.shape == (9, 32, 32)
    assert found.hashes.dtype == np.uint64


def test_unchanged_files_are_not_opened_again(refresh, opened):
    first = refresh()
    assert sorted(opened) == sorted(TRAIN)
    opened.clear()
    second = refresh()
    assert opened == []
    for column in ("paths", "stamps", "digests", "sizes", "hashes", "thumbnails"):
        assert np.array_equal(getattr(first, column), getattr(second, column))
    assert second.digest == first.digest


def test_a_changed_file_is_opened_again(refresh, opened, competition_folder, tmp_path):
    before = refresh()
    opened.clear()
    write_image(competition_folder / NAMES[4], colour=COLOURS["red"], row=50)
    after = refresh()
    assert opened == [TRAIN[4]]
    assert after.paths.tolist() == NAMES
    assert (after.digests != before.digests).tolist() == [row == 4 for row in range(9)]
    assert after.digest != before.digest
    assert len(load_index(tmp_path / "features" / "index.npz").paths) == 9  # replaced, not added


def test_a_touched_file_is_read_and_not_decoded_and_is_the_same(
    refresh, opened, competition_folder
):
    before = refresh()
    opened.clear()
    os.utime(competition_folder / NAMES[2], ns=(1, 1))
    after = refresh()
    assert after.digest == before.digest
    assert refresh().stamps.tolist() == after.stamps.tolist() != before.stamps.tolist()
    assert opened == []


def test_an_image_replaced_with_the_same_size_and_time_is_seen(refresh, opened, competition_folder):
    before, path = refresh(), competition_folder / NAMES[1]
    opened.clear()
    stat, other = path.stat(), path.read_bytes()[:-1] + b"\0"  # of a PNG: the end's checksum
    path.write_bytes(other)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = refresh()
    assert opened == [TRAIN[1]]
    assert after.digests[1] == file_digest(path) != before.digests[1]


def test_asked_to_verify_it_reads_what_seems_unchanged(
    refresh, opened, competition_folder, monkeypatch
):
    path = competition_folder / NAMES[1]
    refresh()
    opened.clear()
    nothing = lambda _, names, may_miss: np.tile([1, 2, 3], (len(names), 1))  # noqa: E731
    monkeypatch.setattr(refreshing, "_stamps", nothing)  # a disk that tells nothing
    refresh()
    path.write_bytes(path.read_bytes() + b"\0")
    assert refresh().digests[1] != file_digest(path)
    monkeypatch.setenv("VERIFY", "1")
    assert refresh().digests[1] == file_digest(path)
    assert opened == [TRAIN[1]]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "zeros"])
def test_a_damaged_index_is_named_and_made_anew(refresh, opened, tmp_path, caplog, damage):
    whole, path = refresh(), next(tmp_path.rglob("index.npz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x7F
    contents = {"flip": content, "cut": content[:-99], "empty": b"", "zeros": bytes(999)}
    path.write_bytes(contents[damage])
    opened.clear()
    assert refresh().digest == whole.digest
    assert sorted(opened) == sorted(TRAIN)
    assert f"{path} was changed since it was written" in caplog.text


def test_rows_come_in_the_order_that_is_asked_for(refresh, opened):
    whole = refresh()
    opened.clear()
    some = refresh([NAMES[5], NAMES[1], NAMES[5]])
    assert opened == []
    assert some.paths.tolist() == [NAMES[5], NAMES[1], NAMES[5]]
    assert some.digests.tolist() == whole.digests[[5, 1, 5]].tolist()
    assert some.digest != whole.digest


def test_new_files_join_the_old(refresh, opened):
    refresh(NAMES[:3])
    opened.clear()
    assert refresh().paths.tolist() == NAMES
    assert sorted(opened) == sorted(TRAIN[3:])


def test_all_undecodable_images_are_named_at_once(refresh, opened, competition_folder, tmp_path):
    for row in (2, 7):
        (competition_folder / NAMES[row]).write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        refresh()
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert TRAIN[2] in lines[0]
    assert TRAIN[7] in lines[1]
    assert len(load_index(tmp_path / "features" / "index.npz").paths) == 7
    write_image(competition_folder / NAMES[2], colour=COLOURS["red"], row=2)
    write_image(competition_folder / NAMES[7], colour=COLOURS["red"], row=7)
    opened.clear()
    assert refresh().paths.tolist() == NAMES
    assert sorted(opened) == [TRAIN[2], TRAIN[7]]  # the seven good ones were kept


def test_it_is_saved_now_and_then(refresh, opened, monkeypatch):
    monkeypatch.setattr(refreshing, "SAVE_EVERY", 4)
    saved = []
    save = refreshing.save
    monkeypatch.setattr(
        refreshing, "save", lambda one, path: saved.append(len(one.paths)) or save(one, path)
    )
    assert refresh().paths.tolist() == NAMES
    assert saved == [4, 8, 9]


def test_nothing_under_input_is_written(refresh, competition_folder):
    def listing():
        files = sorted(competition_folder.rglob("*"))
        return [(str(file), file.stat().st_mtime_ns) for file in [competition_folder, *files]]

    before = listing()
    refresh()
    assert listing() == before
