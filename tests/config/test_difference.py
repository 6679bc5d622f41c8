"""Differences between configs, key by key."""

from typing import Any

from example_summary import CONFIG

from pipeline.config.difference import difference, without_decided
from pipeline.config.schema import Config


def config(**changes: Any) -> Config:
    return Config.model_validate(CONFIG | changes)


def texts(old: Config, new: Config) -> list[str]:
    return [str(one) for one in difference(old, new)]


def test_only_keys_that_differ_are_named_with_defaults_filled_in():
    new = config(folds={"n": 3}, members=CONFIG["members"] | {"net": {"network": "b", "lr": 0.5}})
    default = Config.model_validate(CONFIG)
    assert texts(default, default) == []
    old = f"{default.folds.n}", f"{default.members['net'].lr}"
    assert texts(default, new) == [f"folds.n {old[0]} -> 3", f"members.net.lr {old[1]} -> 0.5"]


def test_a_member_that_came_or_went_or_changed_its_kind_is_one_entry():
    first, net = CONFIG["members"].values()
    old, new = config(members={"a": first, "b": net}), config(members={"b": first, "c": net})
    assert [one.key for one in difference(old, new)] == ["members.a", "members.b", "members.c"]
    said = texts(old, new)
    assert (said[0], said[2]) == ("members.a removed", "members.c added")


def test_what_auto_stood_for_is_no_difference():
    decided = config(tta={"views": ["original"]}, seed=1)
    found = without_decided(difference(decided, config()))
    assert [one.key for one in found] == ["seed"]
