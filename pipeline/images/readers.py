"""Readers of files that Pillow does not open, by their ending: DICOM, HEIC, NumPy arrays, bands.

Some libraries are extras: `make install EXTRAS=dicom,heic,tiff`. A reader returns
(H, W), (H, W, 3) or (H, W, 4); uint8 is taken as it is, other types are scaled like images of
more than 8 bits.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import UserError, first_line

CHANNELS = (1, 3, 4)


def read_dicom(path: Path) -> np.ndarray:
    """Read the first frame of a DICOM file.

    Grey values get their rescale slope and intercept. Where the file names a window, they become
    8 bits by the first one (DICOM PS3.3, C.11.2.1.2); MONOCHROME1 is inverted.
    """
    from pydicom import dcmread
    from pydicom.pixels import apply_rescale, pixel_array

    file = dcmread(path)
    pixels = pixel_array(file)
    if int(file.get("NumberOfFrames") or 1) > 1:
        pixels = pixels[0]
    if pixels.ndim == 3:
        return pixels
    values = apply_rescale(pixels, file).astype(np.float32)
    is_inverted = file.PhotometricInterpretation == "MONOCHROME1"
    if file.get("WindowCenter") is None or file.get("WindowWidth") is None:
        return values.max() - values + values.min() if is_inverted else values
    centre, width = (_first(file[name].value) for name in ("WindowCenter", "WindowWidth"))
    shares = _windowed(values, centre, width, str(file.get("VOILUTFunction", "LINEAR")))
    return np.rint(255 * (1 - shares if is_inverted else shares)).astype(np.uint8)


def _first(value: object) -> float:
    """Return a number, or the first of several."""
    return float(np.atleast_1d(np.asarray(value, dtype=float))[0])


def _windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Return the brightness of values in a window, in [0, 1]."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR":
        centre, width = centre - 0.5, max(width - 1, 1e-6)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def read_heic(path: Path) -> np.ndarray:
    """Read the primary image of a HEIC file, upright, in 8 bits."""
    from pillow_heif import open_heif

    return np.asarray(open_heif(path).to_pillow())


def read_array(path: Path) -> np.ndarray:
    """Read a NumPy array of one image; the channels may come first or last."""
    array = np.load(path, allow_pickle=False)
    if array.ndim == 3 and array.shape[2] not in CHANNELS and array.shape[0] in CHANNELS:
        array = np.moveaxis(array, 0, 2)
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in CHANNELS)
    if not is_image or not array.size or array.dtype.kind not in "buif":
        raise ValueError(
            f"{array.dtype} {array.shape}; expected numbers (H, W), (H, W, C) or (C, H, W) with C "
            f"of {', '.join(map(str, CHANNELS))}"
        )
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return array.astype(np.uint8) * 255 if array.dtype.kind == "b" else array


def read_tiff(path: Path) -> np.ndarray:
    """Read the first image of a TIFF file with any number of bands: (H, W) or (H, W, C)."""
    from tifffile import TiffFile

    with TiffFile(path) as file:
        series = file.series[0]
        array, axes = series.asarray(), series.axes
    first = next((axis for axis in axes if axis not in "YX"), None)
    if not {*"YX"} <= {*axes} or len(axes) > 3:
        raise ValueError(f"axes {axes} {array.shape}; expected an image, or one with bands")
    return array if first is None else np.moveaxis(array, axes.index(first), 2)


def read_bands(path: Path, bands: tuple[int, ...]) -> np.ndarray:
    """Read bands of an image with any number of them.

    Args:
        bands: of red, green and blue, or of grey, counted from 1, as GDAL does.
    Returns:
        (H, W, 3), or (H, W) for one band.
    Raises:
        UserError: see `read_by_ending`; or if the file has fewer bands.
    """
    array = _read(path, READERS_OF_BANDS.get(path.suffix.lower(), _read_colours))
    count = array.shape[2] if array.ndim == 3 else 1
    if max(bands) > count:
        raise UserError(f"{path}: {count} bands, but `data.bands` names {max(bands)}.")
    chosen = array[..., None] if array.ndim == 2 else array
    chosen = chosen[..., [band - 1 for band in bands]]
    return chosen[..., 0] if len(bands) == 1 else chosen


def _read_colours(path: Path) -> np.ndarray:
    """Read a file that Pillow opens; a palette's numbers are no bands, their colours are."""
    with Image.open(path) as image:
        colours = image.convert("RGB") if image.mode in ("P", "PA") else image
        return np.asarray(ImageOps.exif_transpose(colours))


def _read_many_channels(path: Path) -> np.ndarray:
    """Read a NumPy array of one image; the fewer are the channels, not the rows."""
    array = np.load(path, allow_pickle=False)
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "uif":
        raise ValueError(f"{array.dtype} {array.shape}; expected numbers (H, W, C) or (C, H, W)")
    return np.moveaxis(array, 0, 2) if array.ndim == 3 and len(array) < array.shape[2] else array


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".dcm": read_dicom,
    ".dicom": read_dicom,
    ".heic": read_heic,
    ".heif": read_heic,
    ".npy": read_array,
}
READERS_OF_BANDS = READERS | {".npy": _read_many_channels, ".tif": read_tiff, ".tiff": read_tiff}
EXTRAS = {read_dicom: "dicom", read_heic: "heic", read_tiff: "tiff"}


def read_by_ending(path: Path) -> np.ndarray | None:
    """Read a file that has a reader here; None for others.

    Raises:
        UserError: if the file or the library is not there, or the file cannot be read.
    """
    reader = READERS.get(path.suffix.lower())
    return None if reader is None else _read(path, reader)


def _read(path: Path, reader: Callable[[Path], np.ndarray]) -> np.ndarray:
    try:
        return reader(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such image.") from None
    except ImportError:
        raise UserError(
            f"{path}: reading it needs a library: make install EXTRAS={EXTRAS.get(reader, '')}."
        ) from None
    except Exception as error:  # of any kind: libraries' own, for damaged files
        raise UserError(
            f"{path}: cannot be decoded ({first_line(error)}). Replace the file or drop its row."
        ) from None
