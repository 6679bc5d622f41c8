"""Optimisation: the optimizer that the config names, over a network's parameter groups."""

import timm.optim
import torch
from torch import nn

from pipeline.config.schema import Network
from pipeline.errors import UserError, did_you_mean
from pipeline.networks.adabound import AdaBound
from pipeline.networks.parameter_groups import parameter_groups
from pipeline.networks.schedules import peak_learning_rate

# They want a library of their own (apex, bitsandbytes), or second derivatives.
EXCLUDED = ["fused*", "bnb*", "adahessian"]


def create_optimizer(network: nn.Module, settings: Network) -> torch.optim.Optimizer:
    """An optimizer over what learns of a network; each group remembers its peak `lr`.

    Raises:
        UserError: for an optimizer that is neither ours nor timm's, or groups that cannot be made.
    """
    known = ["adabound", *timm.optim.list_optimizers(exclude_filters=EXCLUDED)]
    if settings.optimizer not in known:
        near = did_you_mean(settings.optimizer, known, most=3, list_all=False)
        raise UserError(
            f"optimizer {settings.optimizer!r}: neither ours nor one of timm's that run here"
            f"{near or '; `timm.optim.list_optimizers()` lists them'}"
        )
    groups = parameter_groups(network, settings)
    lr = peak_learning_rate(settings)
    if settings.optimizer == "adabound":
        return AdaBound(groups, lr=lr)
    return timm.optim.create_optimizer_v2(groups, opt=settings.optimizer, lr=lr)
