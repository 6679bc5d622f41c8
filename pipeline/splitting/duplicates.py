"""Images that occur twice: the same bytes, or the same picture encoded, scaled or lit differently.

Copies in different folds flatter the score, so copies share a fold. Joining pictures that merely
look alike (solar cells, hands on plain ground) spoils the folds instead. So a near copy has to pass
three checks: its hash, its thumbnail, and its thumbnail without the patterns that all images of the
competition share.
"""

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.utils.extmath import randomized_svd

log = logging.getLogger(__name__)

# Measured on clothing, signdigits, chula and elpv: of 1200 copies (JPEG quality 60, 80 % of the
# size, half of it, brighter, another gamma) 3 were missed, all of solar cells. The closest two
# different photographs outside elpv have a difference of 0.18.
MAX_DISTANCE = 10
MAX_PLAIN_DIFFERENCE = 0.01
MAX_DIFFERENCE = 0.03
MIN_CONTRAST = 2.0  # grey levels; below, rounding to whole levels makes up the picture
SHARED_PATTERNS = 16
IMAGES_PER_PATTERN = 100  # with fewer, a pattern could be one picture and its copies
CANDIDATES_PER_ROW, MIN_CANDIDATES = 50, 200_000  # bounds memory and seconds
HASH_CHUNK, PAIR_CHUNK = 32, 4096  # rows at a time: XORed bits stay in the cache


def find_duplicates(
    digests: np.ndarray,
    hashes: np.ndarray,
    open_thumbnail: Callable[[int], np.ndarray],
    *,
    max_distance: int = MAX_DISTANCE,
    max_difference: float = MAX_DIFFERENCE,
) -> pd.DataFrame:
    """List pairs of rows that show the same image.

    Mirrored, turned and cropped copies are not found. A picture copied with changes so often that
    it dominates the competition counts as a shared pattern and is not found either. Of m rows with
    the same bytes, m - 1 pairs with the first are listed, and only the first is compared further.

    Args:
        digests: (N,) digest of each file's bytes.
        hashes: (N,) uint64, by `perceptual_hash`.
        open_thumbnail: row -> its `thumbnail`; asked once for each row that needs it.
        max_distance: bits in which the hashes may differ, 0 to 64.
        max_difference: 1 - correlation of the thumbnails without shared patterns, 0 to 2.
    Returns:
        columns a < b (rows), kind ("exact" or "near"), distance (bits), difference; sorted.
    """
    first_row = pd.Series(np.arange(len(digests))).groupby(np.asarray(digests)).transform("min")
    copies = np.flatnonzero(first_row != np.arange(len(digests)))
    exact = pd.DataFrame({"a": first_row.to_numpy()[copies], "b": copies}).assign(
        kind="exact", distance=0, difference=0.0
    )
    hashes = np.asarray(hashes, dtype=np.uint64)
    originals = np.setdiff1d(np.flatnonzero(hashes != 0), copies)
    near = _candidates(hashes, originals, max_distance).assign(kind="near")
    if len(near):
        near["difference"] = _differences(near, hashes, originals, open_thumbnail)
        near = near[near["difference"] <= max_difference]
        near = _broken_up(near, len(digests), max_difference)
    columns = ["a", "b", "kind", "distance", "difference"]
    pairs = pd.concat([part for part in (exact, near) if len(part)] or [exact])
    return pairs.sort_values(["a", "b"], ignore_index=True)[columns]


def clusters(num_rows: int, pairs: pd.DataFrame) -> np.ndarray:
    """Return the cluster (N,) int of each row by connected `pairs`; a row in none is alone."""
    ends = (pairs["a"].to_numpy(dtype=int), pairs["b"].to_numpy(dtype=int))
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), ends), shape=(num_rows, num_rows))
    return connected_components(graph, directed=False)[1].astype(int)


def shared_patterns(standardised: np.ndarray) -> np.ndarray:
    """Return the main directions (P, 1024) of all thumbnails, which do not distinguish any two."""
    count = min(SHARED_PATTERNS, len(standardised) // IMAGES_PER_PATTERN)
    if count == 0:
        return np.empty((0, standardised.shape[1]), dtype=standardised.dtype)
    return randomized_svd(standardised, count, random_state=0)[2]


def standardised(pixels: np.ndarray, min_contrast: float = 1e-6) -> np.ndarray:
    """Scale rows to mean 0 and variance 1, against brightness and contrast; flat ones to 0."""
    centred = pixels - pixels.mean(axis=1, keepdims=True, dtype=np.float32)
    contrast = centred.std(axis=1, keepdims=True)
    return np.divide(centred, contrast, out=np.zeros_like(centred), where=contrast >= min_contrast)


def _candidates(hashes: np.ndarray, rows: np.ndarray, max_distance: int) -> pd.DataFrame:
    """Return pairs of `rows` at most `max_distance` bits apart; fewer bits if too many.

    All pairs are compared, in blocks: 2 ns a pair, which is 11 s for 100 000 rows. Tables of bands
    (multi-index hashing) would gain nothing at this distance: its bands have six bits.
    """
    budget = max(MIN_CANDIDATES, CANDIDATES_PER_ROW * len(hashes))
    asked = max_distance
    blocks, num_pending = [np.empty((3, 0), dtype=np.int64)], 0
    for start in range(0, len(rows), HASH_CHUNK):
        own, others = hashes[rows[start : start + HASH_CHUNK]], hashes[rows[start:]]
        distances = np.bitwise_count(own[:, None] ^ others)
        a, b = np.nonzero(distances <= max_distance)
        ahead = a < b
        a, b = a[ahead], b[ahead]
        blocks.append(np.stack([rows[start + a], rows[start + b], distances[a, b]]))
        num_pending += len(a)
        while num_pending > budget and max_distance >= 0:
            max_distance -= 1
            blocks = [block[:, block[2] <= max_distance] for block in blocks]
            num_pending = sum(block.shape[1] for block in blocks)
    if max_distance < asked:
        log.warning(
            "duplicates: over %d pairs of images look alike, so near copies are searched "
            "within %d bits instead of %d (-1: not at all)",
            budget,
            max_distance,
            asked,
        )
    return pd.DataFrame(np.concatenate(blocks, axis=1).T, columns=["a", "b", "distance"])


def _differences(
    pairs: pd.DataFrame,
    hashes: np.ndarray,
    rows: np.ndarray,
    open_thumbnail: Callable[[int], np.ndarray],
) -> np.ndarray:
    """Return 1 - correlation of pairs' thumbnails without shared patterns; inf where unlike."""
    # One row per hash: a picture with many copies must not count as a shared pattern.
    sample = rows[np.unique(hashes[rows], return_index=True)[1]]
    sample = sample[:: max(1, len(sample) // (2 * IMAGES_PER_PATTERN * SHARED_PATTERNS))]
    needed = np.unique(np.concatenate([pairs["a"], pairs["b"], sample]))
    thumbnails = np.stack([open_thumbnail(int(row)).ravel() for row in needed])
    a, b, sample = (np.searchsorted(needed, part) for part in (pairs["a"], pairs["b"], sample))
    patterns = shared_patterns(standardised(thumbnails[sample], MIN_CONTRAST))

    differences = np.full(len(pairs), np.inf)
    for start in range(0, len(pairs), PAIR_CHUNK):
        chunk = np.arange(start, min(start + PAIR_CHUNK, len(pairs)))
        one, other = (standardised(thumbnails[end[chunk]], MIN_CONTRAST) for end in (a, b))
        alike = _unlikeness(one, other) <= MAX_PLAIN_DIFFERENCE
        one, other = (
            standardised(part[alike] - part[alike] @ patterns.T @ patterns) for part in (one, other)
        )
        differences[chunk[alike]] = _unlikeness(one, other)
    return differences


def _unlikeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return 1 - correlation of standardised rows, not below 0; 1 where one of them is flat."""
    return np.maximum(1 - np.einsum("np,np->n", one, other) / one.shape[1], 0)


def _broken_up(near: pd.DataFrame, num_rows: int, max_difference: float) -> pd.DataFrame:
    """Lower the allowed difference in an oversized cluster until it falls apart.

    Chains of ever so slightly different images can join thousands of rows. A cluster of a twentieth
    of the rows still fits into a fold.
    """
    limit, largest = max_difference, max(8, num_rows // 20)
    while limit > max_difference / 64:  # closer pairs are copies, however many
        cluster = clusters(num_rows, near)
        oversized = np.bincount(cluster)[cluster[near["a"]]] > largest
        if not oversized.any():
            break
        limit /= 2
        near = near[~oversized | (near["difference"] <= limit)]
    if limit < max_difference:
        log.warning(
            "duplicates: near copies joined more than %d images; there, pairs count as "
            "copies up to a difference of %.4f instead of %.4f",
            largest,
            limit,
            max_difference,
        )
    return near
