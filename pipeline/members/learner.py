"""A learner as a member: fitted on its blocks' rows of one fold."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.config.members import STACKED
from pipeline.config.schema import Learner
from pipeline.core.numerics import log_scale
from pipeline.core.runtime import stream_seed
from pipeline.learners import fit as learners
from pipeline.learners.fit import FittedLearner, keeps_halves
from pipeline.learners.fit_transformed import fit_transformed
from pipeline.learners.half_rows import BlockRows, parts_of
from pipeline.members.member import FoldData, inner_groups
from pipeline.project import Project

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LearnerMember:
    """A `Member` whose settings are a `Learner`'s."""

    project: Project
    name: str
    resumes_from: ClassVar[tuple[str, ...]] = ()

    @property
    def settings(self) -> Learner:
        """The config's, its seed filled in."""
        return self.project.member(self.name)

    def fit(self, data: FoldData, folder: Path) -> tuple[list[str], dict[str, Any]]:
        """Fit on the fold's rows, by a search where the config asks for one."""
        blocks = self.project.blocks(self.name)
        if data.stacked is not None:
            blocks[STACKED] = data.stacked
        seed = stream_seed(self.settings.seed, "learner", self.name, data.fold)
        fitted = self.fit_rows(data, blocks, seed=seed)
        files = fitted.save(folder)
        if not (found := fitted.searched):
            return files, {}
        log.info(
            "search: %d trials%s in %.0fs, loss %.4f, before %.4f: %s",
            found["trials"],
            " (out of time)" if found["out_of_time"] else "",
            found["seconds"],
            found["loss"],
            found["loss_before"],
            found["chosen"],
        )
        return files, {"searched": found}

    def fit_rows(
        self, data: FoldData, blocks: dict[str, np.ndarray], *, seed: int
    ) -> FittedLearner:
        """Fit on a fold's rows; metadata is encoded without those held out.

        Args:
            blocks: by name, each (N + N_test, V, D).
        """
        metadata = self.project.metadata(self.name, held_out=data.held_out)
        read = {name: BlockRows(block, data.rows) for name, block in blocks.items()}
        if not keeps_halves(self.settings, read) or self.settings.search is not None:
            read = {name: block[data.rows] for name, block in blocks.items()}
        rows = (
            read,
            data.targets,
            data.weights,
            None if metadata is None else metadata[data.rows],
            inner_groups(self.project, data.rows),
        )
        labelled = np.arange(len(data.rows)) < len(data.rows) - data.num_pseudo_labelled
        return fit_transformed(
            *(self.settings, rows, self.project.task),
            transform=self.project.transform_of(
                data.targets[labelled], stacks=data.stacked is not None
            ),
            row_error=self.project.row_error,
            labelled=labelled,
            seed=seed,
        )

    def predict(self, fold: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows from their blocks, and from what the learners that it stacks predict."""
        learner = learners.load(self.project.workspace.fold(self.name, fold))
        blocks = self.project.blocks(self.name)
        held_out = np.flatnonzero(self.project.folds.held_out(fold))
        metadata = self.project.metadata(self.name, held_out=held_out)
        parts = [
            self._predict_part(learner, fold, rows[part], blocks, metadata)
            for part in parts_of(len(rows), sum(math.prod(of.shape[1:]) for of in blocks.values()))
        ]
        values, each = zip(*parts, strict=True)
        return np.concatenate(values), np.concatenate(each, axis=1)

    def _predict_part(
        self,
        learner: FittedLearner,
        fold: int,
        rows: np.ndarray,
        of_all: dict[str, np.ndarray],
        metadata: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        project, tta = self.project, self.project.config.tta
        metadata = None if metadata is None else metadata[rows]
        blocks = {name: np.asarray(BlockRows(block, rows)) for name, block in of_all.items()}
        if stacks := self.settings.stacks:
            stacked = [LearnerMember(project, name).predict(fold, rows)[0] for name in stacks]
            blocks[STACKED] = stacked_block(project, stacked)
        values = learner.predict(blocks, metadata=metadata, average=tta.average)
        if len(tta.views) == 1:
            return values, values[None]
        each = [
            learner.predict(
                {name: block[:, [view]] for name, block in blocks.items()}, metadata=metadata
            )
            for view in range(len(tta.views))
        ]
        return values, np.stack(each)


def stacked_block(project: Project, predictions: list[np.ndarray]) -> np.ndarray:
    """Return predictions (n, C) of S stacked learners as a block, the same beside each view.

    Returns:
        (n, V, S * C): logarithms of probabilities, log odds for multilabel, values for regression.
    """
    columns = log_scale(np.concatenate(predictions, axis=1), project.task)
    return np.repeat(columns[:, None], len(project.config.tta.views), axis=1)
