"""Schedules: curves through points worked out by hand, and torch's where it has the same."""

import math

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from pipeline.config.schema import Network
from pipeline.errors import UserError
from pipeline.networks.schedules import (
    check_schedule,
    learning_rate_factor,
    peak_learning_rate,
    set_learning_rate,
)

SETTINGS = Network(network="b", epochs=4, lr=1e-2, min_lr=1e-3)


def changed(**keys) -> Network:
    return SETTINGS.model_copy(update=keys)


def two_groups() -> torch.optim.Optimizer:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [
        {"params": [parameter], "lr": peak, "peak_lr": peak}
        for parameter, peak in zip(parameters, (1e-2, 1e-3), strict=True)
    ]
    return torch.optim.SGD(groups, lr=1e-2)


def curve(*, steps_per_epoch: int = 10, **keys) -> list[float]:
    """The head's rate in each step of a run, as a share of its peak of 1e-2."""
    settings, optimizer = changed(**keys), two_groups()
    return [
        set_learning_rate(optimizer, step, settings=settings, steps_per_epoch=steps_per_epoch)
        / 1e-2
        for step in range(settings.epochs * steps_per_epoch)
    ]


def torch_curve(scheduler_class, *, steps: int, lr: float = 1.0, **keys) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = scheduler_class(optimizer, **keys)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "multistep", "restarts"])
def test_warm_up_is_a_line_to_the_peak(schedule):
    def factor(step):
        return learning_rate_factor(
            step, schedule=schedule, total=101, warmup=20, floor=0.1, drops=[50]
        )

    assert factor(0) == pytest.approx(1 / 21)
    assert factor(9) == pytest.approx(10 / 21)
    assert factor(20) == 1


def test_the_cosine_goes_through_its_points():
    def factor(step):
        return learning_rate_factor(step, schedule="cosine", total=101, warmup=20, floor=0.1)

    assert factor(60) == pytest.approx(0.55)  # half way down
    assert factor(40) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert factor(100) == pytest.approx(0.1)


def test_the_cosine_is_torchs():
    expected = torch_curve(lr_scheduler.CosineAnnealingLR, steps=40, T_max=39, eta_min=0.1)
    assert curve(warmup_epochs=0) == pytest.approx(expected)


def test_constant_is_constant():
    assert curve(schedule="constant")[10:] == [1.0] * 30


def test_step_is_torchs():
    expected = torch_curve(lr_scheduler.StepLR, steps=40, step_size=15, gamma=0.5)
    found = curve(schedule="step", milestones=[1.5], lr_drop=0.5, warmup_epochs=0, min_lr=0)
    assert found == pytest.approx(expected)
    assert (found[14], found[15], found[30]) == (1, 0.5, 0.25)


def test_multistep_is_torchs():
    expected = torch_curve(lr_scheduler.MultiStepLR, steps=40, milestones=[10, 35], gamma=0.3)
    found = curve(schedule="multistep", milestones=[1, 3.5], lr_drop=0.3, warmup_epochs=0)
    assert found == pytest.approx([max(0.1, rate) for rate in expected])
    assert found[35:] == [0.1] * 5  # 0.09 is below the floor


def test_each_restart_goes_from_the_peak_to_the_floor():
    # 10 steps of warm-up, then 30 in four cosines: of 7, 8, 7 and 8 steps.
    found = curve(schedule="restarts", restarts=4)
    assert [step for step in range(10, 40) if found[step] == 1] == [10, 17, 25, 32]
    lowest = [step for step in range(10, 40) if found[step] == pytest.approx(0.1)]
    assert lowest == [16, 24, 31, 39]
    assert found[13] == pytest.approx(0.55)  # the middle of the first


def test_one_restart_is_the_cosine():
    assert curve(schedule="restarts", restarts=1) == curve(schedule="cosine")


def test_one_cycle_is_torchs():
    expected = torch_curve(
        lr_scheduler.OneCycleLR,
        steps=40,
        max_lr=1.0,
        total_steps=40,
        final_div_factor=1 / (25 * 0.01),
        cycle_momentum=False,
    )
    found = curve(schedule="one_cycle", min_lr=1e-4, warmup_epochs=2)
    assert found == pytest.approx(expected)
    assert (found[0], found[11], found[39]) == pytest.approx((1 / 25, 1, 0.01))


def test_one_cycle_begins_at_the_floor_if_that_is_higher():
    assert curve(schedule="one_cycle")[0] == 0.1


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "restarts", "one_cycle"])
@pytest.mark.parametrize("steps_per_epoch", [1, 2, 3])
def test_the_shortest_runs_stay_between_floor_and_peak(schedule, steps_per_epoch):
    milestones = [0.5] if schedule == "step" else []
    found = curve(
        steps_per_epoch=steps_per_epoch, schedule=schedule, epochs=1, milestones=milestones
    )
    assert all(0.1 <= rate <= 1 for rate in found)


def test_groups_keep_their_proportion():
    optimizer = two_groups()
    for step, head in {0: 1e-2 / 11, 10: 1e-2, 39: 1e-3}.items():
        found = set_learning_rate(optimizer, step, settings=SETTINGS, steps_per_epoch=10)
        assert found == pytest.approx(head)
        assert optimizer.param_groups[1]["lr"] == pytest.approx(head / 10)


def test_warm_up_leaves_a_short_run_half_of_its_steps():
    found = curve(epochs=1, warmup_epochs=5.0)
    assert found.index(max(found)) == 5
    assert found[-1] == pytest.approx(0.1)


def test_the_floor_stays_where_it_is_when_the_rate_is_scaled():
    settings, optimizer = changed(scale_lr=True, batch_size=512), two_groups()
    assert peak_learning_rate(settings) == 2e-2
    optimizer.param_groups[0]["peak_lr"] = 2e-2
    last = set_learning_rate(optimizer, 39, settings=settings, steps_per_epoch=10)
    assert last == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("schedule", "milestones", "expected"),
    [
        ("multistep", [], r"the epochs at which lr falls"),
        ("multistep", [2, 2], r"\[2, 2\]: expected ascending epochs, above 0 and below epochs"),
        ("multistep", [3, 2], r"ascending"),
        ("multistep", [0, 2], r"above 0"),
        ("multistep", [2, 4], r"below epochs \(4\)"),
        ("multistep", [math.nan], r"ascending"),
        ("step", [], r"one number, the distance"),
        ("step", [1, 2], r"one number, the distance"),
        ("step", [4], r"below epochs \(4\)"),
        ("cosine", [2], r"only `step` and `multistep` use them"),
    ],
)
def test_milestones_that_do_not_fit_are_refused(schedule, milestones, expected):
    with pytest.raises(UserError, match=expected):
        check_schedule(changed(schedule=schedule, milestones=milestones))


@pytest.mark.parametrize(
    ("schedule", "milestones"),
    [("multistep", [0.5, 3]), ("step", [2]), ("cosine", []), ("restarts", []), ("one_cycle", [])],
)
def test_milestones_that_fit_are_not(schedule, milestones):
    check_schedule(changed(schedule=schedule, milestones=milestones))
