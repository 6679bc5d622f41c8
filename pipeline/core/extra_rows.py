"""Rows that members learn from and that are never held out or scored, such as external data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.schema import Data, Extra, Scale, Task
from pipeline.core.class_folders import rows_of_class_folders
from pipeline.core.csv_files import offered, read_csv
from pipeline.core.image_files import columns_in_braces
from pipeline.core.scale import to_scale
from pipeline.core.targets import bad_weights, encode_targets, examples
from pipeline.errors import did_you_mean


@dataclass(frozen=True)
class ExtraRows:
    """Training-only rows of one source.

    Attributes:
        table: (E, columns) cells as text.
        templates: of their images' paths.
        targets: (E, C) as those of training rows.
        weights: (E,).
        task: whose target columns they have.
        data: whose metadata columns they have.
    """

    table: pd.DataFrame
    templates: list[str]
    targets: np.ndarray
    weights: np.ndarray
    task: Task
    data: Data

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def cells(self) -> Mapping[str, list[str]]:
        """Return what a model depends on besides images."""
        data, columns = self.data, self.task.targets
        columns = [
            *columns,
            *data.numeric,
            *data.categorical,
            *([data.group] if data.group else []),
        ]
        cells = {name: self.table[name].tolist() for name in columns if name in self.table}
        return cells | {"weights": self.weights.tolist()}

    @property
    def groups(self) -> np.ndarray:
        """Return (E,) cells of `data.group`; blank where there are none."""
        if self.data.group is None or self.data.group not in self.table:
            return np.full(len(self), "")
        return np.char.strip(self.table[self.data.group].to_numpy(dtype=str))

    def on_scale(self, scale: Scale) -> "ExtraRows":
        """Return the rows with targets on another scale than their own unit."""
        return replace(self, targets=to_scale(self.targets, scale))

    def take(self, rows: np.ndarray) -> "ExtraRows":
        """Return some of the rows, by position."""
        table = self.table.iloc[rows].reset_index(drop=True)
        return replace(self, table=table, targets=self.targets[rows], weights=self.weights[rows])


def read_extra(
    folder: Path,
    extra: Extra,
    data: Data,
    task: Task,
    classes: tuple[str, ...],
    problems: list[str],
    notes: list[str],
) -> ExtraRows | None:
    """Read the rows of `data.extra`; return None, and add to `problems` why, where that fails."""
    path, templates = folder / extra.rows, extra.templates
    if path.is_dir():
        table = rows_of_class_folders(path, data.id, task.targets[0], problems, but=path)
    elif path.exists():
        form = {"separator": data.csv_separator, "encoding": data.csv_encoding}
        read = read_csv(path, problems, notes, **form)
        table = None if read is None else read.rows
    else:
        problems.append(f"{path}: no such file (data.extra).{offered(path, 'data.extra.rows')}")
        return None
    if table is None:
        return None
    named = [name for template in templates for name in columns_in_braces(template)]
    wanted = [*task.targets, *data.numeric, *data.categorical, *named]
    if absent := [name for name in dict.fromkeys(wanted) if name not in table]:
        near = did_you_mean(absent[0], table.columns, list_all=False) or "."
        problems.append(
            f"{path}: no column {examples(absent)} (data.extra); it has {list(table)}{near}"
        )
        return None
    targets = _targets_of(table, task, classes, path, problems)
    weights = np.full(len(table), extra.weight)
    if data.weight in table:
        found = list(bad_weights(table[data.weight], path))
        problems += found
        weights *= 1.0 if found else pd.to_numeric(table[data.weight]).to_numpy(dtype=float)
    notes.append(
        f"{len(table)} rows of {extra.rows} are learnt from, and never held out or scored "
        "(data.extra)"
    )
    return ExtraRows(table, templates, targets, weights, task, data)


def _targets_of(
    table: pd.DataFrame, task: Task, classes: tuple[str, ...], path: Path, problems: list[str]
) -> np.ndarray:
    """Return targets (E, C) of the training rows' classes; add other labels to `problems`."""
    if not task.is_regression and len(task.targets) == 1:
        cells = table[task.targets[0]]
        labels = cells.str.split(task.separator).explode() if task.is_multilabel else cells
        if unknown := sorted({label for label in labels if label.strip()} - {*classes}):
            problems.append(
                f"{path}: labels that no training row has: {examples(unknown)}. Leave these rows "
                "out of a copy and name that in `data.extra.rows`."
            )
            return np.zeros((len(table), len(classes)))
        task = task.model_copy(update={"classes": list(classes)})
    numbers = pd.Series([f"row {row + 1}" for row in range(len(table))])
    return encode_targets(table, task, path, problems, ids=numbers)[1]
