"""A head that starts as a linear probe, and smaller images in the first epochs."""

from functools import partial

import numpy as np
import pytest
import torch
from small_training import Patches, new_trainer, training_data, written
from small_training import fit as fit_network

from pipeline.config.network import auto_epochs
from pipeline.config.schema import Network
from pipeline.core.task import Task
from pipeline.images.resizing import fit_square
from pipeline.learners.linear_probe import fit_linear_probe
from pipeline.networks.training_data import create_loaders, early_side

NO_PRIOR = {"head": "linear", "init": "linear_probe"}


def probe_of(kind: str, targets: np.ndarray):
    """What fits the head of `training_data`'s rows."""

    def fit(features, positions):
        return fit_linear_probe(
            features,
            targets[positions],
            Task(kind),
            weights=np.ones(len(positions)),
            groups=positions,
            seed=0,
        )

    return fit


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_the_first_predictions_are_the_probes(kind):
    data = training_data(kind)
    seen = {}

    def fit_head(features, positions):
        seen.update(features=features, found=probe_of(kind, data.targets)(features, positions))
        return seen["found"]

    trainer = new_trainer(data=training_data(kind, fit_head=fit_head), **NO_PRIOR)
    images = torch.stack([fit_square(Patches()[row], 32, "crop") for row in data.rows.tolist()])
    network = trainer.network.eval()
    predicted = network.predict_values(images).double().numpy()
    coefs, intercepts = seen["found"]
    scores = torch.from_numpy(seen["features"].astype(np.float64) @ coefs + intercepts)
    expected = {"multiclass": partial(torch.softmax, dim=1), "multilabel": torch.sigmoid}
    expected = expected.get(kind, lambda values: values)(scores).numpy()
    np.testing.assert_allclose(predicted, expected, rtol=1e-3, atol=1e-4)
    error = np.abs(predicted - data.targets).mean() / data.targets.std()
    assert error < 0.7  # it has learnt something; a constant's is above


def test_a_class_without_a_row_starts_at_its_prior():
    targets = np.eye(4)[np.arange(60) % 3]  # the fourth never occurs
    data = training_data(targets=targets)
    fit_head = probe_of("multiclass", data.targets)
    plain = new_trainer(data=data, head="linear").network
    probed = new_trainer(data=training_data(targets=targets, fit_head=fit_head), **NO_PRIOR).network
    assert probed.head.last.bias.isfinite().all()
    assert probed.head.last.bias[3] == plain.head.last.bias[3]
    assert (probed.head.last.weight[3] == 0).all()


def test_a_continued_run_fits_no_second_probe(tmp_path):
    calls = []

    def fit_head(features, positions):
        calls.append(len(positions))
        return probe_of("multiclass", data.targets)(features, positions)

    data = training_data()
    data = training_data(fit_head=fit_head)
    fit_network(tmp_path / "whole", data=data, **NO_PRIOR)
    whole = written(tmp_path / "whole")
    fit_network(tmp_path / "again", data=data, **NO_PRIOR)
    fit_network(tmp_path / "again", data=data, **NO_PRIOR)  # from its checkpoint
    assert calls == [45, 45]
    assert written(tmp_path / "again") == whole


def test_a_probe_needs_a_linear_head():
    with pytest.raises(ValueError, match="linear_probe is a linear model: say `head: linear`"):
        Network(network="b", init="linear_probe", head="mlp")


def test_two_thirds_of_the_epochs_see_smaller_images():
    data = training_data(image_size=96)
    loaders = create_loaders(data, Network(network="b", early_size=0.6), workers=0, seed=0)
    sides = [next(iter(loaders.of_epoch(epoch, epochs=6)))[0].shape[-1] for epoch in range(6)]
    assert sides == [64, 64, 64, 64, 96, 96]  # 0.6 of 96 is 57.6, the next multiple of 32 is 64
    assert next(iter(loaders.valid))[0].shape[-1] == 96


@pytest.mark.parametrize(("share", "side"), [(1.0, 100), (0.75, 64), (0.25, 32), (0.99, 96)])
def test_early_sides_are_multiples_of_32_and_no_larger(share, side):
    assert early_side(Network(network="b", early_size=share), 100) == side


@pytest.mark.parametrize(
    ("rows", "epochs"), [(20, 30), (625, 20), (2500, 10), (10_000, 5), (1_000_000, 4)]
)
def test_more_rows_get_fewer_epochs_and_more_steps(rows, epochs):
    assert auto_epochs(rows) == epochs
