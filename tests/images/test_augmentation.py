"""Augmentation and batches: squares of the right size, draws that depend on their key only."""

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.images.augmentation import (
    Spread,
    create_augmentation,
    measure_spread,
    wants_spread,
)
from pipeline.images.augmentation_presets import PRESETS
from pipeline.images.batches import Batches, FoldImages, training_loader, validation_loader
from pipeline.images.resizing import fit_square

SIZE = 32


class Photos:
    """Stands for the image cache: noise of various aspects, the same at each reading."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, row: int) -> np.ndarray:
        rng = np.random.default_rng(row)
        return rng.integers(0, 256, (37 + row % 3, 37 + row % 5, 3), dtype=np.uint8)


def loaded(workers: int, *, epochs: int = 2, seed: int = 7) -> list[tuple[list[int], torch.Tensor]]:
    augment = create_augmentation("medium", image_size=SIZE)
    images = FoldImages(
        Photos(30), np.arange(10, 30), image_size=SIZE, cut="crop", augment=augment, seed=seed
    )
    batches = Batches(20, batch_size=5, seed=seed)
    loader = training_loader(images, batches, workers=workers)
    found = []
    for epoch in range(epochs):
        batches.epoch = epoch
        found += [(positions.tolist(), images) for images, positions in loader]
    return found


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("cut", ["crop", "squash", "pad"])
def test_every_preset_ends_in_squares_of_bytes(preset, cut):
    augment = create_augmentation(preset, image_size=SIZE, cut=cut)
    for row in range(5):
        square = augment(Photos(5)[row], seed=row)
        assert square.shape == (3, SIZE, SIZE)
        assert square.dtype == torch.uint8


@pytest.mark.parametrize("cut", ["crop", "squash", "pad"])
def test_no_augmentation_is_the_view_of_inference(cut):
    augment = create_augmentation("none", image_size=SIZE, cut=cut)
    assert torch.equal(augment(Photos(3)[2], seed=1), fit_square(Photos(3)[2], SIZE, cut))


def test_a_square_of_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    square = create_augmentation([{"HorizontalFlip": {"p": 0.0}}], image_size=SIZE)(image, seed=0)
    assert np.array_equal(square.permute(1, 2, 0).numpy(), image)


def test_the_seed_alone_decides_the_draw():
    augment = create_augmentation("heavy", image_size=SIZE)
    first = augment(Photos(3)[0], seed=5)
    augment(Photos(3)[1], seed=6)
    assert torch.equal(augment(Photos(3)[0], seed=5), first)
    assert not torch.equal(augment(Photos(3)[0], seed=6), first)


def test_transforms_draw_independently_of_each_other():
    # albumentations' own set_random_seed makes both flips or none, for every seed.
    flips = [{"HorizontalFlip": {"p": 0.5}}, {"VerticalFlip": {"p": 0.5}}]
    augment = create_augmentation(flips, image_size=SIZE)
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    plain = torch.from_numpy(image).permute(2, 0, 1)
    forms = [plain, plain.flip(2), plain.flip(1), plain.flip(1, 2)]
    counts = np.zeros(4)
    for seed in range(200):
        square = augment(image, seed=seed)
        counts += [torch.equal(square, form) for form in forms]
    assert counts.sum() == 200
    assert counts.min() > 30  # each form: 50 expected, standard deviation 6


def test_workers_change_nothing():
    alone, shared = loaded(0), loaded(2)
    assert [positions for positions, _ in alone] == [positions for positions, _ in shared]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(alone, shared, strict=True))


def test_no_draw_is_repeated_over_workers_and_epochs():
    class Same(Photos):
        def __getitem__(self, row):
            return super().__getitem__(0)

    jitter = [{"ColorJitter": {"brightness": [0.2, 2.0], "p": 1.0}}]
    augment = create_augmentation(jitter, image_size=SIZE)
    images = FoldImages(Same(24), np.arange(24), image_size=SIZE, cut="crop", augment=augment)
    batches = Batches(24, batch_size=4, seed=0)
    loader = training_loader(images, batches, workers=2)
    seen = set()
    for epoch in range(3):
        batches.epoch = epoch
        seen |= {image.numpy().tobytes() for images, _ in loader for image in images}
    assert len(seen) == 3 * 24


def test_an_epoch_has_each_row_once_in_an_order_of_its_own():
    batches = Batches(21, batch_size=5, seed=0)
    orders = []
    for epoch in range(2):
        batches.epoch = epoch
        keys = [key for batch in batches for key in batch]
        assert {(found, copy) for found, _, copy in keys} == {(epoch, 0)}
        orders.append([position for _, position, _ in keys])
        assert sorted(orders[-1]) == list(range(21))
    assert orders[0] != orders[1]


def test_copies_of_a_row_in_an_epoch_are_augmented_apart():
    def thrice(rng):
        return np.array([3, 1, 3, 3])

    jitter = [{"ColorJitter": {"brightness": [0.2, 2.0], "p": 1.0}}]
    augment = create_augmentation(jitter, image_size=SIZE)
    images = FoldImages(Photos(9), np.arange(9), image_size=SIZE, cut="crop", augment=augment)
    batches = Batches(4, batch_size=4, seed=0, draw=thrice)
    ((squares, positions),) = training_loader(images, batches, workers=0)
    assert positions.tolist() == [3, 1, 3, 3]
    assert len({square.numpy().tobytes() for square in squares}) == 4
    # The first copy is what an epoch without copies shows.
    batches = Batches(9, batch_size=9, seed=0)
    ((plain, positions),) = training_loader(images, batches, workers=0)
    assert torch.equal(squares[0], plain[positions.tolist().index(3)])


@pytest.mark.parametrize("num_rows", [*range(2, 40), 65])
@pytest.mark.parametrize("batch_size", [2, 3, 8, 32])
def test_no_batch_of_one_and_none_left_out(num_rows, batch_size):
    sizes = [len(batch) for batch in Batches(num_rows, batch_size=batch_size, seed=0)]
    assert sum(sizes) == num_rows
    assert min(sizes) >= 2
    assert max(sizes) <= max(batch_size, 3)
    assert max(sizes) - min(sizes) <= 1


def test_validation_takes_all_rows_in_order():
    images = FoldImages(Photos(9), np.array([4, 2, 8]), image_size=SIZE, cut="crop")
    (squares, positions), (last, _) = validation_loader(images, batch_size=2, workers=0)
    assert positions.tolist() == [0, 1]
    assert torch.equal(squares[1], fit_square(Photos(9)[2], SIZE, "crop"))
    assert torch.equal(last[0], fit_square(Photos(9)[8], SIZE, "crop"))


def test_sizes_that_are_left_out_are_the_networks():
    pipeline = [{"OneOf": {"transforms": [{"RandomCrop": None}, {"Resize": {}}], "p": 1.0}}]
    augment = create_augmentation(pipeline, image_size=SIZE)
    (chosen,) = augment.transforms
    assert (chosen.transforms[0].height, chosen.transforms[1].width) == (SIZE, SIZE)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ([{"HorizontalFlipp": {}}], "did you mean `HorizontalFlip"),
        ([{"RandAugmnt": {}}], "did you mean `RandAugment"),
        ([{"HorizontalFlip": {"prob": 0.5}}], "no argument 'prob'"),
        ([{"Affine": {"rotat": 5}}], "did you mean `rotate"),
        ([{"HorizontalFlip": {"p": 5}}], "less than or equal to 1"),
        ([{"RandomCrop": {"height": 99, "width": 99}}], "RandomCrop fails"),
        ([{"Normalize": {}}], "expected a uint8"),
        ([{"HorizontalFlip": {}, "VerticalFlip": {}}], "expected one"),
        ([{"OneOf": {"transforms": [{"Nope": {}}]}}], "no transform 'Nope'"),
        ([{"OneOf": {"transforms": [{"ToFloat": {}}]}}], "expected a uint8"),
    ],
)
def test_what_a_user_can_get_wrong(pipeline, message):
    with pytest.raises(UserError, match=message):
        create_augmentation(pipeline, image_size=SIZE)


def flat(*levels: int) -> list[np.ndarray]:
    return [np.full((4, 6, 3), level, dtype=np.uint8) for level in levels]


def test_spread_of_flat_images_is_that_of_their_levels():
    # Mean 100, standard deviation 20. Contrast is nowhere, so it is the weakest.
    assert measure_spread(iter(flat(80, 120))) == Spread(pytest.approx(0.2), 0.02)


def test_spread_of_contrast_is_that_of_deviations_within_images():
    # Halves at 100 - d and 100 + d deviate by d: by 15 and 25, mean 20, standard deviation 5.
    images = [np.concatenate(flat(100 - d, 100 + d)) for d in (15, 25)]
    assert measure_spread(images) == Spread(0.02, pytest.approx(0.25))


def test_luminance_weighs_green_most():
    red, green = np.zeros((2, 1, 1, 3), dtype=np.uint8)
    red[..., 0], green[..., 1] = 200, 100  # 59.8 and 58.7: mean 59.25, standard deviation 0.55
    blue = np.zeros((1, 1, 3), dtype=np.uint8)
    blue[..., 2] = 255  # 29.07: with red 59.8, mean 44.435, standard deviation 15.365
    assert measure_spread([red, green]).brightness == 0.02
    assert measure_spread([red, blue]).brightness == pytest.approx(15.365 / 44.435)


def test_spread_has_limits():
    assert measure_spread(flat(0, 0, 255)) == Spread(0.5, 0.02)
    assert measure_spread(flat(0, 0)) == Spread(0.02, 0.02)


def test_measured_becomes_the_limits():
    both = [
        {"ColorJitter": {"brightness": "measured", "contrast": "measured"}},
        {
            "RandomBrightnessContrast": {
                "brightness_limit": "measured",
                "contrast_limit": "measured",
            }
        },
    ]
    pipeline = [{"OneOf": {"transforms": both}}]
    assert wants_spread(pipeline)
    spread = Spread(brightness=0.3, contrast=0.1)
    (chosen,) = create_augmentation(pipeline, image_size=SIZE, spread=spread).transforms
    jitter, limits = chosen.transforms
    assert jitter.brightness == pytest.approx((0.7, 1.3))
    assert jitter.contrast == pytest.approx((0.9, 1.1))
    assert limits.brightness_limit == pytest.approx((-0.3, 0.3))
    assert limits.contrast_limit == pytest.approx((-0.1, 0.1))


@pytest.mark.parametrize(
    "step",
    [
        {"ColorJitter": {"brightness": "measured", "contrast": 0, "saturation": 0, "hue": 0}},
        {"RandomBrightnessContrast": {"brightness_limit": "measured", "contrast_limit": 0}},
    ],
)
def test_measured_brightness_is_a_share_of_the_images_own(step):
    ((name, arguments),) = step.items()
    pipeline = [{name: {**arguments, "p": 1.0}}]
    spread = Spread(brightness=0.2, contrast=0.2)
    augment = create_augmentation(pipeline, image_size=SIZE, spread=spread)
    image = np.full((SIZE, SIZE, 3), 50, dtype=np.uint8)
    levels = [int(augment(image, seed=seed)[0, 0, 0]) for seed in range(100)]
    assert 39 <= min(levels) <= 42  # 50 less 20 %, rounded
    assert 58 <= max(levels) <= 61


def test_presets_want_no_spread():
    assert not any(wants_spread(augment) for augment in (*PRESETS, *PRESETS.values()))


@pytest.mark.parametrize(
    ("arguments", "spread", "message"),
    [
        ({"hue": "measured"}, Spread(0.1, 0.1), "takes it: ColorJitter brightness"),
        ({"p": "measured"}, None, "cannot have p: measured"),
        ({"contrast": "measured"}, None, "no images were measured"),
    ],
)
def test_measured_where_nothing_is(arguments, spread, message):
    with pytest.raises(UserError, match=message):
        create_augmentation([{"ColorJitter": arguments}], image_size=SIZE, spread=spread)
