"""Policies: torchvision's, in a config like albumentations' transforms, with draws of their own."""

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.images.augmentation import create_augmentation
from pipeline.images.batches import Batches, FoldImages, training_loader
from pipeline.images.policies import POLICIES

SIZE = 32


class Photo:
    """Stands for the image cache: one photo in every row."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, row: int) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (37, 41, 3), dtype=np.uint8)


def augmentation(name: str, **arguments):
    return create_augmentation([{"RandomCrop": {}}, {name: arguments}], image_size=SIZE)


def epochs_of(name: str, *, workers: int) -> list[torch.Tensor]:
    images = FoldImages(
        Photo(), np.arange(24), image_size=SIZE, cut="crop", augment=augmentation(name), seed=3
    )
    batches = Batches(24, batch_size=4, seed=3)
    loader = training_loader(images, batches, workers=workers)
    found = []
    for epoch in range(2):
        batches.epoch = epoch
        found += [image for images, _ in loader for image in images]
    return found


@pytest.mark.parametrize("name", POLICIES)
def test_the_seed_alone_decides_the_draw(name):
    augment = augmentation(name)
    first = [augment(Photo()[0], seed=seed) for seed in range(8)]
    torch.manual_seed(5)  # of no consequence
    assert all(torch.equal(augment(Photo()[0], seed=seed), first[seed]) for seed in range(8))
    assert len({square.numpy().tobytes() for square in first}) > 5


@pytest.mark.parametrize("name", POLICIES)
def test_no_other_generator_is_touched(name, monkeypatch):
    augment = augmentation(name)
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    augment(Photo()[0], seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not seeded  # a GPU's generator, which its dropout draws from


def test_workers_change_nothing_and_repeat_no_draw():
    alone, shared = (epochs_of("RandAugment", workers=workers) for workers in (0, 2))
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))
    # Few draws are the same by chance: crops and operations have some thousand outcomes.
    assert len({image.numpy().tobytes() for image in shared}) >= 46


def test_arguments_are_torchvisions():
    policies = [
        {"AutoAugment": {"policy": "svhn"}},
        {"RandAugment": {"num_ops": 1, "magnitude": 5, "fill": [124, 116, 104]}},
        {"AugMix": {"severity": 7, "mixture_width": 2}},
        {"TrivialAugmentWide": {"num_magnitude_bins": 11, "p": 0.25}},
    ]
    augment = create_augmentation([{"OneOf": {"transforms": policies}}], image_size=SIZE)
    auto, rand, mix, trivial = augment.transforms[0].transforms
    assert auto.torchvision_policy.policy.value == "svhn"
    assert (rand.torchvision_policy.num_ops, rand.torchvision_policy.magnitude) == (1, 5)
    assert tuple(rand.torchvision_policy.fill) == (124, 116, 104)
    assert (mix.torchvision_policy.severity, mix.torchvision_policy.mixture_width) == (7, 2)
    assert trivial.torchvision_policy.num_magnitude_bins == 11
    assert (trivial.p, rand.p) == (0.25, 1.0)


def test_no_operation_leaves_the_image_as_it_is():
    # Channels would be swapped or the image transposed, were the wrapping wrong.
    augment = create_augmentation([{"RandAugment": {"num_ops": 0}}], image_size=SIZE)
    image = Photo()[0][:SIZE, :SIZE]
    assert np.array_equal(augment(image, seed=0).permute(1, 2, 0).numpy(), image)


def test_fill_is_what_a_turn_uncovers():
    white = np.full((SIZE, SIZE, 3), 255, dtype=np.uint8)
    steps = [{"TrivialAugmentWide": {"fill": [10, 20, 30]}}]
    augment = create_augmentation(steps, image_size=SIZE)
    colours = torch.cat([augment(white, seed=seed).flatten(1).T for seed in range(40)])
    assert (colours == torch.tensor([10, 20, 30])).all(1).any()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"RandAugment": {"magnitude": 31}}, "below num_magnitude_bins, 31"),
        ({"RandAugment": {"strength": 3}}, "it takes num_ops, magnitude"),
        ({"RandAugment": {"fill": [1, 2]}}, "fill"),
        ({"AutoAugment": {"policy": "cifar"}}, "'imagenet', 'cifar10' or 'svhn'"),
        ({"AugMix": {"severity": 11}}, "less than or equal to 10"),
        ({"TrivialAugmentWide": {"interpolation": "bicubic"}}, "'nearest' or 'bilinear'"),
        ({"TrivialAugment": {}}, "did you mean `TrivialAugmentWide`"),
    ],
)
def test_what_a_user_can_get_wrong(step, message):
    with pytest.raises(UserError, match=message):
        create_augmentation([step], image_size=SIZE)


def test_the_whole_list_runs_in_one_pipeline():
    names = "HorizontalFlip RandomBrightnessContrast ColorJitter Rotate CoarseDropout Erasing"
    steps = [{"RandomResizedCrop": {}}, *({name: {}} for name in [*names.split(), *POLICIES])]
    square = create_augmentation(steps, image_size=SIZE)(Photo()[0], seed=0)
    assert (square.shape, square.dtype) == ((3, SIZE, SIZE), torch.uint8)
