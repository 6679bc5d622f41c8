"""Blocks: each row is the model's answer to the view of the image, computed once."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.backbones import extraction
from pipeline.backbones.create import normalisation
from pipeline.backbones.device import Hardware, choose_device, choose_precision, normalise
from pipeline.backbones.extraction import Block, extract_block, extract_shard
from pipeline.backbones.frozen import create_frozen
from pipeline.config.schema import TTA, Backbone
from pipeline.core.artifacts import file_digest, is_current
from pipeline.errors import JobFailed, UserError
from pipeline.images.decoding import ImageFiles, read_image
from pipeline.images.resizing import fit_square
from pipeline.images.tta import get_view

pytestmark = pytest.mark.numeric

BACKBONE = Backbone(arch="test_efficientnet", weights="random", image_size=32)
CPU = torch.device("cpu")
VIEWS = ["original", "mirrored"]


@pytest.fixture
def paths(competition_folder):
    return sorted((competition_folder / "train").iterdir())


@pytest.fixture
def asked(monkeypatch):
    """How many image views went through models."""
    counts = []
    fold = extraction.fold_batch_norm

    def counting(model, probe):
        folded = fold(model, probe)
        folded.register_forward_hook(lambda _, images, __: counts.append(len(images[0])))
        return folded

    monkeypatch.setattr(extraction, "fold_batch_norm", counting)
    return counts


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setitem(extraction.BATCH, "cpu", 2)
    monkeypatch.setattr(extraction, "BATCHES_PER_PART", 2)  # four images a part


def extract(
    folder,
    paths,
    recipe="r1",
    *,
    views=VIEWS,
    how="how1",
    backbone=BACKBONE,
    precision="32",
    beside=(),
):
    extract_block(
        folder,
        recipe,
        how=how,
        backbone=backbone,
        images=ImageFiles(paths, [file_digest(path) for path in paths]),
        views=views,
        hardware=Hardware(CPU, precision),
        beside=beside,
    )
    return np.load(folder / "features.npy")


def test_features_that_are_not_finite_are_refused_and_not_kept(tmp_path, paths, monkeypatch):
    original = extraction.fold_batch_norm

    def poisoned(model, probe):
        folded = original(model, probe)
        seen = []
        folded.register_forward_hook(
            lambda _, __, features: seen.append(0) or features * (1 if len(seen) < 7 else np.nan)
        )
        return folded

    monkeypatch.setattr(extraction, "fold_batch_norm", poisoned)
    with pytest.raises(
        JobFailed, match=r"features of 2 of 4 images are NaN or infinite, e\.g\. of .*"
    ):
        extract(tmp_path / "block", paths)
    assert not is_current(tmp_path / "block", "r1")
    monkeypatch.setattr(extraction, "fold_batch_norm", original)
    block = extract(tmp_path / "block", paths)
    assert np.array_equal(block, extract(tmp_path / "other", paths))


def test_features_that_overflow_in_16_bits_are_computed_in_32(tmp_path, paths, monkeypatch, caplog):
    original = extraction.fold_batch_norm

    def large(model, probe):
        folded = original(model, probe)
        folded.register_forward_hook(lambda _, __, features: features * 1e9)
        return folded

    exact = extract(tmp_path / "a", paths) * 1e9
    assert np.allclose(extract(tmp_path / "b", paths, precision="16"), exact / 1e9, atol=0.01)
    assert "overflows" not in caplog.text
    monkeypatch.setattr(extraction, "fold_batch_norm", large)
    assert np.allclose(extract(tmp_path / "c", paths, precision="16"), exact, rtol=1e-5)
    assert "precision 16 overflows" in caplog.text


@torch.inference_mode()
def one_by_one(paths, views, backbone=BACKBONE) -> np.ndarray:
    model = create_frozen(backbone)
    rows = []
    for path in paths:
        square = fit_square(read_image(path), backbone.image_size, backbone.cut)[None]
        image = normalise(square, *normalisation(model))
        rows.append([model(get_view(view)(image))[0].numpy() for view in views])
    return np.array(rows)


@pytest.mark.parametrize("cut", ["crop", "squash", "pad"])
def test_a_block_is_the_models_answer_to_each_view_of_each_image(tmp_path, paths, cut):
    backbone = BACKBONE.model_copy(update={"cut": cut})
    views = ["original", "rotated_90", "scale_1.5", "crop_top_left_0.5"]
    block = extract(tmp_path / "b", paths, views=views, backbone=backbone)
    assert block.dtype == np.float32
    assert block.shape[:2] == (9, 4)
    np.testing.assert_allclose(block, one_by_one(paths, views, backbone), rtol=1e-3, atol=1e-6)
    assert np.ptp(block, axis=0).max() > 1e-3  # images differ, or the above says nothing
    assert np.ptp(block, axis=1).max() > 1e-3  # views too


@pytest.mark.parametrize(
    ("arch", "side"), [("test_efficientnet", 33), ("resnet18", 32), ("convnext_atto", 37)]
)
@pytest.mark.parametrize("views", ["eight_of_square", "five_crops", "scale_1.1"])
def test_every_kind_of_view_with_several_stages(tmp_path, paths, arch, side, views):
    backbone = Backbone(arch=arch, weights="random", image_size=side, stages=[-2])
    views = TTA(views=["original", views]).views
    block = extract(tmp_path / "b", paths[:2], views=views, backbone=backbone)
    expected = one_by_one(paths[:2], views, backbone)
    np.testing.assert_allclose(block, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    assert len({row.tobytes() for row in block[0]}) == len(views) > 1


def test_the_metadata_says_what_the_rows_are(tmp_path, paths):
    block = extract(tmp_path / "b", paths)
    assert is_current(tmp_path / "b", "r1")
    meta = json.loads((tmp_path / "b" / "meta.json").read_text())
    assert meta["shape"] == list(block.shape)
    assert meta["digests"] == [file_digest(path) for path in paths]
    assert (meta["views"], meta["how"]) == (VIEWS, "how1")
    assert [path.name for path in (tmp_path / "b").rglob("*.npy")] == ["features.npy"]


def test_every_view_of_every_image_is_asked_once(tmp_path, paths, asked):
    extract(tmp_path / "b", paths)
    assert sum(asked) == 9 * 2
    assert max(asked) == 2


def test_a_new_image_costs_its_own_passes(tmp_path, paths, asked):
    old = extract(tmp_path / "b", paths[:7])
    asked.clear()
    new = extract(tmp_path / "b", paths, "r2")
    assert sum(asked) == 2 * 2
    assert np.array_equal(new[:7], old)
    np.testing.assert_allclose(new, one_by_one(paths, VIEWS), rtol=1e-3, atol=1e-6)


def test_a_new_view_costs_its_own_passes(tmp_path, paths, asked):
    old = extract(tmp_path / "b", paths)
    asked.clear()
    new = extract(tmp_path / "b", paths, "r2", views=["flipped", "mirrored", "original"])
    assert sum(asked) == 9
    assert np.array_equal(new[:, [2, 1]], old)
    np.testing.assert_allclose(
        new[:, 0], one_by_one(paths, ["flipped"])[:, 0], rtol=1e-3, atol=1e-6
    )


def test_a_new_image_and_a_new_view_together(tmp_path, paths, asked):
    extract(tmp_path / "b", paths[:7])
    asked.clear()
    views = ["original", "mirrored", "flipped"]
    new = extract(tmp_path / "b", paths, "r2", views=views)
    assert sum(asked) == 7 * 1 + 2 * 3
    np.testing.assert_allclose(new, one_by_one(paths, views), rtol=1e-3, atol=1e-6)


def test_another_order_or_fewer_rows_and_views_cost_nothing(tmp_path, paths, monkeypatch):
    old = extract(tmp_path / "b", paths)

    def no_model(backbone):
        raise AssertionError("a model was built though nothing is missing")

    monkeypatch.setattr(extraction, "create_frozen", no_model)
    order = [8, 3, 5, 3]
    new = extract(tmp_path / "b", [paths[row] for row in order], "r2", views=["mirrored"])
    assert np.array_equal(new, old[order][:, [1]])


def test_equal_files_are_asked_once(tmp_path, paths, asked):
    twin = tmp_path / "twin.png"
    twin.write_bytes(paths[0].read_bytes())
    block = extract(tmp_path / "b", [*paths[:2], twin])
    assert sum(asked) == 2 * 2
    assert np.array_equal(block[0], block[2])


def test_another_how_reuses_nothing(tmp_path, paths, asked):
    extract(tmp_path / "b", paths[:3])
    asked.clear()
    extract(tmp_path / "b", paths[:3], "r2", how="how2")
    assert sum(asked) == 3 * 2


class Fails(nn.Module):
    """A model that dies after so many passes."""

    def __init__(self, model: nn.Module, passes: int) -> None:
        super().__init__()
        self.model, self.passes = model, passes
        self.pretrained_cfg = model.pretrained_cfg

    def forward(self, images):
        self.passes -= 1
        if self.passes < 0:
            raise KeyboardInterrupt
        return self.model(images)


def test_an_interrupted_run_continues_to_the_same_bytes(tmp_path, paths, asked):
    whole = extract(tmp_path / "whole", paths)
    counting = extraction.create_frozen
    with pytest.MonkeyPatch.context() as patch:
        # A part of four images takes four passes of two: dies in the second part.
        patch.setattr(extraction, "create_frozen", lambda b: Fails(counting(b), passes=6))
        with pytest.raises(KeyboardInterrupt):
            extract(tmp_path / "cut", paths)
    assert not is_current(tmp_path / "cut", "r1")
    asked.clear()
    continued = extract(tmp_path / "cut", paths)
    assert sum(asked) == 5 * 2  # the first part was kept
    assert continued.tobytes() == whole.tobytes()
    files = [
        (folder / "features.npy").read_bytes() for folder in (tmp_path / "whole", tmp_path / "cut")
    ]
    assert files[0] == files[1]


def test_a_block_whose_file_was_deleted_is_made_again(tmp_path, paths, asked):
    extract(tmp_path / "b", paths[:2])
    (tmp_path / "b" / "features.npy").unlink()
    asked.clear()
    extract(tmp_path / "b", paths[:2], "r2")
    assert sum(asked) == 2 * 2


def test_a_bad_image_is_named_and_what_was_done_is_kept(tmp_path, paths, asked):
    good = paths[6].read_bytes()
    digests = [file_digest(path) for path in paths]
    paths[6].write_bytes(b"")
    with pytest.raises(UserError, match=paths[6].name):
        extract(tmp_path / "b", paths)
    paths[6].write_bytes(good)
    assert [file_digest(path) for path in paths] == digests
    asked.clear()
    extract(tmp_path / "b", paths)
    assert sum(asked) == 5 * 2


# Several blocks in one pass over the images.

OTHERS = {
    "same squares": BACKBONE.model_copy(update={"stages": [-2]}),
    "larger": BACKBONE.model_copy(update={"image_size": 48}),
}


@pytest.fixture
def opened(monkeypatch):
    """Which files were decoded."""
    names, read = [], ImageFiles.read
    monkeypatch.setattr(
        ImageFiles, "read", lambda self, row: names.append(self.paths[row].name) or read(self, row)
    )
    return names


def test_blocks_beside_each_other_decode_each_image_once(tmp_path, paths, opened):
    alone = {n: extract(tmp_path / "alone" / n, paths, backbone=b) for n, b in OTHERS.items()}
    opened.clear()
    beside = [Block(tmp_path / name, "how1", backbone) for name, backbone in OTHERS.items()]
    extract(tmp_path / "first", paths, beside=beside)
    for name, backbone in OTHERS.items():
        found = extract(tmp_path / name, paths, backbone=backbone)
        assert found.tobytes() == alone[name].tobytes()
    assert sorted(opened) == sorted(path.name for path in paths)


def test_a_block_beside_another_that_has_some_features_is_left_to_its_own_job(tmp_path, paths):
    beside = [Block(tmp_path / "other", "how1", OTHERS["larger"])]
    old = extract(tmp_path / "other", paths[:3], backbone=OTHERS["larger"])
    extract(tmp_path / "first", paths, beside=beside)
    assert not (tmp_path / "other" / "parts").exists()
    new = extract(tmp_path / "other", paths, "r2", backbone=OTHERS["larger"])
    assert np.array_equal(new[:3], old)


def test_models_that_do_not_fit_beside_the_first_are_left_to_their_own_jobs(
    tmp_path, paths, opened, monkeypatch
):
    monkeypatch.setattr(extraction, "MOST_BYTES", 1)
    beside = [Block(tmp_path / "other", "how1", OTHERS["larger"])]
    extract(tmp_path / "first", paths, beside=beside)
    assert len(opened) == len(paths)
    assert not (tmp_path / "other").exists()


# The device.


def test_a_device_that_is_not_there_says_what_is():
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"runtime\.device: cuda is not there.*device=cpu"):
            choose_device("cuda")
    assert choose_device("cpu").type == "cpu"
    assert choose_precision("auto", CPU) == "32"
    assert choose_precision("bf16", CPU) == "bf16"


def test_normalising_by_hand():
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    normal = normalise(images, (0.5, 0.5, 0.0), (0.5, 0.25, 1.0))
    assert normal.flatten().tolist() == pytest.approx([-1.0, 2.0, 0.2])
    assert normal.is_contiguous(memory_format=torch.channels_last)


def shard(folder, paths, number: int, num_shards: int, **changes) -> None:
    """Compute a share of the block that `extract` makes."""
    images = ImageFiles(paths, [file_digest(path) for path in paths])
    hardware, block = Hardware(CPU, "32"), Block(folder, "how1", BACKBONE)
    how = {"images": images, "views": VIEWS, "hardware": hardware}
    extract_shard(block, **how, shard=number, num_shards=num_shards, **changes)


def test_shards_compute_each_image_once_and_the_block_is_the_same(tmp_path, paths, asked):
    whole = extract(tmp_path / "whole", paths)
    asked.clear()
    passes = []
    for number in range(4):  # of nine images, four a part: the last shard is empty
        shard(tmp_path / "block", paths, number, 4)
        passes.append(sum(asked))
        asked.clear()
    # One model for all shards, which is kept until the block is whole.
    assert passes == [8, 8, 2, 0]
    assert len(extraction._KEPT) == 1
    assert np.array_equal(extract(tmp_path / "block", paths), whole)
    assert asked == []
    assert not extraction._KEPT
    assert not (tmp_path / "block" / "parts").exists()


def test_what_a_shard_did_not_compute_its_block_computes(tmp_path, paths, asked, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(extraction, "_check_finite", refuse)
        shard(tmp_path / "block", paths, 0, 2)  # its job ends; the block's own says what is wrong
    shard(tmp_path / "block", paths, 1, 2)
    asked.clear()
    block = extract(tmp_path / "block", paths)
    assert sum(asked) == 10  # two views of the first and the third part
    assert np.array_equal(block, extract(tmp_path / "whole", paths))


def refuse(*_: object) -> None:
    raise JobFailed("not finite")
