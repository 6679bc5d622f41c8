"""Budget: its forms, which members fit, and what a late member leaves behind."""

import json
import time
from pathlib import Path

import pytest
from tiny_project import CONFIG, NETWORK, run, write_competition

from pipeline.config.schema import Config
from pipeline.errors import UserError
from pipeline.project import open_project
from pipeline.stages.plan import Cost, Predictor
from pipeline.workflow import budget, make
from pipeline.workflow.jobs import Job
from pipeline.workflow.plan import Plan

MEMBERS = {
    "linear": {"learner": "logistic", "blocks": {"small": 1.0}},
    "net": NETWORK,
    "ridge": {"learner": "ridge", "blocks": {"small": 1.0}},
    "student": {"extends": "ridge", "pseudo": {"teacher": "net"}},
}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0.5h", 1800)]
)
def test_a_budget_is_a_number_and_a_unit(text, seconds):
    assert budget.parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["30", "m", "30 m", "-3m", "0m", "3m!"])
def test_other_budgets_are_refused(text):
    with pytest.raises(UserError, match=f"BUDGET={text}"):
        budget.parse_budget(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The tiny competition with folds, and four members."""
    root = tmp_path_factory.mktemp("budget")
    write_competition(root)
    run(root, "folds", members=MEMBERS)
    student = {"learner": "ridge", "blocks": {"small": 1.0}, "pseudo": {"teacher": "net"}}
    config = Config.model_validate(CONFIG | {"members": MEMBERS | {"student": student}})
    return open_project(config, root)


def seconds_of(job: Job) -> Cost:
    """Ten for a network's fold, two for a learner's, five for the blends, one for a block."""
    if "make_block" in job.function or "make_cache" in job.function:
        return Cost(1.0)
    if "train_fold" in job.function:
        return Cost(10.0 if job.arguments["member"] == "net" else 2.0, gib=0.5)
    return Cost(5.0 if "blend" in job.function else 0.0)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        (12, ["linear"]),  # a block 1, three folds 6, blends 5
        (18, ["linear", "ridge"]),
        (49, ["linear", "net", "ridge"]),  # and a cache 1, three folds 30, three more 6
        (55, ["linear", "net", "ridge", "student"]),
        (42, ["net"]),  # 20 in 36 s, where the first learner is worth 1.5 in 12 s
        (43, ["linear", "net"]),  # then 1.5 in 7 s
    ],
)
def test_members_are_taken_by_their_worth_per_second_while_they_fit(project, seconds, chosen):
    fitting = budget.choose_members(project, seconds, seconds_of)
    assert list(fitting.config.members) == chosen


def test_a_student_without_its_teacher_is_left_out(project):
    fitting = budget.choose_members(project, 1000, seconds_of, but={"net"})
    assert list(fitting.config.members) == ["linear", "ridge"]


def test_too_small_a_budget_says_what_the_quickest_member_needs(project):
    with pytest.raises(UserError, match="no member fits into the 11s left; the quickest needs 12s"):
        budget.choose_members(project, 11, seconds_of)


def test_the_plan_sums_times_and_names_what_is_left_out(project):
    chosen = budget.choose_members(project, 18, seconds_of)
    table = budget.plan_table(project, chosen, seconds_of)
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert rows["linear"] == ["6s", "0.50", "GiB", "memory"]
    assert rows["total"] == ["18s", "0.50", "GiB", "memory", "at", "most"]
    assert rows["net"][:2] == rows["student"][:2] == ["left", "out"]


def test_the_plan_says_where_memory_is_too_little(project, monkeypatch):
    monkeypatch.setattr(budget, "memory_bytes", lambda: int(0.4 * 2**30))
    table = budget.plan_table(project, project, seconds_of)
    assert "too little  0.4 GiB are there: lower batch_size or image_size" in table
    monkeypatch.setattr(budget, "memory_bytes", lambda: int(0.6 * 2**30))
    assert "too little" not in budget.plan_table(project, project, seconds_of)


def test_once_a_member_is_late_none_of_its_jobs_begins(project):
    jobs = [Plan(project).train("linear", fold) for fold in range(3)]
    deadline = budget.Deadline(time.monotonic() + 100, {})
    assert deadline.allows(jobs[0], 90)
    assert not deadline.allows(jobs[1], 110)
    assert not deadline.allows(jobs[2], 0)
    assert deadline.late == {"linear"}


def test_a_run_within_a_budget_submits_what_fits(tmp_path, monkeypatch):
    write_competition(tmp_path)
    monkeypatch.setattr(budget, "_predictor", lambda project: seconds_of)
    members = {name: MEMBERS[name] for name in ("linear", "net", "ridge")}
    (tmp_path / "tiny.yaml").write_text(json.dumps(CONFIG | {"members": members}))
    monkeypatch.chdir(tmp_path)
    make.run("ensemble", "tiny.yaml", [], budget="25s")
    assert {path.name for path in Path("models/tiny").iterdir()} == {"linear", "ridge"}
    (summary,) = Path("submissions/tiny").glob("best_*[0-9a-f].json")
    assert set(json.loads(summary.read_text())["members"]) == {"linear", "ridge"}


def test_each_kind_of_job_is_measured_once_and_grows_with_its_work(project, monkeypatch):
    predictor = Predictor(project)
    plan = Plan(project)
    costs = {
        name: [predictor.cost(job.function, job.arguments).seconds for job in jobs]
        for name, jobs in {
            "block": [plan.block("small")],
            "folds": [plan.train("net", fold) for fold in range(3)],
            "learner": [plan.train("linear", 0), plan.train("linear", 0)],
        }.items()
    }
    assert all(seconds > 0 for found in costs.values() for seconds in found)
    assert costs["learner"][0] == costs["learner"][1]
    assert max(costs["folds"]) < 1.5 * min(costs["folds"])  # of one measurement, three sizes


def test_members_that_are_done_are_submitted_when_no_time_is_left(tmp_path, monkeypatch):
    write_competition(tmp_path)
    monkeypatch.setattr(budget, "_predictor", lambda project: seconds_of)
    members = {name: MEMBERS[name] for name in ("linear", "net")}
    (tmp_path / "tiny.yaml").write_text(json.dumps(CONFIG | {"members": members}))
    monkeypatch.chdir(tmp_path)
    make.run("infer", "tiny.yaml", [], members="linear")
    make.run("ensemble", "tiny.yaml", [], budget="1s")
    assert {path.name for path in Path("models/tiny").iterdir()} == {"linear"}
    (summary,) = Path("submissions/tiny").glob("best_*[0-9a-f].json")
    assert set(json.loads(summary.read_text())["members"]) == {"linear"}
