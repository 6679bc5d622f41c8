"""What is done to members before any blend: each is calibrated, near-copies are left out."""

from dataclasses import dataclass

import numpy as np

from pipeline.config.schema import Calibrate, Kind
from pipeline.ensembles.calibration import Calibration, fit_calibration
from pipeline.ensembles.diversity import error_correlation, originals


@dataclass(frozen=True)
class Preparation:
    """Fitted calibrations and the choice of members.

    Attributes:
        calibrations: M functions (N, C) -> (N, C).
        first: (M,) the member that each is a copy of; itself if it is kept.
    """

    calibrations: tuple[Calibration, ...]
    first: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """(M,) whether a member takes part."""
        return self.first == np.arange(len(self.first))

    def __call__(self, members: np.ndarray) -> np.ndarray:
        """Members (M, N, C) as blends see them: those kept, calibrated."""
        kept = np.flatnonzero(self.kept)
        return np.stack([self.calibrations[m](members[m]) for m in kept])

    def shares(self, weights: np.ndarray | None) -> np.ndarray | None:
        """Weights (kept,) as weights (M,): 0 for what was left out."""
        if weights is None:
            return None
        shares = np.zeros(len(self.first))
        shares[self.kept] = weights
        return shares


def prepare(
    members: np.ndarray,
    targets: np.ndarray,
    *,
    calibrate: Calibrate,
    prune: bool,
    kind: Kind,
    levels: np.ndarray | None,
) -> Preparation:
    """Fit the calibration of each member (M, N, C), and find copies among what it makes of them.

    Args:
        prune: whether copies are left out.
    """
    calibrations = tuple(
        fit_calibration(calibrate, values, targets, kind=kind, levels=levels) for values in members
    )
    if not prune:
        return Preparation(calibrations, np.arange(len(members)))
    calibrated = np.stack([fit(values) for fit, values in zip(calibrations, members, strict=True)])
    return Preparation(calibrations, originals(error_correlation(calibrated, targets)))
