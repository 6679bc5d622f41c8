"""Predictions with their metadata: ids, classes, folds' digest, metric, how they were made.

Law 2: joins are by id, and a mismatch is refused with what differs.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.competition import Scale
from pipeline.core.artifacts import replacing
from pipeline.errors import DAMAGED_ARCHIVE, UserError

ENTRIES = {"ids", "values", "classes", "folds", "meta"}  # of the file


@dataclass(frozen=True)
class Predictions:
    """A member's predictions for some rows.

    Attributes:
        ids: (N,) row ids as strings, unique.
        values: (N, C), or (K, N, C) for test rows, one layer per fold's model. Probabilities for
            every task but regression, where they are values in the target's unit or, if `meta` has
            a `scale`, on that.
        classes: C names: classes, levels (ordinal), or target columns (multilabel, regression).
        folds: (N,) the fold that held the row out; None for test rows.
        meta: competition, member, metric, folds_digest, views, fingerprint and the like.
    """

    ids: np.ndarray
    values: np.ndarray
    classes: tuple[str, ...]
    folds: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows, columns = self.values.shape[-2:]
        assert rows == len(self.ids), "one row of values per id"
        assert columns == len(self.classes), "one column of values per class"
        assert self.folds is None or len(self.folds) == rows, "one fold per row"

    @property
    def scale(self) -> Scale:
        """Return the scale that values are on, see `core.scale`."""
        return self.meta.get("scale", "none")

    def save(self, path: Path) -> None:
        """Write an .npz, whole or not at all."""
        arrays = {
            "ids": self.ids.astype(str),
            "values": self.values,
            "classes": np.array(self.classes, dtype=str),
            "meta": np.array(json.dumps(self.meta, sort_keys=True)),
        }
        if self.folds is not None:
            arrays["folds"] = self.folds
        with replacing(path) as temporary:
            with open(temporary, "wb") as stream:
                np.savez(stream, **arrays)

    def in_order_of(self, ids: np.ndarray, *, where: str = "predictions") -> "Predictions":
        """Return the predictions with rows in the order of `ids` (N,), joined by id.

        Raises:
            UserError: if the two sets of ids differ, with examples of what differs.
        """
        wanted, present = set(ids.tolist()), set(self.ids.tolist())
        if wanted != present or len(self.ids) != len(present):
            missing, extra = sorted(wanted - present), sorted(present - wanted)
            raise UserError(
                f"{where}: ids differ from the competition's: {len(missing)} missing "
                f"{missing[:3]}, {len(extra)} unknown {extra[:3]}, "
                f"{len(self.ids) - len(present)} repeated. "
                "It was made from other rows; run `make infer` again."
            )
        position = {row_id: index for index, row_id in enumerate(self.ids.tolist())}
        order = np.array([position[row_id] for row_id in ids.tolist()], dtype=int)
        return replace(
            self,
            ids=self.ids[order],
            values=self.values[..., order, :],
            folds=None if self.folds is None else self.folds[order],
        )


def load(
    path: Path,
    *,
    classes: tuple[str, ...] | None = None,
    scale: Scale | None = "none",
    **expected: Any,
) -> Predictions:
    """Read predictions and refuse those that mean something else than expected.

    Args:
        classes: the class names that the caller expects, in order.
        scale: of a regression's values, that the caller expects; None: any.
        expected: entries that `meta` must have, e.g. folds_digest="...".
    Raises:
        UserError: if the file is missing, unreadable, or its metadata differs.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if unknown := {*arrays.files} - ENTRIES:
                raise ValueError(f"unknown entries {sorted(unknown)}")
            found = Predictions(
                ids=arrays["ids"],
                values=arrays["values"],
                classes=tuple(arrays["classes"].tolist()),
                folds=arrays.get("folds"),
                meta=json.loads(str(arrays["meta"])),
            )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Run `make infer` first.") from None
    except (*DAMAGED_ARCHIVE, ValueError, KeyError, OSError) as error:
        raise UserError(
            f"{path}: not readable as predictions ({error}). Delete it and run `make infer`."
        ) from None
    if classes is not None and found.classes != tuple(classes):
        raise UserError(
            f"{path}: classes {list(found.classes)}, expected {list(classes)}. "
            "The labels changed after training; run `make train infer` again."
        )
    if scale is not None and found.scale != scale:
        raise UserError(
            f"{path}: values are on the scale {found.scale!r}, expected {scale!r} (none: the "
            "target's own unit). `task.transform` or the metric changed; run `make train infer` "
            "again."
        )
    for key, value in expected.items():
        if found.meta.get(key) != value:
            raise UserError(
                f"{path}: {key} is {found.meta.get(key)!r}, expected {value!r}. "
                "It was made with another setting; run `make train infer` again."
            )
    return found


def check_folds(oof: Predictions, folds: np.ndarray, *, where: str) -> None:
    """Refuse out-of-fold predictions whose model may have seen the row (law 3).

    Args:
        folds: (N,) the fold that holds each row out now, in the order of `oof`.
    """
    if oof.folds is None or not np.isfinite(oof.values).all():
        raise UserError(f"{where}: not complete out-of-fold predictions. Run `make infer` again.")
    wrong = np.flatnonzero(oof.folds != folds)
    if wrong.size:
        raise UserError(
            f"{where}: {wrong.size} rows were predicted by a model that may have seen them, e.g. "
            f"{oof.ids[wrong[:3]].tolist()}: held out as fold {oof.folds[wrong[:3]].tolist()} "
            f"then, {folds[wrong[:3]].tolist()} now. "
            "The folds changed; run `make train infer` again."
        )
