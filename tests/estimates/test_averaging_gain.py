"""What the mean of several models gains, told without labels: by hand, and against the truth."""

import numpy as np
import pytest

from pipeline.core.task import Task
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.metrics.find_metric import get_metric


def gain(name, kind, layers, oof, targets):
    return gain_of_averaging(layers, oof, targets, get_metric(name, kind), Task(kind), seed=0)


def test_models_that_agree_gain_nothing():
    layers = np.repeat([[[0.3, 0.7]] * 5], 3, axis=0)
    assert gain("accuracy", "binary", layers, layers[0], np.eye(2)[[0] * 5]) == 0


def test_squared_errors_gain_their_spread():
    # Errors of the mean are 1, those of each model, 0.5 off the mean, sqrt(1 + 0.25): of its error
    # of 1, too, one model keeps the part 1 / sqrt(1 + 0.25).
    layers = np.array([[[0.5]], [[-0.5]]]).repeat(4000, axis=1)
    targets = np.tile([[1.0], [-1.0]], (500, 1))
    found = gain("rmse", "regression", layers, np.zeros((1000, 1)), targets)
    assert found == pytest.approx(1 / np.sqrt(1.25) - 1, abs=0.004)


def test_targets_that_are_never_below_zero_are_not_drawn_below_zero():
    rng = np.random.default_rng(0)
    layers = rng.normal(size=(3, 50, 1))
    targets = rng.exponential(size=(50, 1))
    assert gain("rmsle", "regression", layers, layers[0], targets) != 0


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_log_loss_gains_the_divergence_from_the_mean(kind):
    layers = np.array([[[0.9, 0.1]], [[0.5, 0.5]]]).repeat(4000, axis=1)
    mean = np.array([0.7, 0.3])
    cross = -mean @ np.log(layers[:, 0]).mean(axis=0)  # of one model, labels as the mean says
    entropy = -mean @ np.log(mean)
    # Out of fold, too, one model loses `cross`: there is nothing to sharpen.
    told = np.exp(-cross)
    oof, targets = np.full((8, 2), (told, 1 - told)), np.eye(2)[[0] * 8]
    if kind == "multilabel":
        layers, oof, targets = layers[..., 1:], oof[:, 1:], targets[:, 1:]
    assert gain("log_loss", kind, layers, oof, targets) == pytest.approx(entropy - cross, abs=0.01)


@pytest.mark.parametrize("sureness", [0.7, 1.0])
def test_it_is_what_labels_would_have_told(sureness):
    """Five noisy models, more or less sure of themselves, on labels that have their own doubt."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(6000, 3)) * 2
    labels = (hidden + rng.gumbel(size=hidden.shape)).argmax(axis=1)
    targets = np.eye(3)[labels]
    odds = np.exp(sureness * (hidden + rng.normal(size=(6, *hidden.shape))))
    probs = odds / odds.sum(axis=-1, keepdims=True)
    oof, layers = probs[0], probs[1:]
    for name in ("log_loss", "accuracy"):
        metric = get_metric(name, "multiclass")
        single = np.mean([metric.score(targets, p, Task("multiclass")) for p in layers])
        true = metric.score(targets, layers.mean(axis=0), Task("multiclass")) - single
        assert gain(name, "multiclass", layers, oof, targets) == pytest.approx(true, rel=0.2)


def test_the_mean_of_guesses_is_a_guess():
    """Ranks of models that know nothing gain nothing; of models that know, something."""
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=400)
    for skill, gains in ((0.0, False), (2.0, True)):
        logits = skill * (truth - 0.5) + rng.normal(size=(5, 400))
        positive = 1 / (1 + np.exp(-logits))
        layers = np.stack([1 - positive, positive], axis=-1)
        metric, task = get_metric("roc_auc", "binary"), Task("binary")
        gain = gain_of_averaging(layers, layers[0], np.eye(2)[truth], metric, task, seed=0)
        assert (gain > 0.01) == gains
