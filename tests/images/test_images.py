"""Images: decoded upright and whole, cut as the config says, cached to the same bytes."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pipeline.core.artifacts import is_current
from pipeline.errors import UserError
from pipeline.images import resizing
from pipeline.images.cache import ImageCache
from pipeline.images.cache_building import build_cache
from pipeline.images.decoding import ImageFiles, PixelRange, ToRgb, in_threads, read_image
from pipeline.images.resizing import GREY, fit_square, resize

NOISE = np.random.default_rng(0).integers(0, 256, (24, 30, 3)).astype(np.uint8)


def save(tmp_path, image, name="x.png", pixel_range=None, **settings) -> np.ndarray:
    """What `read_image` makes of an image saved under this name."""
    image.save(tmp_path / name, **settings)
    return read_image(tmp_path / name, ToRgb(pixel_range))


# Decoding.


def test_pixels_are_what_was_saved(tmp_path):
    assert np.array_equal(save(tmp_path, Image.fromarray(NOISE)), NOISE)


def test_exif_rotation_is_applied(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise brings it upright
    upright = save(tmp_path, Image.fromarray(pixels), "x.jpg", exif=exif, quality=95)
    assert upright.shape == (32, 16, 3)
    assert upright[:14].min() > 240
    assert upright[18:].max() < 15


def test_grey_becomes_three_equal_channels(tmp_path):
    pixels = save(tmp_path, Image.fromarray(NOISE[:, :, 0]))
    assert np.array_equal(pixels, NOISE[:, :, :1].repeat(3, axis=2))


def test_16_bit_grey_is_scaled_whatever_its_brightness(tmp_path):
    whole = PixelRange(0, 65535)
    grey = np.array([[0, 257, 65535], [32896, 128, 255]], np.uint16)
    pixels = save(tmp_path, Image.fromarray(grey), pixel_range=whole)
    assert pixels[:, :, 0].tolist() == [[0, 1, 255], [128, 0, 1]]  # rounded
    dark = save(tmp_path, Image.fromarray(np.full((4, 4), 100, np.uint16)), pixel_range=whole)
    assert (
        dark.max() == 0
    )  # as in the bright image: one file's range does not depend on its content


def test_32_bit_integers_within_a_byte_are_taken_as_they_are(tmp_path):
    image = Image.fromarray(np.array([[0, 200]], np.int32))
    pixels = save(tmp_path, image, "x.tiff", pixel_range=PixelRange(0, 255))
    assert pixels[0, :, 0].tolist() == [0, 200]


def test_a_palette_is_resolved(tmp_path):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (save(tmp_path, image) == [10, 20, 30]).all()


def test_transparency_lies_on_white(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = [0, 255, 51]  # black: invisible, solid, one fifth
    assert save(tmp_path, Image.fromarray(pixels))[0, :, 0].tolist() == [255, 0, 204]


def test_a_transparent_palette_colour_lies_on_white(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([9, 9, 9, 10, 20, 30])
    image.putpixel((1, 0), 1)
    pixels = save(tmp_path, image, transparency=0)
    assert pixels[0].tolist() == [[255, 255, 255], [10, 20, 30]]


JPEG_FORMS = {
    "plain": {},
    "full colour": {"subsampling": 0, "quality": 100},
    "4:2:2": {"subsampling": 1},
    "progressive": {"progressive": True},
    "small": {"quality": 5, "optimize": True},
    "restarts": {"restart_marker_blocks": 1},
    "RGB": {"keep_rgb": True},
}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("form", JPEG_FORMS)
@pytest.mark.parametrize("side", [1, 7, 33, 200])
def test_a_jpeg_has_the_pixels_that_pillow_reads(tmp_path, mode, form, side):
    image = Image.fromarray(NOISE).resize((side, max(1, side - 3))).convert(mode)
    pixels = save(tmp_path, image, "x.jpg", **JPEG_FORMS[form])
    assert np.array_equal(pixels, np.asarray(Image.open(tmp_path / "x.jpg").convert("RGB")))


@pytest.mark.parametrize("orientation", range(10))
def test_a_jpeg_stands_upright_as_pillow_turns_it(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = save(tmp_path, Image.fromarray(NOISE), "x.jpg", exif=exif)
    wanted = ImageOps.exif_transpose(Image.open(tmp_path / "x.jpg"))
    assert np.array_equal(pixels, np.asarray(wanted))
    assert resize(pixels, *pixels.shape[:2]).shape[1:] == pixels.shape[:2]


@pytest.mark.parametrize("damage", ["bytes behind its end", "a flipped byte"])
def test_a_jpeg_that_is_odd_is_read_as_pillow_does(tmp_path, damage):
    Image.fromarray(NOISE).resize((200, 200)).save(tmp_path / "x.jpg")
    content = bytearray((tmp_path / "x.jpg").read_bytes())
    if damage == "a flipped byte":
        content[len(content) // 2] ^= 0xFF
    else:
        content += b"more"
    (tmp_path / "x.jpg").write_bytes(content)
    wanted = np.asarray(Image.open(tmp_path / "x.jpg").convert("RGB"))
    assert np.array_equal(read_image(tmp_path / "x.jpg"), wanted)


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp"])
@pytest.mark.parametrize("share", [0.5, 0.0])
def test_a_truncated_file_is_refused_by_name(tmp_path, name, share):
    Image.fromarray(NOISE).resize((200, 200)).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=rf"{name}: cannot be decoded \(.*\)\. Replace the file or"):
        read_image(tmp_path / name)


def test_text_and_nothing_are_refused(tmp_path):
    (tmp_path / "x.png").write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"x\.png: cannot be decoded"):
        read_image(tmp_path / "x.png")
    with pytest.raises(UserError, match=r"y\.png: no such image"):
        read_image(tmp_path / "y.png")


# Threads.


def test_threads_keep_the_order_and_stay_at_most_so_far_ahead():
    started = []

    def slow_square(number):
        started.append(number)
        return number * number

    results = in_threads(slow_square, iter(range(20)), threads=4, ahead=5)
    assert next(results) == 0
    assert len(started) <= 6
    assert list(results) == [number * number for number in range(1, 20)]


def test_an_error_in_a_thread_arrives():
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 // number, [1, 0, 2], threads=2, ahead=2))


# Resizing and cutting.


def test_resizing_to_its_own_size_changes_nothing_and_copies():
    image = NOISE.copy()
    resized = resize(image, 24, 30)
    assert np.array_equal(resized.permute(1, 2, 0).numpy(), NOISE)
    resized.zero_()
    assert np.array_equal(image, NOISE)


def test_a_read_only_image_is_taken_without_a_warning(recwarn):
    image = NOISE.copy()
    image.flags.writeable = False
    resize(image, 10, 10)
    assert [str(warning.message) for warning in recwarn] == []


def test_resizing_is_that_of_pil_within_rounding():
    ours = resize(NOISE, 11, 13).permute(1, 2, 0).numpy().astype(int)
    pil = np.asarray(Image.fromarray(NOISE).resize((13, 11), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(ours - pil).max() <= 2


def stripes(height: int, width: int) -> np.ndarray:
    """Every row and column tells where it is: red by row, green by column, blue 7."""
    image = np.full((height, width, 3), 7, np.uint8)
    image[:, :, 0] = np.arange(height)[:, None]
    image[:, :, 1] = np.arange(width)[None]
    return image


def test_crop_takes_the_centre():
    square = fit_square(stripes(8, 14), 8, "crop")
    assert square.shape == (3, 8, 8)
    assert square[0, :, 0].tolist() == list(range(8))
    assert square[1, 0].tolist() == list(range(3, 11))
    tall = fit_square(stripes(14, 8), 8, "crop")
    assert tall[0, :, 0].tolist() == list(range(3, 11))


def test_pad_puts_grey_bars_around():
    square = fit_square(stripes(4, 8), 8, "pad")
    assert square.shape == (3, 8, 8)
    assert (square[:, [0, 1, 6, 7]] == GREY).all()
    assert square[0, 2:6, 0].tolist() == [0, 1, 2, 3]
    assert square[1, 2].tolist() == list(range(8))


def test_squash_forgets_the_aspect():
    flat = np.zeros((4, 40, 3), np.uint8)
    flat[:, 20:] = 200
    square = fit_square(flat, 8, "squash")
    assert square.shape == (3, 8, 8)
    assert (square[:, :, :3] < 20).all()
    assert (square[:, :, 5:] > 180).all()


@pytest.mark.parametrize("cut", ["crop", "pad", "squash"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (7, 13), (333, 332), (16, 16)])
def test_any_shape_becomes_a_square(cut, shape):
    square = fit_square(np.full((*shape, 3), 90, np.uint8), 16, cut)
    assert square.shape == (3, 16, 16)
    assert square.dtype == torch.uint8
    assert set(square.unique().tolist()) <= ({90, GREY} if cut == "pad" else {90})


@pytest.mark.parametrize("turned", [False, True])
def test_a_line_of_pixels_is_cut_before_it_is_enlarged(turned, monkeypatch):
    line = np.full((1, 200_000, 3), 50, np.uint8)
    line[:, 99_000:101_000] = 200
    line = line.transpose(1, 0, 2) if turned else line
    asked = []
    monkeypatch.setattr(
        resizing, "resize", lambda *arguments: asked.append(arguments[1:]) or resize(*arguments)
    )
    assert (fit_square(line, 64, "crop") == 200).all()
    assert max(asked[0]) <= 16 * 64  # whole, it would be enlarged to 2.5 GB


def test_long_images_are_cropped_as_before():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (10, 300, 3)).astype(np.uint8)
    whole = resize(image, 32, 960)[:, :, 464:496]
    assert np.array_equal(fit_square(image, 32, "crop"), whole)


# The cache.


@pytest.fixture
def paths(competition_folder):
    return sorted((competition_folder / "train").iterdir())


def build(folder, paths, short_side=20):
    folder.mkdir(exist_ok=True)
    return build_cache(folder, "recipe", images=ImageFiles(paths), short_side=short_side, threads=2)


def content(folder) -> dict[str, bytes]:
    files = [path for path in sorted(folder.iterdir()) if path.name[0] != "."]
    return {path.name: path.read_bytes() for path in files}


def test_the_cache_holds_directly_resized_images(tmp_path, paths):
    cache = build(tmp_path / "cache", paths)
    assert len(cache) == len(paths) == 9
    for row, path in enumerate(paths):
        image = read_image(path)
        scale = 20 / min(image.shape[:2])
        height, width = (round(length * scale) for length in image.shape[:2])
        assert min(height, width) == 20
        expected = resize(image, height, width).permute(1, 2, 0).numpy()
        assert np.array_equal(cache[row], expected)


def test_small_images_are_not_enlarged(tmp_path, paths):
    cache = build(tmp_path / "cache", paths, short_side=30)
    image = read_image(paths[0])
    assert image.shape == (24, 40, 3)
    assert np.array_equal(cache[0], image)


def test_the_cache_travels_to_worker_processes(tmp_path, paths):
    cache = build(tmp_path / "cache", paths)
    first = cache[3].copy()
    pickled = pickle.dumps(cache)
    assert len(pickled) < 2000  # paths and sizes, not pixels
    assert np.array_equal(pickle.loads(pickled)[3], first)
    assert np.array_equal(ImageCache(tmp_path / "cache")[3], first)


def cut_pixels(folder):
    pixels = folder / "pixels.bin"
    with open(pixels, "r+b") as stream:
        stream.truncate(pixels.stat().st_size // 2)


def cut_sizes(folder):
    text = (folder / "sizes.jsonl").read_text()
    (folder / "sizes.jsonl").write_text(text[: len(text) // 2])


def cut_last_newline(folder):
    (folder / "sizes.jsonl").write_text((folder / "sizes.jsonl").read_text()[:-1])


def cut_everything(folder):
    (folder / "sizes.jsonl").unlink()


@pytest.mark.parametrize("damage", [cut_pixels, cut_sizes, cut_last_newline, cut_everything])
def test_an_interrupted_build_continues_to_the_same_bytes(tmp_path, paths, damage, monkeypatch):
    build(tmp_path / "whole", paths)
    build(tmp_path / "cut", paths)
    for name in ("meta.json", "shapes.npy"):
        (tmp_path / "cut" / name).unlink()
    damage(tmp_path / "cut")
    decoded = []
    monkeypatch.setattr(
        "pipeline.images.decoding.read_image",
        lambda path, _range: decoded.append(path) or read_image(path),
    )
    build(tmp_path / "cut", paths)
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
    assert 0 < len(decoded) <= (9 if damage is cut_everything else 6)


def test_a_build_that_fails_is_not_finished_and_continues(tmp_path, paths):
    good = paths[5].read_bytes()
    paths[5].write_bytes(b"")
    with pytest.raises(UserError, match=paths[5].name):
        build(tmp_path / "cache", paths)
    assert not is_current(tmp_path / "cache", "recipe")
    paths[5].write_bytes(good)
    build(tmp_path / "cache", paths)
    build(tmp_path / "whole", paths)
    assert content(tmp_path / "cache") == content(tmp_path / "whole")
    assert is_current(tmp_path / "cache", "recipe")
