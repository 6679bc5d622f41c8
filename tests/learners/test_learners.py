"""Learners: what may influence a fit, what must not, and what predictions look like."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import Ridge

from pipeline.config.learners import BUILT_IN
from pipeline.config.schema import Learner
from pipeline.core.task import Task
from pipeline.errors import JobFailed, UserError
from pipeline.learners.concatenation import fit_concatenation
from pipeline.learners.fit import FittedLearner, fit_learner, load
from pipeline.learners.projection import rotate
from pipeline.learners.ridge import fit_ridge, held_out_residuals
from pipeline.learners.rows import TrainingRows, balanced, inner_folds

pytestmark = pytest.mark.numeric

KINDS = ("binary", "multiclass", "multilabel", "ordinal", "regression")
LEVELS = np.array([0.0, 1.0, 4.0])
NUM_ROWS, NUM_TRAIN = 240, 180


def settings(learner: str = "logistic", **keys) -> Learner:
    if not BUILT_IN[learner].is_installed:
        pytest.skip(f"{learner} is not installed")
    return Learner(learner=learner, **{"blocks": {"a": 1.0, "b": 1.0}, "strength": 0.3, **keys})


def problem(kind: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Blocks of 2 views whose first dimensions tell the target, amid noise."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(NUM_ROWS, 2))
    if kind == "regression":
        targets = truth @ np.array([[2.0, 0.0], [0.0, 500.0]]) + [0.0, 1000.0]
    elif kind == "multilabel":
        targets = (truth > 0).astype(float)
    else:
        num_classes = 2 if kind == "binary" else 3
        edges = np.quantile(truth[:, 0], np.linspace(0, 1, num_classes + 1)[1:-1])
        targets = np.eye(num_classes)[np.searchsorted(edges, truth[:, 0])]

    def block(dims: int) -> np.ndarray:
        signal = np.tile(truth, dims // 4)
        clean = np.hstack([signal, rng.normal(size=(NUM_ROWS, dims - signal.shape[1]))])
        noise = rng.normal(scale=0.3, size=(NUM_ROWS, 2, dims))
        return (clean[:, None, :] + noise).astype(np.float32)

    return {"a": block(12), "b": block(8)}, targets


def rows_of(blocks: dict[str, np.ndarray], rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    return {name: block[rows] for name, block in blocks.items()}


def fit(chosen: Learner, kind: str, **keys) -> tuple[FittedLearner, np.ndarray, np.ndarray]:
    """Fit on the first rows; return the learner with predictions and targets of the others."""
    blocks, targets = problem(kind)
    levels = LEVELS if kind == "ordinal" else None
    fitted = fit_learner(
        chosen,
        rows_of(blocks, slice(NUM_TRAIN)),
        targets[:NUM_TRAIN],
        Task(kind, levels),
        **{"seed": 1, **keys},
    )
    held_out = slice(NUM_TRAIN, None)
    return fitted, fitted.predict(rows_of(blocks, held_out)), targets[held_out]


def supported(learner: str, kind: str) -> bool:
    return kind != "regression" or learner not in ("logistic", "svm")


OPTIONAL = ("xgboost", "catboost")
LEARNERS = ("logistic", "ridge", "svm", "lightgbm", "extra_trees", "knn", "mlp", *OPTIONAL)
SMALL_PARAMS = {
    "lightgbm": {"num_iterations": 100},
    "extra_trees": {"n_estimators": 40},
    "mlp": {"hidden": 32},
}
EVERY = [(x, k) for x in LEARNERS for k in KINDS if supported(x, k)]


def small(learner: str, **keys) -> Learner:
    return settings(learner, params=SMALL_PARAMS.get(learner, {}), strength=None, **keys)


@pytest.mark.parametrize("views", ["mean", "rows"])
@pytest.mark.parametrize(("learner", "kind"), EVERY)
def test_predictions_are_legal_and_beat_chance(learner, kind, views):
    _, values, targets = fit(small(learner, views=views), kind)
    assert values.shape == targets.shape
    assert np.isfinite(values).all()
    if kind != "regression":
        assert values.min() >= 0
        assert values.max() <= 1
    if kind in ("binary", "multiclass", "ordinal"):
        np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)
    if kind == "ordinal":  # ridge learns its value, whose neighbours share the probability
        values, targets = values @ LEVELS[:, None], targets @ LEVELS[:, None]
    error = np.mean((values - targets) ** 2, axis=0)
    assert np.mean(error / targets.var(axis=0)) < 0.6


@pytest.mark.parametrize(("learner", "kind"), EVERY)
def test_a_saved_learner_predicts_the_same_and_saves_the_same_bytes(learner, kind, tmp_path):
    blocks, _ = problem(kind)
    fitted, values, _ = fit(small(learner), kind)
    fitted.save(tmp_path / "once")
    loaded = load(tmp_path / "once")
    np.testing.assert_array_equal(loaded.predict(rows_of(blocks, slice(NUM_TRAIN, None))), values)
    reordered = small(learner, blocks={"b": 1.0, "a": 1.0})  # files keep names, not their order
    again, same, _ = fit(reordered, kind)
    np.testing.assert_array_equal(same, values)
    again.save(tmp_path / "twice")
    names = sorted(path.name for path in (tmp_path / "once").iterdir())
    assert "learner.json" in names
    for name in names:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()


@pytest.mark.parametrize("learner", LEARNERS)
def test_rows_of_no_weight_never_change_the_fit(learner):
    """Held-out rows handed in with weight 0, however wild, leave predictions as they are."""
    blocks, targets = problem("multiclass")
    weights = (np.arange(NUM_ROWS) < NUM_TRAIN).astype(float)
    wild = {name: block.copy() for name, block in blocks.items()}
    for block in wild.values():
        block[NUM_TRAIN:] *= 50
    first, second = (
        fit_learner(
            small(learner, scale="standard"),
            b,
            targets,
            Task("multiclass"),
            weights=weights,
            seed=1,
        ).predict(blocks)
        for b in (blocks, wild)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_scaling_is_fitted_on_the_rows_given_only():
    blocks, _ = problem("binary")
    chosen = settings(transform="none", views="mean")
    fitted = fit_concatenation(chosen, blocks, weights=np.ones(NUM_ROWS))
    means = blocks["a"].mean(axis=1)
    np.testing.assert_allclose(fitted.scalings["a"].centre, means.mean(axis=0), atol=1e-5)
    expected = (means[:5] - means.mean(axis=0)) / means.std(axis=0) / np.sqrt(12)
    few = rows_of(blocks, slice(5))
    np.testing.assert_allclose(fitted(few)[:, :12], expected, atol=1e-5)
    few["a"][1:] = 99  # other rows of the same call change nothing either
    np.testing.assert_allclose(fitted(few)[0, :12], expected[0], atol=1e-5)


@pytest.mark.parametrize("scale", ["standard", "l2"])
def test_blocks_of_any_width_are_equally_loud(scale):
    rng = np.random.default_rng(3)
    blocks = {"a": 7 * rng.normal(size=(400, 1, 10)) + 3, "b": rng.normal(size=(400, 1, 90))}
    joined = fit_concatenation(settings(scale=scale), blocks, weights=np.ones(400))(blocks)
    assert np.mean(np.sum(joined[:, :10] ** 2, axis=1)) == pytest.approx(1, abs=1e-3)
    assert np.mean(np.sum(joined[:, 10:] ** 2, axis=1)) == pytest.approx(1, abs=1e-3)


def test_a_weight_twice_as_large_is_features_twice_as_large():
    blocks, _ = problem("binary")
    joined = [
        fit_concatenation(
            settings(blocks={"a": weight, "b": 1.0}), blocks, weights=np.ones(NUM_ROWS)
        )(blocks)
        for weight in (1.0, 2.0)
    ]
    np.testing.assert_allclose(joined[1][:, :12], 2 * joined[0][:, :12], rtol=1e-6)
    np.testing.assert_array_equal(joined[1][:, 12:], joined[0][:, 12:])


@pytest.mark.parametrize(("learner", "kind"), EVERY)
def test_weight_zero_leaves_a_block_out(learner, kind):
    _, muted, _ = fit(small(learner, blocks={"a": 1.0, "b": 0.0}), kind)
    _, alone, _ = fit(small(learner, blocks={"a": 1.0}), kind)
    np.testing.assert_array_equal(muted, alone)


@pytest.mark.parametrize("learner", ["logistic", "ridge"])
def test_a_block_given_twice_at_root_half_is_the_block_once(learner):
    blocks, targets = problem("multiclass")
    twice = {"a": blocks["a"], "b": blocks["a"]}
    half = np.sqrt(0.5)
    predictions = [
        fit_learner(
            settings(learner, blocks=weights, params={"tolerance": 1e-10} if tight else {}),
            twice,
            targets,
            Task("multiclass"),
            seed=1,
        ).predict(twice)
        for tight in [learner == "logistic"]
        for weights in ({"a": half, "b": half}, {"a": 1.0})
    ]
    np.testing.assert_allclose(predictions[0], predictions[1], atol=2e-4)


def test_constant_dimensions_become_zero_and_signs_survive_the_root():
    block = np.full((6, 1, 3), 0.1, dtype=np.float32)
    block[:, 0, 1] = [-4, -4, -4, 4, 4, 4]
    block[:, 0, 2] = 0
    fitted = fit_concatenation(settings(blocks={"a": 1.0}), {"a": block}, weights=np.ones(6))
    expected = np.zeros((6, 3))
    expected[:, 1] = np.array([-1, -1, -1, 1, 1, 1]) / np.sqrt(3)
    np.testing.assert_allclose(fitted({"a": block}), expected, atol=1e-6)


def test_views_are_averaged_after_the_root_or_become_rows():
    block = np.array([[[1.0], [9.0]], [[16.0], [-4.0]]], dtype=np.float32)
    plain = {"blocks": {"a": 1.0}, "scale": "none"}
    mean, rows = (
        fit_concatenation(settings(views=views, **plain), {"a": block}, weights=np.ones(2))
        for views in ("mean", "rows")
    )
    np.testing.assert_allclose(mean({"a": block}), [[2], [1]])
    np.testing.assert_allclose(rows({"a": block}), [[1], [3], [4], [-2]])


@pytest.mark.parametrize("learner", ["logistic", "ridge"])
def test_equal_views_as_rows_are_the_mean(learner):
    """Rows share their weight among views, so that V copies of a row are that row."""
    blocks, targets = problem("multiclass")
    same = {name: np.repeat(block[:, :1], 2, axis=1) for name, block in blocks.items()}
    mean, rows = (
        fit_learner(
            settings(learner, views=views, strength=[0.1, 1.0]),
            same,
            targets,
            Task("multiclass"),
            seed=1,
        ).predict(same)
        for views in ("mean", "rows")
    )
    np.testing.assert_allclose(mean, rows, atol=2e-3)


@pytest.mark.parametrize(
    ("learner", "kind"),
    [("logistic", "multiclass"), ("lightgbm", "multiclass"), ("ridge", "binary")],
)
def test_a_soft_row_is_its_classes_as_weighted_rows(learner, kind):
    blocks, targets = problem(kind)
    num_classes = targets.shape[1]
    soft = targets.copy()
    soft[:20] = 0.75 * targets[:20] + 0.25 * np.eye(num_classes)[0]
    doubled = np.concatenate([np.arange(NUM_ROWS), np.arange(20)])
    hard = np.concatenate([targets, np.tile(np.eye(num_classes)[0], (20, 1))])
    weights = np.concatenate([np.full(20, 0.75), np.ones(NUM_ROWS - 20), np.full(20, 0.25)])
    params = {"bagging_fraction": 1.0, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0.5}
    chosen = settings(learner, params=params if learner == "lightgbm" else {})
    from_soft = fit_learner(chosen, blocks, soft, Task(kind), seed=1)
    from_hard = fit_learner(
        chosen, rows_of(blocks, doubled), hard, Task(kind), weights=weights, seed=1
    )
    difference = np.abs(from_soft.predict(blocks) - from_hard.predict(blocks))
    # Boosted trees break ties by the order of rows; ridge's temperature has other inner folds.
    assert difference.mean() < {"logistic": 1e-3, "lightgbm": 0.02, "ridge": 0.02}[learner]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary"])
def test_an_absent_class_keeps_its_column_and_gets_nothing(learner, kind):
    blocks, targets = problem(kind)
    present = np.flatnonzero(targets[:, 1] == 0)
    fitted = fit_learner(
        small(learner), rows_of(blocks, present), targets[present], Task(kind), seed=1
    )
    values = fitted.predict(blocks)
    assert values.shape == targets.shape
    np.testing.assert_array_equal(values[:, 1], 0)
    if kind != "multilabel":
        np.testing.assert_allclose(values.sum(axis=1), 1)
    if kind == "binary":
        np.testing.assert_array_equal(values[:, 0], 1)
    else:
        assert np.corrcoef(values[present, 0], targets[present, 0])[0, 1] > 0.7


def ridge_rows(kind: str = "regression", *, num_dims: int = 12) -> TrainingRows:
    blocks, targets = problem(kind)
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(NUM_ROWS, max(num_dims - 12, 0)))
    return TrainingRows(
        features=np.hstack([blocks["a"].mean(axis=1)[:, :num_dims], noise]),
        targets=targets,
        weights=rng.uniform(0.5, 2, NUM_ROWS),
        task=Task(kind),
        folds=np.arange(NUM_ROWS) % 4,
        num_columns=0,
    )


@pytest.mark.parametrize("num_dims", [12, 200])
def test_ridge_is_scikit_learns(num_dims):
    rows = ridge_rows(num_dims=num_dims)
    ours = fit_ridge(rows, strengths=[2.0], seed=0).predict(rows.features)
    theirs = Ridge(alpha=2.0).fit(rows.features, rows.targets, sample_weight=rows.weights)
    np.testing.assert_allclose(ours, theirs.predict(rows.features), rtol=1e-6)


@pytest.mark.parametrize("num_dims", [12, 200])  # a fold has more rows than axes, or fewer
def test_ridges_held_out_residuals_are_those_of_refitting_without_the_fold(num_dims):
    rows = ridge_rows(num_dims=num_dims)
    strengths, losses = [0.01, 10.0, 1e4], []
    root = np.sqrt(rows.weights)[:, None]
    share = rows.weights / rows.weights.sum()
    centred = root * (rows.targets - share @ rows.targets)
    rotated, _ = rotate(root * (rows.features - share @ rows.features))
    for strength in strengths:
        found = held_out_residuals(
            rotated,
            np.sum(rotated**2, axis=0) + strength,
            rotated.T @ centred,
            centred,
            root=root,
            folds=rows.folds,
        )
        expected = np.empty_like(rows.targets)
        for fold in range(4):
            rest, mine = rows.folds != fold, rows.folds == fold
            model = Ridge(alpha=strength).fit(
                rows.features[rest], rows.targets[rest], sample_weight=rows.weights[rest]
            )
            expected[mine] = rows.targets[mine] - model.predict(rows.features[mine])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        losses.append(share @ expected**2)
    best = np.array(strengths)[np.argmin(losses, axis=0)]
    np.testing.assert_array_equal(fit_ridge(rows, strengths=strengths, seed=0).strength, best)


def test_each_regression_target_has_its_own_penalty():
    blocks, targets = problem("regression")
    targets[:, 1] = np.random.default_rng(0).normal(size=NUM_ROWS)
    chosen = settings("ridge", strength=[0.1, 1e4])
    fitted = fit_learner(chosen, blocks, targets, Task("regression"), seed=1)
    np.testing.assert_array_equal(fitted.model.strength, [0.1, 1e4])


def test_noise_asks_for_a_strong_penalty_and_clean_signal_for_a_weak_one():
    blocks, targets = problem("multiclass")
    shuffled = np.random.default_rng(0).permutation(targets)
    path = settings("logistic", strength=[0.01, 100.0])
    of_signal = fit_learner(path, blocks, targets, Task("multiclass"), seed=1)
    of_noise = fit_learner(path, blocks, shuffled, Task("multiclass"), seed=1)
    assert (of_signal.model.strength == 0.01).all()
    assert (of_noise.model.strength == 100.0).all()


def test_balanced_weights_give_classes_equal_mass_and_keep_the_total():
    targets = np.eye(3)[[0, 0, 0, 1]]
    same, weights = balanced(targets, np.ones(4), task=Task("multiclass"))
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2])
    assert np.array_equal(same, targets)
    with pytest.raises(UserError, match="one class per row"):
        balanced(targets, np.ones(4), task=Task("multilabel"))


def test_each_share_of_a_soft_row_counts_by_its_own_class():
    # Masses 2.5 and 0.5 of 3: factors 3/5 and 3. The soft row: 0.3 and 1.5, of weight 1.8.
    targets = np.array([[1, 0], [1, 0], [0.5, 0.5]])
    moved, weights = balanced(targets, np.ones(3), task=Task("binary"))
    np.testing.assert_allclose(weights, [0.6, 0.6, 1.8])
    np.testing.assert_allclose(moved, [[1, 0], [1, 0], [1 / 6, 5 / 6]])
    np.testing.assert_allclose(weights @ moved, [1.5, 1.5])


def test_balanced_weights_help_a_rare_class():
    blocks, targets = problem("binary")
    kept = np.concatenate([np.flatnonzero(targets[:, 0]), np.flatnonzero(targets[:, 1])[:6]])
    plain, balanced = (
        fit_learner(
            settings(class_weights=choice, strength=3.0),
            rows_of(blocks, kept),
            targets[kept],
            Task("binary"),
            seed=1,
        ).predict(blocks)[:, 1]
        for choice in ("none", "balanced")
    )
    assert np.mean(balanced) > np.mean(plain) + 0.05


def test_inner_folds_share_out_classes_and_keep_groups_together():
    rng = np.random.default_rng(0)
    targets = np.eye(2)[[0] * 8 + [1] * 4]
    folds = inner_folds(targets, num_folds=4, groups=None, rng=rng)
    np.testing.assert_array_equal(np.bincount(folds[:8]), [2, 2, 2, 2])
    np.testing.assert_array_equal(np.bincount(folds[8:]), [1, 1, 1, 1])
    groups = np.array(list("aabbccddeeff"))
    folds = inner_folds(targets, num_folds=4, groups=groups, rng=rng)
    np.testing.assert_array_equal(folds[::2], folds[1::2])
    assert set(folds) == {0, 1, 2, 3}


@pytest.mark.parametrize("learner", [name for name in LEARNERS if name != "knn"])
def test_metadata_is_used_and_a_missing_value_is_the_mean(learner):
    blocks, targets = problem("binary")
    rng = np.random.default_rng(0)
    noise = {name: rng.normal(size=block.shape) for name, block in blocks.items()}
    metadata = np.stack([targets[:, 1] * 200 + 1000, np.ones(NUM_ROWS)], axis=1)
    metadata[::10, 0] = np.nan
    train, held_out = slice(NUM_TRAIN), slice(NUM_TRAIN, None)
    fitted = fit_learner(
        small(learner),
        rows_of(noise, train),
        targets[train],
        Task("binary"),
        metadata=metadata[train],
        seed=1,
    )
    values = fitted.predict(rows_of(noise, held_out), metadata=metadata[held_out])
    known = ~np.isnan(metadata[held_out, 0])
    right = (values[:, 1] > 0.5) == targets[held_out, 1]
    assert np.isfinite(values).all()
    assert np.mean(right[known]) > 0.95
    with pytest.raises(UserError, match="metadata"):
        fitted.predict(noise)
    deaf = fit_learner(
        small(learner, metadata=False), noise, targets, Task("binary"), metadata=metadata, seed=1
    )
    assert np.isfinite(deaf.predict(noise)).all()


def test_metadata_is_a_block_with_a_weight():
    blocks, _ = problem("binary")
    metadata = np.random.default_rng(1).normal(size=(NUM_ROWS, 3)).astype(np.float32)
    given = {"weights": np.ones(NUM_ROWS), "metadata": metadata}

    def concatenated(chosen: Learner) -> np.ndarray:
        return fit_concatenation(chosen, blocks, **given)(blocks, metadata)

    plain = concatenated(settings())
    assert plain.shape == (NUM_ROWS * 2, 12 + 8 + 3)
    assert np.mean(np.sum(plain[:, 20:] ** 2, axis=1)) == pytest.approx(1, rel=1e-4)
    named = {"a": 1.0, "metadata": 0.5, "b": 1.0}
    half = concatenated(settings(blocks=named))
    np.testing.assert_array_equal(half[:, :20], plain[:, :20])
    np.testing.assert_array_equal(half[:, 20:], plain[:, 20:] / 2)
    for without in ({"metadata": False}, {"blocks": named | {"metadata": 0.0}}):
        found = concatenated(settings(**{"blocks": named} | without))
        np.testing.assert_array_equal(found, plain[:, :20])


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learner_on_metadata_alone(learner, tmp_path):
    _, targets = problem("multiclass")
    metadata = np.hstack([targets, np.random.default_rng(0).normal(size=(NUM_ROWS, 2))])
    train, held_out = slice(NUM_TRAIN), slice(NUM_TRAIN, None)
    chosen = small(learner, blocks={"metadata": 0.5})
    task, given = Task("multiclass"), {"metadata": metadata[train], "seed": 1}
    fitted = fit_learner(chosen, {}, targets[train], task, **given)
    fitted.save(tmp_path)
    values = load(tmp_path).predict({}, metadata=metadata[held_out])
    np.testing.assert_array_equal(values, fitted.predict({}, metadata=metadata[held_out]))
    assert values.shape == targets[held_out].shape
    assert np.mean(values.argmax(1) == targets[held_out].argmax(1)) > 0.95
    with pytest.raises(UserError, match="All blocks have weight 0"):
        fit_learner(small(learner, blocks={"metadata": 0.0}), {}, targets[train], task, **given)


def test_the_mlp_embeds_categories_and_takes_new_ones():
    """A category says which way a number counts: no sum of one-hot and number can tell."""
    rng = np.random.default_rng(0)
    category, number = rng.integers(0, 6, 2000), rng.normal(size=(2000, 1, 1))
    sign = np.array([1, -1, 1, 1, -1, -1])[category]
    targets = np.eye(2)[(sign * number[:, 0, 0] > 0).astype(int)]
    one_hot, train, held_out = np.eye(6)[category], slice(1000), slice(1000, None)
    chosen = Learner(learner="mlp", blocks={"a": 1.0}, transform="none", params={"hidden": 64})
    task, given = Task("binary"), {"metadata": one_hot[train], "seed": 1}
    fitted = fit_learner(chosen, {"a": number[train]}, targets[train], task, **given)
    values = fitted.predict({"a": number[held_out]}, metadata=one_hot[held_out])
    assert np.mean(values.argmax(1) == targets[held_out].argmax(1)) > 0.9
    new = fitted.predict({"a": number[held_out]}, metadata=np.zeros((1000, 6)))
    np.testing.assert_allclose(new.sum(axis=1), 1)
    assert np.mean(new.max(axis=1)) < np.mean(values.max(axis=1)) - 0.1  # it knows less


def test_the_seed_moves_trees_and_nothing_else_does():
    chosen = small("lightgbm")
    _, first, _ = fit(chosen, "multiclass", seed=1)
    _, same, _ = fit(chosen, "multiclass", seed=1)
    _, other, _ = fit(chosen, "multiclass", seed=2)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


def test_errors_say_what_to_do():
    blocks, targets = problem("regression")
    for learner in ("logistic", "svm"):
        with pytest.raises(UserError, match=f"{learner}` predicts classes; for regression use"):
            fit_learner(settings(learner), blocks, targets, Task("regression"), seed=1)
    with pytest.raises(ValidationError, match=r"ridge has no params \['depth'\]"):
        settings("ridge", params={"depth": 3})
    fitted = fit_learner(settings("ridge"), blocks, targets, Task("regression"), seed=1)
    with pytest.raises(UserError, match=r"Blocks \['b'\] are not there"):
        fitted.predict({"a": blocks["a"]})
    with pytest.raises(UserError, match="b: 7 dimensions, but the learner was fitted on 8"):
        fitted.predict({"a": blocks["a"], "b": blocks["b"][..., :7]})
    with pytest.raises(UserError, match="All blocks have weight 0"):
        fit_learner(
            settings("ridge", blocks={"a": 0.0}), blocks, targets, Task("regression"), seed=1
        )
    assert replace(fitted, kind="regression") == fitted


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_by_block(learner, value):
    blocks, targets = problem("multiclass")
    fitted = fit_learner(small(learner), blocks, targets, Task("multiclass"), seed=1)
    blocks["b"][[3, 5], 0, 2] = value
    message = "block b: 2 of 240 images have features that are NaN or infinite"
    with pytest.raises(JobFailed, match=message):
        fit_learner(small(learner), blocks, targets, Task("multiclass"), seed=1)
    with pytest.raises(JobFailed, match=message):
        fitted.predict(blocks)


def test_weights_that_no_float_holds_are_refused():
    blocks, targets = problem("multiclass")
    huge = settings("ridge", blocks={"a": 1e300, "b": 1.0})
    with pytest.raises(JobFailed, match=r"beyond what 32 bits hold.*Give smaller weights"):
        fit_learner(huge, blocks, targets, Task("multiclass"), seed=1)


@pytest.mark.parametrize(
    ("learner", "params", "reason"),
    [
        ("lightgbm", {"objective": "nonsense"}, "Number of classes must be 1"),
        ("lightgbm", {"num_leaves": 1}, "num_leaves"),
        ("lightgbm", {"axes": "many"}, "not supported"),
        ("extra_trees", {"max_depth": -3}, "max_depth"),
        ("knn", {"k": "many"}, "many"),
        ("mlp", {"hidden": -1}, "negative"),
        ("logistic", {"max_iter": "many"}, "many"),
    ],
)
def test_params_that_a_library_refuses_are_named(learner, params, reason):
    blocks, targets = problem("multiclass")
    with pytest.raises(
        JobFailed, match=f"(?s){learner} does not take `params`.*{reason}"
    ) as caught:
        fit_learner(settings(learner, params=params), blocks, targets, Task("multiclass"), seed=1)
    assert caught.value.__cause__ is not None  # its traceback is kept


def test_a_file_names_no_class_but_a_model(tmp_path):
    fitted, _, _ = fit(settings("ridge"), "regression")
    fitted.save(tmp_path)
    path = tmp_path / "learner.json"
    path.write_text(path.read_text().replace("pipeline.learners.linear:LinearModel", "os:system"))
    with pytest.raises(UserError, match="os:system is no model of ours"):
        load(tmp_path)
