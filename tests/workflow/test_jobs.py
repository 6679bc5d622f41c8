"""Jobs: needs first, nothing twice, nothing that is done; every function that is named exists."""

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core import artifacts
from pipeline.core.log_lines import JobFormatter
from pipeline.core.timing import TIMING, disk_bytes, read_seconds
from pipeline.errors import JobFailed, UserError
from pipeline.workflow import jobs
from pipeline.workflow.job_times import kind_of, time_left
from pipeline.workflow.jobs import Job, pending, resolve
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.plan import MAKE_BLOCK, blocks_together

PLAN = Path(jobs.__file__).parent.parent / "workflow" / "plan.py"
DONE: list[str] = []


def work(
    *,
    folder: Path,
    fingerprint: str,
    name: str = "",
    fail: bool = False,
    reason: str = "",
    error: BaseException | None = None,
    **_: object,
) -> None:
    DONE.append(name)
    if error is not None:
        raise error
    if reason:
        raise JobFailed(reason)
    if not fail:
        artifacts.finish(folder, fingerprint)


@pytest.fixture(autouse=True)
def _nothing_done():
    DONE.clear()


def job(root: Path, name: str, *needs: Job, recipe: str = "r", **more) -> Job:
    arguments = {"name": name} | more.pop("arguments", {})
    function = f"{__name__}:work"
    return Job(name, function, root / name, recipe, arguments, needs=needs, **more)


def names(todo: list[Job]) -> list[str]:
    return [one.name for one in todo]


def test_needs_come_first_and_nothing_comes_twice(tmp_path):
    a = job(tmp_path, "a")
    b, c = job(tmp_path, "b", a), job(tmp_path, "c", a)
    d = job(tmp_path, "d", b, c)
    assert names(pending([d, b, d])) == ["a", "b", "c", "d"]


def test_what_a_finished_job_needed_is_not_asked(tmp_path):
    a = job(tmp_path, "a")
    b = job(tmp_path, "b", a)
    c = job(tmp_path, "c", b)
    artifacts.finish(b.folder, "r")
    assert names(pending([c])) == ["c"]
    artifacts.finish(b.folder, "another recipe")
    assert names(pending([c])) == ["a", "b", "c"]


def test_the_time_of_a_job_lies_beside_its_artifact_and_counts_for_that_artifact_only(tmp_path):
    a = job(tmp_path, "a")
    LocalExecutor().execute(pending([a]))
    seconds = read_seconds(a.folder, "r")
    assert 0 <= seconds < 60
    assert read_seconds(a.folder, "another recipe") is None
    record = (a.folder / TIMING).read_bytes()
    LocalExecutor().execute(pending([a]))
    assert (a.folder / TIMING).read_bytes() == record  # what is done takes no time
    (a.folder / TIMING).write_text("{")
    assert read_seconds(a.folder, "r") is None
    assert a.is_done()


def test_the_disk_of_a_folder_counts_all_below_but_no_links(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"12345")
    (tmp_path / "a" / "b" / "two").write_bytes(b"123")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "one")
    assert disk_bytes(tmp_path / "a") == 8
    assert disk_bytes(tmp_path / "absent") == 0


def test_a_second_run_does_nothing(tmp_path):
    a = job(tmp_path, "a")
    b = job(tmp_path, "b", a)
    LocalExecutor().execute(pending([b]))
    assert DONE == ["a", "b"]
    assert pending([b]) == []


def test_a_failure_keeps_what_was_finished_before_it(tmp_path):
    a = job(tmp_path, "a")
    b = job(tmp_path, "b", a, arguments={"fail": True})
    with pytest.raises(UserError, match=r"AssertionError: b ended without finishing .*b"):
        LocalExecutor().execute(pending([b]))
    assert names(pending([b])) == ["b"]


def test_others_go_on_when_a_job_fails_for_a_reason_of_its_own(tmp_path, caplog):
    bad = job(tmp_path, "bad", arguments={"reason": "its loss is nan"})
    good, after_bad = job(tmp_path, "good"), job(tmp_path, "after_bad", bad)
    last = job(tmp_path, "last", after_bad, good)
    with pytest.raises(UserError, match=r"(?s)1 of 4 jobs failed; 2 that need them.*loss is nan"):
        LocalExecutor().execute(pending([bad, last]))
    assert DONE == ["bad", "good"]
    assert "bad failed: its loss is nan" in caplog.messages
    assert json.loads((bad.folder / "failed.json").read_text()) == {"reason": "its loss is nan"}
    better = job(tmp_path, "bad")
    LocalExecutor().execute(pending([better]))
    assert better.is_done()
    assert not (bad.folder / "failed.json").exists()


def test_an_error_that_nobody_foresaw_fails_its_job_and_keeps_the_traceback(tmp_path):
    bad = [
        job(tmp_path, name, arguments={"error": ValueError("num_leaves is 1\nand more")})
        for name in ("bad 0", "bad 1")
    ]
    good = job(tmp_path, "good")
    with pytest.raises(UserError) as caught:
        LocalExecutor().execute([*bad, good])
    assert good.is_done()
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("2 of 3 jobs failed; 0 that need them")
    path = tmp_path / "bad 0" / "traceback.txt"
    assert lines[1:] == [f"bad 0, bad 1: ValueError: num_leaves is 1 (traceback: {path})"]
    text = (bad[0].folder / "traceback.txt").read_text()
    assert "in work" in text
    assert "num_leaves is 1\nand more" in text
    LocalExecutor().execute([job(tmp_path, "bad 0")])
    assert not (bad[0].folder / "traceback.txt").exists()


def test_jobs_that_fail_for_the_same_reason_share_a_line(tmp_path):
    bad = [job(tmp_path, name, arguments={"reason": "no such row"}) for name in "ab"]
    with pytest.raises(UserError, match=r"2 of 2 jobs failed; (?s:.*):\na, b: no such row$"):
        LocalExecutor().execute(bad)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (MemoryError(), "MemoryError: no message. There is not enough memory: lower batch_size"),
        (RuntimeError("CUDA out of memory. Tried"), "out of memory. Tried. There is not enough"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "set runtime.workers to 0",
        ),
    ],
)
def test_what_to_do_about_errors_of_libraries_and_how_to_go_on_without_the_member(
    tmp_path, error, advice
):
    bad = job(tmp_path, "bad", arguments={"error": error, "member": "net"})
    with pytest.raises(UserError) as caught:
        LocalExecutor().execute([bad, job(tmp_path, "good")])
    assert advice in str(caught.value)
    assert str(caught.value).endswith('\nTo go on without: SET="members.net=null".')


def test_a_signal_that_comes_while_a_failure_is_written_down_changes_nothing(tmp_path, monkeypatch):
    original, calls = artifacts.write_text, []

    def interrupted(path, text, **how):
        calls.append(path)
        if len(calls) == 2:  # the first is the job's `.begun`
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
        original(path, text, **how)

    monkeypatch.setattr(artifacts, "write_text", interrupted)
    with pytest.raises(UserError, match=r"^ConnectionResetError: lost. A process that reads"):
        LocalExecutor().execute(
            [job(tmp_path, "a", arguments={"error": ConnectionResetError("lost")})]
        )
    assert (tmp_path / "a" / "traceback.txt").exists()


def test_the_reason_of_a_job_alone_is_the_message(tmp_path):
    with pytest.raises(UserError, match=r"^no such row$"):
        LocalExecutor().execute([job(tmp_path, "a", arguments={"reason": "no such row"})])


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
    ],
    ids=["Ctrl-C", "full disk", "read-only disk"],
)
def test_what_would_stop_every_job_ends_the_run(tmp_path, error):
    bad, good = job(tmp_path, "bad", arguments={"error": error}), job(tmp_path, "good")
    with pytest.raises(type(error)):
        LocalExecutor().execute([bad, good])
    assert DONE == ["bad"]
    assert not (bad.folder / "failed.json").exists()


def test_content_of_another_recipe_is_cleared_only_where_the_folder_is_owned(tmp_path):
    for owns in (True, False):
        one = job(tmp_path, f"owns-{owns}", owns_folder=owns)
        one.folder.mkdir()
        (one.folder / "old").touch()
        LocalExecutor().execute([one])
        assert (one.folder / "old").exists() is not owns


@pytest.mark.parametrize("overwrites", [True, False])
def test_law_6_metadata_is_withdrawn_before_files_are_overwritten(tmp_path, overwrites):
    LocalExecutor().execute([job(tmp_path, "join", recipe="old", owns_folder=False)])
    how = {"owns_folder": False, "overwrites": overwrites, "arguments": {"reason": "killed"}}
    with pytest.raises(UserError, match="killed"):
        LocalExecutor().execute([job(tmp_path, "join", recipe="new", **how)])
    assert (artifacts.read_meta(tmp_path / "join") is None) is overwrites


def test_what_comes_back_finished_from_the_attic_is_not_made_again(tmp_path):
    attic = tmp_path / "attic"
    old, new = (job(tmp_path, "net", recipe=recipe, attic=attic) for recipe in ("old", "new"))
    for one in (old, new, old):
        assert names(pending([one])) == ["net"]
        LocalExecutor().execute(pending([one]))
        assert pending([one]) == []
    assert DONE == ["net", "net"]


def test_the_log_numbers_jobs(tmp_path, caplog):
    caplog.handler.setFormatter(JobFormatter())
    with caplog.at_level("INFO"):
        LocalExecutor().execute([job(tmp_path, "a"), job(tmp_path, "b")])
    first, second = caplog.text.splitlines()
    assert first == "[1/2] a"
    assert re.fullmatch(r"\[2/2\] b · \d+s left", second)


def test_time_left_is_said_once_all_that_costs_was_timed(tmp_path):
    def model(member: str, fold: int) -> Job:
        return job(tmp_path, f"{member}{fold}", arguments={"member": member, "fold": fold})

    joins = [Job(f"join {name}", "x:join", tmp_path / name, "r", {"member": name}) for name in "ab"]
    blend = Job("ensemble", "x:blend", tmp_path / "e", "r")
    block = Job("features", "x:block", tmp_path / "f", "r", {"backbone": "f"})
    a, b = model("a", 1), model("b", 1)
    seconds = {kind_of(a): [2.0, 4.0]}
    assert time_left([a, a], {}) == ""
    assert time_left([a, a], seconds) == "6s left"
    assert time_left([a, b], seconds) == ""
    assert time_left([a, block], seconds) == ""
    assert time_left([a, *joins], seconds) == ""
    assert time_left([a, joins[0], blend], seconds) == "3s left, 2 not timed yet"
    seconds |= {kind_of(b): [100.0], kind_of(joins[1]): [1.0]}
    assert time_left([a, b, *joins, blend], seconds) == "2m left, 1 not timed yet"
    assert time_left([blend], seconds) == ""


@pytest.mark.parametrize(
    "function", sorted(set(re.findall(r'"(pipeline[\w.]+:\w+)"', PLAN.read_text())))
)
def test_functions_named_as_text_exist(function):
    assert callable(resolve(function))


def test_the_plan_names_a_function_per_stage_and_the_find_torn_scenes_between_two():
    named = set(re.findall(r'"pipeline\.stages\.(\w+):', PLAN.read_text()))
    made_by = ("folds", "views", "features", "train", "infer", "ensemble", "report", "audit")
    assert named == set(made_by)


@pytest.mark.slow
def test_listing_jobs_imports_nothing_heavy():
    code = "import sys, pipeline.workflow.plan; print({'torch', 'timm'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_a_block_is_told_which_blocks_follow(tmp_path):
    def block(name: str) -> Job:
        arguments = {"backbone": name, "how": f"how {name}"}
        return Job(name, MAKE_BLOCK, tmp_path / name, "r", arguments)

    fit = Job("fit", "math:sqrt", tmp_path / "fit", "r", {"backbone": "a"})
    told = blocks_together([block("a"), fit, block("b"), block("c")])
    assert [job.arguments.get("beside") for job in told] == [
        {"b": "how b", "c": "how c"},
        None,
        {"c": "how c"},
        {},
    ]
    assert told == [block("a"), fit, block("b"), block("c")]  # but for arguments
