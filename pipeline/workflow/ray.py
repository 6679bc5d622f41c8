"""The executor of a cluster: Ray does the jobs, on machines that share the project's folder."""

import logging
import os
import signal
import socket
import sys
import threading
from collections import Counter
from functools import cache
from pathlib import Path

import pipeline
from pipeline.config.schema import Runtime
from pipeline.core.locks import Run
from pipeline.core.log_lines import lines_of_job, log_progress, start_logging
from pipeline.core.runtime import threads_of_share, tune_allocator
from pipeline.errors import UserError
from pipeline.project import Project
from pipeline.workflow.attempts import Outcome, Turn
from pipeline.workflow.budget import Deadline
from pipeline.workflow.demands import Demand, Room, resource_kind
from pipeline.workflow.execution import do_jobs
from pipeline.workflow.jobs import Job
from pipeline.workflow.worker import (
    MOST_LOSSES,
    Claims,
    bare,
    do_apart,
    lost,
    part_of,
    split,
)

try:
    import ray
except ImportError:
    raise UserError(
        "runtime.executor: ray is not installed. Run `make install EXTRAS=ray`, here and on every "
        "machine of the cluster, or say SET=runtime.executor=local."
    ) from None

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10
MACHINE_DIED, MOST_MACHINES = "NodeDiedError", 20  # that a job may lose
IN_FLIGHT = 200  # jobs that Ray knows of at once: a cluster that grows sees what is wanted


class RayExecutor:
    """Does jobs on the cluster at RAY_ADDRESS, or on one that is started on this machine.

    All machines have the project's folder under the same path, so that files, fingerprints and
    locks are those of one machine. A worker or machine that dies loses the jobs that it is doing;
    Ray begins them again elsewhere, and they go on from what is on disk.
    """

    def __init__(
        self, run: Run | None = None, deadline: Deadline | None = None, *, runtime: Runtime
    ) -> None:
        self.run, self.deadline, self.runtime = run, deadline, runtime

    def execute(self, jobs: list[Job]) -> None:
        """Do jobs, see `Executor`; those that would end after the deadline are left out."""
        if not jobs:
            return
        connect(self.runtime.jobs)
        cluster = Cluster(self.runtime, self.run, hurries=self.deadline is not None)
        with lines_of_job(""):  # its end takes the bar away
            try:
                do_jobs(jobs, cluster, self.run, self.deadline)
            finally:
                cluster.cancel()


def connect(at_once: int | None) -> None:
    """Connect to the cluster at RAY_ADDRESS, or start one here, unless that is done.

    Args:
        at_once: jobs at once, on a cluster that is started here.
    Raises:
        UserError: if no cluster answers.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to Ray's makers
    address = os.environ.get("RAY_ADDRESS", "")
    started = {} if address else {"num_cpus": at_once, "include_dashboard": False}
    on_sigterm = signal.getsignal(signal.SIGTERM)  # which Ray replaces
    try:
        _try_address(address)  # Ray tries for minutes
        ray.init(
            address=address or "local",
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": _python_path()}},
            **started,
        )
    except (OSError, ValueError, RuntimeError) as error:
        if not address:
            raise UserError(f"Ray does not start on this machine: {error}") from None
        raise UserError(
            f"RAY_ADDRESS={address}: {error}. Is the cluster up (`ray status`), and RAY_AUTH_MODE "
            "the same here and there? Without RAY_ADDRESS a cluster is started on this machine."
        ) from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)


def _try_address(address: str) -> None:
    """Raise an OSError if nothing answers at "host:port"; other forms are Ray's to look up."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def _python_path() -> str:
    """Return where workers find the code and plugins: where this process does."""
    code, more = Path(pipeline.__file__).parents[1], os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(filter(None, (str(code), str(Path.cwd()), more)))


class Cluster:
    """Jobs that Ray is doing or will do."""

    def __init__(self, runtime: Runtime, run: Run | None, *, hurries: bool) -> None:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.room = Room(
            cpus=int(sum(node.get("CPU", 0) for node in nodes)),
            most_cpus=int(max(node.get("CPU", 1) for node in nodes)),
            most_gpus=max(node.get("GPU", 0) for node in nodes),
            at_once=runtime.jobs,
        )
        self.runtime, self.run = runtime, run
        self.at_once = self.room.jobs_at_once(runtime.resources)
        self.most = runtime.jobs or (self.at_once if hurries else IN_FLIGHT)
        self.jobs: dict[ray.ObjectRef, tuple[Job, Turn]] = {}
        self.losses: Counter[tuple[Path, str]] = Counter()  # by the error of Ray's
        self.sent: dict[int, tuple[Project, ray.ObjectRef]] = {}  # by the project's id

    def has_room(self) -> bool:
        """Return whether Ray may be given another job."""
        return len(self.jobs) < self.most

    def begin(self, job: Job, turn: Turn) -> None:
        """Hand a job to Ray, with what it needs of a machine."""
        log_progress(log, turn.number - 1, turn.total, turn.line(job))
        demand = self._demand(job)
        if not self.room.has(demand):
            log.warning(
                "%s waits until a machine with %g processors and %g GPUs joins the cluster, see "
                "runtime.resources",
                *(job.name, demand.cpu, demand.gpu),
            )
        self._hand_over(job, turn)

    def _demand(self, job: Job) -> Demand:
        return self.room.demand(resource_kind(job), self.runtime.resources)

    def _hand_over(self, job: Job, turn: Turn) -> None:
        demand = self._demand(job)
        sent, project = split(job)
        reference = _task(demand).remote(
            sent,
            self._reference_to(project),
            turn,
            self._claims(job),
            str(Path.cwd()),
            threads_of_share(max(1, int(demand.cpu))),
        )
        self.jobs[reference] = job, turn

    def next_ended(self) -> tuple[Job, Outcome]:
        """Wait until a job has ended; one whose worker or machine dies is begun again."""
        while True:
            reference = ray.wait(list(self.jobs), num_returns=1)[0][0]
            job, turn = self.jobs.pop(reference)
            outcome = self._outcome(reference, job)
            if isinstance(outcome, OSError):
                raise outcome
            if outcome is not None:
                return job, outcome
            self._hand_over(job, turn)

    def _outcome(self, reference: "ray.ObjectRef", job: Job) -> Outcome | OSError | None:
        """Return how a job ended; None if it is to be begun again."""
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # before the job could begin
            raise UserError(
                f"a worker of the cluster cannot do jobs: {str(error.cause).strip()}\nEvery "
                f"machine needs this folder, {Path.cwd()}, and the same Python and packages."
            ) from None
        except ray.exceptions.RayError as error:
            why = type(error).__name__
        self.losses[job.folder, why] += 1
        times = self.losses[job.folder, why]
        if times >= (MOST_MACHINES if why == MACHINE_DIED else MOST_LOSSES):
            return lost(job, times, why)
        log.warning("%s: its worker ended, %s; it is begun again", job.name, why)
        return None

    def cancel(self) -> None:
        """End what is still being done."""
        for reference in self.jobs:
            ray.cancel(reference, force=True)

    def _reference_to(self, project: Project | None) -> "ray.ObjectRef | None":
        """Return Ray's copy of a project, which all jobs share."""
        if project is None:
            return None
        if id(project) not in self.sent:
            self.sent[id(project)] = project, ray.put(bare(project))
        return self.sent[id(project)][1]

    def _claims(self, job: Job) -> Claims:
        """Return what a job reads and writes, for the time that it is being done."""
        if self.run is None:
            return None
        return self.run.folder, {str(one.folder): one.fingerprint for one in (job, *job.needs)}


@cache
def _task(demand: Demand) -> "ray.remote_function.RemoteFunction":
    return ray.remote(
        num_cpus=demand.cpu,
        num_gpus=demand.gpu,
        memory=demand.memory,
        max_retries=0,  # Ray would count a machine that dies as it does a job that kills it
    )(serve)


def serve(
    job: Job,
    project: Project | None,
    turn: Turn,
    claims: Claims,
    root: str,
    environment: dict[str, str],
) -> Outcome | OSError:
    """Do a job in a worker of Ray's.

    Args:
        root: the project's folder.
        environment: the worker's share of processors.
    """
    os.chdir(root)
    _prepare()
    os.environ.update(environment)
    if "torch" in sys.modules:  # another job's share
        sys.modules["torch"].set_num_threads(int(environment["OMP_NUM_THREADS"]))
    with part_of(claims) as run:
        return do_apart(job, project, run, turn)


@cache
def _prepare() -> None:
    tune_allocator()
    start_logging(in_worker=True)
