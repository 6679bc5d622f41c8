"""Scene finder: series are found whole, look-alikes do not collapse, nothing hangs on the order."""

import numpy as np
import pytest

from pipeline.splitting import scene_finder
from pipeline.splitting.scene_finder import block_features, find_scenes, thumbnail_features


def series(num_series: int, photos: int, *, others: int, noise: float = 0.2, seed: int = 0):
    """Features of series of photos, and of `others` that are like nothing; their true scenes."""
    rng = np.random.default_rng(seed)
    scene = np.append(np.repeat(np.arange(num_series), photos), num_series + np.arange(others))
    pictures = rng.normal(size=(num_series + others, 60))
    return pictures[scene] + noise * rng.normal(size=(len(scene), 60)), scene


def same(scene: np.ndarray) -> np.ndarray:
    """(N, N) which images share a scene."""
    return scene[:, None] == scene


@pytest.mark.parametrize(
    ("num_series", "photos", "others"), [(5, 4, 60), (1, 2, 30), (10, 40, 0), (6, 30, 20)]
)
def test_series_are_found_and_nothing_else(num_series, photos, others):
    """Also where all images are of a few long series, more than an image has neighbours."""
    features, true = series(num_series, photos, others=others)
    assert (same(find_scenes(features)) == same(true)).all()


def test_a_scene_is_numbered_by_its_first_row_and_an_image_alone_by_its_own():
    features, _ = series(2, 2, others=2)
    rows = [0, 2, 4, 1, 3, 5]  # of scenes 0, 1, alone, 0, 1, alone
    assert find_scenes(features[rows]).tolist() == [0, 1, 2, 0, 1, 5]


def test_look_alikes_do_not_collapse_into_one_scene():
    """Points on a sphere, each within a step of others: plain single linkage joins all of them."""
    points = np.random.default_rng(0).normal(size=(600, 4))
    steps = 1 - scene_finder.centred(points) @ scene_finder.centred(points).T
    np.fill_diagonal(steps, 9)
    assert steps.min(axis=1).max() < scene_finder.MAX_STEP
    assert np.bincount(find_scenes(points)).max() <= 0.03 * len(points)


def test_a_scene_of_more_than_a_fifth_of_all_images_is_none():
    features, true = series(1, 30, others=70)
    assert len(set(find_scenes(features))) == 100
    features, true = series(1, 19, others=81)
    assert (same(find_scenes(features)) == same(true)).all()


def test_copies_within_a_series_do_not_take_its_place():
    features, true = series(4, 5, others=40)
    features[0] = features[1]
    assert (same(find_scenes(features)) == same(true)).all()


def test_what_all_images_share_makes_none_more_alike():
    """Two images are half alike: with a pattern that all share they look nearly the same."""
    features, _ = series(0, 0, others=40)
    features[1] += 1.2 * features[0]
    steps = 1 - scene_finder.centred(features) @ scene_finder.centred(features).T
    assert 0.2 < steps[0, 1] < 0.6
    assert find_scenes(features + 3).tolist() == list(range(40))


def test_the_order_of_images_changes_no_scene():
    features, _ = series(6, 5, others=50, noise=0.3)
    order = np.random.default_rng(1).permutation(len(features))
    scenes = find_scenes(features)
    assert (same(find_scenes(features[order])) == same(scenes)[np.ix_(order, order)]).all()


def test_blank_images_are_no_scene():
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 255, (40, 32, 32)).astype(np.uint8)
    thumbnails[:6] = 255
    block = rng.normal(size=(40, 2, 20))
    block[:6] = block[0]
    block[10] = block[11]
    scenes = find_scenes(block_features(block, thumbnails))
    assert scenes[:6].tolist() == list(range(6))
    assert scenes[10] == scenes[11]
    assert find_scenes(thumbnail_features(thumbnails))[:6].tolist() == list(range(6))


@pytest.mark.parametrize("num_rows", [0, 1, 2])
def test_few_images_are_no_trouble(num_rows):
    assert len(find_scenes(np.eye(3)[:num_rows])) == num_rows
