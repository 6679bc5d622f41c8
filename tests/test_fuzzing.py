"""Any config, CSV or artifact ends in success or in one clear message, never in a traceback.

`FUZZ=20000 python -m pytest tests/test_fuzzing.py` tries as many examples of each kind.
"""

import copy
import io
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tiny_project import CONFIG, NETWORK, SEARCHED, write_competition

from pipeline.config.load import load_config
from pipeline.core import predictions
from pipeline.core.predictions import Predictions
from pipeline.core.read_competition import read_competition
from pipeline.errors import UserError

fuzz = settings(
    max_examples=int(os.environ.get("FUZZ", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALID = CONFIG | {
    "members": CONFIG["members"]
    | {
        "net": NETWORK | {"distill": {"teacher": "linear"}, "vary": {"lr": [0.001, 0.01]}},
        "searched": SEARCHED,
        "student": {"extends": "linear", "pseudo": {"teacher": "soft_vote", "threshold": 0.5}},
    },
    "data": {"id": "id", "numeric": [], "train_images": "train/{id}"},
    "submission": {"blend": "best", "format": "auto"},
}
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["auto", "linear", "net", "small", "soft_vote", "{id}", "../..", "~", "", "1e3"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths_of(section: dict, above: tuple = ()) -> list[tuple]:
    """Return the path of every key."""
    found = []
    for key, value in section.items():
        found.append((*above, key))
        if isinstance(value, dict):
            found += paths_of(value, (*above, key))
    return found


@st.composite
def configs(draw: st.DrawFn) -> dict:
    """A valid config with up to three keys changed, taken out, or put in."""
    config = copy.deepcopy(VALID)
    for path in draw(st.lists(st.sampled_from(paths_of(VALID)), min_size=1, max_size=3)):
        *above, key = path
        section = config
        for name in above:
            section = section.get(name) if isinstance(section, dict) else None
        if isinstance(section, dict):
            change = draw(st.sampled_from(["set", "set", "remove", "add"]))
            if change == "remove":
                section.pop(key, None)
            else:
                section[key if change == "set" else draw(st.text(max_size=8))] = draw(values)
    return config


def check_config(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with suppress(UserError):
        load_config(str(path))


@fuzz
@given(config=configs())
def test_a_config_is_taken_or_refused_with_a_message(config, tmp_path):
    check_config(tmp_path / "fuzzed.yaml", yaml.safe_dump(config).encode())


@fuzz
@given(position=st.floats(0, 1), inserted=st.binary(max_size=6), cut=st.integers(0, 8))
def test_a_config_of_damaged_bytes_is_taken_or_refused(position, inserted, cut, tmp_path):
    content = yaml.safe_dump(VALID).encode()
    at = round(position * len(content))
    check_config(tmp_path / "fuzzed.yaml", content[:at] + inserted + content[at + cut :])


@pytest.fixture(scope="module")
def competition(tmp_path_factory) -> Path:
    return write_competition(tmp_path_factory.mktemp("fuzzing"))


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(
        ["", "NaN", "1.0", "01", "001.png", "blue", " blue", "=1+1", "../x", "a,b", '"']
    ),
)


@st.composite
def tables(draw: st.DrawFn, valid: pd.DataFrame) -> pd.DataFrame:
    """A table with up to four cells, rows or columns changed."""
    table = valid.copy()
    for _ in range(draw(st.integers(1, 4))):
        change = draw(st.sampled_from(["cell", "cell", "repeat", "drop", "shuffle", "rename"]))
        row = draw(st.integers(0, len(valid) - 1)) % max(len(table), 1)
        column = draw(st.integers(0, len(table.columns) - 1))
        if change == "cell" and len(table):
            table.iloc[row, column] = draw(TEXTS)
        elif change == "repeat":
            table = pd.concat([table, table.iloc[row : row + 1]])
        elif change == "drop":
            table = table.drop(index=table.index[row : row + 1])
        elif change == "shuffle":
            table = table.sample(frac=1, random_state=draw(st.integers(0, 99)))
        elif change == "rename":
            table = table.rename(columns={table.columns[column]: draw(TEXTS)})
        table = table.reset_index(drop=True)
    return table


def read(folder: Path) -> pd.Series | None:
    """Return labels by id as the pipeline reads them; None if it refuses the files."""
    config = load_config(str(folder.parents[1] / "valid.yaml"))
    try:
        found = read_competition(folder, config.task, config.data)
    except UserError:
        return None
    labels = np.array(found.classes)[found.targets.argmax(axis=1)]
    assert len(found.paths) == len(found.ids) + len(found.test_ids)
    for row_id, path in zip([*found.ids, *found.test_ids], found.paths, strict=True):
        assert row_id.strip() in path or path in found.endings.values()
    return pd.Series(labels, index=found.ids)


@fuzz
@given(data=st.data())
def test_csvs_are_read_by_id_or_refused(data, competition):
    (competition.parents[1] / "valid.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    originals = {path: path.read_bytes() for path in competition.glob("*.csv")}
    changed = data.draw(st.sampled_from(sorted(originals)))
    table = data.draw(tables(pd.read_csv(changed, dtype=str, keep_default_na=False)))
    separator = data.draw(st.sampled_from([",", ",", ";", "\t"]))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    text = io.StringIO()
    table.to_csv(text, index=False, sep=separator)
    try:
        changed.write_bytes(text.getvalue().encode(encoding))
        labels = read(competition)
        if labels is not None and changed.name == "train.csv":
            written = dict(zip(table["id"].str.strip(), table["label"].str.strip(), strict=True))
            assert {key.strip(): value for key, value in labels.items()} == written
    finally:
        for path, content in originals.items():
            path.write_bytes(content)


@fuzz
@given(
    position=st.floats(0, 1, exclude_max=True),
    inserted=st.binary(max_size=4),
    cut=st.integers(0, 64),
)
def test_csvs_of_damaged_bytes_are_read_or_refused(position, inserted, cut, competition):
    (competition.parents[1] / "valid.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    path = competition / "train.csv"
    content = path.read_bytes()
    at = int(position * len(content))
    try:
        path.write_bytes(content[:at] + inserted + content[at + cut :])
        read(competition)
    finally:
        path.write_bytes(content)


@fuzz
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@example(position=0.7890625, bit=0, cut=False)  # a password
@example(position=0.7890625, bit=5, cut=False)  # ways of packing that zipfile does not know
@example(position=0.7890625, bit=6, cut=False)
def test_damaged_predictions_are_refused_or_the_same(position, bit, cut, tmp_path):
    """NumPy's archives carry checksums: no other number can come out."""
    path = tmp_path / "oof.npz"
    ids, rng = np.array(["b", "a", "ü"]), np.random.default_rng(0)
    saved = Predictions(ids, rng.random((3, 2)), ("x", "y"), folds=np.arange(3), meta={"fold": 1})
    saved.save(path)
    content = bytearray(path.read_bytes())
    at = int(position * len(content))
    if cut:
        content = content[:at]
    else:
        content[at] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = predictions.load(path, classes=("x", "y"))
    except UserError:
        return
    assert found.ids.tolist() == ids.tolist()
    assert np.array_equal(found.values, saved.values)
    assert np.array_equal(found.folds, saved.folds)


def test_an_entry_with_a_damaged_name_is_not_taken_for_absent(tmp_path):
    """Found by the fuzzing above: without its folds, oof counted as of no fold."""
    path = tmp_path / "oof.npz"
    saved = Predictions(np.array(["a"]), np.ones((1, 1)), ("x",), folds=np.zeros(1, dtype=int))
    saved.save(path)
    content = path.read_bytes()
    at = content.rindex(b"folds.npy")
    path.write_bytes(content[:at] + b"g" + content[at + 1 :])
    with pytest.raises(UserError, match="not readable as predictions"):
        predictions.load(path)
