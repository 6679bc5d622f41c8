"""Searching inside a fold: what is found, what it costs, and what it never sees."""

import inspect
import math
from itertools import count
from pkgutil import resolve_name

import numpy as np
import pytest
from pydantic import ValidationError
from test_learners import NUM_ROWS, NUM_TRAIN, problem, rows_of, settings

from pipeline.config.learners import LEARNERS
from pipeline.config.schema import Learner
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.learners import search
from pipeline.learners.fit import FittedLearner, fit_learner, load
from pipeline.learners.search import Trials, draws, fit_searched, steps

pytestmark = pytest.mark.numeric

WEIGHTS = [0, 0.5, 1, 2]
LEVELS = np.array([0.0, 1.0, 4.0])
TRAIN = slice(NUM_TRAIN)


def with_noise(kind: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A block that tells the target, and a wider one that tells nothing."""
    blocks, targets = problem(kind)
    noise = np.random.default_rng(9).normal(size=(NUM_ROWS, 2, 60)).astype(np.float32)
    return {"a": blocks["a"], "noise": noise}, targets


def searched(kind: str, learner: str = "ridge", seed: int = 1, **keys) -> FittedLearner:
    """A learner whose search had the first rows, of the signal and the noise."""
    blocks, targets = with_noise(kind)
    own = {"groups", "weights"}
    passed = {name: keys.pop(name) for name in own & keys.keys()}
    chosen = settings(learner, **{"blocks": {"a": 1.0, "noise": 1.0}, "strength": None, **keys})
    task = Task(kind, LEVELS if kind == "ordinal" else None)
    rows = rows_of(blocks, TRAIN)
    return fit_searched(chosen, rows, targets[TRAIN], task, seed=seed, **passed)


FAST = {
    "mlp": {"hidden": 32, "epochs": 40, "lr": 0.01},
    "lightgbm": {"num_iterations": 40},
    "extra_trees": {"n_estimators": 10},
}
CASES = [(learner, "multiclass") for learner in LEARNERS]
CASES += [("ridge", "regression"), ("ridge", "ordinal")]
CASES += [("logistic", "multilabel"), ("logistic", "ordinal")]


@pytest.mark.parametrize(("learner", "kind"), CASES)
def test_a_block_of_noise_is_quieter_than_the_signal_or_left_out(learner, kind):
    search = {"blocks": WEIGHTS, "trials": 6}
    found = searched(kind, learner, search=search, params=FAST.get(learner, {}))
    weights = found.concatenation.settings.blocks
    assert weights["noise"] < weights["a"]
    assert found.searched["loss"] < found.searched["loss_before"]
    assert found.searched["chosen"]["blocks"] == weights


def test_shares_are_searched_too():
    search = {"blocks": [0, 0.25, 1]}
    found = searched("multiclass", concatenate="importance", search=search)
    shares = found.concatenation.settings.blocks
    assert 0 <= shares["noise"] < shares["a"] <= 1


def test_params_and_strength_are_searched():
    own = {"num_leaves": 4, "num_iterations": 1}
    params = {"num_iterations": [2, 30], "learning_rate": [1e-6, 0.1]}
    search = {"params": params, "strength": [1.0, 1e9]}
    found = searched("multiclass", "lightgbm", params=own, search=search)
    chosen = found.concatenation.settings
    assert chosen.params == {"num_leaves": 4, "num_iterations": 30, "learning_rate": 0.1}
    assert chosen.strength == 1.0
    assert found.searched["trials"] == 1 + 8  # the config's own, and all there are


def test_what_was_found_is_fitted_as_if_the_config_had_said_so():
    found = searched("multiclass", search={"blocks": WEIGHTS})
    blocks, targets = with_noise("multiclass")
    chosen = found.searched["chosen"]["blocks"]
    assert chosen != {"a": 1.0, "noise": 1.0}
    said = settings("ridge", blocks=chosen, strength=None)
    plain = fit_learner(said, rows_of(blocks, TRAIN), targets[TRAIN], Task("multiclass"), seed=1)
    np.testing.assert_array_equal(plain.predict(blocks), found.predict(blocks))


def test_the_weight_of_metadata_is_searched_too():
    blocks, targets = with_noise("multiclass")
    told = np.hstack([targets[:, :1], np.random.default_rng(0).normal(size=(NUM_ROWS, 1))])
    found = fit_searched(
        settings("ridge", blocks={"noise": 0.5, "metadata": 0.5}, search={"blocks": [0, 0.5, 2]}),
        blocks,
        targets,
        Task("multiclass"),
        metadata=told,
        seed=1,
    )
    weights = found.concatenation.settings.blocks
    assert weights["noise"] < weights["metadata"]
    deaf = settings("ridge", blocks={"a": 0.0, "metadata": 1.0}, metadata=False)
    assert not Trials(settings("ridge"), lambda _: 0).are_new(deaf)


def test_without_a_search_nothing_is_searched(monkeypatch):
    monkeypatch.setattr(search, "HeldOutLoss", None)
    assert searched("multiclass").searched == {}


def test_the_same_seed_finds_the_same_and_saves_the_same_bytes(tmp_path, monkeypatch):
    own, tried = {"k": 1}, {"params": {"k": [5, 9, 30]}, "trials": 2, "blocks": WEIGHTS}
    keys = {"params": own, "search": tried}
    for name, pace in (("once", 1), ("twice", 5)):  # seconds a look at the clock
        monkeypatch.setattr(search, "monotonic", count(0, pace).__next__)
        searched("multiclass", "knn", **keys).save(tmp_path / name)
    for file in ("learner.json", "arrays.npz"):
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "twice" / file).read_bytes()
    loaded = load(tmp_path / "once")
    assert loaded.searched["trials"] == 1 + 2 + 2
    assert loaded.searched["chosen"]["params"]["k"] > 1
    assert loaded.concatenation.settings.params == loaded.searched["chosen"]["params"]


def test_draws_are_distinct_and_bounded():
    params = {"k": [1, 2, 3], "temperature": [0.1, 0.2]}
    chosen = settings("knn", strength=None, search={"params": params, "trials": 4})
    drawn = [tuple(c.params.values()) for c in draws(chosen, np.random.default_rng(0))]
    assert len(drawn) == len(set(drawn)) == 4
    other = [tuple(c.params.values()) for c in draws(chosen, np.random.default_rng(1))]
    assert drawn != other


def test_steps_go_downhill_until_no_weight_helps():
    """The least of (b - 2)^2 + (a - b)^2 / 2 is at 2, 2; from 1, 1 first b moves, then a."""

    def bowl(chosen: Learner) -> float:
        a, b = chosen.blocks["a"], chosen.blocks["b"]
        return (b - 2) ** 2 + (a - b) ** 2 / 2

    trials = Trials(settings("ridge", search={"blocks": WEIGHTS}), bowl)
    for candidate in filter(trials.are_new, steps(trials)):
        trials.add(candidate)
    assert trials.best.blocks == {"a": 2, "b": 2}
    assert trials.record()["loss"] == 0
    assert trials.record()["loss_before"] == 1
    assert 4 < len(trials.losses) < len(WEIGHTS) ** 2
    assert not trials.are_new(settings("ridge", blocks={"a": 0.0, "b": 0.0}))


@pytest.mark.parametrize("num_trials", [1, 3])
def test_trials_bound_the_steps(num_trials):
    found = searched("multiclass", search={"blocks": WEIGHTS, "trials": num_trials})
    assert found.searched["trials"] == 1 + num_trials


def test_a_budget_ends_the_search_and_says_so(tmp_path, monkeypatch):
    """A clock that moves by a second a look: at 0 the start, then before each trial."""
    monkeypatch.setattr(search, "monotonic", count().__next__)
    keys = {"search": {"blocks": WEIGHTS, "budget_seconds": 3}}
    found = searched("multiclass", **keys)
    assert found.searched["out_of_time"]
    assert found.searched["trials"] == 1 + 2
    found.save(tmp_path)
    assert load(tmp_path).searched["out_of_time"]
    in_time = searched("multiclass", search={"blocks": WEIGHTS, "budget_seconds": 1e9})
    assert not in_time.searched["out_of_time"]


def test_trials_are_scored_on_whole_groups_that_they_did_not_learn_from(monkeypatch):
    """Each group of rows is marked by a number of its own in the noise's first dimension."""
    blocks, targets = with_noise("multiclass")
    groups = np.arange(NUM_ROWS) // 6
    blocks["noise"][:, :, 0] = groups[:, None]
    learnt, asked = [], []

    def spy(chosen, rows, told, task, **keys):
        learnt.append(set(rows["noise"][:, 0, 0].tolist()))
        fitted = fit_learner(chosen, rows, told, task, **keys)
        asked.append(set())
        return fitted

    original = FittedLearner.predict

    def heard(self, rows, **keys):
        asked[-1] |= set(rows["noise"][:, 0, 0].tolist())
        return original(self, rows, **keys)

    monkeypatch.setattr(search, "fit_learner", spy)
    monkeypatch.setattr(FittedLearner, "predict", heard)
    keys = {"scale": "none", "transform": "none", "concatenate": "pca"}
    fit_searched(
        settings("ridge", blocks={"a": 1.0, "noise": 1.0}, search={"blocks": [0.5, 1]}, **keys),
        blocks,
        targets,
        Task("multiclass"),
        groups=groups,
        seed=1,
    )
    scored = [(knew, was) for knew, was in zip(learnt, asked, strict=True) if was]
    assert len(scored) == 4 * (1 + 3)
    assert all(not knew & was and len(knew | was) == 40 for knew, was in scored)
    assert set().union(*(was for _, was in scored[:4])) == set(range(40))


def test_rows_of_no_weight_never_change_what_is_found():
    blocks, targets = with_noise("multiclass")
    weights = (np.arange(NUM_ROWS) < NUM_TRAIN).astype(float)
    wild = {name: block.copy() for name, block in blocks.items()}
    wild["a"][NUM_TRAIN:] *= 50
    first, second = (
        fit_searched(
            settings("ridge", blocks={"a": 1.0, "noise": 1.0}, search={"blocks": WEIGHTS}),
            rows,
            told,
            Task("multiclass"),
            weights=weights,
            seed=1,
        )
        for rows, told in ((blocks, targets), (wild, targets[::-1].copy()))
        for told in [np.where(weights[:, None] > 0, targets, told)]
    )
    assert first.searched | {"seconds": 0} == second.searched | {"seconds": 0}


@pytest.mark.parametrize("sampling", ["oversample", "undersample", "smote"])
def test_sampling_stays_inside_inner_training_parts(sampling, monkeypatch):
    """Trials are scored on the training rows, each once, as they are.

    What knows nothing says the shares of classes in the rows that it was fitted on: a third each.
    """
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [60, 30, 10])
    block = rng.normal(size=(100, 1, 4))
    block[:, 0, 0] = np.arange(100)
    asked, original = [], FittedLearner.predict

    def heard(self, rows, **keys):
        asked.extend(rows["a"][:, 0, 0].tolist())
        return original(self, rows, **keys)

    monkeypatch.setattr(FittedLearner, "predict", heard)
    tried = {"blocks": [0.5], "axes": None}
    chosen = settings(blocks={"a": 1.0}, strength=1e6, sampling=sampling, search=tried)
    found = fit_searched(chosen, {"a": block}, np.eye(3)[labels], Task("multiclass"), seed=0)
    assert sorted(asked) == sorted([*range(100)] * 2)
    assert found.searched["loss"] == pytest.approx(math.log(3), abs=0.01)


def test_one_group_cannot_be_searched():
    with pytest.raises(UserError, match="needs two groups of training rows at least"):
        searched("multiclass", groups=np.zeros(NUM_TRAIN, int), search={"blocks": WEIGHTS})


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_config_knows_each_learner_s_params(learner):
    if not LEARNERS[learner].is_installed:
        pytest.skip(f"{learner} is not installed")
    names = LEARNERS[learner].params
    arguments = inspect.signature(resolve_name(LEARNERS[learner].fit)).parameters.values()
    named = {a.name for a in arguments} - {"rows", "strengths", "seed", "params"}
    if names is not None:
        assert named <= set(names)
    if names and not any(a.kind is a.VAR_KEYWORD for a in arguments):
        assert named == set(names)


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValidationError, match=r"knn has no params \['kk'\]; it knows \['k', 'temp"):
        settings("knn", search={"params": {"kk": [1]}})
    with pytest.raises(ValidationError, match="names nothing to search"):
        settings("knn", search={"trials": 3})
    with pytest.raises(ValidationError, match="knn has no strength"):
        settings("knn", search={"strength": [1.0]})
    with pytest.raises(ValidationError, match="at least 1 item"):
        settings("knn", search={"params": {"k": []}})
