"""Inference: a fine-tuned network's predictions for any rows and views; oof and test alike."""

import numpy as np
import torch

from pipeline.backbones.device import Hardware, batches_ahead, wait_for
from pipeline.backbones.engines import make_engine
from pipeline.backbones.folding import fold_batch_norm
from pipeline.images.batches import Cache
from pipeline.images.resizing import fit_square
from pipeline.images.tta import get_view
from pipeline.networks.network import ImageNetwork


@torch.inference_mode()
def predict_views(
    network: ImageNetwork,
    cache: Cache,
    rows: np.ndarray,
    views: list[str],
    *,
    image_size: int,
    cut: str,
    hardware: Hardware,
) -> np.ndarray:
    """Predict (V, N, C) float64 of rows of the cache; views are made on the device."""
    device = hardware.device
    probe = torch.rand(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    network = fold_batch_norm(network.eval().to(device), 255 * probe.to(device))
    engine = make_engine(network, hardware, passes=len(rows) * len(views))
    batches = batches_ahead(
        lambda row: fit_square(cache[row], image_size, cut), rows.tolist(), device
    )
    view_functions = [get_view(view) for view in views]
    predicted = []
    for batch in batches:
        images = batch.float()
        values = [network.values_of(engine(view(images))) for view in view_functions]
        predicted.append(torch.stack(values).to("cpu", non_blocking=True))
    wait_for(device)
    return torch.cat(predicted, dim=1).double().numpy()
