"""New images as rows of a project, so that members predict them by the code of the stages."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from pipeline.backbones.device import Hardware
from pipeline.backbones.extraction import finite_features, prepare_frozen
from pipeline.core.folds import ALL_ROWS
from pipeline.core.row_images import RowImages
from pipeline.core.runtime import num_threads
from pipeline.errors import UserError
from pipeline.images.cache import ImageCache
from pipeline.images.cache_building import build_cache
from pipeline.images.decoding import GREY, ImageFiles, PixelRange, ToRgb
from pipeline.members.get_member import predict_rows
from pipeline.project import Project
from pipeline.serving.given import GivenRows


@dataclass(frozen=True)
class ReadableImages(ImageFiles):
    """Image files of which those that cannot be read are grey, and noted.

    Attributes:
        unreadable: position of an image: why.
    """

    unreadable: dict[int, str] = field(default_factory=dict)

    def read(self, position: int) -> np.ndarray:
        """Decode one image into (H, W, 3) uint8 RGB."""
        try:
            return super().read(position)
        except UserError as error:
            self.unreadable[position] = str(error)
            return GREY


@dataclass(frozen=True, kw_only=True)
class NewRows(Project):
    """A project whose rows are new ones, of which nothing is on disk; rows are counted from 0.

    Members' `predict` asks it for features, resized images and metadata columns, and for nothing
    else of its rows.

    Attributes:
        new_images: of n rows, those of a row together.
        given: which of them are a row's.
        folder: for resized images, which the caller removes.
        blocks_made: features (M, V, D) of images by backbone.
    """

    new_images: ReadableImages
    given: RowImages
    folder: Path
    blocks_made: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, project: Project, rows: GivenRows, folder: Path) -> "NewRows":
        """Return a project with other rows in place of the test rows."""
        known = {part.name: getattr(project, part.name) for part in fields(Project)}
        known["competition"] = replace(project.competition, test=rows.table, extra=())
        known["other_folds"] = project.folds
        named = project.config.data.pixel_range
        pixel_range = project.index.pixel_range or (named and PixelRange(*named))
        images = ReadableImages(rows.images, (), ToRgb(pixel_range, project.config.data.bands))
        return cls(**known, new_images=images, given=rows.of_rows, folder=folder)

    @property
    def row_images(self) -> RowImages:
        """Which images are a row's."""
        return self.given

    def image_features(self, backbone: str) -> np.ndarray:
        """Return a backbone's features (M, V, D), computed once."""
        if backbone not in self.blocks_made:
            settings, runtime = self.config.backbones[backbone], self.config.runtime
            hardware = Hardware.of(runtime, trains=False)
            chunk = (tuple(self.config.tta.views), list(range(len(self.new_images.paths))))
            model = prepare_frozen(settings, hardware.device)
            self.blocks_made[backbone] = finite_features(
                model, settings, self.new_images, chunk, hardware
            )
        return self.blocks_made[backbone]

    def cache(self, network: str) -> ImageCache:
        """Return the resized images that a network sees."""
        side = self.cached_side(network)
        folder = self.folder / f"{side}px"
        if folder.exists():
            return ImageCache(folder)
        folder.mkdir()
        return build_cache(
            folder, "new", images=self.new_images, short_side=side, threads=num_threads()
        )

    def metadata(self, learner: str, *, held_out: np.ndarray) -> np.ndarray | None:
        """CSV columns that a learner sees, encoded as for training: (n, P)."""
        encoded = super().metadata(learner, held_out=held_out)
        return None if encoded is None else encoded[self.num_train :]


def models_needed(project: Project, members: Iterable[str]) -> list[tuple[str, int]]:
    """Return name and number of each model that `predict_layers` uses, stacked learners' too."""
    found = {}
    for name in members:
        settings = project.config.members[name]
        numbers = [ALL_ROWS] if settings.all_rows else project.folds.models
        names = (name, *getattr(settings, "stacks", ()))
        found |= {(one, number): None for one in names for number in numbers}
    return list(found)


def predict_layers(rows: NewRows, member: str) -> np.ndarray:
    """Predict new rows with all models of a member, as test rows are submitted: (K, n, C).

    A model of all rows, where there is one, stands for each fold's; of several repeats, a layer is
    the mean.
    """
    folds, positions = rows.folds, np.arange(len(rows.given.counts))
    if rows.config.members[member].all_rows:
        values = predict_rows(rows, member, ALL_ROWS, positions)[0]
        return np.repeat(values[None], folds.num_folds, axis=0)
    by_repeat = [
        [predict_rows(rows, member, fold, positions)[0] for fold in folds.models_in(repeat)]
        for repeat in range(folds.num_repeats)
    ]
    return np.mean(by_repeat, axis=0)
