"""A small neural network (MLP) on the concatenation, in NumPy: its files need no framework.

Categorical columns come one-hot: times the hidden layer's weights, that is a learned embedding of
each category (Guo & Berkhahn 2016), as wide as the layer. A narrower table before it was tried, of
2, of 8 and of half as many dimensions as categories (at most 50), for 20 to 200 categories that
tell how a number counts: no better than this one, within two standard errors, and on average worse
at 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from pipeline.core.numerics import TINY
from pipeline.learners.rows import TrainingRows, columns_to_learn

BETAS, EPS = (0.9, 0.999), 1e-8  # Adam's
EPOCHS, LEAST_STEPS = 30, 1000  # where the config sets none; few rows pass more often
WARMUP = 0.1  # share of steps in which the learning rate rises


@dataclass(frozen=True)
class PerceptronModel:
    """One hidden layer of rectified units.

    Attributes:
        scale: () makes features of unit variance. hidden: (D + 1, H). out: (H + 1, L); biases last.
        output: softmax, sigmoid or identity. centre, spread: (L,) of regression targets, else 0, 1.
        learned: (C,) whether the network predicts a column; others are always `constants` (C,).
    """

    scale: np.ndarray
    hidden: np.ndarray
    out: np.ndarray
    output: str
    centre: np.ndarray
    spread: np.ndarray
    learned: np.ndarray
    constants: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        values = np.tile(self.constants, (len(features), 1))
        units = np.maximum(affine(features * self.scale, self.hidden), 0)
        scores = affine(units, self.out).astype(np.float64)
        if not self.learned.any():
            return values
        values[:, self.learned] = OUTPUTS[self.output](scores) * self.spread + self.centre
        return values


OUTPUTS = {
    "softmax": lambda scores: softmax(scores, axis=1),
    "sigmoid": expit,
    "identity": lambda scores: scores,
}


def fit_perceptron(
    rows: TrainingRows,
    *,
    strengths: Sequence[float],
    seed: int,
    hidden: int = 256,
    epochs: int | None = None,
    batch: int = 128,
    lr: float = 1e-3,
    dropout: float = 0.5,
) -> PerceptronModel:
    """Train by AdamW for a number of epochs that is fixed beforehand: no row decides on the end.

    Cross-entropy, soft targets as they are; squared error of standardised targets for regression.

    Args:
        strengths: weight decay; the first counts.
        dropout: of hidden units; of features, half as many.
    Source: Loshchilov & Hutter 2019, with a cosine schedule.
    """
    rng = np.random.default_rng(seed)
    learned, constants = columns_to_learn(rows)
    targets = rows.targets[:, learned].astype(np.float32)
    centre, spread = np.zeros(targets.shape[1]), np.ones(targets.shape[1])
    output = rows.task.link
    if rows.task.is_regression:
        centre, spread = targets.mean(axis=0), targets.std(axis=0)
        spread = np.where(spread > 0, spread, 1)
        targets = ((targets - centre) / spread).astype(np.float32)
    scale = np.float32(1 / max(np.sqrt(np.mean(rows.features**2)), TINY))
    inputs = (rows.features * scale).astype(np.float32)
    weights = (rows.weights / rows.weights.mean()).astype(np.float32)
    layers = [
        _random_layer(inputs.shape[1], hidden, rng),
        _random_layer(hidden, targets.shape[1], rng),
    ]
    per_epoch = -(-len(inputs) // batch)
    epochs = epochs or max(EPOCHS, -(-LEAST_STEPS // per_epoch))
    optimiser = AdamW(layers, lr=lr, decay=strengths[0], steps=epochs * per_epoch)
    for _ in range(epochs if learned.any() else 0):
        for chosen in np.array_split(rng.permutation(len(inputs)), per_epoch):
            seen = inputs[chosen] * _kept((len(chosen), inputs.shape[1]), dropout / 2, rng)
            units = np.maximum(affine(seen, layers[0]), 0)
            kept = _kept(units.shape, dropout, rng)
            scores = affine(units * kept, layers[1])
            slopes = OUTPUTS[output](scores) - targets[chosen]
            slopes *= weights[chosen, None] / len(chosen)
            of_units = slopes @ layers[1][:-1].T * kept * (units > 0)
            optimiser.step([_gradient(seen, of_units), _gradient(units * kept, slopes)])
    return PerceptronModel(
        np.asarray(scale), layers[0], layers[1], output, centre, spread, learned, constants
    )


class AdamW:
    """Changes the layers in place; the learning rate rises, then falls to 0 as a cosine."""

    def __init__(self, layers: list[np.ndarray], *, lr: float, decay: float, steps: int) -> None:
        self.layers, self.lr, self.decay, self.steps = layers, lr, decay, steps
        self.means = [np.zeros_like(layer) for layer in layers]
        self.squares = [np.zeros_like(layer) for layer in layers]
        self.done = 0

    def step(self, gradients: list[np.ndarray]) -> None:
        """Take one step against the gradients."""
        self.done += 1
        share = self.done / self.steps
        lr = self.lr * min(share / WARMUP, (1 + np.cos(np.pi * share)) / 2)
        first, second = (1 - beta**self.done for beta in BETAS)
        for layer, gradient, mean, square in zip(
            self.layers, gradients, self.means, self.squares, strict=True
        ):
            mean += (1 - BETAS[0]) * (gradient - mean)
            square += (1 - BETAS[1]) * (gradient**2 - square)
            layer[:-1] *= 1 - lr * self.decay  # biases do not decay
            layer -= lr * (mean / first) / (np.sqrt(square / second) + EPS)


def affine(rows: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Rows (N, D) through a layer (D + 1, H)."""
    return rows @ layer[:-1] + layer[-1]


def _gradient(rows: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    return np.vstack([rows.T @ slopes, slopes.sum(axis=0)])


def _random_layer(num_in: int, num_out: int, rng: np.random.Generator) -> np.ndarray:
    """He et al. 2015; biases 0."""
    layer = rng.normal(scale=np.sqrt(2 / num_in), size=(num_in + 1, num_out)).astype(np.float32)
    layer[-1] = 0
    return layer


def _kept(shape: tuple[int, int], rate: float, rng: np.random.Generator) -> np.ndarray:
    """Inverted dropout's factors."""
    return (rng.random(shape, dtype=np.float32) >= rate) / np.float32(1 - rate)
