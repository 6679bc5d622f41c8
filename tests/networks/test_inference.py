"""Inference: the network's answer to each view of each image, whatever runs it."""

import numpy as np
import pytest
import torch

from pipeline.backbones.device import Hardware
from pipeline.config.schema import Backbone, Network
from pipeline.core.task import Task
from pipeline.images.resizing import fit_square
from pipeline.images.tta import get_view
from pipeline.networks.inference import predict_views
from pipeline.networks.network import ImageNetwork, create_network

pytestmark = pytest.mark.numeric

SIDE, VIEWS = 64, ["original", "mirrored", "scale_1.25"]


@pytest.fixture
def network() -> ImageNetwork:
    torch.manual_seed(0)
    network = create_network(
        Network(network="b", image_size=SIDE, head="linear"),
        Backbone(arch="resnet18", weights="random", image_size=SIDE),
        num_classes=3,
        task=Task("multiclass"),
    )
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
    torch.nn.init.normal_(next(m for m in network.head.modules() if hasattr(m, "weight")).weight)
    return network.eval()


@pytest.mark.parametrize("engine", ["eager", "openvino"])
def test_predictions_are_the_networks_own_for_each_row_and_view(network, engine, caplog):
    if engine == "openvino":
        pytest.importorskip("openvino", reason="openvino is an extra")
    images = list(np.random.default_rng(0).integers(0, 256, (6, 70, 80, 3), dtype=np.uint8))
    rows = np.array([4, 0, 5, 2, 1])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = predict_views(
        network,
        images,
        rows,
        VIEWS,
        image_size=SIDE,
        cut="crop",
        hardware=Hardware(torch.device("cpu"), "32", engine=engine),
    )
    squares = torch.stack([fit_square(images[row], SIDE, "crop") for row in rows]).float()
    wanted = [network.predict_values(get_view(view)(squares)).numpy() for view in VIEWS]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.ptp(found, axis=1).max() > 0.01  # images differ
    assert np.ptp(found, axis=0).max() > 0.01  # views too
    assert "eager" not in caplog.text  # the engine itself was used
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
