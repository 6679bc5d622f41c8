"""Choice of views on made-up features whose answer is known."""

import numpy as np
import pytest

from pipeline.core.task import Task
from pipeline.estimates.view_choice import TRIED, choose_views, sample_rows
from pipeline.estimates.view_effects import ViewTrial
from pipeline.images.augmentation_presets import PRESETS, light_preset
from pipeline.images.view_decision import ViewDecision

MULTICLASS = Task("multiclass")


def trial(labels: np.ndarray, signal: dict[str, np.ndarray], *, noise=0.3, seed=0) -> ViewTrial:
    """A trial whose view v shows an image of class `signal[v]`; other views show the own class."""
    rng = np.random.default_rng(seed)
    num_classes, rows = labels.max() + 1, len(labels)
    own = rng.normal(size=(rows, num_classes)) * noise
    features = [np.eye(num_classes)[signal.get(view, labels)] + own for view in TRIED]
    return make_trial(np.stack(features, axis=1), labels)


def make_trial(features: np.ndarray, labels: np.ndarray) -> ViewTrial:
    rows = np.arange(len(labels))
    return ViewTrial(
        features=features.astype(np.float32),
        views=list(TRIED),
        targets=np.eye(labels.max() + 1)[labels],
        task=MULTICLASS,
        folds=rows // (labels.max() + 1) % 4,
        groups=rows.astype(str),
        seed=0,
    )


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(count))


@pytest.mark.parametrize("rows", [24, 60, 150])
def test_on_noise_the_default_stays(rows):
    """Law 10: what is chosen by labels that are scored later must not follow their noise."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(rows, 1, 30)) + 0.5 * rng.normal(size=(rows, len(TRIED), 30))
        decision, _ = choose_views(make_trial(features, rng.integers(3, size=rows)), names(3))
        assert decision == ViewDecision(reason=decision.reason), seed


def test_one_pair_of_many_classes_is_enough_to_refuse_a_view():
    labels = np.arange(20 * 12) % 20
    mirrored = np.where(labels < 2, 1 - labels, labels)
    decision, effects = choose_views(trial(labels, {"mirrored": mirrored}), names(20))
    assert effects[0].lost < 0.5  # two of twenty classes are not half of the loss
    assert effects[0].ruins
    assert effects[0].looks_like
    assert set(effects[0].looks_like) <= {(0, 1), (1, 0)}
    assert decision.views == ("original",)
    assert not decision.horizontal_flips
    assert "`class 0` looks like `class 1`" in decision.reason or (
        "`class 1` looks like `class 0`" in decision.reason
    )


def test_equal_views_allow_everything_and_add_no_view():
    labels = np.arange(120) % 3
    decision, effects = choose_views(trial(labels, {}), names(3))
    assert decision.views == ("original", "mirrored")
    assert decision.horizontal_flips
    assert decision.vertical_flips
    assert decision.quarter_turns
    assert not decision.colour_matters
    assert [effect.lost for effect in effects] == pytest.approx([0] * 4)
    assert [effect.harm for effect in effects] == pytest.approx([0] * 4, abs=1e-3)


def test_views_that_average_noise_away_are_added():
    labels, rng = np.arange(300) % 3, np.random.default_rng(0)
    features = np.eye(3)[labels][:, None] + rng.normal(size=(300, len(TRIED), 3))
    decision, effects = choose_views(make_trial(features, labels), names(3))
    assert all(effect.harm < 0 for effect in effects)
    assert "flipped" in decision.views


def test_colour_matters_where_a_grey_image_tells_nothing():
    labels = np.arange(150) % 3
    shuffled = np.random.default_rng(1).permutation(labels)
    decision, _ = choose_views(trial(labels, {"grey": shuffled}), names(3))
    assert decision.colour_matters
    assert "colour matters" in decision.reason
    assert decision.vertical_flips


def test_rows_are_drawn_alike_from_each_class():
    labels = np.repeat([0, 1, 2], [80, 30, 5])
    targets, folds = np.eye(3)[labels], np.arange(115) % 5
    rows = sample_rows(targets, folds, MULTICLASS, most=45, rng=np.random.default_rng(3))
    assert np.bincount(labels[rows]).tolist() == [20, 20, 5]
    assert (np.diff(rows) > 0).all()


def test_a_class_in_one_fold_is_left_out():
    labels = np.repeat([0, 1, 2], [6, 6, 1])
    rows = sample_rows(
        np.eye(3)[labels], np.arange(13) % 2, MULTICLASS, most=99, rng=np.random.default_rng(0)
    )
    assert labels[rows].max() == 1
    assert len(rows) == 12


def test_rows_of_several_labels_count_for_the_rarest_and_those_without_any_are_drawn():
    targets = np.zeros((60, 2))
    targets[:40, 0], targets[:4, 1] = 1, 1
    rows = sample_rows(
        targets, np.arange(60) % 3, Task("multilabel"), most=24, rng=np.random.default_rng(0)
    )
    assert [int(np.sum(rows < 4)), int(np.sum((rows >= 4) & (rows < 40)))] == [4, 10]
    assert np.sum(rows >= 40) == 10


def test_light_keeps_its_name_where_it_is_light():
    allowed = {"vertical_flips": False, "quarter_turns": False}
    assert light_preset(horizontal_flips=True, **allowed) == "light"
    assert light_preset(horizontal_flips=False, **allowed) == PRESETS["light"][:1]
    turned = light_preset(horizontal_flips=True, **allowed | {"quarter_turns": True})
    assert [next(iter(step)) for step in turned] == [
        "RandomResizedCrop",
        "HorizontalFlip",
        "RandomRotate90",
    ]
