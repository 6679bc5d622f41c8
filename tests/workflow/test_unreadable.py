"""`data.unreadable: skip`: training rows are left out, test rows get the prior; all are listed."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_project import CONFIG, NETWORK, load, run, submission, write_competition

from pipeline.errors import UserError

pytestmark = pytest.mark.slow
MEMBERS = CONFIG["members"] | {"net": NETWORK}
SKIP = {"unreadable": "skip"}


def damage(folder) -> None:
    (folder / "train" / "004.png").write_bytes(b"no image")
    (folder / "train" / "011.png").unlink()
    content = (folder / "test" / "033.png").read_bytes()
    (folder / "test" / "033.png").write_bytes(content[: len(content) // 2])
    (folder / "test" / "036.png").unlink()


def test_rows_without_an_image_are_left_out_or_get_the_prior_and_are_named(tmp_path, caplog):
    folder = write_competition(tmp_path)
    damage(folder)
    run(tmp_path, "report", members=MEMBERS, data=SKIP)
    assert "2 training rows are left out, for their images cannot be read" in caplog.text
    assert "2 test images cannot be read and get the mean of the training targets" in caplog.text
    audit = json.loads((tmp_path / "features" / "tiny" / "audit.json").read_text())
    assert audit["unreadable"] == [
        "train/004.png",
        "train/011.png",
        "test/033.png",
        "test/036.png",
    ]
    train = pd.read_csv(folder / "train.csv")
    train = train[~train["id"].isin(["004.png", "011.png"])]
    for member in MEMBERS:
        oof, test = load(tmp_path, member, "oof"), load(tmp_path, member, "test")
        assert sorted(oof.ids) == sorted(train["id"])
        rows = [test.ids.tolist().index(name) for name in ("033.png", "036.png")]
        for fold in range(3):
            labels = train["label"][train["given_fold"] != fold]
            prior = [np.mean(labels == name) for name in test.classes]
            np.testing.assert_allclose(test.values[fold][rows], [prior, prior], atol=1e-6)
    assert len(pd.read_csv(submission(tmp_path))) == 9


def test_a_missing_test_image_is_looked_at_by_no_leak_check(tmp_path):
    """With enough training rows for these, which open files themselves."""
    folder = write_competition(tmp_path)
    (folder / "test" / "036.png").unlink()
    run(tmp_path, "audit", data=SKIP)
    audit = json.loads((tmp_path / "features" / "tiny" / "audit.json").read_text())
    assert audit["unreadable"] == ["test/036.png"]


def test_the_rest_is_as_if_the_rows_had_never_been_there(tmp_path):
    folders = [write_competition(tmp_path / name) for name in ("damaged", "without")]
    damage(folders[0])
    for name in ("train.csv",):
        table = pd.read_csv(folders[1] / name)
        table[~table["id"].isin(["004.png", "011.png"])].to_csv(folders[1] / name, index=False)
    for folder, data in zip(folders, (SKIP, {}), strict=True):
        run(folder.parents[1], "infer", members=MEMBERS, data=data)
    for member in MEMBERS:
        damaged, without = (load(folder.parents[1], member, "oof") for folder in folders)
        np.testing.assert_allclose(
            damaged.in_order_of(without.ids).values, without.values, atol=1e-5
        )


def test_by_default_they_stop_the_run_also_after_a_run_that_skipped_them(tmp_path):
    folder = write_competition(tmp_path)
    (folder / "train" / "004.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"004\.png: cannot be decoded"):
        run(tmp_path, "folds")
    run(tmp_path, "folds", data=SKIP)
    with pytest.raises(UserError, match=r"004\.png: cannot be decoded"):
        run(tmp_path, "folds")


def test_an_image_that_was_mended_is_used_again(tmp_path):
    folder = write_competition(tmp_path)
    path = folder / "train" / "004.png"
    content = path.read_bytes()
    path.unlink()
    run(tmp_path, "infer", data=SKIP)
    assert len(load(tmp_path, "linear", "oof").ids) == 29
    path.write_bytes(content)
    run(tmp_path, "infer", data=SKIP)
    assert len(load(tmp_path, "linear", "oof").ids) == 30


def test_paths_that_lead_nowhere_are_no_unreadable_images(tmp_path):
    write_competition(tmp_path)
    with pytest.raises(UserError, match=r"39 of 39 images cannot be read.*too many"):
        run(tmp_path, "folds", data={**SKIP, "train_images": "no/{id}", "test_images": "no/{id}"})
