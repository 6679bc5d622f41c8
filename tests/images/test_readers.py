"""DICOM, HEIC and NumPy files: pixels by hand, and what is wrong with a file."""

import numpy as np
import pytest
from PIL import Image

from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.images import readers
from pipeline.images.decoding import PixelRange, ToRgb, decode, measure_depth, read_image
from pipeline.images.refresh_index import refresh_index


def dicom(path, pixels, **tags):
    """Write an uncompressed grey file of 12 bits."""
    pydicom = pytest.importorskip("pydicom", reason="an extra: make install EXTRAS=dicom")
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    file.Rows, file.Columns = pixels.shape[-2:]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    if pixels.ndim == 3:
        file.NumberOfFrames = len(pixels)
    file.PixelData = pixels.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    file.save_as(path, enforce_file_format=True)
    return path


VALUES = np.array([[0, 1000], [2000, 4000]])


def test_dicom_without_a_window_has_its_rescaled_values_and_the_data_sets_range(tmp_path):
    path = dicom(tmp_path / "a.dcm", VALUES, RescaleSlope=2, RescaleIntercept=-1000)
    depth = measure_depth(path)
    assert depth.dtype == "float32"
    assert depth.low == pytest.approx(-1000, abs=10)
    assert depth.high == pytest.approx(7000, abs=20)
    pixels = read_image(path, ToRgb(PixelRange(-1000, 7000)))
    assert pixels[..., 0].tolist() == [[0, 64], [128, 255]]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        # LINEAR: below c - 0.5 - (w - 1) / 2 black, above c - 0.5 + (w - 1) / 2 white.
        ({"WindowCenter": 2000.5, "WindowWidth": 2001}, [[0, 0], [128, 255]]),
        ({"WindowCenter": [2000.5, 9], "WindowWidth": [2001, 9]}, [[0, 0], [128, 255]]),
        (
            {"WindowCenter": 2000, "WindowWidth": 4000, "VOILUTFunction": "LINEAR_EXACT"},
            [[0, 64], [128, 255]],
        ),
        (
            {"WindowCenter": 2000, "WindowWidth": 4000, "VOILUTFunction": "SIGMOID"},
            [[30, 69], [128, 225]],  # 255 / (1 + exp(2)), 255 / (1 + exp(1)), ...
        ),
        (
            {
                "WindowCenter": 2000.5,
                "WindowWidth": 2001,
                "PhotometricInterpretation": "MONOCHROME1",
            },
            [[255, 255], [128, 0]],
        ),
    ],
)
def test_a_dicom_window_makes_8_bits(tmp_path, tags, expected):
    path = dicom(tmp_path / "a.dcm", VALUES, **tags)
    assert measure_depth(path).dtype == "uint8"
    assert np.abs(read_image(path)[..., 0].astype(int) - expected).max() <= 1


def test_the_first_frame_of_a_dicom_file_is_read(tmp_path):
    frames = np.stack([VALUES, VALUES[::-1]])
    path = dicom(tmp_path / "a.dcm", frames)
    assert read_image(path, ToRgb(PixelRange(0, 4000)))[..., 0].tolist() == [[0, 64], [128, 255]]


def test_heic_has_about_the_pixels_that_were_saved(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="an extra: make install EXTRAS=heic")
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    image = Image.fromarray(np.stack([ramp, ramp.T, 255 - ramp], axis=2))
    heif.from_pillow(image).save(tmp_path / "a.HEIC", quality=95)
    pixels = read_image(tmp_path / "a.HEIC")
    assert np.abs(pixels.astype(int) - np.asarray(image)).mean() < 4


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (3, 4, 5), (1, 4, 5), (4, 5, 4)])
def test_arrays_have_their_channels_first_or_last(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    if shape == (4, 5, 4):
        array[..., 3] = 255
    np.save(tmp_path / "a.npy", array)
    pixels = read_image(tmp_path / "a.npy")
    assert pixels.shape == (4, 5, 3)
    last = np.moveaxis(array, 0, 2) if shape in ((3, 4, 5), (1, 4, 5)) else array
    last = last if last.ndim == 3 else last[..., None]
    assert np.array_equal(pixels, np.broadcast_to(last[..., :3], (4, 5, 3)))


def test_arrays_of_numbers_are_scaled_by_the_data_sets_range(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0.0, 0.5], [1.0, np.nan]]))
    assert measure_depth(tmp_path / "a.npy").dtype == "float64"
    found = decode(tmp_path / "a.npy", ToRgb(PixelRange(0, 1)))
    assert found.pixels[..., 0].tolist() == [[0, 128], [255, 0]]
    assert found.remarks == ("not finite",)
    np.save(tmp_path / "b.npy", np.array([[True, False]]))
    assert read_image(tmp_path / "b.npy")[..., 0].tolist() == [[255, 0]]


@pytest.mark.parametrize(
    "content",
    [np.zeros(3), np.zeros((2, 2, 2, 2)), np.zeros((0, 3)), np.array([["a"]]), None],
    ids=["line", "stack", "empty", "text", "no array"],
)
def test_what_is_no_image_is_refused_by_name(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(b"no array") if content is None else np.save(path, content)
    with pytest.raises(UserError, match=r"a\.npy: cannot be decoded"):
        read_image(path)


def test_a_pickle_in_an_array_is_not_run(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"cannot be decoded .*allow_pickle"):
        read_image(tmp_path / "a.npy")


def test_a_library_that_is_not_there_is_named(tmp_path, monkeypatch):
    def absent(path):
        raise ImportError("No module named 'pydicom'")

    monkeypatch.setitem(readers.READERS, ".dcm", absent)
    monkeypatch.setitem(readers.EXTRAS, absent, "dicom")
    with pytest.raises(UserError, match="make install EXTRAS=dicom"):
        read_image(tmp_path / "a.dcm")


def test_bands_are_counted_from_1_in_arrays_with_channels_first_or_last(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (8, 9, 5)).astype(np.uint8)
    np.save(tmp_path / "last.npy", array)
    np.save(tmp_path / "first.npy", np.moveaxis(array, 2, 0))
    Image.fromarray(array[..., :3]).save(tmp_path / "a.png")
    for name in ("last.npy", "first.npy"):
        pixels = read_image(tmp_path / name, ToRgb(bands=(4, 1, 5)))
        assert np.array_equal(pixels, array[..., [3, 0, 4]])
        grey = read_image(tmp_path / name, ToRgb(bands=(5,)))
        assert np.array_equal(grey, np.repeat(array[..., [4]], 3, axis=2))
    swapped = read_image(tmp_path / "a.png", ToRgb(bands=(3, 2, 1)))
    assert np.array_equal(swapped, array[..., [2, 1, 0]])
    palette = Image.fromarray(array[..., :3]).quantize(16)
    palette.save(tmp_path / "p.png")
    swapped = read_image(tmp_path / "p.png", ToRgb(bands=(3, 2, 1)))
    assert np.array_equal(swapped, np.asarray(palette.convert("RGB"))[..., ::-1])
    with pytest.raises(UserError, match=r"a\.png: 3 bands, but `data\.bands` names 4"):
        read_image(tmp_path / "a.png", ToRgb(bands=(4, 2, 1)))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_bands_of_a_tiff_are_chosen_and_scaled(tmp_path, planar):
    tifffile = pytest.importorskip("tifffile", reason="an extra: make install EXTRAS=tiff")
    array = np.arange(8 * 9 * 13, dtype=np.uint16).reshape(8, 9, 13)
    stored = array if planar == "contig" else np.moveaxis(array, 2, 0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    bands = (4, 3, 13)
    depth = measure_depth(path, bands)
    assert depth.dtype == "uint16"
    assert 2 <= depth.low < depth.high <= array.max()
    pixels = read_image(path, ToRgb(PixelRange(0, 1000), bands))
    assert np.array_equal(pixels, (array[..., [3, 2, 12]] / 1000 * 255 + 0.5).astype(np.uint8))


def test_other_bands_are_other_images_of_one_index_each(tmp_path):
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).random((20, 20, 4)) * 9)
    workspace, names = Workspace(tmp_path, "it"), ["a.npy", "b.npy", "c.npy"]
    digests = {
        bands: refresh_index(workspace.image_index(bands), tmp_path, names, bands=bands).digest
        for bands in [(1, 2, 3), (3, 2, 1), (4,)]
    }
    assert len({*digests.values()}) == 3
    again = refresh_index(workspace.image_index((4,)), tmp_path, names, bands=(4,))
    assert again.digest == digests[4,]
    assert again.to_rgb((4,)).bands == (4,)
