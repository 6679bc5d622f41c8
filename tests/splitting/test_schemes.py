"""Folds part the rows, keep groups whole, and are as alike as can be."""

import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import Folds
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.splitting.group_folds import merge_groups
from pipeline.splitting.schemes import assign_folds

pytestmark = pytest.mark.numeric

KINDS = ["binary", "multiclass", "multilabel", "ordinal", "regression"]
quick = settings(max_examples=60, deadline=None)


def config(num_folds=5, scheme="stratified", **others) -> Folds:
    return Folds(n=num_folds, scheme=scheme, **others)


def draw_targets(kind: str, num_rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "multilabel":
        return (rng.random((num_rows, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.9]).astype(float)
    if kind == "regression":
        return rng.exponential(size=(num_rows, 1 + seed % 2))
    num_classes = 2 if kind == "binary" else 7
    return np.eye(num_classes)[np.minimum(rng.geometric(0.4, num_rows) - 1, num_classes - 1)]


def draw_groups(num_rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).zipf(1.6, num_rows).clip(max=num_rows).astype(str)


def shares(targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Rows of each label in each fold, (K, C)."""
    return np.stack([targets[folds == fold].sum(axis=0) for fold in range(folds.max() + 1)])


@quick
@given(st.sampled_from(KINDS), st.integers(10, 120), st.integers(2, 10), st.integers(0, 99))
def test_folds_part_the_rows_and_the_seed_alone_decides(kind, num_rows, num_folds, seed):
    targets = draw_targets(kind, num_rows, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = assign_folds(config(num_folds), targets, task=Task(kind), seed=seed)
    again = assign_folds(config(num_folds), targets, task=Task(kind), seed=seed)
    assert sorted(set(made.folds)) == list(range(num_folds))
    assert made.folds.shape == (num_rows,)
    assert (made.folds == again.folds).all()


@quick
@given(
    st.sampled_from(KINDS),
    st.sampled_from(["kfold", "stratified", "group", "stratified_group"]),
    st.integers(0, 999),
)
def test_a_group_never_crosses_folds_and_no_fold_is_empty(kind, scheme, seed):
    targets, groups = draw_targets(kind, 80, seed), draw_groups(80, seed)
    made = assign_folds(config(3, scheme), targets, task=Task(kind), seed=seed, groups=groups)
    assert all(len(set(made.folds[groups == group])) == 1 for group in groups)
    assert set(made.folds) == {0, 1, 2}
    assert made.scheme in ("group", "stratified_group")


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("multilabel_stratified", "multilabel"), ("binned_stratified", "regression")],
)
def test_schemes_named_for_a_task_keep_groups_too(scheme, kind):
    targets, groups = draw_targets(kind, 200, 1), draw_groups(200, 1)
    made = assign_folds(config(4, scheme), targets, task=Task(kind), seed=0, groups=groups)
    assert all(len(set(made.folds[groups == group])) == 1 for group in groups)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["kfold", "stratified"])
def test_another_seed_gives_other_folds(kind, scheme):
    targets = draw_targets(kind, 100, 1)
    one, other = (assign_folds(config(5, scheme), targets, task=Task(kind), seed=s) for s in (1, 2))
    assert (one.folds != other.folds).mean() > 0.3


@quick
@given(st.sampled_from(KINDS), st.booleans(), st.integers(1, 9), st.integers(0, 99))
def test_each_repeat_parts_the_rows_and_keeps_groups_whole(kind, grouped, repeat, seed):
    targets, groups = draw_targets(kind, 80, seed), draw_groups(80, seed) if grouped else None
    made = assign_folds(
        config(3), targets, task=Task(kind), seed=seed, groups=groups, repeat=repeat
    )
    again = assign_folds(
        config(3), targets, task=Task(kind), seed=seed, groups=groups, repeat=repeat
    )
    assert (made.folds == again.folds).all()
    assert set(made.folds) == {0, 1, 2}
    assert not grouped or all(len(set(made.folds[groups == group])) == 1 for group in groups)


def test_the_first_repeat_is_the_draw_of_a_single_one():
    targets = draw_targets("multiclass", 100, 1)
    plain = assign_folds(config(5), targets, task=Task("multiclass"), seed=42).folds
    first = assign_folds(
        config(5, repeats=3), targets, task=Task("multiclass"), seed=42, repeat=0
    ).folds
    assert (plain == first).all()
    # As drawn before there were repeats: what was trained on them stays valid.
    assert plain[:10].tolist() == [2, 0, 1, 4, 0, 1, 1, 2, 1, 0]
    groups = np.arange(100) // 3
    balanced_groups = config(5, scheme="stratified_group")
    grouped = assign_folds(
        balanced_groups, targets, task=Task("multiclass"), seed=42, groups=groups
    ).folds
    assert grouped[::3][:10].tolist() == [0, 1, 1, 2, 0, 3, 3, 3, 0, 2]


def alike(folds: np.ndarray, others: np.ndarray) -> float:
    """Of two rows in one fold, how often they share one in the other repeat too."""
    together = np.tril(folds[:, None] == folds, -1)
    return (others[:, None] == others)[together].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_repeats_hold_out_other_rows_together(kind):
    targets = draw_targets(kind, 300, 1)
    repeats = [
        assign_folds(config(5), targets, task=Task(kind), seed=0, repeat=r).folds for r in range(3)
    ]
    for one, other in combinations(repeats, 2):
        assert alike(one, other) < 0.25  # chance: 0.2


def test_repeats_part_groups_of_different_sizes_otherwise_and_as_evenly():
    """No two groups are as large, so that nothing is left to the lot."""
    groups = np.repeat(np.arange(40), np.arange(10, 50))
    targets = draw_targets("multiclass", len(groups), 3)
    repeats = [
        assign_folds(
            config(5), targets, task=Task("multiclass"), seed=0, groups=groups, repeat=r
        ).folds
        for r in range(3)
    ]
    for one, other in combinations(repeats, 2):
        assert alike(one, other) < 0.35  # a tenth of the pairs are of one group
    for folds in repeats:
        assert np.ptp(np.bincount(folds)) < 0.03 * len(groups)


@quick
@given(st.integers(10, 150), st.integers(2, 8), st.integers(0, 99))
def test_each_class_is_dealt_within_one_row_of_even(num_rows, num_folds, seed):
    targets = draw_targets("multiclass", num_rows, seed)
    made = assign_folds(config(num_folds), targets, task=Task("multiclass"), seed=seed)
    assert np.ptp(shares(targets, made.folds), axis=0).max() <= 1
    assert np.ptp(np.bincount(made.folds)) <= 1


def test_classes_of_two_rows_each_are_still_parted_and_noted():
    targets = np.repeat(np.eye(10), 2, axis=0)
    made = assign_folds(config(5), targets, task=Task("multiclass"), seed=0)
    assert shares(targets, made.folds).max() == 1
    assert np.bincount(made.folds).tolist() == [4] * 5
    assert "10 classes are missing from some held-out folds" in made.notes[0]


def test_a_class_of_one_row_is_noted_as_never_seen():
    targets = np.eye(2)[[0] * 20 + [1]]
    made = assign_folds(config(4), targets, task=Task("multiclass"), seed=0)
    assert "1 classes lie in one fold only" in made.notes[1]
    named = assign_folds(
        config(4), targets, task=Task("multiclass"), seed=0, classes=["cat", "lynx"]
    )
    assert named.notes[0].endswith("groups: ['lynx'] with [1] rows")
    assert named.notes[1].endswith("never saw one: ['lynx']")


@pytest.mark.parametrize("grouped", [False, True])
def test_labels_of_a_multilabel_task_are_near_even(grouped):
    targets = draw_targets("multilabel", 1000, 3)
    groups = np.arange(1000) // 2 if grouped else None
    made = assign_folds(config(5), targets, task=Task("multilabel"), seed=0, groups=groups)
    assert made.scheme == ("stratified_group" if grouped else "multilabel_stratified")
    assert np.ptp(shares(targets, made.folds), axis=0).max() <= 3
    assert np.ptp(np.bincount(made.folds)) <= 6


def test_a_single_multilabel_column_is_stratified():
    targets = (np.arange(60) % 6 == 0).astype(float)[:, None]
    made = assign_folds(config(5), targets, task=Task("multilabel"), seed=0)
    assert shares(targets, made.folds).ravel().tolist() == [2] * 5


@pytest.mark.parametrize("columns", [1, 2])
def test_regression_folds_have_nearly_the_same_mean_and_spread(columns):
    values = np.random.default_rng(0).lognormal(sigma=0.6, size=(600, columns))
    made = assign_folds(config(5), values, task=Task("regression"), seed=0)
    assert made.scheme == "binned_stratified"
    means = np.stack([values[made.folds == fold].mean(axis=0) for fold in range(5)])
    assert (np.ptp(means, axis=0) < 0.15 * values.std(axis=0)).all()


def test_a_target_that_is_mostly_zero_is_binned():
    values = np.zeros((500, 1))
    values[:50, 0] = np.arange(1, 51)
    made = assign_folds(config(5), values, task=Task("regression"), seed=0)
    positives = np.bincount(made.folds[:50], minlength=5)
    assert positives.min() >= 5, positives


def test_groups_by_hand():
    """Four persons in two folds: each fold needs one with class 0 and one with class 1."""
    classes = [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]
    groups = ["ann", "ann", "ann", "bob", "bob", "bob", "cy", "cy", "dee", "dee"]
    balanced_groups = config(2, scheme="stratified_group")
    made = assign_folds(
        balanced_groups, np.eye(2)[classes], task=Task("binary"), seed=0, groups=np.array(groups)
    )
    fold_of = dict(zip(groups, made.folds.tolist(), strict=True))
    assert made.scheme == "stratified_group"
    assert fold_of["ann"] != fold_of["cy"]
    assert fold_of["bob"] != fold_of["dee"]
    assert fold_of["ann"] != fold_of["bob"], "sizes 3 + 2 and 3 + 2"


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_duplicates_cost_no_evenness(kind):
    targets = draw_targets(kind, 3000, 2)
    groups = np.arange(3000)
    groups[1:200:2] = groups[0:200:2]
    made = assign_folds(config(5), targets, task=Task(kind), seed=0, groups=groups)
    assert np.ptp(np.bincount(made.folds)) <= 3
    if kind != "regression":
        assert np.ptp(shares(targets, made.folds), axis=0).max() <= 3


def test_names_of_groups_do_not_matter_and_single_rows_are_no_groups():
    targets = draw_targets("multiclass", 60, 0)
    numbers = np.arange(60) // 3
    names = np.array([f"g{(7 * number) % 20}" for number in numbers])
    one, other = (
        assign_folds(config(4), targets, task=Task("multiclass"), seed=0, groups=groups).folds
        for groups in (numbers, names)
    )
    assert (one == other).all()
    alone = assign_folds(config(4), targets, task=Task("multiclass"), seed=0, groups=np.arange(60))
    plain = assign_folds(config(4), targets, task=Task("multiclass"), seed=0)
    assert alone.scheme == "stratified"
    assert (alone.folds == plain.folds).all()


def test_rounding_decides_no_tie_between_folds():
    """Another order of the labels adds up the same numbers otherwise, as another processor does."""
    for seed in range(30):
        targets, groups = draw_targets("multilabel", 200, seed), np.arange(200) // 2
        one, other = (
            assign_folds(
                config(5), columns, task=Task("multilabel"), seed=seed, groups=groups
            ).folds
            for columns in (targets, targets[:, ::-1])
        )
        assert (one == other).all(), seed


def test_merged_groups_are_connected_components_and_blanks_unite_nobody():
    persons = np.array(["a", "a", "b", None, np.nan, "", " ", "", "c"], dtype=object)
    twins = np.array([0, 1, 1, 2, 3, 4, 5, 6, 6])
    assert merge_groups(persons, None, twins).tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 5]
    assert merge_groups(persons).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert merge_groups(None, None) is None


def test_ready_folds_are_taken_as_they_are_and_crossing_groups_noted():
    targets, given_folds = np.eye(2)[[0, 1] * 4], ["0", "1", "2", "0", "1", "2", "0", "1"]
    made = assign_folds(
        config(5, "column", column="fold"),
        targets,
        task=Task("binary"),
        seed=0,
        column=np.array(given_folds),
        groups=np.array(list("aabcdefg")),
    )
    assert made.folds.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert "1 groups cross the given folds (e.g. rows [0, 1])" in made.notes[0]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["0", "", "1"], r"1 of 3 values are not whole numbers from 0: '' \(row 1\)"),
        ([0, 1, np.nan], r"nan \(row 2\)"),
        ([0, 1, 0.5], r"0.5 \(row 2\)"),
        ([0, -1, 1], r"-1 \(row 1\)"),
        ([1, 2, 3], r"holds \[1, 2, 3\], expected every number from 0"),
        ([0, 2, 0], "expected every number from 0"),
        ([0, 0, 0], "K at least 2"),
    ],
)
def test_a_wrong_column_is_refused_with_examples(column, message):
    with pytest.raises(UserError, match=message):
        assign_folds(
            config(5, "column", column="fold"),
            np.eye(3),
            task=Task("multiclass"),
            seed=0,
            column=np.array(column),
        )


def test_what_cannot_be_parted_is_refused():
    targets = np.eye(2)[[0, 1, 0, 1, 0, 1]]
    with pytest.raises(UserError, match="only 6 training rows"):
        assign_folds(config(7), targets, task=Task("binary"), seed=0)
    with pytest.raises(UserError, match="only 2 groups of training rows"):
        assign_folds(
            config(3), targets, task=Task("binary"), seed=0, groups=np.array(list("aaabbb"))
        )
    with pytest.raises(UserError, match=r"all training rows are of one group.*keep_duplicates_tog"):
        assign_folds(config(2), targets, task=Task("binary"), seed=0, groups=np.array(["a"] * 6))
    with pytest.raises(UserError, match=r"there is one training row.* Add rows"):
        assign_folds(config(2), targets[:1], task=Task("binary"), seed=0)
    with pytest.raises(UserError, match="no groups are given"):
        assign_folds(config(2, "group"), targets, task=Task("binary"), seed=0)
    with pytest.raises(UserError, match="is for regression or ordinal tasks"):
        assign_folds(config(2, "binned_stratified"), targets, task=Task("binary"), seed=0)


def test_soft_rows_count_as_their_likeliest_class():
    targets = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.4, 0.6]])
    folds = assign_folds(config(2), targets, task=Task("binary"), seed=0).folds
    assert folds[0] != folds[1]
    assert folds[2] != folds[3]


@pytest.mark.parametrize("seed", range(20))
def test_a_handful_of_multilabel_rows_leaves_no_fold_empty(seed):
    targets = (np.random.default_rng(seed).random((6, 4)) < 0.4).astype(float)
    folds = assign_folds(config(5), targets, task=Task("multilabel"), seed=seed).folds
    assert set(folds) == set(range(5))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_law_10_folds_of_few_groups_do_not_flatter_a_constant(kind):
    """Held-out rows are as far from the others' mean as rows of new groups are."""
    optimism = {"stratified": [], "stratified_group": []}
    for draw in range(200):
        rng = np.random.default_rng(draw)
        group = np.repeat(np.arange(15), 20)
        means = rng.normal(size=(115, 2 if kind == "binary" else 3 if kind == "multiclass" else 1))
        values = means[np.concatenate([group, np.repeat(np.arange(15, 115), 20)])] * 1.5
        if kind == "regression":
            targets = values
        else:
            targets = np.eye(values.shape[1])[(values + rng.gumbel(size=values.shape)).argmax(1)]
        targets, fresh = targets[:300], targets[300:]
        for scheme, found in optimism.items():
            folds = assign_folds(
                Folds(scheme=scheme), targets, task=Task(kind), seed=draw, groups=group
            ).folds
            said = np.stack([targets[folds != fold].mean(0) for fold in range(5)])
            held_out = ((targets - said[folds]) ** 2).mean()
            of_new = np.mean([((fresh - constant) ** 2).mean() for constant in said])
            found.append(of_new - held_out)
    drawn, balanced = map(np.array, optimism.values())
    assert abs(standard_errors(drawn)) < 2.5
    assert standard_errors(balanced - drawn) > 3


def standard_errors(values: np.ndarray) -> float:
    return values.mean() / (values.std() / np.sqrt(len(values)))


def test_a_class_of_few_groups_is_in_every_fold_all_the_same():
    group = np.repeat(np.arange(40), 5)
    targets = np.eye(2)[(group < 5).astype(int)]  # as many groups as folds
    for seed in range(20):
        found = assign_folds(Folds(), targets, task=Task("binary"), seed=seed, groups=group)
        assert np.bincount(found.folds[targets[:, 1] == 1], minlength=5).tolist() == [5] * 5
        assert found.notes == []
