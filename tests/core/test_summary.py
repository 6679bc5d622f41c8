"""The summary in its file: what is written is read again, and what is no summary is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from example_summary import example_summary

from pipeline.config.load import CONFIGS, load_config
from pipeline.core.results import AgainstLast, Signal, WrittenForm
from pipeline.core.summary import Summary, path_of_last
from pipeline.errors import UserError


def full() -> Summary:
    """A summary that has all there can be."""
    summary = example_summary(form=WrittenForm("labels", ("a fact",), ("a warning",), 0.7))
    signal = Signal("mean confidence", 0.9, 0.7, 0.001, True)
    first, second = summary.contestants
    return replace(
        summary,
        shift=replace(summary.shift, differs=True, signals=(signal,)),
        contestants=[replace(first, as_predicted=0.75), second],
        diversity=replace(
            summary.diversity, better_without={"net": summary.better_than_best_single}
        ),
    )


def sparse() -> Summary:
    """A summary that has none of what there may not be."""
    refused = AgainstLast(submission="before.csv", score=0.8, refused="its folds differ")
    return example_summary(choice=None, shake_up=None, rounds=[], better_than_last=refused)


@pytest.mark.parametrize("summary", [full(), sparse(), example_summary(better_than_last=None)])
def test_what_is_written_is_read_again(summary, tmp_path):
    path = tmp_path / "blend.json"
    summary.write(path)
    assert Summary.read(path) == summary
    before = path.read_bytes()
    Summary.read(path).write(path)
    assert path.read_bytes() == before


def test_the_file_s_keys(tmp_path):
    content = full().to_json()
    assert content["contestants"][0]["is"] == "member"
    assert content["contestants"][0]["as_predicted"] == 0.75
    assert "as_predicted" not in content["contestants"][1]
    assert content["estimate"].keys() >= {"is", "score_low", "expected", "level", "seed"}
    assert content["choice"]["of"] == "soft_vote"
    assert content["rounds"][0][0].keys() == {"round", "member", "score", "blends"}
    assert content["better_than_last"].keys() == {
        *("submission", "score", "probability", "low", "high")
    }
    content = sparse().to_json()
    assert content["better_than_last"].keys() == {"submission", "score", "refused"}
    assert content["choice"] is None


def test_what_is_undefined_is_null_and_none(tmp_path):
    summary = example_summary()
    undefined = replace(summary.estimate, low=np.nan, fold_scores=[np.nan, 0.5])
    replace(summary, estimate=undefined).write(tmp_path / "blend.json")
    found = Summary.read(tmp_path / "blend.json").estimate
    assert found.low is None
    assert found.fold_scores == [None, 0.5]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.pop("metric"), "metric: Field required"),
        (lambda content: content.update(colour=1), "colour: Unexpected keyword argument"),
        (lambda content: content["choice"].pop("of"), "choice.of: Field required"),
        (lambda content: content["contestants"][0].pop("is"), "contestants.0.is: Field required"),
        (
            lambda content: content.update(form=[1]),
            "form: Input should be a dictionary or an instance of WrittenForm",
        ),
        (lambda content: content["config"].update(blends=7), "blends"),
    ],
)
def test_another_version_s_file_is_refused_with_what_to_do(change, reason, tmp_path):
    path = tmp_path / "blend.json"
    content = example_summary().to_json()
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        Summary.read(path)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"{path}: not readable as a summary of this version")
    assert str(caught.value).endswith("Delete it and run `make ensemble`.")


@pytest.mark.parametrize("damage", [b"{", b"\xff\xfe", b"[]"])
def test_a_damaged_file_is_refused(damage, tmp_path):
    path = tmp_path / "blend.json"
    path.write_bytes(damage)
    with pytest.raises(UserError, match="Delete it and run `make ensemble`"):
        Summary.read(path)


def test_a_file_that_is_gone_is_refused(tmp_path):
    (tmp_path / "meta.json").write_text('{"summary": "blend.json"}')
    with pytest.raises(UserError, match=r"blend\.json: not readable as a summary.*No such file"):
        Summary.read(path_of_last(tmp_path))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_any_config_is_read_again(path):
    summary = example_summary(load_config(str(path)))
    assert Summary.from_json(json.loads(json.dumps(summary.to_json()))) == summary
