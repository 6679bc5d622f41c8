"""Views: each by hand on two by two pixels, and all of them invertible."""

import pytest
import torch

from pipeline.config.tta import PLAIN_VIEWS, SHORTHANDS
from pipeline.images.tta import PLAIN_VIEWS as SQUARE_VIEWS
from pipeline.images.tta import get_view, sides

# 1 2
# 3 4
BY_HAND = {
    "original": [[1, 2], [3, 4]],
    "mirrored": [[2, 1], [4, 3]],  # left and right change
    "flipped": [[3, 4], [1, 2]],  # up and down change
    "rotated_90": [[2, 4], [1, 3]],  # counterclockwise
    "rotated_180": [[4, 3], [2, 1]],
    "rotated_270": [[3, 1], [4, 2]],
    "transposed": [[1, 3], [2, 4]],
    "transversed": [[4, 2], [3, 1]],  # over the other diagonal
}
INVERSE = {"rotated_90": "rotated_270", "rotated_270": "rotated_90"}


def images(height=4, width=4) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_every_name_has_its_view_and_its_line_here():
    assert list(SQUARE_VIEWS) == list(PLAIN_VIEWS) == list(BY_HAND)


@pytest.mark.parametrize("name", PLAIN_VIEWS)
def test_a_view_by_hand(name):
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 3, 2, 2)
    assert get_view(name)(image)[0, 2].tolist() == BY_HAND[name]


def test_the_eight_views_differ():
    assert len({str(pixels) for pixels in BY_HAND.values()}) == 8


@pytest.mark.parametrize("name", PLAIN_VIEWS)
def test_a_view_is_invertible(name):
    inverse = get_view(INVERSE.get(name, name))
    assert torch.equal(inverse(get_view(name)(images(4, 6))), images(4, 6))


@pytest.mark.parametrize(
    ("name", "side"), [("scale_1.25", 40), ("scale_0.5", 16), ("scale_.25", 8)]
)
def test_scales_change_the_side(name, side):
    assert get_view(name)(images(32, 32)).shape == (2, 3, side, side)


def test_sides_that_views_have():
    views = ["mirrored", "scale_1.25", "crop_center_0.5", "original", "scale_0.5", "scale_1.26"]
    assert sides(views, 33) == {33: "mirrored", 41: "scale_1.25", 16: "scale_0.5", 42: "scale_1.26"}


def test_a_scale_of_one_is_the_original():
    assert torch.allclose(get_view("scale_1.0")(images()), images(), atol=1e-6)


@pytest.mark.parametrize("name", SHORTHANDS["five_crops"])
def test_crops_keep_the_side(name):
    assert get_view(name)(images(32, 24)).shape == (2, 3, 32, 24)


@pytest.mark.parametrize(
    ("position", "rows", "columns"),
    [
        ("center", (2, 6), (2, 6)),
        ("top_left", (0, 4), (0, 4)),
        ("top_right", (0, 4), (4, 8)),
        ("bottom_left", (4, 8), (0, 4)),
        ("bottom_right", (4, 8), (4, 8)),
    ],
)
def test_a_crop_sees_its_corner_only(position, rows, columns):
    marked = torch.zeros(1, 3, 8, 8)
    marked[:, :, slice(*rows), slice(*columns)] = 1.0
    assert torch.allclose(get_view(f"crop_{position}_0.5")(marked), torch.ones(1, 3, 8, 8))
    assert torch.allclose(get_view(f"crop_{position}_0.5")(1 - marked), torch.zeros(1, 3, 8, 8))
