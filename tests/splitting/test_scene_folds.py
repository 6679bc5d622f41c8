"""Folds that keep scenes whole, and what is said where they are torn: `folds.scheme: scenes`."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from planted import CLASSES, NUM_TRAIN, write_competition

from pipeline.config.schema import Config
from pipeline.core.artifacts import file_digest, fingerprint
from pipeline.core.finding import Finding, read_findings
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.leaks.torn_scenes import compare_folds
from pipeline.project import Project, open_project
from pipeline.report.wording import suspicious_findings
from pipeline.splitting.draw import scenes_of_block
from pipeline.splitting.scenes import SCENES, FoldComparison, find_torn_scenes
from pipeline.stages import folds
from pipeline.workflow import make
from pipeline.workflow.fingerprints import FORMAT
from pipeline.workflow.jobs import pending
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.plan import Plan
from pipeline.workflow.recipes import folds_recipe

SETTINGS = {
    "competition": "planted",
    "task": {"kind": "multiclass", "target": "label", "metric": "accuracy"},
    "backbones": {"small": {"arch": "test_efficientnet", "weights": "random", "image_size": 32}},
    "members": {"ridge": {"learner": "ridge", "blocks": {"small": 1.0}, "views": "mean"}},
}
PHOTOS, DIMS = 4, 80
WHOLE = {"folds": {"scheme": "scenes"}}


@pytest.fixture(scope="module", autouse=True)
def quick_leak_tests():
    """What the folds stage looks at besides scenes has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "find_target_leaks", lambda *_, **__: [])
        patch.setattr(folds, "find_shift", lambda *_, **__: Finding("split", "quiet", "-"))
        yield


@pytest.fixture(scope="module")
def torn(tmp_path_factory, quick_leak_tests) -> Project:
    """A project whose folds tear series, which a ridge knows by heart."""
    return with_folds(tmp_path_factory.mktemp("torn"))


@pytest.fixture(scope="module")
def comparison(torn) -> FoldComparison:
    return compare_folds(torn, "small", scenes_of_block(torn, "small"))


def of_series(row: int) -> int:
    """Four photos of each series; test images are of others."""
    return row // PHOTOS if row < NUM_TRAIN else row // PHOTOS + 999


def of_shared_series(row: int) -> int:
    """Series have photos in train and in test, as after a random split."""
    return row % (NUM_TRAIN // PHOTOS)


def by_series(table: pd.DataFrame, images: list) -> None:
    """A series has one label, which its picture says nothing of."""
    labels = np.random.default_rng(5).choice(CLASSES, NUM_TRAIN)
    table["label"] = [labels[of_shared_series(row)] for row in range(len(table))]


def by_series_in_a_row(table: pd.DataFrame, images: list) -> None:
    labels = np.random.default_rng(5).choice(CLASSES, NUM_TRAIN)
    table["label"] = [labels[of_series(row) % NUM_TRAIN] for row in range(len(table))]


def opened(root: Path, scene_of=of_series, **changes) -> Project:
    """A project with a finished block that tells the series apart, and nothing else."""
    if not (root / "input").exists():
        plant = by_series if scene_of is of_shared_series else by_series_in_a_row
        write_competition(root, scene_of=scene_of, plant=plant)
    project = open_project(Config(**SETTINGS | changes), root)
    if project.config.backbones:
        write_block(project, scene_of)
    return project


def write_block(project: Project, scene_of) -> None:
    job = Plan(project).block("small")
    if job.is_done():
        return
    rng = np.random.default_rng(3)
    scenes = np.array([scene_of(row) for row in range(len(project.index.paths))])
    pictures = rng.normal(size=(scenes.max() + 1, DIMS))
    block = pictures[scenes][:, None] + 0.2 * rng.normal(size=(len(scenes), 2, DIMS))
    job.folder.mkdir(parents=True)
    np.save(job.folder / "features.npy", block.astype(np.float32))
    (job.folder / "meta.json").write_text(json.dumps({"fingerprint": job.fingerprint}))


def with_folds(root: Path, scene_of=of_series, **changes) -> Project:
    project = opened(root, scene_of, **changes)
    LocalExecutor().execute(pending([Plan(project).folds()]))
    return project


def checked(project: Project) -> Finding:
    """What features say of scenes, as the summary reads it."""
    LocalExecutor().execute(pending([Plan(project).scene_check()]))
    (finding,) = [finding for finding in read_findings(project.workspace) if finding.name == SCENES]
    return finding


def series_of_train(scene_of=of_series) -> pd.Series:
    return pd.Series([scene_of(row) for row in range(NUM_TRAIN)])


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_scene_never_straddles_folds_and_is_the_group_that_inner_folds_keep(tmp_path, repeats):
    project = with_folds(tmp_path, folds={"scheme": "scenes", "repeats": repeats})
    table, series = project.folds, series_of_train()
    assert len(table.repeats) == repeats
    for held_out_by in table.repeats:
        assert (pd.Series(held_out_by).groupby(series).nunique() == 1).all()
        assert np.bincount(held_out_by).tolist() == [NUM_TRAIN // 5] * 5
    groups = pd.Series(table.groups)
    assert (groups.groupby(series).nunique() == 1).all()
    assert groups.nunique() == series.nunique() == NUM_TRAIN // PHOTOS
    assert checked(project).grade == "quiet"


def test_scenes_join_what_the_group_column_unites(tmp_path):
    def plant(table: pd.DataFrame, images: list) -> None:
        by_series_in_a_row(table, images)
        table["value"] = [row // (2 * PHOTOS) for row in range(len(table))]
        table.loc[0, "value"] = 19  # its series is two groups', which it joins

    write_competition(tmp_path, scene_of=of_series, plant=plant)
    project = with_folds(tmp_path, **WHOLE, data={"group": "value"})
    groups = project.folds.groups
    assert len(set(groups)) == 19
    assert groups[0] == groups[1] == groups[7] == groups[NUM_TRAIN - 1]


def test_without_backbones_thumbnails_tell_scenes(tmp_path):
    folder = write_competition(tmp_path, scene_of=of_series)
    test = pd.read_csv(folder / "test.csv", dtype=str)
    test.assign(value=0).to_csv(folder / "test.csv", index=False)
    members = {"ridge": {"learner": "ridge", "blocks": {"metadata": 1.0}}}
    project = with_folds(
        tmp_path, **WHOLE, backbones={}, members=members, data={"numeric": ["value"]}
    )
    assert Plan(project).folds().needs == ()
    assert (pd.Series(project.folds.folds).groupby(series_of_train()).nunique() == 1).all()


def test_the_same_folds_come_out_of_any_run(tmp_path):
    texts = []
    for root in (tmp_path / "a", tmp_path / "b"):
        texts.append(with_folds(root, **WHOLE).workspace.folds_csv.read_bytes())
    assert texts[0] == texts[1]


def test_too_few_scenes_for_the_folds_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"only 40 groups of training rows. Set folds\.n to 40"):
        with_folds(tmp_path, folds={"scheme": "scenes", "n": 50})


def test_torn_scenes_that_flatter_are_said_with_what_the_estimate_would_be(torn, comparison):
    before = read_findings(torn.workspace)
    finding = checked(torn)
    assert comparison.score > 0.9
    assert comparison.whole < 0.5
    assert comparison.low > 0.3
    assert finding.grade == "suspicious"
    offer = f"ridge on small: accuracy {comparison.score:.4f} with these folds"
    assert offer in finding.seen
    assert f"{comparison.whole:.4f} with scenes whole" in finding.seen
    assert "folds: {scheme: scenes}" in finding.advice
    after = read_findings(torn.workspace)
    headline = suspicious_findings(after)
    assert "Set `folds: {scheme: scenes}`" in headline
    assert offer in headline
    # It takes the place of what thumbnails said, for as long as folds.csv is the same.
    assert [one.name for one in after] == [one.name for one in before]
    assert [one for one in after if one not in before] == [finding]
    csv = torn.workspace.folds_csv
    text = csv.read_text()
    csv.write_text(text + "\n")
    assert read_findings(torn.workspace) == before
    assert [job.name for job in pending([Plan(torn).scene_check()])] == ["scenes on small"]
    csv.write_text(text)


def test_too_few_scenes_to_compare_leave_the_finding_without_scores(tmp_path):
    """All training images are of three series, each in the largest share that a scene may have."""
    project = with_folds(tmp_path, lambda row: min(row // 44, 3) if row < 132 else row)
    scenes = scenes_of_block(project, "small")
    scenes[132:NUM_TRAIN] = 0
    assert compare_folds(project, "small", scenes) is None
    finding = find_torn_scenes(scenes, project.index, project.folds)
    assert finding.grade == "suspicious"
    assert finding.offer.startswith("Set `folds: {scheme: scenes}`")


def test_better_by_these_folds_is_above_0_where_the_metric_is_better_low(tmp_path):
    def plant(table: pd.DataFrame, images: list) -> None:
        values = np.random.default_rng(5).normal(size=2 * NUM_TRAIN + 999)
        table["value"] = [values[of_series(row)] for row in range(len(table))]

    write_competition(tmp_path, scene_of=of_series, plant=plant)
    task = {"kind": "regression", "target": "value", "metric": "rmse"}
    project = with_folds(tmp_path, task=task)
    found = compare_folds(project, "small", scenes_of_block(project, "small"))
    assert found.score < found.whole
    assert found.high > found.low > 0


def test_what_is_offered_is_what_such_folds_score(tmp_path, comparison):
    whole = with_folds(tmp_path, **WHOLE)
    same = compare_folds(whole, "small", scenes_of_block(whole, "small"))
    assert same.score == same.whole == comparison.whole


def test_scenes_that_test_images_have_too_are_a_note_with_both_scores(tmp_path):
    finding = checked(with_folds(tmp_path, of_shared_series))
    assert finding.grade == "note"
    assert "with scenes whole" in finding.seen
    assert finding.offer == ""
    assert "need not flatter" in finding.advice


def test_torn_scenes_that_do_not_help_a_learner_are_a_note(tmp_path):
    """Labels are drawn image by image: knowing the series is worth nothing."""
    write_competition(tmp_path, scene_of=of_series)
    finding = checked(with_folds(tmp_path))
    assert finding.grade == "note"
    assert "does not score beyond its error better" in finding.advice


def test_schemes_that_were_there_before_keep_their_fingerprint(tmp_path):
    project = opened(tmp_path)
    config = project.config
    job = Plan(project).folds()
    assert job.needs == ()
    assert job.fingerprint == fingerprint(
        format=FORMAT["folds"],
        folds=folds_recipe(config.folds),
        seed=config.seed,
        task=["multiclass", ["label"]],
        rows=project.competition.rows_digest,
        groups=None,
        column=None,
        images=project.index.digest,
    )


def test_folds_of_scenes_stand_on_a_block_and_no_block_on_folds(tmp_path):
    torn, whole = opened(tmp_path), opened(tmp_path, **WHOLE)
    block = Plan(whole).block("small")
    assert [need.fingerprint for need in Plan(whole).folds().needs] == [block.fingerprint]
    assert block.fingerprint == Plan(torn).block("small").fingerprint
    stamp = file_digest(block.folder / "meta.json")
    with_folds(tmp_path)
    with_folds(tmp_path, **WHOLE)
    assert pending([block]) == []
    assert file_digest(block.folder / "meta.json") == stamp
    larger = {"small": SETTINGS["backbones"]["small"] | {"image_size": 48}}
    other = open_project(Config(**SETTINGS | WHOLE | {"backbones": larger}), tmp_path)
    assert Plan(other).folds().fingerprint != Plan(whole).folds().fingerprint


def test_folds_of_a_named_scheme_are_made_before_any_block(tmp_path):
    write_competition(tmp_path, scene_of=of_series)
    jobs = pending([Plan(open_project(Config(**SETTINGS | WHOLE), tmp_path)).folds()])
    assert [job.name for job in jobs] == ["features small", "folds planted"]
    jobs = pending([Plan(open_project(Config(**SETTINGS), tmp_path)).folds()])
    assert [job.name for job in jobs] == ["folds planted"]


@pytest.mark.slow
def test_the_ensemble_says_it_beside_the_estimate_and_once(tmp_path, monkeypatch, capsys, caplog):
    opened(tmp_path)
    (tmp_path / "planted.yaml").write_text(yaml.safe_dump(SETTINGS))
    monkeypatch.chdir(tmp_path)
    make.run("audit", "planted.yaml", [])
    looks, _, advice = capsys.readouterr().out.partition("suspicious: ")
    assert looks.count(SCENES) == 1
    assert "Set `folds: {scheme: scenes}`" in advice
    assert "whole" in looks
    shutil.rmtree(tmp_path / "submissions")
    make.run("ensemble", "planted.yaml", [])
    printed = " ".join(capsys.readouterr().out.split())
    headline = printed[printed.index("Warning ") : printed.index("Try next")]
    assert "Set `folds: {scheme: scenes}`" in headline
    # Scenes have one class each, and as many have each class: of those that are held out, a model
    # has seen fewer than of others.
    assert re.search(r"accuracy 0\.9\d+ with these folds, 0\.[234]\d+ with scenes whole", headline)
    with caplog.at_level("INFO"):
        make.run("ensemble", "planted.yaml", [])
    assert "up to date, nothing to do" in caplog.text
    # Where the block is not there, members made elsewhere are enough, and none is made.
    capsys.readouterr()
    shutil.rmtree(tmp_path / "features" / "planted" / "small")
    shutil.rmtree(tmp_path / "submissions")
    make.run("ensemble", "planted.yaml", [])
    assert "with scenes whole" not in capsys.readouterr().out
    assert not (tmp_path / "features" / "planted" / "small").exists()
    assert len(read_findings(Workspace(tmp_path, "planted"))) > 0
