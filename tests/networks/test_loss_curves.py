"""What curves of losses say."""

import numpy as np
import pytest

from pipeline.networks.checks.loss_curves import diagnose, is_learnt, smoothed, suggest_lr

pytestmark = pytest.mark.numeric

STEPS = np.arange(60)
WOBBLE = np.where(STEPS % 2, 1.0, -1.0)
CURVES = {
    "learnt": [
        2.3 * 0.9**STEPS,
        [2.3, 0.4, 0.05, 0.01, 0.02],
        2.3 * 0.9**STEPS * (1 + 0.2 * WOBBLE),
        [0.0] * 9,
    ],
    "falling": [
        2.3 * 0.98**STEPS,
        2.3 * 0.98**STEPS * (1 + 0.1 * WOBBLE),
        2.3 * 0.98**STEPS * (1 + 0.4 * np.sin(STEPS / 3)),  # momentum runs past the valley, slowly
        2.3 * 0.98**STEPS + 4.6 * np.exp(-((STEPS - 5) ** 2) / 8),  # up to three times, once
    ],
    "growing": [2.3 * 1.02**STEPS, 2.3 + 0.5 * STEPS, -2.3 - 0.5 * STEPS, -2.3 * 0.9**STEPS],
    "exploding": [
        [2.3, 2.5, float("nan")],
        [2.3, 900.0, *[700.0] * 58],
        [2.3, 3.0, float("inf"), 3.0],
        [2.3, 900.0, *2.3 * 0.5**STEPS],  # learnt in the end, at a rate that is no good
        [2.3, 700.0, 9e4, 9e6, 9e8],
    ],
    "oscillating": [
        2.3 + 0.6 * WOBBLE,
        2.3 * (1 + np.sin(STEPS)) + 1,
        2.3 - 0.005 * STEPS + WOBBLE,
    ],
    "plateau": [[2.3] * 60, 2.3 - 1e-9 * STEPS, 2.3 - 0.005 * STEPS, 2.3 + 0.01 * WOBBLE, [2.3]],
}


@pytest.mark.parametrize(
    ("verdict", "losses"), [(name, curve) for name, curves in CURVES.items() for curve in curves]
)
def test_each_curve_has_its_verdict(verdict, losses):
    assert diagnose(losses).verdict == verdict


@pytest.mark.parametrize("unit", [1e-3, 1e3])
@pytest.mark.parametrize("verdict", CURVES)
def test_the_unit_of_the_loss_does_not_matter(verdict, unit):
    for losses in CURVES[verdict]:
        assert diagnose(unit * np.asarray(losses)).verdict == verdict


@pytest.mark.parametrize(
    ("verdict", "keys"),
    [
        ("growing", ["`loss: auto`"]),
        ("exploding", ["`lr`", "`clip_norm: 1`"]),
        ("oscillating", ["`lr`", "labels"]),
        ("plateau", ["`lr`", "`freeze`"]),
    ],
)
def test_advice_names_keys_of_the_config(verdict, keys):
    advice = diagnose(CURVES[verdict][0]).advice
    assert all(key in advice for key in keys)


@pytest.mark.parametrize("end", [0.4, 0.55, 0.6, 0.69, 0.71, 0.9, 1.1])
@pytest.mark.parametrize(
    "swings",
    [[0.4, 3.0, 1.2, 0.2, 2.0], [1.0, 0.8, 0.9, 0.7, 0.8, 3.0, 0.9, 0.7, 0.8]],
    ids=["wild", "peaks"],
)
def test_swings_above_the_start_are_no_fall_wherever_they_end(swings, end):
    """Rounding decides where a chaotic curve ends: the border of a fall must not decide for it."""
    last_quarter = [end + 0.3 * sign for sign in (-1, 1, 0)] * 5
    losses = [1.0, *(swings * 9)[:44], *last_quarter]
    assert np.mean(losses[45:]) == pytest.approx(end)
    assert diagnose(losses).verdict == "oscillating"


def test_learnt_is_to_stay_below_a_twentieth_of_the_start():
    assert is_learnt([2.0, 9.0, 0.1, 0.1, 0.1])
    assert not is_learnt([2.0, 0.1, 0.11, 0.1])
    assert not is_learnt([2.0, 0.01, 0.01])


LRS = np.logspace(-6, 0, 61)


def test_the_suggestion_is_where_the_loss_falls_most_steeply():
    # A step down around 1e-3, then up beyond 1e-1: the slope of tanh is steepest at 0.
    places = np.log10(LRS)
    losses = 2 - np.tanh(2 * (places + 3)) + 50 * np.maximum(0, places + 1) ** 2
    assert suggest_lr(LRS, losses) == pytest.approx(1e-3)


def test_a_fall_back_from_a_peak_is_no_suggestion():
    # It explodes at 1e-1, and falls back more steeply than it ever fell before.
    places = np.log10(LRS)
    losses = 2 - np.tanh(2 * (places + 3)) + 30 * np.exp(-50 * (places + 0.7) ** 2)
    losses[places > -0.7] += 1
    assert suggest_lr(LRS, losses) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    "losses",
    [np.full(61, 2.0), 2 + LRS, 2 - 0.05 * LRS, np.where(LRS < 0.1, 2 - LRS, np.nan)],
    ids=["flat", "rising", "hardly falling", "not finite"],
)
def test_where_nothing_falls_there_is_no_suggestion(losses):
    assert suggest_lr(LRS, losses) is None


def test_two_points_make_no_curve():
    assert suggest_lr([1e-3, 1e-2], [2.0, 1.0]) is None


def test_smoothing_is_centred():
    assert smoothed([0, 0, 7, 0, 0, 0, 0, 3], reach=1) == pytest.approx(
        [0, 7 / 3, 7 / 3, 7 / 3, 0, 0, 1, 3]
    )
    # A line stays a line, up to its ends.
    assert smoothed(list(range(9))) == pytest.approx(list(range(9)))
