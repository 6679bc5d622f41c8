"""Configs: what is written is what is meant, and what is wrong is said with file, line and help."""

import os
import re
from pathlib import Path

import pytest

from pipeline.config import explain, schema
from pipeline.config.dependencies import series_of_rounds
from pipeline.config.load import CONFIGS, find_config, load_config
from pipeline.config.tta import expand_views
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError

DESIGN = Path(__file__).resolve().parents[3] / "shared" / "DESIGN.md"
TASK = "{kind: multiclass, target: label}"
GOOD = """\
competition: tiny
task: {kind: multiclass, target: label}
backbones:
  small: {arch: test_efficientnet, weights: random}
  large: {arch: resnet18}
members:
  linear: {learner: logistic, blocks: {small: 1.0}}
  net: {network: small, epochs: 3}
"""


def write(folder: Path, text: str, name: str = "c.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def error_of(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(write(folder, text), overrides)
    return str(caught.value)


def test_defaults_fill_a_short_file(tmp_path):
    config = load_config(write(tmp_path, "competition: x\ntask: {kind: ordinal, target: y}\n"))
    assert config.task.metric == "quadratic_weighted_kappa"
    assert (config.folds.n, config.seed, config.tta.views) == (5, 42, "auto")


SHIPPED = sorted([*CONFIGS.glob("*.yaml"), *CONFIGS.glob("presets/*.yaml")])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_loads_by_its_name(path, tmp_path):
    assert find_config(path.stem) == path
    name = path.stem
    if path.parent.name == "presets":  # to derive from: it names no competition
        name = write(tmp_path, f"extends: {name}\ncompetition: x\ntask: {TASK}\n")
    assert load_config(name).members


@pytest.mark.skipif(not DESIGN.exists(), reason="the design page is not on this machine")
def test_the_yaml_of_the_design_page_loads_verbatim(tmp_path):
    text = DESIGN.read_text().split("## The YAML")[1].split("```yaml\n")[1].split("```")[0]
    config = load_config(write(tmp_path, text))
    assert config.members["student"].pseudo.teacher == "net"
    assert config.members["student"].epochs == 8
    assert config.backbones["lite2"].arch == "tf_efficientnet_lite2"


# What is wrong, and what is said of it.
WRONG = {
    "unknown key": (
        GOOD + "fold: {n: 3}\n",
        r"c\.yaml:9: unknown key `fold`; did you mean `folds`",
    ),
    "unknown key of a section": (
        GOOD + "folds:\n  n: 3\n  sheme: kfold\n",
        r"c\.yaml:11: unknown key `folds\.sheme`; did you mean `scheme`",
    ),
    "unknown key of a network": (
        GOOD + "  b:\n    network: small\n    epoch: 3\n",
        r"c\.yaml:11: unknown key `members\.b\.epoch`; did you mean `epochs`",
    ),
    "unknown key of a learner": (
        GOOD + "  b: {learner: ridge, block: {small: 1}, blocks: {small: 1}}\n",
        r"c\.yaml:9: unknown key `members\.b\.block`; did you mean `blocks`",
    ),
    "extends misspelt": (
        GOOD + "  b: {extend: net, network: small}\n",
        r"unknown key `members\.b\.extend`; did you mean `extends`",
    ),
    "unknown key of pseudo": (
        GOOD + "  b:\n    extends: net\n    pseudo: {teacher: net, treshold: 0.9}\n",
        r"c\.yaml:11: unknown key `members\.b\.pseudo\.treshold`; did you mean `threshold`",
    ),
    "unknown key of a backbone": (
        GOOD.replace("weights: random", "weight: random"),
        r"c\.yaml:4: unknown key `backbones\.small\.weight`; did you mean `weights`",
    ),
    "value out of range": (GOOD + "folds: {n: 1}\n", r"c\.yaml:9: `folds\.n`: .*2 \(got 1\)"),
    "wrong type in a union": (
        GOOD + "  b: {learner: ridge, blocks: {small: 1}, strength: much}\n",
        r"c\.yaml:9: `members\.b\.strength`: ",
    ),
    "wrong item of a list": (
        GOOD + "blends:\n- greedy\n- best_ever\n",
        r"c\.yaml:11: `blends\.1`: .*got 'best_ever'",
    ),
    "missing task": ("competition: tiny\n", r"c\.yaml: `task` is missing"),
    "missing key": (
        "competition: tiny\ntask: {kind: binary}\n",
        r"c\.yaml:2: `task\.target` is missing",
    ),
    "empty member": (GOOD + "  b:\n", r"c\.yaml:9: `members\.b`: a member has either"),
    "member as text": (GOOD + "  b: ridge\n", r"c\.yaml:9: `members\.b`: a member has either"),
    "learner and network": (
        GOOD + "  b: {extends: net, learner: ridge, blocks: {small: 1}}\n",
        "a member has either `learner: NAME`, `network: BACKBONE` or `external: FOLDER`",
    ),
    "number as a member's name": (GOOD + "  1: {learner: ridge, x: 1}\n", r"c\.yaml:9: "),
    "no backbone": (
        GOOD + "  b: {network: smal}\n",
        r"c\.yaml:9: no backbone 'smal'; did you mean `small`",
    ),
    "no block": (
        GOOD + "  b: {learner: ridge, blocks: {lage: 1}}\n",
        r"c\.yaml:9: no backbone 'lage'; did you mean `large`",
    ),
    "no teacher": (
        GOOD + "  b: {extends: net, pseudo: {teacher: liner}}\n",
        r"c\.yaml:9: no teacher 'liner'; did you mean `linear`",
    ),
    "a round of an unknown name": (
        GOOD + "  b: {extends: net, pseudo: {teacher: greedy, after: liner}}\n",
        r"no member 'liner'; did you mean `linear`",
    ),
    "a round after what was made elsewhere": (
        GOOD
        + "  x: {external: there}\n"
        + "  b: {extends: net, pseudo: {teacher: greedy, after: x}}\n",
        "x was made elsewhere",
    ),
    "a round that joins a member": (
        GOOD + "  b: {extends: net, pseudo: {teacher: net, after: linear}}\n",
        "linear joins a blend that teaches, but net is a member",
    ),
    "rounds in a circle": (
        GOOD
        + "  b: {extends: net, pseudo: {teacher: greedy, after: c}}\n"
        + "  c: {extends: net, pseudo: {teacher: greedy, after: b}}\n",
        r"c\.yaml:\d+: the round before depends on it, directly or through others",
    ),
    "a name that a round takes": (
        GOOD
        + "  b: {extends: net, pseudo: {teacher: net, rounds: 2}}\n"
        + "  b_round-2: {extends: net}\n",
        "pseudo would add a member b_round-2, and there is one",
    ),
    "agreement on labels": (
        GOOD.replace("multiclass", "multilabel").replace("{learner", "{strength: 1, learner")
        + "  b: {extends: net, pseudo: {teacher: net, agreement: 0.5, balance: true, rounds: 2}}\n",
        r"c\.yaml:9: members\.b: pseudo\.agreement needs one class per row, but task\.kind is "
        r"multilabel\n.*c\.yaml:9: members\.b: pseudo\.balance needs one class per row, [^\n]*$",
    ),
    "classes of a regression": (
        GOOD.replace("kind: multiclass", "kind: regression") + "blends: [stack, power]\n",
        r"c\.yaml:9: blends: power is for probabilities.*soft_vote \(mean\).*"
        r"c\.yaml:7: members\.linear: logistic predicts classes, but task\.kind is regression; use",
    ),
    "no round": (
        GOOD + "  b: {extends: net, pseudo: {teacher: net, rounds: 0}}\n",
        r"members\.b\.pseudo\.rounds",
    ),
    "own teacher": (GOOD + "  b: {extends: net, pseudo: {teacher: b}}\n", r"no teacher 'b'"),
    "no teacher to distil": (
        GOOD + "  b: {extends: net, distill: {teacher: liner}}\n",
        r"c\.yaml:9: no teacher 'liner'; did you mean `linear`",
    ),
    "start from a learner": (
        GOOD + "  b: {extends: net, start: {member: linear}}\n",
        r"c\.yaml:9: no network 'linear' to start from; known: net",
    ),
    "start from another shape": (
        GOOD + "  b: {extends: net, pool: gem, start: {member: net}}\n",
        r"c\.yaml:9: net has pool 'auto', but b 'gem': they must agree",
    ),
    "start from another head": (
        GOOD + "  b: {extends: net, head: mlp, start: {member: net, head: keep}}\n",
        r"c\.yaml:9: net has head 'linear', but b 'mlp'",
    ),
    "margin without angles": (
        GOOD + "  b: {extends: net, loss: arcface}\n",
        r"c\.yaml:9: `members\.b`: loss arcface compares angles: say `head: cosine`",
    ),
    "no such loss": (GOOD + "  b: {extends: net, loss: arcfac}\n", r"`members\.b\.loss`: Input sh"),
    "longer mean than run": (
        GOOD + "  b: {extends: net, epochs: 3, swa_epochs: 4}\n",
        r"c\.yaml:9: `members\.b`: swa_epochs 4: there are 3 epochs",
    ),
    "a cycle's name is taken": (
        GOOD + "  b: {extends: net, cycles: 2}\n  b_2: {extends: net}\n",
        r"c\.yaml:9: cycles would add a member b_2, and there is one",
    ),
    "taught by a stranger": (
        GOOD + "  x: {external: there}\n  b: {extends: net, pseudo: {teacher: x}}\n",
        r"c\.yaml:10: x was made elsewhere: which rows its test predictions saw is not known",
    ),
    "unknown key of what is external": (
        GOOD + "  x: {external: there, sed: 3}\n",
        r"c\.yaml:9: unknown key `members\.x\.sed`",
    ),
    "several strengths of what takes one": (
        GOOD + "  b: {extends: linear, learner: mlp, strength: [1, 2]}\n",
        r"c\.yaml:9: `members\.b`: strength: mlp takes one; say `vary: \{strength:",
    ),
    "stacks of nobody": (
        GOOD + "  b: {learner: lightgbm, blocks: {small: 1}, stacks: [liner]}\n",
        r"c\.yaml:9: no other member 'liner' to stack; did you mean `linear`",
    ),
    "stacks of itself": (
        GOOD + "  b: {learner: lightgbm, blocks: {small: 1}, stacks: [linear, b]}\n",
        r"c\.yaml:9: no other member 'b' to stack; known: linear, net",
    ),
    "stacks of a network": (
        GOOD + "  b: {learner: lightgbm, blocks: {small: 1}, stacks: [net]}\n",
        r"c\.yaml:9: net is a network, to be trained K - 1 times more in each of K folds; only",
    ),
    "stacks of what was made elsewhere": (
        GOOD
        + "  x: {external: there}\n"
        + "  b: {learner: lightgbm, blocks: {small: 1}, stacks: [x]}\n",
        r"c\.yaml:10: x was made elsewhere and cannot be fitted again without a fold",
    ),
    "stacks of a student": (
        GOOD
        + "  x: {extends: linear, pseudo: {teacher: net}}\n"
        + "  b: {learner: lightgbm, blocks: {small: 1}, stacks: [x]}\n",
        r"c\.yaml:10: x depends on \['net'\], whose models saw rows that a refit must not see",
    ),
    "stacks in a circle": (
        GOOD
        + "  a: {learner: mlp, blocks: {small: 1}, stacks: [b]}\n"
        + "  b: {learner: mlp, blocks: {small: 1}, stacks: [a]}\n",
        r"c\.yaml:9: b depends on \['a'\].*c\.yaml:10: a depends on \['b'\]",
    ),
    "stacks of a student's own": (
        GOOD
        + "  b: {learner: mlp, blocks: {small: 1}, stacks: [linear], pseudo: {teacher: net}}\n",
        r"c\.yaml:9: `members\.b`: stacks: not with pseudo: labels of test rows repeat",
    ),
    "stacks and a search": (
        GOOD
        + "  b: {learner: mlp, blocks: {small: 1}, stacks: [linear], search: {strength: [1, 2]}}\n",
        r"c\.yaml:9: `members\.b`: stacks: search chooses by rows whose labels the stacked",
    ),
    "stacks and a penalty that is chosen": (
        GOOD + "  b: {extends: linear, stacks: [net]}\n",
        r"stacks: learner logistic chooses by rows whose labels.*'extra_trees', 'lightgbm', 'mlp'",
    ),
    "backbone like what is stacked": (
        GOOD.replace("large:", "stacks:"),
        r"c\.yaml:5: backbones name 'stacks' is taken",
    ),
    "nothing to vary": (
        GOOD + "  b: {extends: net, vary: {lr: []}}\n",
        r"c\.yaml:9: `members\.b\.vary\.lr`: List should have at least 1 item",
    ),
    "unknown key to vary": (
        GOOD + "  b: {extends: net, vary: {lrr: [1, 2]}}\n",
        r"c\.yaml:9: unknown key `members\.b\.lrr`; did you mean `lr`",
    ),
    "no blend": (
        GOOD + "submission: {blend: gredy}\n",
        r"c\.yaml:9: no blend 'gredy'; did you mean `greedy`",
    ),
    "member like a blend": (GOOD + "  greedy: {network: small}\n", r"'greedy' is taken"),
    "backbone like the image folder": (
        GOOD.replace("small:", "images:").replace("network: small", "network: images"),
        r"c\.yaml:4: backbones name 'images' is taken",
    ),
    "backbone like the metadata block": (
        GOOD.replace("small:", "metadata:").replace("network: small", "network: metadata"),
        r"c\.yaml:4: backbones name 'metadata' is taken",
    ),
    "metadata of no columns": (
        GOOD + "  b: {learner: ridge, blocks: {small: 1, metadata: 0.5}}\n",
        r"c\.yaml:9: metadata is made of data\.numeric and data\.categorical; name columns there",
    ),
    "nothing but metadata, left out": (
        GOOD + "  b: {learner: ridge, blocks: {metadata: 1}, metadata: false}\n",
        r"c\.yaml:9: `members\.b`: blocks: metadata alone, and `metadata: false` leaves it out",
    ),
    "name with a slash": (
        GOOD + "  a/b: {network: small}\n",
        r"c\.yaml:9: members name 'a/b' must be usable as a folder",
    ),
    "duplicate key": (GOOD + "competition: b\n", r"c\.yaml:9: key 'competition' stands twice"),
    "duplicate deep key": (
        GOOD + "  b:\n    network: small\n    augment:\n    - {A: 1, A: 2}\n",
        r"c\.yaml:12: key 'A' stands twice",
    ),
    "extends nobody": (GOOD + "  b: {extends: nett}\n", r"c\.yaml:9: no member 'nett'; did.*`net`"),
    "extends a list": (GOOD + "  b: {extends: [net]}\n", r"c\.yaml:9: no member \['net'\]"),
    "no YAML": ("a: [1\n", r'c\.yaml: not valid YAML.*c\.yaml", line 2'),
    "no mapping": ("- a\n", r"c\.yaml: expected `key: value` lines, found list"),
    "column without its scheme": (
        GOOD + "folds: {scheme: column}\n",
        r"c\.yaml:9: `folds`: `scheme: column` and `column: NAME` go together",
    ),
    "two targets": (
        GOOD.replace("target: label", "target: [a, b]").replace("multiclass", "binary"),
        r"c\.yaml:2: `task`: a binary task has one target column, got \['a', 'b'\]",
    ),
    "classes of columns": (
        "competition: x\ntask: {kind: multilabel, target: [a, b], classes: [c, d]}\n",
        "`classes` names labels in one column",
    ),
    "repeats of a column": (
        "competition: x\ntask: {kind: multiclass, target: a}\n"
        "folds: {scheme: column, column: part, repeats: 2}\n",
        r"`folds`: a column of train\.csv is one repeat: leave `repeats` out, and add .*fold_2",
    ),
    "class twice": (
        "competition: x\ntask: {kind: multiclass, target: a, classes: [c, c]}\n",
        "`classes` names one twice",
    ),
    "open brace": (GOOD + 'data: {train_images: "train/{id"}\n', r"c\.yaml:9: .*train/\{id\}\.png"),
    "nameless brace": (GOOD + 'data: {test_images: "test/{}"}\n', r"c\.yaml:9: `data.test_images`"),
    "unknown view": (GOOD + "tta: {views: [mirored]}\n", r"c\.yaml:9: .*unknown view 'mirored'"),
    "anchors that multiply": (
        "a0: &a0 [x]\n"
        + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))
        + GOOD,
        r"c\.yaml:6: more than 100,000 values, with anchors written out",
    ),
    "a list in itself": (GOOD + "x: &x [*x]\n", r"c\.yaml:9: this anchor contains itself"),
    "a mapping in itself": (
        GOOD + "tta: &t\n  views: [original]\n  more: *t\n",
        r"c\.yaml:9: this anchor contains itself",
    ),
    "a deep list": (GOOD + f"x: {'[' * 3000}{']' * 3000}\n", r"c\.yaml: .* nested too deeply"),
    "infinity": (
        GOOD.replace("epochs: 3", "lr: .inf"),
        r"c\.yaml:8: expected a finite number, got \.inf",
    ),
    "infinity in what a library takes": (
        GOOD + "  b: {learner: lightgbm, blocks: {small: 1}, params: {lambda_l1: .NaN}}\n",
        r"c\.yaml:9: expected a finite number, got \.NaN",
    ),
    "infinity as text": (
        GOOD.replace("epochs: 3", "lr: 1e999"),
        r"c\.yaml:8: `members\.net\.lr`: Input should be a finite number",
    ),
    "a date": (
        GOOD + "  b: {learner: knn, blocks: {small: 1}, params: {k: 2026-11-26}}\n",
        r"c\.yaml:9: '2026-11-26' is read as a date; put it in quotes if a text is meant",
    ),
    "no such date": (GOOD + "seed: 2026-13-01\n", r"c\.yaml: not valid YAML: month must be in"),
    "a number of 5000 digits": (GOOD + f"seed: {'9' * 5000}\n", r"c\.yaml: not valid YAML: .*4300"),
    "a key that is a list": (GOOD + "? [a, b]\n: 3\n", r"c\.yaml:9: a key must be a text"),
    "a long name": (
        GOOD + f"  {'k' * 300}: {{network: small}}\n",
        r"c\.yaml:9: members name kkk.*\.\.\. has 300 letters, more than 100",
    ),
    "names that differ in case": (
        GOOD + "  Net: {network: small}\n",
        r"c\.yaml:9: members name 'Net' differs from 'net' in case only",
    ),
    "name of a file": (
        GOOD.replace("small", "Folds.csv"),
        r"c\.yaml:4: backbones name 'Folds\.csv' is taken",
    ),
    "no column in the path": (
        GOOD + 'data: {train_images: "train/a.png"}\n',
        r"c\.yaml:9: `data\.train_images`: it names no column in braces, so all rows have the same",
    ),
    "a wide column": (
        GOOD + 'data: {train_images: "train/{id:>1000000000}"}\n',
        r"c\.yaml:9: `data\.train_images`: a width of more than 255 makes no file's name",
    ),
    "a precise column": (
        GOOD + 'data: {train_images: "train/{id:.99999999999f}"}\n',
        r"c\.yaml:9: `data\.train_images`: a width of more than 255",
    ),
    "a negative weight": (
        GOOD + "  b: {learner: knn, blocks: {small: -1}}\n",
        r"c\.yaml:9: `members\.b\.blocks\.small`: Input should be greater than or equal to 0",
    ),
    "a range of pixels upside down": (
        GOOD + "data: {pixel_range: [4095, 0]}\n",
        r"c\.yaml:9: `data\.pixel_range`: expected \[LOW, HIGH\], the lower value first",
    ),
    "a thousand members": (
        GOOD
        + f"  b: {{network: small, seeds: {[*range(32)]}, vary: {{epochs: {[*range(1, 33)]}}}}}\n",
        r"c\.yaml:9: with this one there are more than 1,000 members",
    ),
    "a billion cycles": (
        GOOD + "  b: {network: small, cycles: 1000000000}\n",
        r"c\.yaml:9: with this one there are more than 1,000 members\. Shorten its seeds, vary",
    ),
    "a billion rounds": (
        GOOD + "  b: {network: small, pseudo: {teacher: net, rounds: 1000000000}}\n",
        r"c\.yaml:9: with this one there are more than 1,000 members",
    ),
    "extends no config": ("extends: clothes\n", r"config 'clothes': no such file\. Shipped.*cloth"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, said):
    assert re.search(said, error_of(tmp_path, text), re.DOTALL)


def test_several_mistakes_are_said_at_once(tmp_path):
    text = GOOD.replace("epochs: 3", "epochs: 0") + "folds: {n: 1, sed: 3}\nblend: x\n"
    lines = error_of(tmp_path, text).splitlines()
    places = sorted(line.split("`")[1] for line in lines)
    assert places == ["blend", "folds.n", "folds.sed", "members.net.epochs"]


def test_several_dangling_names_are_said_at_once(tmp_path):
    text = GOOD + "  b: {network: x}\n  c: {learner: ridge, blocks: {y: 1, z: 1}}\n"
    assert len(error_of(tmp_path, text).splitlines()) == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("augment: strong", r"'medium' or 'heavy', or a valid list \(got 'strong'\)\.$"),
        ("augment: [3]", r"`members\.bad\.augment\.0`: Input should be a valid dictionary"),
        ("loss: {focl: 1}", r"`members\.bad\.loss\.focl`"),
        ("loss: [focal]", r"`members\.bad\.loss`: Input should be .*, or a valid dictionary"),
        ("lr: {at: 1}", r"`members\.bad\.lr`: Input should be a valid number"),
        ("lr: fast", r"`members\.bad\.lr`"),
        ("epoch: 3", r"unknown key `members\.bad\.epoch`; did you mean `epochs`"),
        ("pseudo: {teacher: nett}", r"no teacher 'nett'; did you mean `net`"),
    ],
)
def test_one_mistake_is_said_once_where_it_stands(tmp_path, wrong, said):
    """By one line: not for each type that the key may have, nor for those who extend the member."""
    text = GOOD + (
        f"  heir: {{extends: bad, seeds: [1, 2]}}\n  bad: {{extends: net, {wrong}}}\n"
        "  last: {extends: heir, batch_size: 8}\n"
    )
    (line,) = error_of(tmp_path, text).splitlines()
    assert "c.yaml:10: " in line
    assert re.search(said, line)


def test_a_mistake_of_an_heir_is_its_own(tmp_path):
    text = (
        GOOD.replace("epochs: 3", "augment: strong") + "  b: {extends: net, augment: strongest}\n"
    )
    assert len(error_of(tmp_path, text).splitlines()) == 2


def test_a_member_extends_a_member_that_extends(tmp_path):
    text = GOOD + "  c: {extends: b, epochs: 9}\n  b: {extends: net, lr: 0.5, batch_size: 4}\n"
    members = load_config(write(tmp_path, text)).members
    assert (members["b"].epochs, members["b"].lr) == (3, 0.5)
    assert (members["c"].epochs, members["c"].lr, members["c"].batch_size) == (9, 0.5, 4)
    assert members["c"].network == "small"


def test_members_that_extend_each_other_in_a_circle_are_refused(tmp_path):
    text = GOOD + "  a: {extends: b}\n  b: {extends: a}\n"
    assert re.search(r"c\.yaml:10: members extend each other in a circle", error_of(tmp_path, text))


def test_teachers_in_a_circle_are_refused_and_only_those_in_it(tmp_path):
    text = GOOD + (
        "  a: {extends: net, pseudo: {teacher: b}}\n"
        "  b: {extends: net, pseudo: {teacher: a}}\n"
        "  c: {extends: net, pseudo: {teacher: a}}\n"
    )
    lines = error_of(tmp_path, text).splitlines()
    assert [line.split(":")[-2] for line in lines] == ["9", "10"]
    assert all("its teacher depends on it, directly or through others" in line for line in lines)


def test_a_start_in_a_circle_is_refused(tmp_path):
    text = GOOD + (
        "  a: {extends: net, start: {member: b}}\n  b: {extends: net, distill: {teacher: a}}\n"
    )
    said = error_of(tmp_path, text)
    assert "c.yaml:9: the member that it starts from depends on it, directly or" in said
    assert "c.yaml:10: its teacher depends on it, directly or through others" in said


def test_cycles_become_members_that_start_where_the_last_ended(tmp_path):
    text = GOOD + "  b: {extends: net, lr: 0.01, cycles: 3}\n"
    members = load_config(write(tmp_path, text)).members
    assert [name for name in members if name.startswith("b")] == ["b", "b_2", "b_3"]
    assert members["b"].start is None
    for name, before in (("b_2", "b"), ("b_3", "b_2")):
        assert (members[name].start.member, members[name].start.head) == (before, "keep")
        assert (members[name].lr, members[name].cycles) == (0.01, 1)
    once = load_config(write(tmp_path, text.replace(", cycles: 3", ""))).members
    assert once["b"] == members["b"]  # so that a cycle more does not train the first again


def test_seeds_and_values_become_members(tmp_path):
    text = GOOD + (
        "  b: {extends: net, seeds: [1, 2], vary: {lr: [0.1, 0.01], pseudo.threshold: [0.5, 0.9]},"
        " pseudo: {teacher: linear}}\n"
        "  c: {extends: b}\n"
    )
    members = load_config(write(tmp_path, text)).members
    names = [name for name in members if name.startswith("b")]
    assert len(names) == 8
    assert names[0] == "b"
    assert "b_seed-2_lr-0.01_pseudo.threshold-0.9" in names
    combinations = {(members[n].seed, members[n].lr, members[n].pseudo.threshold) for n in names}
    assert combinations == {(s, lr, t) for s in (1, 2) for lr in (0.1, 0.01) for t in (0.5, 0.9)}
    assert (members["b"].seed, members["b"].lr, members["b"].pseudo.threshold) == (1, 0.1, 0.5)
    assert [name for name in members if name.startswith("c")] == ["c"]
    assert members["c"].pseudo.teacher == "linear"


@pytest.mark.parametrize("teacher", ["linear", "soft_vote"])
def test_rounds_are_members_each_taught_by_the_one_before(tmp_path, teacher):
    text = GOOD + (
        f"  b: {{extends: net, pseudo: {{teacher: {teacher}, threshold: 0.8, rounds: 3}}}}\n"
        "  c: {extends: b}\n"
    )
    members = load_config(write(tmp_path, text)).members
    assert [name for name in members if name[0] in "bc"] == ["b", "b_round-2", "b_round-3", "c"]
    taught = [members[name].pseudo for name in ("b", "b_round-2", "b_round-3")]
    teachers = ["linear", "b", "b_round-2"] if teacher == "linear" else ["soft_vote"] * 3
    assert [pseudo.teacher for pseudo in taught] == teachers
    assert [pseudo.after for pseudo in taught] == [None, "b", "b_round-2"]
    assert {(pseudo.threshold, pseudo.rounds) for pseudo in taught} == {(0.8, 1)}
    assert members["c"] == members["b"]
    once = load_config(write(tmp_path, text.replace(", rounds: 3", ""))).members
    assert once["b"] == members["b"]  # so that a round more does not train the first again


def test_each_seed_has_rounds_of_its_own(tmp_path):
    text = GOOD + "  b: {extends: net, seeds: [1, 2], pseudo: {teacher: greedy, rounds: 2}}\n"
    config = load_config(write(tmp_path, text))
    names = ["b", "b_round-2", "b_seed-2", "b_seed-2_round-2"]
    assert [name for name in config.members if name.startswith("b")] == names
    assert config.members["b_seed-2_round-2"].pseudo.after == "b_seed-2"
    assert series_of_rounds(config) == [names[:2], names[2:]]


def test_a_series_begins_with_the_same_member_without_pseudo_labels(tmp_path):
    text = GOOD + (
        "  b: {extends: net, pseudo: {teacher: greedy, rounds: 2}}\n"
        "  c: {extends: net, pseudo: {teacher: net}}\n"
        "  d: {extends: net, lr: 0.5, pseudo: {teacher: net}}\n"
    )
    series = series_of_rounds(load_config(write(tmp_path, text)))
    assert series == [["net", "b", "b_round-2"], ["net", "c"]]


def test_blocks_weights_can_be_varied(tmp_path):
    text = GOOD + "  b: {extends: linear, vary: {blocks.small: [1, 2], strength: [[1, 10], 5]}}\n"
    members = load_config(write(tmp_path, text)).members
    assert [name for name in members if name.startswith("b")] == [
        "b",
        "b_strength-5",
        "b_blocks.small-2",
        "b_blocks.small-2_strength-5",
    ]
    assert members["b_blocks.small-2"].blocks["small"] == 2


def test_a_file_extends_a_file_beside_it(tmp_path):
    write(tmp_path, GOOD + "folds: {n: 7, seed: 1}\n", "base.yaml")
    top = "extends: base.yaml\nfolds: {n: 3}\nmembers:\n  net: {epochs: 5}\n"
    config = load_config(write(tmp_path, top))
    assert (config.folds.n, config.folds.seed) == (3, 1)
    assert config.members["net"].epochs == 5
    assert config.members["net"].network == "small"
    assert list(config.members) == ["linear", "net"]


def test_a_file_extends_a_shipped_config(tmp_path):
    config = load_config(write(tmp_path, "extends: clothing\ncompetition: shoes\n"))
    assert config.competition == "shoes"
    assert config.members == load_config("clothing").members


def test_null_leaves_out_a_member_of_the_base_file(tmp_path):
    write(tmp_path, GOOD, "base.yaml")
    path = write(tmp_path, "extends: base.yaml\nmembers: {linear: null}\n", "top.yaml")
    assert list(load_config(path).members) == ["net"]
    top = "extends: base.yaml\nmembers: {net: null, b: {extends: net}}\n"
    assert "no member 'net'" in error_of(tmp_path, top)


def test_null_leaves_out_a_member_for_one_run(tmp_path):
    assert list(load_config(write(tmp_path, GOOD), ["members.linear=null"]).members) == ["net"]


def test_anchors_are_written_out(tmp_path):
    text = GOOD.replace("{network: small, epochs: 3}", "&net {network: small, epochs: 3}")
    config = load_config(write(tmp_path, text + "  b: {<<: *net, epochs: 2}\n"))
    assert config.members["b"] == config.members["net"].model_copy(update={"epochs": 2})


@pytest.mark.parametrize("content", ["a: \xe4\n".encode("latin-1"), None])
def test_a_file_that_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"" if content is None else content)
    if content is None:
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root reads every file")
    with pytest.raises(UserError, match=r"c\.yaml: not readable as UTF-8 text"):
        load_config(str(path))


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "c.yaml").write_text(GOOD, encoding="utf-8-sig")
    assert load_config(str(tmp_path / "c.yaml")).competition == "tiny"


NO_FOLDERS = [
    "../input/tiny",
    "/input/tiny",
    "a/b",
    "..",
    ".",
    "",
    " ",
    ".git",
    "a\\b",
    "a\nb",
    "ü" * 51,
]


@pytest.mark.parametrize("name", NO_FOLDERS)
def test_a_competition_is_a_folder_under_input_and_nothing_else(tmp_path, name):
    with pytest.raises(UserError, match=r"competition: .*expected the name of a folder in .*input"):
        Workspace(tmp_path, name)


@pytest.mark.parametrize("name", ["tiny", "2026 cells", "détection-v1.2", "シャツ"])
def test_a_folder_may_have_any_other_name(tmp_path, name):
    assert Workspace(tmp_path, name).input == tmp_path / "input" / name


def test_a_mistake_in_the_base_file_is_placed_there(tmp_path):
    write(tmp_path, GOOD + "folds: {m: 7}\n", "base.yaml")
    assert "base.yaml:9: unknown key `folds.m`" in error_of(tmp_path, "extends: base.yaml\n")


def test_files_that_extend_each_other_in_a_circle_are_refused(tmp_path):
    write(tmp_path, "extends: c.yaml\n", "base.yaml")
    said = error_of(tmp_path, "extends: base.yaml\n")
    assert "in a circle: c.yaml -> base.yaml -> c.yaml" in said


def test_overrides_change_add_and_reach_what_extends(tmp_path):
    text = GOOD + "  student: {extends: net, lr: 0.5}\n"
    config = load_config(
        write(tmp_path, text),
        [
            "folds.n=3",
            "members.net.epochs=7",
            "members.new={extends: linear, strength: [1, 2]}",
            "members.other.network=large",
            "tta.views=[original, scale_1.2]",
            "task.metric=log_loss",
        ],
    )
    assert config.folds.n == 3
    assert config.members["student"].epochs == 7
    assert config.members["new"].strength == [1.0, 2.0]
    assert config.members["new"].blocks == {"small": 1.0}
    assert config.members["other"].network == "large"
    assert config.tta.views == ["original", "scale_1.2"]
    assert config.task.metric == "log_loss"


def test_an_override_leaves_what_shares_its_anchor(tmp_path):
    text = GOOD + "  a: &a {network: small, pseudo: {teacher: net}}\n  b: *a\n"
    members = load_config(write(tmp_path, text), ["members.a.pseudo.weight=0.5"]).members
    assert (members["a"].pseudo.weight, members["b"].pseudo.weight) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("folds.n", "SET 'folds.n': expected key=value, such as folds.n=3"),
        ("=3", "SET '=3': expected key=value"),
        ("folds..n=3", "expected key=value"),
        ("folds.n=three", r"SET folds\.n=three: `folds\.n`: .*got 'three'"),
        ("folds.m=3", "SET folds.m=3: unknown key `folds.m`"),
        ("members.net.epoch=3", r"unknown key `members\.net\.epoch`; did you mean `epochs`"),
        ("seed.x=3", "SET 'seed.x=3': seed holds 42, not keys"),
        ("tta.views=[a", r"SET 'tta\.views=\[a': not valid YAML"),
        ("members.x.epochs=3", "SET members.x.epochs=3: `members.x`: a member has either"),
    ],
)
def test_a_bad_override_is_named(tmp_path, override, said):
    assert re.search(said, error_of(tmp_path, GOOD + "seed: 42\n", override))


def test_no_config_of_this_name_lists_those_that_are():
    with pytest.raises(UserError, match=r"'cloth': no such file\. Shipped configs: .*clothing, "):
        load_config("cloth")


def test_a_number_may_name_the_precision(tmp_path):
    path = write(tmp_path, GOOD)
    assert load_config(path, ["runtime.precision=16"]).runtime.precision == "16"
    with pytest.raises(UserError, match=r"runtime\.precision"):
        load_config(path, ["runtime.precision=64"])


@pytest.mark.parametrize("by", ["file", "SET"])
def test_null_takes_a_backbone_out_of_a_preset_and_of_its_members(by, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "extends: quick\ncompetition: clothing\ntask: {kind: multiclass, target: label}\n"
    text += "members: {mine: {learner: ridge, blocks: {lite0: 1.0}}}\n"
    text += "backbones: {lite1: null}\n" if by == "file" else ""
    Path("own.yaml").write_text(text, encoding="utf-8")
    config = load_config("own", ["backbones.lite1=null"] if by == "SET" else [])
    assert list(config.backbones) == ["lite0", "lite2", "whole"]
    assert list(config.members["linear"].blocks) == ["lite0", "lite2", "whole"]
    assert "mine" not in load_config("own", ["members.mine=null"]).members


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("task.kind=classification", "did you mean `multiclass`?"),
        ("task.kind=binary_classification", "did you mean `binary`?"),
        ("folds.scheme=stratify", "did you mean `stratified`?"),
        ("members.linear.learner=logit", "did you mean `logistic`?"),
        ("tta.average=mean", "(got 'mean')."),
    ],
)
def test_a_wrong_option_names_the_nearest_one(wrong, near):
    with pytest.raises(UserError) as caught:
        load_config("clothing", [wrong])
    assert str(caught.value).endswith(near)


def test_a_shown_config_loads_again_to_the_same(tmp_path, capsys):
    path = write(tmp_path, GOOD)
    overrides = ["members.b={extends: net, lr: 1.0e-5, pseudo: {teacher: greedy}}", "seed=7"]
    explain.show(path, overrides)
    shown = capsys.readouterr().out
    assert load_config(write(tmp_path, shown, "shown.yaml")) == load_config(path, overrides)


def test_describe_prints_every_key_with_its_default(capsys):
    explain.schema()
    page = capsys.readouterr().out
    sections = [
        value
        for value in vars(schema).values()
        if isinstance(value, type) and issubclass(value, schema.Section)
    ]
    keys = {key for section in sections for key in section.model_fields}
    assert len(keys) > 60
    printed = set(re.findall(r"^  (\w+): ", page, re.MULTILINE))
    assert keys | {"extends"} == printed
    assert "  n: int = 5  number of folds K\n" in page
    assert "  cut: crop | squash | pad = 'crop'" in page
    assert "  arch: str  any timm architecture" in page  # required: no default
    assert "  seed: int = None  default: the config's seed" in page


def test_every_key_is_explained_or_is_a_section():
    for section in schema.Section.__subclasses__() + schema.Member.__subclasses__():
        for name, field in section.model_fields.items():
            is_section = getattr(field.annotation, "__base__", None) is schema.Section
            assert field.description or is_section, f"{section.__name__}.{name}"


def test_views_expand_once_in_order():
    assert expand_views(["mirrored", "eight_of_square"])[:3] == ["mirrored", "original", "flipped"]
    assert len(expand_views(["eight_of_square", "original"])) == 8
    assert expand_views(["five_crops"])[:2] == ["crop_center_0.875", "crop_top_left_0.875"]


@pytest.mark.parametrize(
    "view", ["crop_center_0.0", "crop_center_1.0", "crop_middle_0.5", "scale_0.1", "scale_5", ""]
)
def test_views_out_of_range_are_refused(view):
    with pytest.raises(ValueError, match=f"unknown view '{view}'"):
        expand_views([view])


def test_sections_are_immutable(tmp_path):
    config = load_config(write(tmp_path, GOOD))
    with pytest.raises(ValueError, match="frozen"):
        config.folds.n = 3


def test_names_that_yaml_reads_as_values_stay_as_they_are_written(tmp_path):
    config = load_config(
        write(
            tmp_path,
            """\
competition: 2024
task: {kind: multiclass, target: no, classes: [no, yes, 0, 1.0, 007, "2"]}
data: {id: 1, group: on, numeric: [2, 3.50], categorical: [off]}
backbones: {1: {arch: resnet18, weights: random}}
members:
  no: {learner: logistic, blocks: {1: 1.0}}
  007: {learner: ridge, blocks: {1: 1.0}, pseudo: {teacher: no}}
  heir: {extends: 007, strength: 2.0}
  trees: {learner: lightgbm, blocks: {1: 1.0}, stacks: [no]}
submission: {blend: 007}
""",
        ),
        ["task.target=off", "data.group=1e3"],
    )
    assert config.competition == "2024"
    assert config.task.classes == ["no", "yes", "0", "1.0", "007", "2"]
    assert (config.task.target, config.data.id, config.data.group) == ("off", "1", "1e3")
    assert (config.data.numeric, config.data.categorical) == (["2", "3.50"], ["off"])
    assert list(config.backbones) == ["1"]
    assert list(config.members) == ["no", "007", "heir", "trees"]
    assert config.members["heir"].blocks == {"1": 1.0}
    assert config.members["007"].pseudo.teacher == config.members["heir"].pseudo.teacher == "no"
    assert config.members["trees"].stacks == ["no"]
    assert config.submission.blend == "007"


def test_several_targets_may_have_such_names(tmp_path):
    text = "competition: x\ntask: {kind: multilabel, target: [no, yes]}\n"
    assert load_config(write(tmp_path, text)).task.targets == ["no", "yes"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            "task: {kind: multiclass, target: label, classes: [[a], b]}",
            r"c\.yaml:2: `task\.classes",
        ),
        ("task: {kind: multiclass, target: label}\ndata: {id: {a: b}}", r"c\.yaml:3: `data\.id`"),
        ("task: {kind: multiclass, target: }", r"c\.yaml:2: `task\.target`"),
        ("task: {kind: multiclass, target: label}\nseed: [1]", r"c\.yaml:3: `seed`"),
    ],
)
def test_what_no_name_can_be_is_still_refused(tmp_path, wrong, said):
    assert re.search(said, error_of(tmp_path, f"competition: x\n{wrong}\n"))


def test_classes_that_weights_name_are_texts(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "competition: tiny\n"
        "task: {kind: binary, target: y, metric: weighted_log_loss, class_weights: {no: 1, 1: 2}}\n"
    )
    assert load_config(str(path)).task.class_weights == {"no": 1.0, "1": 2.0}


# The catalogue of backbones.

HEAD = "competition: x\ntask: {kind: multiclass, target: y}\n"


def test_a_backbone_extends_an_entry_of_the_catalogue(tmp_path):
    text = HEAD + (
        "backbones:\n  a: dinov2_small\n  b: {extends: dinov2_small, image_size: 336}\n"
        "  c: {arch: resnet18}\n"
    )
    backbones = load_config(write(tmp_path, text)).backbones
    assert backbones["a"].arch == "vit_small_patch14_reg4_dinov2.lvd142m"
    assert (backbones["a"].image_size, backbones["b"].image_size) == (224, 336)
    assert backbones["b"].arch == backbones["a"].arch
    assert backbones["c"].arch == "resnet18"


def test_an_entry_of_the_catalogue_is_what_the_preset_writes_out(tmp_path):
    text = f"extends: lite_cnns\n{HEAD}"
    preset = load_config(write(tmp_path, text)).backbones
    ours = load_config(
        write(tmp_path, HEAD + "backbones: {lite0: lite0, lite1: lite1, lite2: lite2}\n")
    ).backbones
    assert ours == {name: preset[name] for name in ours}


def test_keys_of_an_entry_replace_those_of_the_config_below(tmp_path):
    text = f"extends: lite_cnns\n{HEAD}backbones: {{lite0: dinov2_small}}\n"
    backbone = load_config(write(tmp_path, text)).backbones["lite0"]
    assert (backbone.arch.split("_")[0], backbone.weights) == ("vit", "hub")


def test_overrides_reach_entries_of_the_catalogue(tmp_path):
    path = write(tmp_path, HEAD + "backbones: {a: {extends: dinov2_small, stages: [-1]}}\n")
    assert load_config(path, ["backbones.a.image_size=280"]).backbones["a"].image_size == 280
    for override in ("backbones.a=clip_large", "backbones.a.extends=clip_large"):
        backbone = load_config(path, [override, "backbones.a.image_size=336"]).backbones["a"]
        assert backbone.arch == "vit_large_patch14_clip_224.datacompxl"
        assert (backbone.image_size, backbone.stages) == (336, [])


@pytest.mark.parametrize("value", ["dinov2_smal", "{extends: dinov2_smal}"])
def test_an_unknown_entry_of_the_catalogue_suggests_the_nearest(tmp_path, value):
    message = error_of(tmp_path, HEAD + f"backbones:\n  a: {value}\n")
    assert re.match(r".*c\.yaml:4: backbones\.a: no entry 'dinov2_smal' in the catalogue", message)
    assert "did you mean `dinov2_small`?" in message


def test_a_misspelt_key_of_a_backbone_may_have_meant_extends(tmp_path):
    message = error_of(tmp_path, HEAD + "backbones:\n  a: {extend: dinov2_small, arch: x}\n")
    assert "unknown key `backbones.a.extend`; did you mean `extends`?" in message
