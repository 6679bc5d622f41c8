"""Losses of many linear models on the same rows: scores, losses and gradients at once."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import expit

from pipeline.learners.solver.leading_axes import LeadingAxes

SMALLEST_CURVATURE = 1e-6

Link = Literal["softmax", "sigmoid", "hinge"]


@dataclass(frozen=True)
class Problems:
    """P problems that differ in row weights and penalties.

    A solution is (P, C, D + 1), its intercepts last; they go without penalty. Products have the
    features' precision, sums over rows float64's.

    Attributes:
        features: (N, D) centred. axes: their leading ones. targets: (C, N) probabilities.
        shares: (P, N) row weights, each problem's sum to 1. penalties: (P,) on the mean loss.
        link: softmax: cross-entropy, one class per row; sigmoid: of C independent columns;
            hinge: squared, of C columns (Chang & Lin 2008, L2-loss SVM).
    """

    features: np.ndarray
    axes: LeadingAxes
    targets: np.ndarray
    shares: np.ndarray
    penalties: np.ndarray
    link: Link

    def of(self, chosen: np.ndarray) -> "Problems":
        """Return some of the problems: a mask or positions."""
        return replace(self, shares=self.shares[chosen], penalties=self.penalties[chosen])

    def constants(self) -> np.ndarray:
        """Return the best solution without features: the targets' prior."""
        prior = np.clip(self.shares @ self.targets.T, 1e-6, 1 - 1e-6)
        solution = np.zeros((*prior.shape, self.features.shape[1] + 1), self.features.dtype)
        if self.link == "hinge":
            solution[:, :, -1] = 2 * prior - 1
        else:
            odds = prior if self.link == "softmax" else prior / (1 - prior)
            solution[:, :, -1] = np.log(odds)
        return solution

    def penalty_of(self, solutions: np.ndarray) -> np.ndarray:
        """Return the penalties' gradient: penalty x solution, 0 for intercepts."""
        pulled = self.penalties.astype(solutions.dtype)[:, None, None] * solutions
        pulled[:, :, -1] = 0
        return pulled

    def scores(self, solutions: np.ndarray) -> np.ndarray:
        """(P, C, N); linear in the solutions."""
        flat = solutions.reshape(-1, solutions.shape[2])
        scores = flat[:, :-1] @ self.features.T
        scores += flat[:, -1:]
        return scores.reshape(*solutions.shape[:2], -1)

    def fits(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean losses (P,), without penalty, and each row's slope in its scores, (P, C, N)."""
        if self.link == "hinge":
            short, over = np.maximum(0, 1 - scores), np.maximum(0, 1 + scores)
            others = 1 - self.targets
            of_rows = (self.targets * short**2 + others * over**2).sum(axis=1)
            slopes = 2 * (others * over - self.targets * short)
        elif self.link == "sigmoid":
            of_rows = (np.logaddexp(0, scores) - self.targets * scores).sum(axis=1)
            slopes = expit(scores) - self.targets
        else:
            top = scores.max(axis=1, keepdims=True)
            slopes = np.exp(scores - top)
            mass = slopes.sum(axis=1, keepdims=True)
            slopes /= mass
            slopes -= self.targets
            of_rows = (np.log(mass) + top)[:, 0] - (self.targets * scores).sum(axis=1)
        return np.sum(self.shares * of_rows, axis=1, dtype=np.float64), slopes

    def gradients(self, slopes: np.ndarray, solutions: np.ndarray) -> np.ndarray:
        """Gradients (P, C, D + 1) of the penalised losses."""
        weighted = (self.shares[:, None] * slopes).reshape(-1, slopes.shape[2])
        gradients = np.append(weighted @ self.features, weighted.sum(axis=1)[:, None], axis=1)
        return gradients.reshape(solutions.shape) + self.penalty_of(solutions)

    def newton_step(self, gradients: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Divide gradients (P, C, D + 1) by the Hessian as if all rows were alike.

        Args:
            slopes: (P, C, N) where the gradients were taken.
        """
        curvatures = np.maximum(self.curvatures(slopes), SMALLEST_CURVATURE)
        steps = self.axes.newton_step(gradients, curvatures, self.penalties)
        if self.link == "softmax":  # the same for all columns changes no prediction
            steps -= steps.mean(axis=1, keepdims=True)
        return steps

    def curvatures(self, slopes: np.ndarray) -> np.ndarray:
        """(P, C) second derivatives of the loss in a column's score, the mean of rows."""
        if self.link == "hinge":
            of_cells = 2 * (slopes != 0).astype(slopes.dtype)
        else:
            probs = slopes + self.targets
            of_cells = probs * (1 - probs)
        return np.einsum("pcn,pn->pc", of_cells, self.shares)


def dots(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(P,) inner products of each problem's arrays, both (P, C, D), as float64."""
    rows = (len(left), 1, -1)
    products = left.reshape(rows) @ right.reshape(rows).swapaxes(1, 2)
    return products[:, 0, 0].astype(np.float64)
