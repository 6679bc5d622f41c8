"""Clean and reproduce: what is removed, what stays, what is compared."""

import pytest
import torch
from rich.filesize import decimal
from tiny_project import listing, run, submission, write_competition

from pipeline.core.artifacts import write_json
from pipeline.core.locks import Run
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.stages.clean import clean
from pipeline.workflow.reproduce import reproduce, take_threads_of

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path):
    write_competition(tmp_path)
    run(tmp_path)
    return Workspace(tmp_path, "tiny")


def test_sizes_are_printed_and_nothing_is_removed_unless_parts_are_kept(workspace, capsys):
    before = listing(workspace.root)
    clean(workspace, "")
    assert listing(workspace.root) == before
    printed = capsys.readouterr().out
    sizes = {line.split()[0]: line.split()[1:3] for line in printed.splitlines()}
    files = [path for path in workspace.submissions.rglob("*") if path.is_file()]
    num_bytes = sum(path.stat().st_size for path in files)
    assert " ".join(sizes["submissions"]) == decimal(num_bytes)
    assert all(part in printed for part in ("features", "models", "attic", "submissions"))
    assert "KEEP=submissions" in printed


def test_kept_parts_stay_as_they_are_and_a_run_makes_the_rest_anew(workspace):
    root, made = workspace.root, submission(workspace.root)
    kept, files = listing(workspace.submissions), made.read_bytes()
    data = listing(workspace.input)
    clean(workspace, "submissions")
    assert listing(workspace.submissions) == kept
    assert listing(workspace.input) == data
    assert not list(workspace.features.iterdir())
    assert not list(workspace.models.iterdir())
    run(root)
    assert made.read_bytes() == files
    clean(workspace, "nothing")
    assert not list(workspace.submissions.iterdir())


def test_nothing_is_removed_beneath_a_run_or_for_a_wrong_word(workspace):
    before = listing(workspace.models)
    with Run(workspace.runs) as other:
        other.count_on({workspace.member("linear"): "recipe"})
        with pytest.raises(UserError, match=r"is being worked on by process \d+ .* nothing was"):
            clean(workspace, "submissions")
    with pytest.raises(UserError, match="no part 'submission'; did you mean `submissions`"):
        clean(workspace, "submission")
    with pytest.raises(UserError, match="beside parts that are kept"):
        clean(workspace, "nothing,models")
    with pytest.raises(UserError, match="no artifacts"):
        clean(Workspace(workspace.root, "other"), "nothing")
    assert listing(workspace.models) == before


def test_a_submission_is_made_again_from_its_settings_and_the_input_alone(
    workspace, caplog, monkeypatch
):
    monkeypatch.chdir(workspace.root)
    caplog.set_level("INFO")
    first = submission(workspace.root)
    run(workspace.root, overrides=("blends=[soft_vote]", "members.linear.strength=5.0"))
    assert submission(workspace.root) != first
    before = listing(workspace.models)
    assert reproduce(workspace, run=first.stem)
    assert "the same bytes" in caplog.text
    assert listing(workspace.models) == before
    text = first.read_text(encoding="utf-8")
    first.write_text(text.replace("0.", "1.", 1), encoding="utf-8")
    assert not reproduce(workspace, run=first.stem)
    assert "in 1 of 9 rows" in caplog.text
    first.unlink()
    with pytest.raises(UserError, match="is gone"):
        reproduce(workspace, run=first.stem)


def test_networks_are_trained_again_with_as_many_threads(tmp_path):
    workspace, before = Workspace(tmp_path, "tiny"), torch.get_num_threads()
    for fold, threads in enumerate((before + 1, before + 1, before + 2)):
        path = workspace.models / "net" / f"fold{fold}" / "snapshot.json"
        path.parent.mkdir(parents=True)
        write_json(path, {"threads": threads})
    try:
        take_threads_of(workspace)
        assert torch.get_num_threads() == before  # they had different numbers
        (workspace.models / "net" / "fold2" / "snapshot.json").unlink()
        take_threads_of(workspace)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
