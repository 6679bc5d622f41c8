"""Rows in 16 bits and blocks on disk: a part at a time gives what all at once gives."""

import numpy as np
import pytest

from pipeline.config.schema import Learner
from pipeline.core.task import Task
from pipeline.learners import concatenation, fit, half_rows
from pipeline.learners.concatenation import fit_concatenation
from pipeline.learners.fit import fit_learner
from pipeline.learners.half_rows import BlockRows, HalfRows, parts_of

pytestmark = pytest.mark.numeric

NUM_ROWS = 300


@pytest.fixture
def blocks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(5, 1, size=(NUM_ROWS, 2, 6)).astype(np.float32),
        "b": rng.normal(0, 3, size=(NUM_ROWS, 2, 4)).astype(np.float16),
    }


@pytest.fixture
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(half_rows, "CELLS_AT_ONCE", 1000)


def test_parts_hold_all_rows_once_and_no_more_cells_than_allowed(small_parts):
    parts = parts_of(25, 100)
    assert [(part.start, part.stop) for part in parts] == [(0, 10), (10, 20), (20, 30)]
    assert parts_of(3, 5000) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_half_rows_multiply_as_their_float32_rows_do(small_parts):
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(NUM_ROWS, 5)).astype(np.float16)
    mean, chosen = rng.normal(size=5), rng.random(NUM_ROWS) < 0.5
    half = (HalfRows.of(cells) - mean)[chosen]
    whole = cells.astype(np.float32)[chosen] - mean.astype(np.float32)
    right, left = rng.normal(size=(5, 3)), rng.normal(size=(3, len(whole)))
    np.testing.assert_allclose(np.asarray(half), whole, atol=1e-6)
    np.testing.assert_allclose(half @ right, whole @ right, atol=1e-5)
    np.testing.assert_allclose(left @ half, left @ whole, atol=1e-4)
    np.testing.assert_allclose(left[0] @ half, left[0] @ whole, atol=1e-4)
    np.testing.assert_allclose(right.T @ half.T, right.T @ whole.T, atol=1e-5)
    assert (half.shape, half.T.shape) == (whole.shape, whole.T.shape)


@pytest.mark.parametrize("views", ["rows", "mean"])
def test_a_concatenation_in_parts_is_the_one_of_all_rows(blocks, views, monkeypatch):
    settings = Learner(learner="logistic", blocks={"a": 1.0, "b": 0.5}, views=views)
    weights, metadata = np.random.default_rng(1).random(NUM_ROWS), np.arange(NUM_ROWS)[:, None]
    whole = fit_concatenation(settings, blocks, weights=weights, metadata=metadata)
    expected = whole(blocks, metadata)
    monkeypatch.setattr(half_rows, "CELLS_AT_ONCE", 1000)
    on_disk = {name: BlockRows(block, np.arange(NUM_ROWS)) for name, block in blocks.items()}
    assert len(concatenation.image_parts(on_disk)) == 6
    in_parts = fit_concatenation(settings, on_disk, weights=weights, metadata=metadata)
    for name, scaling in whole.scalings.items():
        np.testing.assert_allclose(in_parts.scalings[name].centre, scaling.centre, rtol=1e-6)
        np.testing.assert_allclose(in_parts.scalings[name].factor, scaling.factor, rtol=1e-5)
    np.testing.assert_allclose(in_parts(on_disk, metadata), expected, atol=1e-5)


@pytest.mark.parametrize("learner", ["logistic", "svm", "lightgbm"])
def test_learners_on_half_rows_predict_as_on_float32(blocks, learner, small_parts, monkeypatch):
    signal = blocks["a"].mean(axis=1)[:, :3] + np.random.default_rng(2).normal(size=(NUM_ROWS, 3))
    targets = np.eye(3)[signal.argmax(axis=1)]
    settings = Learner(learner=learner, blocks={"a": 1.0, "b": 0.5})
    expected, found = (
        _fitted(settings, blocks, targets, large, monkeypatch) for large in (10**9, 1)
    )
    assert np.abs(expected - found).mean() < (0.05 if learner == "lightgbm" else 2e-3)
    assert (expected.argmax(axis=1) == found.argmax(axis=1)).mean() > 0.95


def _fitted(settings, blocks, targets, large, monkeypatch) -> np.ndarray:
    kept = []
    monkeypatch.setattr(fit, "LARGE", large)
    of = HalfRows.of.__func__
    monkeypatch.setattr(
        fit.HalfRows, "of", classmethod(lambda cls, cells: kept.append(1) or of(cls, cells))
    )
    fitted = fit_learner(settings, blocks, targets, Task("multiclass"), seed=1)
    assert bool(kept) == (large == 1)
    return fitted.predict(blocks)
