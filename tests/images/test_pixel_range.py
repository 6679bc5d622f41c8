"""Images of more than 8 bits: one range for a data set, measured on training images, and said."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.config.schema import Config
from pipeline.errors import UserError
from pipeline.images.decoding import (
    FRAMES,
    HOT_PIXELS,
    NOT_FINITE,
    TRANSPARENT,
    PixelDepth,
    PixelRange,
    ToRgb,
    decode,
    measure_depth,
    read_image,
)
from pipeline.images.index import BLANK
from pipeline.images.pixel_range import describe_pixel_range, find_pixel_range
from pipeline.images.refresh_index import is_blank, refresh_index
from pipeline.project import open_project
from pipeline.splitting.draw import find_copies
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.plan import Plan

RAMP = np.linspace(0, 1, 32 * 40).reshape(32, 40)  # each grey level, in order
UINT8 = PixelDepth("uint8", np.nan, np.nan)
SETTINGS = {
    "competition": "deep",
    "task": {"kind": "multiclass", "target": "label"},
    "folds": {"n": 2},
    "backbones": {"small": {"arch": "test_efficientnet", "weights": "random", "image_size": 32}},
    "members": {"linear": {"learner": "logistic", "blocks": {"small": 1.0}}},
}


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write an image of any type that PIL or, for 16-bit colour, OpenCV writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3 and pixels.dtype == np.uint16:
        assert cv2.imwrite(str(path), pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
    else:
        Image.fromarray(pixels).save(path)
    return path


def write_competition(root: Path, train: list[np.ndarray], test: list[np.ndarray]) -> Path:
    folder = root / "input" / "deep"
    names = {
        split: [save(folder / split / f"{split}{n}.tif", image).name for n, image in enumerate(of)]
        for split, of in (("train", train), ("test", test))
    }
    labels = ["ab"[number % 2] for number in range(len(train))]
    pd.DataFrame({"id": names["train"], "label": labels}).to_csv(folder / "train.csv", index=False)
    pd.DataFrame({"id": names["test"]}).to_csv(folder / "test.csv", index=False)
    sample = pd.DataFrame({"id": names["test"], "label": "a"})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def index_of(root: Path, folder: Path, num_train: int, **settings):
    paths = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.tif"), key=by_split)]
    return refresh_index(root / "index.npz", folder, paths, num_train=num_train, **settings)


def by_split(path: Path) -> tuple[bool, int]:
    return path.parent.name == "test", int("".join(filter(str.isdecimal, path.stem)))


# One file.

STORED = {
    "float 0..1": RAMP.astype(np.float32),
    "float -1..1": (2 * RAMP - 1).astype(np.float32),
    "float 0..4000": (4000 * RAMP).astype(np.float32),
    "12 bits": np.rint(4095 * RAMP).astype(np.uint16),
    "16 bits": np.rint(65535 * RAMP).astype(np.uint16),
    "Hounsfield units": np.rint(4000 * RAMP - 1000).astype(np.int32),
}


@pytest.mark.parametrize("pixels", STORED.values(), ids=STORED)
def test_what_is_scaled_by_its_own_range_is_the_picture_in_8_bits(tmp_path, pixels):
    path = save(tmp_path / "x.tif", pixels)
    read = read_image(path, ToRgb(PixelRange(float(pixels.min()), float(pixels.max()))))
    assert np.abs(read[:, :, 0] - np.rint(255 * RAMP)).max() <= 1  # 12 bits were rounded before
    assert (read == read[:, :, :1]).all()
    depth = measure_depth(path)
    assert depth.dtype == str(pixels.dtype)
    low, high = float(pixels.min()), float(pixels.max())
    hot = 1.01 * HOT_PIXELS / 100 * (high - low)
    assert depth.low == pytest.approx(low, abs=hot)
    assert depth.high == pytest.approx(high, abs=hot)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bit_colour_keeps_its_low_byte(tmp_path, name):
    pixels = np.rint(4095 * np.stack([RAMP, RAMP[::-1], RAMP**2], axis=2)).astype(np.uint16)
    path = save(tmp_path / name, pixels)
    read = read_image(path, ToRgb(PixelRange(0, 4095)))
    assert np.abs(read - pixels * (255 / 4095)).max() <= 0.5
    assert measure_depth(path).dtype == "uint16"


def test_transparency_of_16_bits_is_laid_on_white_and_sets_no_range(tmp_path):
    pixels = np.full((1, 3, 4), 1000, np.uint16)
    pixels[0, :, 3] = [0, 65535, 13107]  # invisible, solid, one fifth
    path = save(tmp_path / "x.png", pixels)
    assert read_image(path, ToRgb(PixelRange(1000, 2000)))[0, :, 0].tolist() == [255, 0, 204]
    assert measure_depth(path) == PixelDepth("uint16", 1000, 1000)


@pytest.mark.parametrize("orientation", range(1, 10))  # 9 is none: as it lies
@pytest.mark.parametrize("colour", [False, True])
def test_exif_rotation_of_16_bits_is_that_of_8(tmp_path, orientation, colour):
    pixels = np.arange(6).reshape(2, 3) * 51
    if colour:
        pixels = np.dstack([pixels, 255 - pixels, pixels // 2])
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "8.png", exif=exif)
    deep = save(tmp_path / "16.png", pixels.astype(np.uint16) * 257)
    # The chunk of its own that PNG keeps EXIF in goes behind the header.
    with_exif = (tmp_path / "8.png").read_bytes()
    start = with_exif.index(b"eXIf") - 4
    chunk = with_exif[start : start + 12 + int.from_bytes(with_exif[start : start + 4])]
    content = deep.read_bytes()
    deep.write_bytes(content[:33] + chunk + content[33:])
    upright = read_image(deep, ToRgb(PixelRange(0, 65535)))
    assert np.array_equal(upright, read_image(tmp_path / "8.png"))
    assert upright.shape == ((3, 2, 3) if 5 <= orientation <= 8 else (2, 3, 3))


def test_pixels_beyond_the_range_are_clipped_and_those_without_a_value_are_black(tmp_path):
    pixels = np.array([[-9.0, 0, 5, 10, 99, np.nan, np.inf, -np.inf]], np.float32)
    path = save(tmp_path / "x.tif", pixels)
    read, remarks = decode(path, ToRgb(PixelRange(0, 10)))
    assert read[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0, 255, 0]
    assert remarks == (NOT_FINITE,)
    assert measure_depth(path).high == pytest.approx(99, rel=0.02)


def test_hot_pixels_set_no_range(tmp_path):
    pixels = np.full((64, 64), 1000, np.uint16)
    pixels[:32] = 2000
    pixels[3, 3], pixels[40, 7] = 65535, 0
    assert measure_depth(save(tmp_path / "x.png", pixels)) == PixelDepth("uint16", 1000, 2000)


def test_a_file_of_more_than_8_bits_is_refused_without_a_range(tmp_path):
    with pytest.raises(UserError, match=r"x\.tif: float32 pixels; say data\.pixel_range"):
        read_image(save(tmp_path / "x.tif", STORED["float 0..1"]))


def test_8_bits_know_no_range(tmp_path):
    pixels = np.rint(99 * RAMP).astype(np.uint8)
    path = save(tmp_path / "x.png", pixels)
    assert measure_depth(path) == pytest.approx(UINT8, nan_ok=True)
    assert np.array_equal(read_image(path, ToRgb(PixelRange(0, 5)))[:, :, 0], pixels)


def test_where_all_is_transparent_colours_are_kept(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, :, :3] = 10, 20, 30
    read, remarks = decode(save(tmp_path / "x.png", pixels))
    assert np.array_equal(read, pixels[:, :, :3])
    assert remarks == (TRANSPARENT,)
    pixels[1, 1, 3] = 1  # one pixel that shows: the others are meant to be invisible
    read, remarks = decode(save(tmp_path / "x.png", pixels))
    assert read[0].tolist() == [[255] * 3] * 2
    assert remarks == ()


def test_frames_behind_the_first_are_remarked_on(tmp_path):
    first, second = (Image.new("L", (4, 4), grey) for grey in (10, 200))
    first.save(tmp_path / "x.tif", save_all=True, append_images=[second])
    read, remarks = decode(tmp_path / "x.tif")
    assert (read == 10).all()
    assert remarks == (FRAMES,)


# A data set.


@pytest.mark.parametrize(
    ("depths", "expected"),
    [
        ([("uint16", 3, 4000), ("uint16", 90, 1200)], (0, 4095)),
        ([("uint16", 12, 900)], (0, 1023)),
        ([("uint16", 100, 65000)], (0, 65535)),
        ([("uint16", 28000, 31000), ("uint16", 27500, 30000)], (27500, 31000)),
        ([("int32", -1000, 3000)], (-1000, 3000)),
        ([("int32", 0, 200)], (0, 255)),
        ([("float32", 0.01, 0.97)], (0, 1)),
        ([("float32", -0.8, 0.5)], (-1, 1)),
        ([("float32", 0, 0.3)], (0, 0.3)),
        ([("float32", 0, 4000), ("float32", np.nan, np.nan)], (0, 4095)),
        ([("float32", 3, 250), ("uint8", np.nan, np.nan)], (0, 255)),
        ([("uint8", np.nan, np.nan)], None),
    ],
)
def test_the_range_is_a_usual_one_where_half_of_it_is_filled_else_as_measured(depths, expected):
    assert find_pixel_range([PixelDepth(*depth) for depth in depths], []) == expected


def test_what_cannot_be_known_is_refused_until_it_is_said():
    deep, floats = PixelDepth("uint16", 0, 4095), PixelDepth("float32", 0, 1)
    empty, flat = PixelDepth("float32", np.nan, np.nan), PixelDepth("uint16", 7, 7)
    for train, test, message in (
        ([UINT8], [deep], "1 uint16 of 1 test images, but all training images are uint8"),
        ([deep, floats], [], "several types, 1 float32 and 1 uint16"),
        ([deep], [floats], "several types, 1 float32 and 1 uint16"),
        ([empty], [], "no pixel of the 1 float32 training images is a finite number"),
        ([flat, flat], [], "all pixels of the 2 uint16 training images are 7"),
    ):
        with pytest.raises(UserError, match=message):
            find_pixel_range(train, test)
        assert find_pixel_range(train, test, (0, 9)) == (0, 9)


def test_how_images_were_scaled_is_said_and_what_is_strange_about_it():
    deep = [PixelDepth("uint16", 0, 100)] * 9 + [PixelDepth("uint16", 0, 65535)]
    test = [PixelDepth("uint16", 0, 65535), PixelDepth("uint16", 0, 90000)]
    scaled, mixed, small, beyond = describe_pixel_range(
        PixelRange(0, 65535), [*deep, UINT8], test, None
    )
    assert scaled.startswith("10 uint16 training images: 0 became black, 65535 white (measured")
    assert mixed.startswith("1 of 11 training images have 8 bits")
    assert small.startswith("most images use 0.2% of the pixel range")
    assert beyond.startswith("1 of 2 test images have pixels far beyond")
    assert describe_pixel_range(None, [UINT8], []) == []
    assert "is not used" in describe_pixel_range(None, [UINT8], [], (0, 1))[0]


def test_test_images_have_no_say_in_the_range_and_are_scaledkind_of(tmp_path):
    train = [np.full((8, 8), level, np.uint16) for level in (0, 1000, 4095)]
    test = [np.full((8, 8), level, np.uint16) for level in (2048, 60000)]
    folder = write_competition(tmp_path, train, test)
    index = index_of(tmp_path, folder, 3)
    assert index.pixel_range == (0, 4095)
    assert index.thumbnails[:, 0, 0].tolist() == [0, 62, 255, 128, 255]


def test_another_range_is_another_picture_of_the_same_file(tmp_path):
    ramps = [np.rint(4095 * RAMP).astype(np.uint16) + number for number in range(3)]
    folder = write_competition(tmp_path, ramps, [np.zeros((4, 4), np.uint8)])
    measured = index_of(tmp_path, folder, 3)
    wider = index_of(tmp_path, folder, 3, pixel_range=(0, 65535))
    again = index_of(tmp_path, folder, 3)
    assert (measured.digests != wider.digests).tolist() == [True, True, True, False]
    assert wider.thumbnails[:3].max() == 16
    assert again.digest == measured.digest != wider.digest
    assert np.array_equal(again.thumbnails, measured.thumbnails)


def test_an_index_of_an_older_version_is_made_anew(tmp_path):
    folder = write_competition(tmp_path, [np.rint(255 * RAMP).astype(np.uint8)], [])
    index = index_of(tmp_path, folder, 1)
    with np.load(tmp_path / "index.npz") as arrays:
        old = {name: arrays[name] for name in arrays.files if name != "limits"}
    np.savez(tmp_path / "index.npz", **old)
    assert index_of(tmp_path, folder, 1).digest == index.digest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "uint16"])
def test_pictures_of_more_bits_give_the_features_of_the_same_pictures_in_8(tmp_path, kind):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (36, 40)).astype(np.uint8) for _ in range(8)]
    pictures[0][:3, :3], pictures[1][:3, :3] = 0, 255  # the whole range occurs
    deep = {
        "float32": lambda picture: picture.astype(np.float32) / 255,
        "uint16": lambda picture: picture.astype(np.uint16) * 257,
    }
    blocks, caches = [], []
    for convert in (lambda picture: picture, deep[kind]):
        root = tmp_path / str(len(blocks))
        images = [convert(picture) for picture in pictures]
        write_competition(root, images[:6], images[6:])
        net = {"network": "small", "epochs": 1}
        config = Config(**SETTINGS | {"members": SETTINGS["members"] | {"net": net}})
        project = open_project(config, root)
        block, cache = Plan(project).block("small"), Plan(project).cache(32)
        LocalExecutor().execute([block, cache])
        blocks.append(np.load(block.folder / "features.npy"))
        caches.append((cache.folder / "pixels.bin").read_bytes())
    assert np.array_equal(*blocks)
    assert caches[0] == caches[1]


# Blank images.


def test_blank_is_what_varies_by_few_levels_however_small_the_rest():
    flat = np.full((300, 300, 3), 90, np.uint8)
    noisy = flat + np.random.default_rng(0).integers(0, 9, flat.shape).astype(np.uint8)
    dot = flat.copy()
    dot[150, 150] = 255  # no thumbnail shows it
    small = np.full((32, 32), 90, np.uint8)
    assert [is_blank(image, small) for image in (flat, noisy, dot)] == [True, True, False]
    assert is_blank(np.full((1, 1, 3), 7, np.uint8), small)


@pytest.fixture
def with_blank_images(tmp_path):
    """20 blank images of both classes, 4 copies of one picture, 8 other pictures; 3 blank tests."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (32, 32)).astype(np.uint8) for _ in range(9)]
    blank = [np.zeros((32, 32), np.uint8)] * 20
    write_competition(tmp_path, blank + pictures[:1] * 4 + pictures[1:], blank[:3])
    return open_project(Config(**SETTINGS), tmp_path)


def test_blank_images_are_no_copies_of_each_other_and_are_named(with_blank_images, caplog):
    project = with_blank_images
    assert project.index.has_remark(BLANK).sum() == 23
    pairs = find_copies(project)
    assert pairs[["a", "b"]].to_numpy().tolist() == [[20, 21], [20, 22], [20, 23]]
    job = Plan(project).folds()
    LocalExecutor().execute([job])
    assert np.bincount(project.folds.folds).tolist() == [16, 16]
    (finding,) = [
        finding
        for finding in json.loads((job.folder / "audit.json").read_text())["findings"]
        if finding["name"] == "blank images"
    ]
    assert finding["seen"].startswith(
        "20 of 32 training images and 3 of 3 test images show nothing"
    )
    assert finding["grade"] == "suspicious"
    assert "train/train0.tif" in caplog.text


def test_the_range_is_in_the_log_and_in_the_fingerprints(tmp_path, caplog):
    images = [np.rint(4095 * RAMP).astype(np.uint16) + number for number in range(4)]
    write_competition(tmp_path, images, images[:1])
    fingerprints = []
    for data in ({}, {"pixel_range": [0, 8191]}):
        project = open_project(Config(**SETTINGS | {"data": data}), tmp_path)
        LocalExecutor().execute([Plan(project).folds()])
        plan = Plan(project)
        jobs = (Plan(project).folds(), plan.block("small"), plan.cache(37), plan.train("linear", 0))
        fingerprints.append({job.fingerprint for job in jobs})
    assert not fingerprints[0] & fingerprints[1]
    assert "4 uint16 training images: 0 became black, 4095 white (measured" in caplog.text
    assert "4 uint16 training images: 0 became black, 8191 white (data.pixel_range)" in caplog.text


def test_nothing_under_input_is_written(tmp_path):
    folder = write_competition(tmp_path, [np.rint(4095 * RAMP).astype(np.uint16)], [])
    before = sorted((path, os.stat(path).st_mtime_ns) for path in folder.rglob("*"))
    index_of(tmp_path, folder, 1)
    assert sorted((path, os.stat(path).st_mtime_ns) for path in folder.rglob("*")) == before
