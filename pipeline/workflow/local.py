"""The executor of one machine: jobs one after the other, beside other runs on the same folders."""

from pipeline.core.locks import Run
from pipeline.workflow.attempts import Outcome, Turn, attempt
from pipeline.workflow.budget import Deadline
from pipeline.workflow.execution import do_jobs
from pipeline.workflow.jobs import Job
from pipeline.workflow.plan import blocks_together


class LocalExecutor:
    """Does jobs in this process, in order; a killed run leaves finished artifacts finished.

    A job that fails is marked by `failed.json` in its folder, with `traceback.txt` for an
    unexpected error, and jobs that do not need it go on. What would stop every job ends the run:
    Ctrl-C, and a disk that is full or read-only.
    """

    def __init__(self, run: Run | None = None, deadline: Deadline | None = None) -> None:
        self.run, self.deadline = run, deadline

    def execute(self, jobs: list[Job]) -> None:
        """Do jobs, see `Executor`; those that would end after the deadline are left out."""
        do_jobs(blocks_together(jobs), ThisProcess(self.run), self.run, self.deadline)


class ThisProcess:
    """One job at a time: it is done when it is waited for."""

    at_once = 1

    def __init__(self, run: Run | None) -> None:
        self.run = run
        self.begun: tuple[Job, Turn] | None = None

    def has_room(self) -> bool:
        """Return whether a job may begin."""
        return self.begun is None

    def begin(self, job: Job, turn: Turn) -> None:
        """Keep a job until it is waited for."""
        self.begun = job, turn

    def next_ended(self) -> tuple[Job, Outcome]:
        """Do the job."""
        (job, turn), self.begun = self.begun, None
        return job, attempt(job, self.run, turn)
