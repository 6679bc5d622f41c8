"""File features: what a row's names, file and border say, as numbers."""

import numpy as np
import pytest
from PIL import Image

from pipeline.leaks.file_features import (
    GPS,
    FileFeature,
    file_features,
    outline,
    read_file_infos,
    row_features,
)


def by_name(features: list[FileFeature]) -> dict[str, np.ndarray]:
    return {feature.name: feature.table for feature in features}


def infos_of(folder, images, **saved):
    """FileInfos of images saved as 0.jpg, 1.jpg ..., all with the same settings."""
    paths = [folder / f"{number}.jpg" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, **saved)
    return list(read_file_infos(paths, threads=2))


def test_numbers_of_a_name_and_of_an_id_that_differs():
    features = by_name(
        row_features(
            np.array([0, 1, 2, -1]),
            ["train/s12_007.png", "train/s3_8.png", "train/x.png", "test/9.png"],
            ["a1", "a2", "a30", "b4"],
            num_classes=2,
        )
    )
    assert features["file number"].tolist() == [[12, 7, 5], [3, 8, 2], [-1, -1, 0], [9, 9, 1]]
    assert features["id number"][:, 0].tolist() == [1, 2, 30, 4]
    assert features["row order"].tolist() == [[0, 0], [1, 1], [2, 0], [-1, -1]]


def test_a_folder_is_no_part_of_a_name():
    """A template may say train/{label}/{id}: no leak, as test rows have no label."""
    one, other = (
        by_name(row_features(np.arange(2), paths, ["1.png", "2.png"], num_classes=2))
        for paths in (["train/cat/1.png", "train/dog/2.png"], ["train/1.png", "train/2.png"])
    )
    assert set(one) == {"row order", "file number", "file name"}
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_characters_are_read_from_both_ends():
    tables = by_name(row_features(np.arange(2), ["abc.png", "abd.png"], ["1", "2"], num_classes=2))
    assert np.flatnonzero(np.diff(tables["file name"], axis=0)[0]).tolist() == [2, 15]


def test_tags_become_codes_and_minutes(tmp_path):
    tags = Image.Exif()
    tags[271], tags[272] = "Canon", "EOS"
    tags.get_ifd(0x8769)[36867] = "1970:01:02 01:30:00"
    tags.get_ifd(0x8825)[1] = "N"
    image = np.zeros((16, 20, 3), np.uint8)
    with_tags = infos_of(tmp_path, [image], exif=tags)
    without = infos_of(tmp_path, [image])
    assert GPS in with_tags[0].exif
    features = by_name(
        file_features(np.full((2, 2), 640), np.full((2, 2), 16), with_tags + without)
    )
    assert features["EXIF camera"][:, :2].tolist() == [[0, 0], [-1, -1]]
    assert features["EXIF time"].tolist() == [[25.5 * 60, 1, 4], [-1, -1, -1]]  # a Friday
    assert features["EXIF settings"][0, 1] == 1
    assert features["file size"].tolist() == [[640, 2.5]] * 2


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_tags_are_read_as_such(tmp_path):
    path = tmp_path / "x.jpg"
    Image.new("RGB", (16, 16)).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04")
    (info,) = read_file_infos([path], threads=1)
    assert isinstance(info.exif, dict)
    assert info.encoding[:2] == ("JPEG", "RGB")


def test_coarser_encoding_is_another_encoding(tmp_path):
    image = np.zeros((16, 16, 3), np.uint8)
    fine, coarse = (infos_of(tmp_path, [image], quality=quality)[0] for quality in (95, 50))
    assert coarse.encoding[2] > fine.encoding[2] > 0


def test_a_mark_on_the_border_is_seen_there_and_not_inside(tmp_path):
    plain = np.full((40, 60, 3), 100, np.uint8)
    marked = plain.copy()
    marked[:, -2:] = 250
    one, other = infos_of(tmp_path, [plain, marked], quality=95)
    assert np.abs(one.edge - other.edge).max() > 100
    assert np.abs(one.inside - other.inside).max() < 3


def test_images_of_any_size_have_an_outline(tmp_path):
    for shape in ((1, 1), (1, 30), (3, 5), (17, 16)):
        (info,) = infos_of(tmp_path, [np.zeros((*shape, 3), np.uint8)])
        assert info.edge.shape == info.inside.shape == outline(np.zeros((9, 9, 3))).shape == (52,)
        assert np.isfinite(info.inside).all()
