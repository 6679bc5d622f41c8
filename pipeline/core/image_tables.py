"""Images inside tables and HDF5 files, as files: `train.parquet/image/{id}`, `train.h5/{id}`.

A Parquet file or CSV becomes a folder: rows.csv with its other cells, and a folder for each column
of images (bytes, or base64 in text), named by the id column. An HDF5 file becomes a folder with a
file for each dataset: bytes of an image as they are, numbers as .npy.
"""

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from pipeline.errors import UserError, first_line

TABLES = (".parquet", ".csv")
HDF5 = (".h5", ".hdf5")
ROWS = "rows.csv"
BEGINNINGS = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"RIFF": ".webp",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
Member = tuple[str, int, IO[bytes]]  # name, size in bytes, content


def holds_images(name: str) -> bool:
    """Return whether a file may hold images in its cells or datasets, by its name."""
    return name.lower().endswith((*TABLES, *HDF5))


def members_of(path: Path, id_column: str) -> Iterator[Member]:
    """Yield the files that a table or an HDF5 file becomes.

    Raises:
        UserError: for a file that is not readable, or holds no images.
    """
    read = _of_hdf5 if path.suffix.lower() in HDF5 else _of_table
    try:
        for name, content in read(path, id_column):
            yield name, len(content), io.BytesIO(content)
    except (ValueError, OSError, KeyError) as error:  # libraries' own are of these
        raise UserError(
            f"{path}: not readable as {path.suffix[1:].upper()} ({first_line(error)}). Download it "
            "again."
        ) from None


def _of_table(path: Path, id_column: str) -> Iterator[tuple[str, bytes]]:
    rows = _read_table(path)
    if id_column not in rows:
        raise UserError(
            f"{path}: no column {id_column!r} (data.id), which names its images; it has "
            f"{list(rows)}."
        )
    columns = [name for name in rows if _bytes_in(rows[name]) is not None]
    if not columns:
        raise UserError(
            f"{path}: no column holds images, as bytes or base64; it has {list(rows)}. Columns of "
            "single pixels are not read: write .npy files, and name their folder."
        )
    yield ROWS, rows.drop(columns=columns).to_csv(index=False).encode()
    for name in columns:
        for row_id, cell in zip(rows[id_column].astype(str), rows[name], strict=True):
            if content := _content(cell):
                yield f"{name}/{_named(row_id, content)}", content


def _read_table(path: Path) -> pd.DataFrame:
    """Read a CSV as text, or a Parquet file."""
    if path.suffix.lower() == ".csv":
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    try:
        return pd.read_parquet(path)
    except ImportError:
        raise UserError(
            f"{path}: reading it needs a library: make install EXTRAS=parquet."
        ) from None


def _bytes_in(cells: pd.Series) -> bytes | None:
    """Return the first image of a column; None where it holds none."""
    given = next((cell for cell in cells if cell is not None and len(np.atleast_1d(cell))), None)
    content = _content(given)
    return content if content and _ending(content) else None


def _content(cell: Any) -> bytes:
    """Return a cell's bytes: as they are, in base64, or under `bytes` (as `datasets` writes)."""
    if isinstance(cell, dict):
        cell = cell.get("bytes")
    if isinstance(cell, str):
        text = cell.rpartition("base64,")[2]  # of a data URL
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            return b""
    return bytes(cell) if isinstance(cell, bytes | bytearray | memoryview) else b""


def _of_hdf5(path: Path, _: str) -> Iterator[tuple[str, bytes]]:
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path}: reading it needs a library: make install EXTRAS=hdf5.") from None
    with h5py.File(path) as opened:
        names: list[str] = []
        opened.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        for name in names:
            yield from _of_dataset(name, opened[name])


def _of_dataset(name: str, dataset: Any) -> Iterator[tuple[str, bytes]]:
    """Yield an image's bytes, an array as .npy, or each of a stack of arrays by its number."""
    if dataset.ndim == 4:
        for number in range(len(dataset)):
            yield f"{name}/{number}.npy", _as_npy(dataset[number])
        return
    value = dataset[()]
    content = b"" if isinstance(value, str) else np.asarray(value).tobytes()
    if _ending(content):
        yield _named(name, content), content
    elif np.ndim(value) in (2, 3) and np.asarray(value).dtype.kind in "buif":
        yield f"{name}.npy", _as_npy(np.asarray(value))


def _as_npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _named(name: str, content: bytes) -> str:
    """Return a file's name with the ending of its content, where it has none."""
    ending = _ending(content)
    return name if name.lower().endswith(ending) else f"{name}{ending}"


def _ending(content: bytes) -> str:
    """Return the ending that an image's first bytes stand for; empty for other bytes."""
    return next((end for begin, end in BEGINNINGS.items() if content.startswith(begin)), "")
