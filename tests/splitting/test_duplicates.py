"""Copies are found, look-alikes are not, and a false alarm cannot glue a competition together."""

import hashlib
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.images.thumbnails import perceptual_hash, thumbnail
from pipeline.splitting import duplicates
from pipeline.splitting.duplicates import clusters, find_duplicates

NUM_SCENES = 30


def scene(seed: int, size: tuple[int, int] = (180, 240)) -> np.ndarray:
    """A colour picture with structure at several scales, like a photograph."""
    rng = np.random.default_rng(seed)
    layers = [
        spread * gaussian_filter(rng.normal(size=(*size, 3)), (spread, spread, 0))
        for spread in (2, 8, 24)
    ]
    picture = sum(layers)
    return (127 + 45 * (picture - picture.mean()) / picture.std()).clip(0, 255).astype(np.uint8)


def reencoded(image: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream))


def resized(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    shrunk = Image.fromarray(image).resize((width * 4 // 5, height * 4 // 5), Image.BICUBIC)
    return np.asarray(shrunk)


def brightened(image: np.ndarray) -> np.ndarray:
    return (image * 1.08 + 6).clip(0, 255).astype(np.uint8)


def find_in(images: list[np.ndarray]) -> pd.DataFrame:
    digests = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    thumbnails = [thumbnail(image) for image in images]
    hashes = np.array([perceptual_hash(small) for small in thumbnails])
    return find_duplicates(digests, hashes, thumbnails.__getitem__)


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [scene(seed) for seed in range(NUM_SCENES)]


def test_different_pictures_are_not_paired(scenes):
    assert find_in(scenes).empty
    assert duplicates.MAX_DIFFERENCE < 0.18, "the closest two photographs, see there"


@pytest.mark.parametrize("copy", [reencoded, resized, brightened])
def test_every_changed_copy_is_found_and_nothing_else(scenes, copy):
    pairs = find_in(scenes + [copy(image) for image in scenes])
    expected = [(row, NUM_SCENES + row) for row in range(NUM_SCENES)]
    assert list(zip(pairs["a"], pairs["b"], strict=True)) == expected
    assert set(pairs["kind"]) == {"near"}


def look_alikes(number: int, strength: float) -> list[np.ndarray]:
    """Pictures of one bold thing that differ in faint details, (96, 96)."""
    rng = np.random.default_rng(0)
    thing = np.kron(rng.choice([50, 200], size=(6, 6)), np.ones((16, 16)))
    details = strength * gaussian_filter(rng.normal(size=(number, 96, 96)), (0, 3, 3))
    return list((thing + details).clip(0, 230).astype(np.uint8))


def mean_correlation(images: list[np.ndarray]) -> float:
    return np.corrcoef([thumbnail(image).ravel() for image in images])[0, 1:].mean()


def test_what_all_images_share_does_not_count_as_likeness():
    images = look_alikes(300, 45)
    assert 1 - mean_correlation(images) < duplicates.MAX_PLAIN_DIFFERENCE / 2
    images.append(brightened(images[9]))
    thumbnails = [thumbnail(image) for image in images]
    pairs = pd.DataFrame({"a": [0, 5, 9], "b": [1, 8, 300]})
    numbers = np.arange(301, dtype=np.uint64)  # all different, for the sample of patterns
    differences = duplicates._differences(pairs, numbers, np.arange(301), thumbnails.__getitem__)
    assert (differences[:2] > 0.5).all()
    assert differences[2] < duplicates.MAX_DIFFERENCE

    found = find_in(images)
    assert list(zip(found["a"], found["b"], strict=True)) == [(9, 300)]


def test_too_few_images_to_know_a_shared_pattern_are_compared_strictly():
    images = look_alikes(8, 120)
    assert 1 - mean_correlation(images) < duplicates.MAX_DIFFERENCE
    assert find_in(images).empty


def test_exact_copies_pair_with_the_first_and_a_near_one_with_only_that(scenes):
    pairs = find_in([scenes[0], scenes[1], scenes[0], scenes[0], reencoded(scenes[0])])
    assert pairs[["a", "b", "kind"]].to_numpy().tolist() == [
        [0, 2, "exact"],
        [0, 3, "exact"],
        [0, 4, "near"],
    ]
    assert pairs["distance"].tolist()[:2] == [0, 0]


@pytest.mark.parametrize("contrast", [0, 0.04])
def test_flat_and_nearly_flat_images_are_twins_only_byte_for_byte(contrast):
    pattern = (contrast * scene(0, (96, 96))).astype(np.uint8)
    images = [pattern + np.uint8(level) for level in range(60)]
    assert find_in(images).empty
    pairs = find_in([*images, images[3]])
    assert pairs[["a", "b", "kind"]].to_numpy().tolist() == [[3, 60, "exact"]]


def test_images_without_a_hash_are_not_even_opened():
    hashes = np.zeros(2, dtype=np.uint64)
    assert find_duplicates(np.array(["a", "b"]), hashes, open_thumbnail=None).empty


def test_flat_and_striped_images_have_no_hash():
    stripes = np.tile(np.arange(0, 250, 5, dtype=np.uint8) ** 2, (70, 1))
    assert perceptual_hash(np.full((50, 70, 3), 93, np.uint8)) == 0
    assert perceptual_hash(stripes) == perceptual_hash(stripes.T) == 0


def test_the_hash_does_not_depend_on_size_or_channels():
    image = scene(1)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    large = np.asarray(Image.fromarray(grey).resize((960, 720), Image.BICUBIC))
    hashes = [perceptual_hash(version) for version in (image, grey, grey[:, :, None], large)]
    assert max(np.bitwise_count(hashes[0] ^ other) for other in hashes) <= 2
    assert perceptual_hash(thumbnail(image)) == hashes[0], "a thumbnail stands for its image"


def test_candidates_are_all_pairs_within_the_distance():
    rng = np.random.default_rng(0)
    base = rng.integers(1, 2**63, 40, dtype=np.uint64)
    flips = np.uint64(1) << rng.integers(0, 64, (80, 6), dtype=np.uint64)
    hashes = np.concatenate([base, np.tile(base, 2) ^ np.bitwise_xor.reduce(flips, axis=1)])
    found = duplicates._candidates(hashes, np.arange(120), 6)
    expected = {
        (a, b)
        for a in range(120)
        for b in range(a + 1, 120)
        if bin(int(hashes[a]) ^ int(hashes[b])).count("1") <= 6
    }
    assert set(zip(found["a"], found["b"], strict=True)) == expected
    assert len(expected) >= 80


def test_too_many_candidates_make_the_distance_smaller_not_the_memory_larger():
    hashes = np.repeat(np.uint64(0xABCDEF), 700)  # 244 650 pairs
    assert duplicates._candidates(hashes, np.arange(700), 10).empty
    hashes[3:] ^= np.uint64(1) << np.arange(697, dtype=np.uint64) % np.uint64(63)
    found = duplicates._candidates(hashes, np.arange(700), 10)
    assert found["distance"].max() == 1
    assert {(0, 1), (0, 2), (1, 2)} <= set(zip(found["a"], found["b"], strict=True))


def chain(length: int, difference: float, start: int = 0) -> pd.DataFrame:
    rows = np.arange(start, start + length)
    return pd.DataFrame({"a": rows, "b": rows + 1, "difference": difference})


def test_an_oversized_cluster_falls_apart_and_small_ones_and_true_copies_stay():
    loose, small = chain(60, 0.02), chain(3, 0.02, start=90)
    loose.loc[40, "difference"] = 0.0
    kept = duplicates._broken_up(pd.concat([loose, small], ignore_index=True), 100, 0.03)
    assert kept["a"].tolist() == [40, 90, 91, 92]
    assert len(duplicates._broken_up(chain(60, 0.0001), 100, 0.03)) == 60


def test_clusters_are_transitive_and_the_rest_is_alone():
    pairs = pd.DataFrame({"a": [0, 2, 5], "b": [2, 4, 6]})
    cluster = clusters(8, pairs)
    assert cluster[0] == cluster[2] == cluster[4]
    assert cluster[5] == cluster[6] != cluster[0]
    assert len(set(cluster)) == 5
    assert clusters(3, pairs.head(0)).tolist() == [0, 1, 2]
