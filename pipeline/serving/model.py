"""Model: the members and the blend of a submission, ready to predict new images."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.schema import External, Learner
from pipeline.core.member_predictions import MemberPredictions
from pipeline.core.sample import with_sample_names
from pipeline.core.scale import from_scale
from pipeline.core.targets import examples
from pipeline.ensembles.choice import mean_by_fold
from pipeline.ensembles.contestants import cross_fit_members, single
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.ensembles.fitting import BlendFitting
from pipeline.errors import UserError
from pipeline.project import Project
from pipeline.serving.given import GivenRows, Images, read_given
from pipeline.serving.new_rows import NewRows, predict_layers
from pipeline.submission.writing import submitted_cells

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # between out-of-fold predictions of the submission and of the blend fitted again
CHUNK = 1024  # rows whose features and resized images are there at a time


@dataclass(frozen=True)
class Model:
    """The blend of a submission, or one of its members.

    Attributes:
        predictions: the members' out of fold, which the blend is fitted to.
        by_fold: K, names of the blends that each fold takes the mean of.
        fitted: the blend, as it made the submission; its `oof` are the training rows' predictions.
        submission: its name.
        member: the only one; None for the blend.
    """

    project: Project
    predictions: MemberPredictions
    by_fold: list[list[str]]
    fitted: CrossFitted
    submission: str
    member: str | None = None

    @classmethod
    def fit(
        cls,
        project: Project,
        predictions: MemberPredictions,
        by_fold: list[list[str]],
        *,
        submission: str,
        member: str | None = None,
    ) -> "Model":
        """Fit a submission's blends again, to the same predictions and with the same seeds.

        Fitted blends are not kept: to fit them takes seconds, and to read functions runs code.

        Args:
            by_fold: may name a member, which stands alone.
        """
        names, fitting = list(project.config.members), BlendFitting.of(project)
        fits = {
            name: single(project, predictions, names.index(name))
            if name in names
            else cross_fit_members(project, name, predictions, fitting)
            for name in {name for of_fold in by_fold for name in of_fold}
        }
        fitted = mean_by_fold(fits, by_fold, project.folds.folds)
        return cls(project, predictions.without_test(), by_fold, fitted, submission, member)

    def __repr__(self) -> str:
        return f"Model({self.submission!r}, classes={list(self.classes)}, members={self.members})"

    def refuse_external(self) -> None:
        """Refuse members that were predicted elsewhere: new images cannot be.

        Raises:
            UserError: naming them.
        """
        settings = self.project.config.members
        if external := [name for name in self.members if isinstance(settings[name], External)]:
            raise UserError(
                f"members {examples(external)}: their predictions were made elsewhere, so new "
                'images cannot be predicted. Say member="NAME" for one that was trained here, or '
                'make a submission without them: SET="members.NAME=null".'
            )

    def warn_of_other_fit(self, oof: np.ndarray, where: Path) -> None:
        """Log it if the blend is not the submission's, whose out-of-fold predictions are (N, C)."""
        scale = np.abs(oof).max() if self.project.task.is_regression else 1.0
        difference = np.abs(self.fitted.oof - oof).max() / scale
        if difference > TOLERANCE:
            log.warning(
                "%s: the blend, fitted again, differs from the submission's by up to %.1g out of "
                "fold: another version of a library, or of the pipeline, fitted it",
                *(where, difference),
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of predictions: classes, levels, or target columns."""
        return self.project.competition.classes

    @property
    def prior(self) -> np.ndarray:
        """(M, C) the mean of each member's out-of-fold predictions."""
        return self.predictions.oof.mean(axis=1)

    @property
    def members(self) -> list[str]:
        """Names of the members that predictions are made by."""
        names = zip(self.project.config.members, self.fitted.uses, strict=True)
        return [name for name, is_used in names if is_used]

    def predict(self, images: Images, *, folder: str | Path | None = None) -> pd.DataFrame:
        """Predict new images, as test images were predicted for the submission.

        The numbers are those of the submission's probabilities (NAME.test.npz), or of the mean of
        the member's test.npz, within 1e-5: images are computed in other batches. A blend by ranks
        (`rank_average`) depends on all images of a call.

        Args:
            images: paths, uint8 arrays (H, W, 3) in RGB, or a DataFrame with the columns of
                test.csv (read with dtype=str where ids begin with zeros), which learners on
                metadata columns need.
            folder: where `data.test_images` starts, for a DataFrame; default: input/<competition>.
        Returns:
            A row for each image, a column for each class (or target, in its own unit). The index
            is the ids of a DataFrame, or the paths.
        Raises:
            UserError: naming every image that cannot be read.

        Example:
            >>> model = pipeline.load("clothing")
            >>> model.predict(["photos/1.jpg", "photos/2.jpg"]).idxmax(axis=1)
        """
        given = self._given(images, folder)
        values = self._blended(given)[0]
        if self.project.task.is_regression:
            values = from_scale(self.project.metric.clip(values), self.project.competition.scale)
        return pd.DataFrame(values, given.index, list(self.classes))

    def decide(self, images: Images, *, folder: str | Path | None = None) -> pd.DataFrame:
        """Return what a submission's cells hold for new images: labels, numbers, or levels.

        Thresholds, cut-points and factors of classes are those that were fitted for the submission.
        They are of each fold's blend, so that this is no function of what `predict` returns. A
        member alone is calibrated and decided as `submission.blend: NAME` would submit it.

        Args:
            images, folder: as `predict` takes them.
        Returns:
            A row for each image, the columns of sample_submission.csv without the id.

        Example:
            >>> pipeline.load("clothing").decide(["photos/1.jpg"])["label"]
        """
        given, project = self._given(images, folder), self.project
        cells = submitted_cells(
            self._blended(given)[1],
            competition=project.competition,
            metric=project.metric,
            form=project.form,
            settings=project.config.submission,
        )
        table = pd.DataFrame(cells, given.index)
        return with_sample_names(table, project.competition.data, project.config.submission)

    def _given(self, images: Images, folder: str | Path | None) -> GivenRows:
        settings = [self.project.config.members[name] for name in self.members]
        return read_given(
            images,
            self.project.competition,
            folder=Path(folder or self.project.competition.folder).expanduser().absolute(),
            metadata=any(isinstance(one, Learner) and one.metadata for one in settings),
        )

    def _blended(self, given: GivenRows) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities or values (n, C), and (n, C) that a submission is made of.

        Raises:
            UserError: for images that cannot be read.
        """
        problems, layers = [], []
        for start in range(0, len(given), CHUNK):
            with self.new_rows(given.take(start, start + CHUNK)) as rows:
                layers.append(np.stack([predict_layers(rows, name) for name in self.members]))
            problems += rows.new_images.unreadable.values()
        if problems:
            raise UserError("\n".join(problems))
        if not layers:
            return np.empty((0, len(self.classes))), np.empty((0, len(self.classes)))
        values = np.concatenate(layers, axis=2)
        blended, submitted = self.apply(values)
        return (blended if self.member is None else values[0].mean(axis=0)), submitted

    def apply(self, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blend predictions of `members`: (n, C), and (n, C) that a submission is made of.

        Args:
            layers: (m, K, n, C) of each fold's model.
        """
        oof = self.predictions.oof
        all_members = np.broadcast_to(self.prior[:, None, None], (len(oof), *layers.shape[1:]))
        all_members = all_members.copy()
        all_members[self.fitted.uses] = layers
        return self.fitted.apply(all_members)

    @contextlib.contextmanager
    def new_rows(self, given: GivenRows, *, views: list[str] | None = None) -> Iterator[NewRows]:
        """Yield new rows for members to predict; their resized images are removed afterwards.

        Args:
            views: in place of the config's.
        """
        project = self.project
        if views is not None:
            tta = project.config.tta.model_copy(update={"views": views})
            config = project.config.model_copy(update={"tta": tta})
            project = replace(project, config=config, other_folds=project.folds)
        # Paths of weights may start at the root.
        with contextlib.chdir(project.workspace.root), tempfile.TemporaryDirectory() as folder:
            yield NewRows.of(project, given, Path(folder))
