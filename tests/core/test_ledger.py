"""The ledger: lines, notes and public scores, names of submissions, two writers at once."""

import json
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from example_summary import example_summary

from pipeline.config.schema import Config
from pipeline.core.find_submission import best_first, config_of, find_submission
from pipeline.core.ledger import add_to_ledger, read_ledger, update_ledger
from pipeline.core.public_score import PublicScore
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.stages.ledger import show_ledger

# A line as versions before notes wrote it.
OLD = {
    "time": "2026-01-02T03:04:05+00:00",
    "submission": "submissions/tiny/stack_accuracy_0.7000_0ld000.csv",
    "blend": "stack",
    "metric": "accuracy",
    "score": 0.7,
    "low": 0.6,
    "high": 0.8,
    "members": ["net", "first"],
    "fingerprint": "0ld0001111111111",
}


def add(workspace: Workspace, fingerprint: str, *, score: float, blend: str = "greedy") -> None:
    summary = example_summary(
        fingerprint=fingerprint,
        submission=f"submissions/tiny/{blend}_accuracy_{score:.4f}_{fingerprint[:6]}.csv",
    )
    estimate = replace(summary.estimate, score=score, name=blend)
    add_to_ledger(workspace, replace(summary, estimate=estimate))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A ledger of an old line, and two of this version; the last is not the best."""
    workspace = Workspace(tmp_path, "tiny")
    workspace.submissions.mkdir(parents=True)
    workspace.ledger.write_text(json.dumps(OLD) + "\n")
    add(workspace, "aaaaaa0123456789", score=0.9)
    add(workspace, "bbbbbb0123456789", score=0.8)
    return workspace


def test_a_submission_is_added_once(workspace):
    before = workspace.ledger.read_bytes()
    add(workspace, "aaaaaa0123456789", score=0.9)
    assert workspace.ledger.read_bytes() == before
    assert [entry["score"] for entry in read_ledger(workspace.ledger)] == [0.7, 0.9, 0.8]


def test_an_update_changes_one_line_and_keeps_damaged_ones(workspace):
    with open(workspace.ledger, "a", encoding="utf-8") as ledger:
        ledger.write('{"time": "cut')
    before = workspace.ledger.read_text().splitlines()
    update_ledger(workspace, "aaaaaa0123456789", note="first try")
    after = workspace.ledger.read_text().splitlines()
    assert [new == old for new, old in zip(after, before, strict=True)] == [True, False, True, True]
    assert json.loads(after[1]) == json.loads(before[1]) | {"note": "first try"}
    update_ledger(workspace, "aaaaaa0123456789", note=None)
    assert workspace.ledger.read_text().splitlines() == before


def add_some(root: str, first: int) -> None:
    for number in range(first, first + 10):
        add(Workspace(Path(root), "tiny"), f"{number:016d}", score=number / 100)
        update_ledger(Workspace(Path(root), "tiny"), f"{number:016d}", note=f"note {number}")


@pytest.mark.slow
def test_two_processes_lose_no_line_and_no_note(tmp_path):
    with ProcessPoolExecutor(2) as processes:
        list(processes.map(add_some, [str(tmp_path)] * 2, [0, 50]))
    found = read_ledger(Workspace(tmp_path, "tiny").ledger)
    assert sorted(entry["note"] for entry in found) == sorted(
        f"note {number}" for number in [*range(10), *range(50, 60)]
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("aaaaaa", "aaaaaa0123456789"),
        ("0ld", "0ld0001111111111"),
        ("stack", "0ld0001111111111"),
        ("0.9000", "aaaaaa0123456789"),
        ("greedy_accuracy_0.8000_bbbbbb", "bbbbbb0123456789"),
        ("bbbbbb0123456789", "bbbbbb0123456789"),
        ("last", "bbbbbb0123456789"),
        ("best", "aaaaaa0123456789"),
    ],
)
def test_a_submission_is_found_by_part_of_its_name(workspace, name, found):
    assert find_submission(workspace, name)["fingerprint"] == found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("greedy", "RUN=greedy: fits several submissions: greedy_accuracy_0.9000_aaaaaa, greedy_a"),
        ("xyz", "RUN=xyz: is no part of a submission's name: stack_accuracy_0.7000_0ld000, greedy"),
    ],
)
def test_a_name_of_none_or_several_lists_the_candidates(workspace, name, said):
    with pytest.raises(UserError, match=re.escape(said)):
        find_submission(workspace, name)


def test_without_a_submission_it_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"no submissions yet\. Run `make ensemble"):
        find_submission(Workspace(tmp_path, "tiny"), "last")


def test_last_is_the_one_that_was_made_last_also_again(workspace):
    (workspace.submissions / "meta.json").write_text('{"fingerprint": "0ld0001111111111"}')
    assert find_submission(workspace, "last")["fingerprint"] == "0ld0001111111111"


def test_the_best_comes_first_where_lower_is_better(workspace):
    entries = [entry | {"greater_is_better": False} for entry in read_ledger(workspace.ledger)]
    undefined = entries[0] | {"score": None}
    other = entries[0] | {"metric": "mae"}
    ranked = best_first([undefined, other, *entries], workspace)
    assert [entry["score"] for entry in ranked] == [0.7, 0.8, 0.9, None, 0.7]
    assert ranked[-1]["metric"] == "mae"


def test_settings_come_back_in_the_order_of_the_yaml(workspace):
    first, *_ = read_ledger(workspace.ledger)
    config = example_summary().config
    assert config_of(find_submission(workspace, "last"), workspace) == config
    content = example_summary(submission=first["submission"]).to_json()
    (workspace.root / first["submission"]).with_suffix(".json").write_text(json.dumps(content))
    restored = config_of(first, workspace)
    assert restored == config
    assert list(restored.members) == ["net", "first"]  # as the old line lists them


def test_settings_of_another_version_name_the_keys(workspace):
    entry = find_submission(workspace, "last")
    entry["config"]["folds"] = {"number": 3}
    with pytest.raises(UserError, match=r"not those of this version: folds.number"):
        config_of(entry, workspace)


def test_the_settings_of_a_line_are_a_whole_config(workspace):
    entry = find_submission(workspace, "last")
    assert Config.model_validate(entry["config"]) == example_summary().config
    assert len(entry["code"]) == 12


def test_a_public_score_is_compared_with_the_interval_of_public_rows(workspace):
    """Expected 0.81737, public rows 0.6 to 1.0: 0.71737 is a quarter of the width below."""
    update_ledger(workspace, "bbbbbb0123456789", public_score=0.71737)
    found = PublicScore.of(find_submission(workspace, "last"), workspace)
    assert found.gap == pytest.approx(-0.1)
    assert found.widths == pytest.approx(-0.25)
    assert found.is_inside
    assert found.sentence("auc") == (
        "public auc 0.7174, 0.1000 below the expected 0.8174: inside the interval for the public "
        "rows, 0.6000 to 1.0000 (the gap is 0.25 of its width). A gap like this is expected by "
        "chance"
    )
    update_ledger(workspace, "bbbbbb0123456789", public_score=0.55)
    found = PublicScore.of(find_submission(workspace, "last"), workspace)
    assert not found.is_inside
    assert "outside the interval for the public rows, 0.6000 to 1.0000 (the" in found.sentence("a")


def test_an_old_line_is_compared_with_its_own_interval(workspace):
    update_ledger(workspace, OLD["fingerprint"], public_score=0.75)
    found = PublicScore.of(find_submission(workspace, "0ld"), workspace)
    assert (found.gap, found.low, found.high, found.is_inside) == (None, 0.6, 0.8, True)


def test_the_table_shows_the_best_first_with_notes_and_gaps(workspace, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    show_ledger(workspace, run="last", note="with [bold]", public="0,55")
    assert "aaaaaa" not in capsys.readouterr().out  # RUN= alone is shown
    show_ledger(workspace)
    shown = capsys.readouterr().out
    assert shown.index("aaaaaa") < shown.index("bbbbbb") < shown.index("0ld000")
    assert "[bold]" in shown
    assert "0.5500 -0.2674" in shown
    assert "-0.67 outside" in shown
    assert max(map(len, shown.splitlines())) <= 80
    show_ledger(workspace, run="last", note="-")
    assert "note" not in find_submission(workspace, "last")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"note": "x"}, "NOTE='x': of which submission? Say RUN=last"),
        ({"public": "0.9"}, "PUBLIC=0.9: of which submission?"),
        ({"public": "high", "run": "last"}, "PUBLIC=high: no number"),
        ({"public": "nan", "run": "last"}, "PUBLIC=nan: no number"),
    ],
)
def test_what_cannot_be_written_is_refused(workspace, given, said):
    before = workspace.ledger.read_bytes()
    with pytest.raises(UserError, match=re.escape(said)):
        show_ledger(workspace, **given)
    assert workspace.ledger.read_bytes() == before


def test_a_line_whose_settings_changed_is_damaged_but_a_note_by_hand_is_not(workspace, caplog):
    text = workspace.ledger.read_text()
    workspace.ledger.write_text(text.replace('"learner": "ridge"', '"learner": "rodge"', 1))
    assert [entry["score"] for entry in read_ledger(workspace.ledger)] == [0.7, 0.8]
    assert "line 2 is damaged" in caplog.text
    workspace.ledger.write_text(text.replace('"time"', '"note": "by hand", "time"', 2))
    assert [entry.get("note") for entry in read_ledger(workspace.ledger)] == ["by hand"] * 2 + [
        None
    ]
