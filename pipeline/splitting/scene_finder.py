"""Find scenes: images of one series, place or person that are more alike than any others.

No fixed threshold finds them: two solar cells of one make are as alike as two photos of one shirt.
A scene is a cluster instead: its images are connected by short steps, and the step to the nearest
other image is longer by half.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from pipeline.splitting.duplicates import MIN_CONTRAST, shared_patterns, standardised

# Measured on features of lite0: of 40 photos, each cropped, turned and lit five times among 360
# others, all were found and nothing else (clothing). At a ratio of 2, too, but 25 % of signs in
# place of 37 %; at 1.3, 52 solar cells that merely look alike are one scene.
MAX_STEP = 0.2  # 1 - cosine, between an image and its scene
MIN_RATIO = 1.5  # of the step out of a scene to the longest within
MAX_SHARE, MIN_LIMIT = 0.2, 8  # of all images in one scene; a larger one fits into no fold
NEIGHBOURS = 32  # of each image; farther ones join no scene that nearer ones do not
CHUNK = 500
DECIMALS = 5  # of steps: further ones depend on the order of sums
NO_STEP = 10.0**-DECIMALS  # of copies; a graph has no edge of length 0


def find_scenes(features: np.ndarray) -> np.ndarray:
    """Return the scene of each image, (N,) int: its first image's row; alone, its own.

    Single linkage on cosines of centred features, so that what all images share does not count. Of
    clusters that lie in each other, the largest that stands apart is the scene.

    Args:
        features: (N, D), of one image each; a row of zeros is like no other.
    """
    num_rows = len(features)
    scene = np.arange(num_rows)
    if num_rows < 2:
        return scene
    links = _Links(num_rows)
    for a, b, step in _shortest_links(centred(features)):
        if step > MIN_RATIO * MAX_STEP:
            break
        for root in (links.root(a), links.root(b)):
            links.mark_scene(scene, root, step)
        links.join(a, b, step)
    for root in list(links.rows):
        links.mark_scene(scene, root, np.inf)
    return scene


def thumbnail_features(thumbnails: np.ndarray) -> np.ndarray:
    """Compute features (N, 1024) of thumbnails without shared patterns; zeros where flat."""
    pixels = standardised(thumbnails.reshape(len(thumbnails), -1), MIN_CONTRAST)
    patterns = shared_patterns(pixels)
    return pixels - pixels @ patterns.T @ patterns


def block_features(block: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Average the views of a block (N, V, D) to (N, D); zeros where the image is flat.

    Blank and black images are alike without being of one scene.
    """
    features = block.mean(axis=1, dtype=np.float32)
    pixels = thumbnails.reshape(len(thumbnails), -1)
    features[pixels.std(axis=1, dtype=np.float32) < MIN_CONTRAST] = 0
    return features


def centred(features: np.ndarray) -> np.ndarray:
    """Scale rows to length 1, subtract their mean, scale again; zeros stay, and do not count."""
    directions = _of_length_1(np.asarray(features, dtype=np.float32))
    shown = directions.any(axis=1)
    if shown.any():
        directions[shown] -= directions[shown].mean(axis=0)
    return _of_length_1(directions)


class _Links:
    """Clusters as they grow: rows of each root, and the longest step among them."""

    def __init__(self, num_rows: int) -> None:
        self.parent = list(range(num_rows))
        self.rows = {row: [row] for row in range(num_rows)}
        self.longest = np.zeros(num_rows)
        self.limit = max(MIN_LIMIT, int(MAX_SHARE * num_rows))

    def root(self, row: int) -> int:
        while self.parent[row] != row:
            self.parent[row] = row = self.parent[self.parent[row]]
        return row

    def join(self, a: int, b: int, step: float) -> None:
        large, small = sorted((self.root(a), self.root(b)), key=lambda root: -len(self.rows[root]))
        self.parent[small] = large
        self.rows[large] += self.rows.pop(small)
        self.longest[large] = step

    def mark_scene(self, scene: np.ndarray, root: int, next_step: float) -> None:
        """Mark a cluster's rows if it is a scene: the next image is `next_step` away."""
        rows, longest = self.rows[root], self.longest[root]
        if 1 < len(rows) <= self.limit and longest <= MAX_STEP and next_step >= MIN_RATIO * longest:
            scene[rows] = min(rows)


def _shortest_links(directions: np.ndarray) -> list[tuple[int, int, float]]:
    """Return links (a, b, step) of the minimum spanning tree of nearest neighbours, short first."""
    num_rows = len(directions)
    count = min(NEIGHBOURS, num_rows - 1)
    ends, steps = [], []
    for start in range(0, num_rows, CHUNK):
        own = np.arange(start, min(start + CHUNK, num_rows))
        step = np.round(1 - directions[own] @ directions.T, DECIMALS)
        step[own - start, own] = np.inf
        nearest = np.argpartition(step, count - 1, axis=1)[:, :count]
        ends.append(np.stack([np.repeat(own, count), nearest.ravel()]))
        steps.append(np.take_along_axis(step, nearest, axis=1).ravel())
    a, b = np.sort(np.concatenate(ends, axis=1), axis=0)
    step = np.maximum(np.concatenate(steps), NO_STEP)
    _, first = np.unique(a * num_rows + b, return_index=True)  # of links found from both ends
    graph = coo_array((step[first], (a[first], b[first])), shape=(num_rows, num_rows))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    a, b = np.sort(np.stack([tree.row, tree.col]), axis=0)
    order = np.lexsort([b, a, tree.data])
    return list(zip(a[order].tolist(), b[order].tolist(), tree.data[order].tolist(), strict=True))


def _of_length_1(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
