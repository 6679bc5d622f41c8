"""Augmentation and batches: squares of the right size, draws that depend on their key only."""

import numpy as np
import pytest
import torch

from pipeline.config.errors import UserError
from pipeline.data.augmentation import PRESETS, create_augmentation
from pipeline.data.batches import Batches, FoldImages, training_loader, validation_loader
from pipeline.data.images import fit_square

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
        assert {found for found, _ in keys} == {epoch}
        orders.append([position for _, position in keys])
        assert sorted(orders[-1]) == list(range(21))
    assert orders[0] != orders[1]


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
        ([{"HorizontalFlipp": {}}], "Did you mean HorizontalFlip"),
        ([{"HorizontalFlip": {"prob": 0.5}}], "no argument 'prob'"),
        ([{"Affine": {"rotat": 5}}], "Did you mean rotate"),
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
