"""Parameter groups: each weight's rate and decay; what is frozen, and until when."""

from itertools import pairwise

import pytest
import timm
import torch
from torch import nn

from pipeline.config.schema import Network
from pipeline.errors import UserError
from pipeline.networks.optimisation import create_optimizer
from pipeline.networks.parameter_groups import describe_groups, parameter_groups, set_trainable

SETTINGS = Network(network="b", epochs=8, lr=1e-2, backbone_lr=0.1, weight_decay=0.5)


class Tiny(nn.Module):
    """The parts of an ImageNetwork."""

    def __init__(self, arch: str, *, loss: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = timm.create_model(arch, num_classes=0)
        self.pooling = nn.Identity()
        self.head = nn.Linear(self.backbone.num_features, 3)
        self.loss_log_variances = nn.Parameter(torch.zeros(2)) if loss else None

    def forward(self, images):
        return self.head(self.pooling(self.backbone(images)))


def changed(**keys) -> Network:
    return SETTINGS.model_copy(update=keys)


def rates_and_decays(network: nn.Module, settings: Network) -> dict[str, tuple[float, float]]:
    """By name; fails if a parameter is in two groups."""
    groups = parameter_groups(network, settings)
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    assert sum(len(group["params"]) for group in groups) == len(found)
    assert all(group["lr"] == group["peak_lr"] for group in groups)
    return {name: found[id(p)] for name, p in network.named_parameters() if id(p) in found}


def train(network: nn.Module, settings: Network, *, epochs: range) -> list[dict]:
    """Three steps on noise per epoch; after each, a copy of the state."""
    optimizer = create_optimizer(network, settings)
    noise, states = torch.Generator().manual_seed(0), []
    for epoch in epochs:
        network.train()
        set_trainable(network, settings, epoch=epoch)
        for _ in range(3):
            images = torch.randn(4, 3, 32, 32, generator=noise)
            nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 0])).backward()
            optimizer.step()
            optimizer.zero_grad()
        states.append({name: value.clone() for name, value in network.state_dict().items()})
    return states


def moved(before: dict, after: dict) -> set[str]:
    """Names of weights and statistics that differ, BatchNorm's counters left out."""
    names = {name for name in before if not torch.equal(before[name], after[name])}
    return {name for name in names if "num_batches" not in name}


def state_of(network: nn.Module) -> dict:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("arch", ["test_efficientnet", "test_vit", "test_convnext"])
def test_each_parameter_has_its_rate_and_decay_once(arch):
    network = Tiny(arch, loss=True)
    found = rates_and_decays(network, SETTINGS)
    for name, parameter in network.named_parameters():
        lr = pytest.approx(1e-3) if name.startswith("backbone.") else 1e-2
        special = name.removeprefix("backbone.") in ("cls_token", "pos_embed", "reg_token")
        assert found[name] == (lr, 0.0 if parameter.ndim <= 1 or special else 0.5), name


def test_the_head_comes_first_and_a_learned_pooling_belongs_to_it():
    network = Tiny("test_vit", loss=True)
    network.pooling = nn.Linear(2, 2)
    groups = parameter_groups(network, SETTINGS)
    assert [group["name"] for group in groups] == ["head"] * 2 + ["backbone"] * 2 + ["loss"]
    assert any(parameter is network.pooling.weight for parameter in groups[0]["params"])


def test_a_layer_has_a_share_of_the_next_ones_rate():
    network = Tiny("test_vit")  # six blocks; timm's layer 0 is all that stands before them
    found = rates_and_decays(network, changed(layer_decay=0.5))
    assert found["head.weight"][0] == 1e-2
    assert found["backbone.norm.weight"][0] == pytest.approx(1e-3)  # timm joins it to the last
    for block in range(6):
        lr = found[f"backbone.blocks.{block}.attn.qkv.weight"][0]
        assert lr == pytest.approx(1e-3 * 0.5 ** (5 - block))
    assert found["backbone.cls_token"] == (pytest.approx(1e-3 / 64), 0.0)
    assert found["backbone.patch_embed.proj.weight"] == (pytest.approx(1e-3 / 64), 0.5)


def test_the_rates_grow_with_the_batch():
    groups = parameter_groups(Tiny("test_vit"), changed(scale_lr=True, batch_size=64))
    assert groups[0]["peak_lr"] == pytest.approx(1e-2 / 4)
    assert groups[-1]["peak_lr"] == pytest.approx(1e-3 / 4)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adabound"])
def test_frozen_stages_stay_and_the_others_learn(optimizer):
    network, settings = Tiny("test_efficientnet"), changed(freeze=2, optimizer=optimizer)
    before = state_of(network)
    after = train(network, settings, epochs=range(1))[0]
    frozen = ("backbone.conv_stem", "backbone.bn1", "backbone.blocks.0.")
    learning = {name for name in before if not name.startswith(frozen) and "num_" not in name}
    assert moved(before, after) == learning
    in_groups = rates_and_decays(network, settings)
    assert not [name for name in in_groups if name.startswith(frozen)]


def test_all_stages_can_be_frozen():
    network = Tiny("test_efficientnet")
    before = state_of(network)
    after = train(network, changed(freeze=6), epochs=range(1))[0]
    assert moved(before, after) == {"head.weight", "head.bias"}


def test_stages_begin_to_learn_from_the_last():
    network, settings = Tiny("test_efficientnet"), changed(unfreeze_every=2)
    states = [state_of(network), *train(network, settings, epochs=range(5))]
    per_epoch = [moved(a, b) for a, b in pairwise(states)]
    assert per_epoch[0] == per_epoch[1] == {"head.weight", "head.bias"}
    last = ("backbone.blocks.4.", "backbone.conv_head.", "backbone.bn2.")
    names = {name for name in states[0] if "num_batches" not in name}
    assert per_epoch[2] == per_epoch[3] == per_epoch[0] | {n for n in names if n.startswith(last)}
    last += ("backbone.blocks.3.",)
    assert per_epoch[4] == per_epoch[0] | {n for n in names if n.startswith(last)}


def test_unfreezing_stops_at_what_is_frozen_for_good():
    network, settings = Tiny("test_efficientnet"), changed(unfreeze_every=1, freeze=5)
    for epoch, learns in {0: False, 1: True, 100: True}.items():
        set_trainable(network, settings, epoch=epoch)
        assert network.backbone.bn2.weight.requires_grad is learns
        assert not network.backbone.blocks[3][0].conv_pw.weight.requires_grad


def test_an_epoch_depends_on_none_before():
    settings = changed(unfreeze_every=1)
    walked, fresh = Tiny("test_efficientnet"), Tiny("test_efficientnet")
    for epoch in (0, 5, 3):
        walked.train()
        set_trainable(walked, settings, epoch=epoch)
    fresh.train()
    set_trainable(fresh, settings, epoch=3)
    for one, other in zip(walked.modules(), fresh.modules(), strict=True):
        assert one.training == other.training
    for one, other in zip(walked.parameters(), fresh.parameters(), strict=True):
        assert one.requires_grad == other.requires_grad


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_weights():
    network = Tiny("test_efficientnet")
    before = state_of(network)
    after = train(network, changed(batch_norm="freeze"), epochs=range(1))[0]
    assert moved(before, after) == {name for name, _ in network.named_parameters()}


def test_more_stages_than_there_are():
    with pytest.raises(UserError, match=r"test_efficientnet has 6 stages.*got 7"):
        parameter_groups(Tiny("test_efficientnet"), changed(freeze=7))


@pytest.mark.parametrize("keys", [{"freeze": 1}, {"unfreeze_every": 1}, {"layer_decay": 0.5}])
def test_a_backbone_that_timm_cannot_split(keys):
    network = Tiny("test_vit")
    network.backbone = nn.Sequential(nn.Linear(2, 2))
    assert len(parameter_groups(network, SETTINGS)) == 4
    with pytest.raises(UserError, match=f"{next(iter(keys))}: timm cannot split Sequential"):
        parameter_groups(network, changed(**keys))


def test_the_log_says_what_learns_and_what_waits():
    network = Tiny("test_efficientnet")
    stages = [
        *(network.backbone.conv_stem, network.backbone.bn1),
        *network.backbone.blocks[0],
    ]
    num_frozen = sum(p.numel() for stage in stages for p in stage.parameters())
    settings = changed(freeze=2, unfreeze_every=3)
    lines = describe_groups(parameter_groups(network, settings), network, settings)
    features = network.head.in_features
    assert lines[0] == f"head: 1 tensors, {3 * features} parameters peak lr 1.0e-02 decay 0.5"
    assert lines[1] == "head: 1 tensors, 3 parameters peak lr 1.0e-02 decay 0"
    assert lines[3].startswith("backbone: ")
    assert [line.split(":")[0] for line in lines[4:]] == [
        *("frozen until epoch 4", "frozen until epoch 7"),
        *["frozen until the end, 8 epochs are too few"] * 2,
        "frozen",
    ]
    assert lines[-1] == f"frozen: 6 tensors, {num_frozen} parameters"
