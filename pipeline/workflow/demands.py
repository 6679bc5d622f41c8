"""What a job wants of a machine on a cluster: processors, a GPU, memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config.schema import KindOfJob, Network, Resources
from pipeline.workflow.jobs import Job

# Where the config says nothing. A GPU is asked for where a machine has one.
DEFAULTS: dict[KindOfJob, Resources] = {
    "features": Resources(cpu=4, gpu=1),
    "networks": Resources(cpu=4, gpu=1),
    "learners": Resources(cpu=2, gpu=0),
    "others": Resources(cpu=1, gpu=0),
}


@dataclass(frozen=True)
class Demand:
    """Of one job; memory in bytes, None where nobody knows."""

    cpu: float
    gpu: float
    memory: int | None


@dataclass(frozen=True)
class Room:
    """What a cluster has.

    Attributes:
        cpus: of all machines. most_cpus, most_gpus: of the machine with most of them.
        at_once: jobs that are to share it; None: as many as there is room for.
    """

    cpus: int
    most_cpus: int
    most_gpus: float
    at_once: int | None = None

    def jobs_at_once(self, resources: Mapping[KindOfJob, Resources]) -> int:
        """Return how many jobs of a member's fold there is room for."""
        return self.at_once or max(1, int(self.cpus // self._cpu("learners", resources)))

    def has(self, demand: Demand) -> bool:
        """Return whether a machine is large enough."""
        return demand.cpu <= self.most_cpus and demand.gpu <= self.most_gpus

    def demand(self, kind: KindOfJob, resources: Mapping[KindOfJob, Resources]) -> Demand:
        """Return what a job of a kind asks for; never more than a machine has by default."""
        asked, default = resources.get(kind, Resources()), DEFAULTS[kind]
        gpu = min(default.gpu, self.most_gpus) if asked.gpu is None else asked.gpu
        return Demand(self._cpu(kind, resources), gpu, asked.memory)

    def _cpu(self, kind: KindOfJob, resources: Mapping[KindOfJob, Resources]) -> float:
        asked = resources.get(kind, Resources()).cpu
        if asked is not None:
            return asked
        share = max(1, self.cpus // self.at_once) if self.at_once else self.most_cpus
        return max(1, min(DEFAULTS[kind].cpu, share, self.most_cpus))


def resource_kind(job: Job) -> KindOfJob:
    """Return the kind of a job: what its function computes with."""
    if "backbone" in job.arguments or "short_side" in job.arguments:
        return "features"
    if "fold" not in job.arguments:
        return "others"
    member = job.arguments["project"].config.members[job.arguments["member"]]
    return "networks" if isinstance(member, Network) else "learners"
