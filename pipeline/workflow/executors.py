"""Which executor does the jobs: what the config's section `runtime` says."""

import os

from pipeline.config.schema import Runtime
from pipeline.core.locks import Run
from pipeline.workflow.budget import Deadline
from pipeline.workflow.jobs import Executor, resolve
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.processes import DEVICES, ProcessExecutor


def choose_executor(
    runtime: Runtime, run: Run | None = None, deadline: Deadline | None = None
) -> Executor:
    """Return the executor of a config.

    Raises:
        UserError: for Ray where it is not installed.
    """
    if runtime.executor == "ray":
        return resolve("pipeline.workflow.ray:RayExecutor")(run, deadline, runtime=runtime)
    if runtime.does_several:
        return ProcessExecutor(run, deadline, at_once=runtime.jobs, gpus=_gpus(runtime))
    return LocalExecutor(run, deadline)


def _gpus(runtime: Runtime) -> tuple[str, ...]:
    """Return the GPUs that jobs take in turn."""
    if runtime.device not in ("auto", "cuda"):
        return ()
    if listed := os.environ.get(DEVICES):
        return tuple(listed.split(","))
    return tuple(map(str, range(resolve("torch.cuda:device_count")())))
