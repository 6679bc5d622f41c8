"""Recipes: what is on disk stays valid when the schema grows, but where it was wrong."""

from types import SimpleNamespace

import pytest

from pipeline.config.schema import Backbone, Folds, Learner, Network, Submission, Task
from pipeline.core.artifacts import fingerprint
from pipeline.workflow.fingerprints import FORMAT, network_recipe, of_features
from pipeline.workflow.recipes import (
    folds_recipe,
    settings_recipe,
    submission_recipe,
    task_recipe,
)

PLAIN = {"arch": "resnet18", "weights": "random", "image_size": 64, "cut": "pad"}


def how(**settings) -> str:
    return of_features(Backbone(**settings))


@pytest.mark.parametrize("added", [{}, {"stages": [], "pool": "auto"}])
def test_keys_that_came_later_are_no_part_of_a_recipe_by_default(added):
    assert how(**PLAIN, **added) == fingerprint(format=FORMAT["block"], **PLAIN)


def test_each_key_that_changes_features_changes_the_recipe():
    others = [{"cut": "crop"}, {"stages": [-2]}, {"pool": "gem"}, {"image_size": 65}]
    assert len({how(**PLAIN | other) for other in [{}, *others]}) == 5


def test_one_repeat_is_no_part_of_the_recipe_of_folds():
    before = Folds().model_dump(exclude={"repeats", "always_train_below"})
    assert folds_recipe(Folds()) == before
    assert folds_recipe(Folds(repeats=2)) == before | {"repeats": 2}


def test_keys_of_shapes_are_no_part_of_a_recipe_by_default():
    changed = Submission(rows="test", columns={"a": "b"}, id="c")
    added = submission_recipe(changed).keys() - submission_recipe(Submission()).keys()
    assert added == {"rows", "columns", "id"}
    task = {"kind": "multiclass", "target": ["a", "b"]}
    added = task_recipe(Task(**task, votes=True)).keys() - task_recipe(Task(**task)).keys()
    assert added == {"votes"}


def test_a_network_without_patience_has_the_recipe_that_it_had():
    recipe = settings_recipe(Network(network="small", epochs=1, batch_size=8, augment="light"))
    assert fingerprint(**recipe) == "bfb3a4c0972fd44b"  # in November 2026, before inner rows


@pytest.mark.parametrize(
    ("settings", "anew"),
    [
        ({"pseudo": {"teacher": "a", "weight": 0.5}}, True),
        ({"pseudo": {"teacher": "a", "weight": 0.5}, "mixup": 0, "mosaic": 0.3}, True),
        ({"pseudo": {"teacher": "a"}}, False),  # all rows weigh 1
        ({"pseudo": {"teacher": "a", "weight": 0.5}, "sampling": "weighted"}, False),
        ({"pseudo": {"teacher": "a", "weight": 0.5}, "mixup": 0}, False),
        ({"pseudo": {"teacher": "a", "weight": 0.5}, "mix_probability": 0}, False),
        ({"loss": "cumulative", "class_weights": "balanced"}, True),
        ({"loss": "cumulative", "class_weights": "balanced", "mixup": 0}, False),
        ({"loss": "cumulative"}, False),
    ],
)
def test_networks_whose_labels_were_mixed_apart_from_weights_are_trained_anew(settings, anew):
    assert ("labels" in settings_recipe(Network(network="b", **settings))) is anew


@pytest.mark.parametrize(
    ("settings", "labels", "anew"),
    [
        ({"sampling": "smote"}, "soft", True),
        ({"class_weights": "balanced"}, "soft", True),
        ({"class_weights": "balanced"}, "hard", False),
        ({}, "soft", False),
    ],
)
def test_learners_are_fitted_anew_where_soft_labels_met_weights(settings, labels, anew):
    pseudo = {"teacher": "a", "labels": labels}
    learner = Learner(learner="ridge", blocks={"b": 1.0}, pseudo=pseudo, **settings)
    assert ("labels" in settings_recipe(learner)) is anew


def test_a_probe_depends_on_the_groups_of_its_inner_folds():
    backbone = Backbone(arch="test_efficientnet", weights="random")

    def recipe(digest, **keys):
        project = SimpleNamespace(
            config=SimpleNamespace(backbones={"small": backbone}),
            folds=SimpleNamespace(groups_digest=digest),
            image_size=lambda member: 32,
        )
        return network_recipe(project, "net", Network(network="small", **keys))

    assert recipe("a", init="linear_probe") != recipe("b", init="linear_probe")
    assert recipe("a") == recipe("b")


def test_a_precision_that_changes_features_changes_the_recipe():
    backbone = Backbone(**PLAIN)
    exact = {of_features(backbone, precision) for precision in ("auto", "32")}
    assert exact == {fingerprint(format=FORMAT["block"], **PLAIN)}  # as before there was a choice
    others = {of_features(backbone, precision) for precision in ("bf16", "16")}
    assert len(exact | others) == 3
