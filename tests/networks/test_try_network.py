"""What is tried before a night's work begins."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.config.schema import Config
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.images.view_decision import DEFAULT, with_decision
from pipeline.project import Project
from pipeline.workflow.config_checks import check_before_data, try_out

SMALL = {"arch": "test_efficientnet", "weights": "random", "image_size": 32}
COLUMN = {"scheme": "column", "column": "part"}  # folds whose number nobody knows yet


def config(**changes) -> Config:
    raw = {
        "competition": "tiny",
        "task": {"kind": "multiclass", "target": "label"},
        "backbones": {"small": SMALL},
        "members": {"net": {"network": "small"}},
    }
    return with_decision(Config.model_validate(raw | changes), DEFAULT)


def project(config: Config) -> Project:
    """A project of thirty training rows, whose files nobody reads."""
    competition = SimpleNamespace(ids=np.arange(30))
    return Project(config, Workspace(Path("unused"), "tiny"), competition, index=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbones": {"small": SMALL | {"arch": "test_eficientnet"}}}, "test_efficientnet"),
        ({"backbones": {"small": SMALL | {"weights": "file:nowhere.pth"}}}, "no such file"),
        ({"members": {"net": {"network": "small", "loss": "mse"}}}, "loss mse"),
        (
            {"members": {"net": {"network": "small", "augment": [{"HorizontalFlp": {}}]}}},
            "HorizontalFlip",
        ),
        ({"members": {"net": {"network": "small", "pool": "gem", "stages": [9]}}}, "has 5"),
        ({"backbones": {"small": SMALL | {"stages": [5]}}}, r"stages: .* has 5"),
        ({"members": {"net": {"network": "small", "optimizer": "adamww"}}}, "adamw"),
        ({"members": {"net": {"network": "small", "freeze": 99}}}, r"has \d+ stages"),
        (
            {"members": {"net": {"network": "small", "batch_size": 1}}},
            "batch_norm: freeze",
        ),
        ({"members": {"net": {"network": "small", "schedule": "step"}}}, "distance of the falls"),
        (
            {
                "task": {"kind": "regression", "target": "y"},
                "members": {"net": {"network": "small", "sampling": "balanced"}},
            },
            "sampling: balanced",
        ),
        (
            {
                "task": {"kind": "regression", "target": "y"},
                "members": {"net": {"network": "small", "class_weights": "balanced"}},
            },
            "regression has no classes",
        ),
    ],
)
def test_what_would_fail_later_fails_now(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        try_out(project(config(**changes)), backbones=["small"], networks=["net"])


@pytest.mark.parametrize(
    ("changes", "asked", "message"),
    [
        ({}, {"members": "nett"}, r"MEMBER=nett: no \['nett'\]; there are \['net'\]"),
        ({}, {"folds": "5"}, r"FOLD=5: no \['5'\]; there are \['0', .*'4'\]"),
        ({"folds": {"n": 3, "repeats": 2}}, {"folds": "6"}, r"FOLD=6.*'5'\]"),
        ({"folds": COLUMN}, {"folds": "9,one"}, r"FOLD=9,one: no number: \['one'\]"),
        (
            {"backbones": {"small": SMALL | {"weights": "file:w/no.pth"}}},
            {},
            r"backbones\.small: weights 'file:w/no\.pth': no such file \(relative paths start at /",
        ),
        ({"backbones": {"small": SMALL | {"weights": "package:no_such"}}}, {}, "not installed"),
        pytest.param(
            {"runtime": {"device": "cuda"}},
            {},
            "runtime.device: cuda is not there",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="cuda is there"),
        ),
    ],
)
def test_what_needs_no_data_fails_before_any_work(
    changes, asked, message, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = {"members": "", "folds": ""} | asked
    with pytest.raises(UserError, match=message):
        check_before_data("train", config(**changes), **asked)


def test_what_nobody_asks_for_or_knows_yet_is_not_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = {"small": SMALL, "large": SMALL | {"weights": "file:no.pth"}}
    two = {"net": {"network": "small"}, "other": {"network": "large"}}
    some = config(backbones=missing, members=two, folds=COLUMN)
    check_before_data("train", some, "net", "9")
    check_before_data("folds", some, "", "")


def test_the_first_command_names_all_typos_of_a_config(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = config(
        backbones={"small": SMALL, "typo": SMALL | {"arch": "test_eficientnet"}},
        members={
            "net": {"network": "small", "optimizer": "adamww"},
            "other": {"network": "small", "augment": [{"HorizontalFlp": {}}]},
            "linear": {"learner": "logistic", "blocks": {"typo": 1.0}},
        },
    )
    with pytest.raises(UserError) as caught:
        check_before_data("folds", wrong, "", "")
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "backbones.typo",
        "members.net",
        "members.other",
    ]


def test_folds_are_made_where_weights_are_not_and_it_is_said(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = config(backbones={"small": SMALL | {"weights": "file:no.pth"}})
    check_before_data("folds", elsewhere, "", "")
    assert "backbones.small: weights 'file:no.pth': no such file" in caplog.text
    with pytest.raises(UserError, match="no such file"):
        check_before_data("train", elsewhere, "", "")


@pytest.mark.parametrize("asked", [{"backbones": ["small"]}, {"networks": ["net"]}])
def test_a_view_of_a_size_that_does_not_suit_is_named(asked: dict) -> None:
    views = {"views": ["original", "scale_1.25"]}
    vit = config(backbones={"small": SMALL | {"arch": "test_vit", "image_size": 160}}, tta=views)
    with pytest.raises(UserError, match=r"200 x 200 px.*Leave `scale_1\.25` out"):
        try_out(project(vit), **{"backbones": [], "networks": []} | asked)


def test_a_network_does_not_know_the_stages_of_frozen_features() -> None:
    wrong = config(backbones={"small": SMALL | {"stages": [5]}})
    try_out(project(wrong), backbones=[], networks=["net"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"runtime.device: cuda is not there.*cpu"):
        try_out(project(config(runtime={"device": "cuda"})), backbones=["small"], networks=["net"])


def test_what_fits_passes() -> None:
    try_out(project(config()), backbones=["small"], networks=["net"])


def test_blocks_alone_need_nothing_of_networks() -> None:
    code = (
        "import sys; sys.path[:0] = ['tests', 'tests/networks']\n"
        "from test_try_network import try_out, config, project\n"
        "try_out(project(config()), backbones=['small'], networks=[])\n"
        "print({'albumentations', 'lightning'} & {*sys.modules})"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert ran.stdout.strip() == "set()"
