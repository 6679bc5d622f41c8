"""Recipes of blocks: what is on disk stays valid when the schema grows."""

from types import SimpleNamespace

import pytest

from pipeline.config.schema import Backbone, Folds
from pipeline.core.artifacts import fingerprint
from pipeline.stages.plan import FORMAT, Plan
from pipeline.stages.recipes import folds_recipe

PLAIN = {"arch": "resnet18", "weights": "random", "image_size": 64, "cut": "pad"}


def how(**settings) -> str:
    backbones = {"b": Backbone(**settings)}
    return Plan(SimpleNamespace(config=SimpleNamespace(backbones=backbones))).how("b")


@pytest.mark.parametrize("added", [{}, {"stages": [], "pool": "auto"}])
def test_keys_that_came_later_are_no_part_of_a_recipe_by_default(added):
    assert how(**PLAIN, **added) == fingerprint(format=FORMAT["block"], **PLAIN)


def test_each_key_that_changes_features_changes_the_recipe():
    others = [{"cut": "crop"}, {"stages": [-2]}, {"pool": "gem"}, {"image_size": 65}]
    assert len({how(**PLAIN | other) for other in [{}, *others]}) == 5


def test_one_repeat_is_no_part_of_the_recipe_of_folds():
    assert folds_recipe(Folds()) == Folds().model_dump(exclude={"repeats"})
    assert folds_recipe(Folds(repeats=2)) == Folds().model_dump() | {"repeats": 2}
