"""What jobs ask of a cluster's machines."""

import pytest

from pipeline.config.schema import Resources, Runtime
from pipeline.workflow.demands import Demand, Room, resource_kind
from pipeline.workflow.jobs import Job

GPUS = Room(cpus=32, most_cpus=16, most_gpus=4)
SMALL = Room(cpus=6, most_cpus=3, most_gpus=0)


@pytest.mark.parametrize(
    ("kind", "room", "expected"),
    [
        ("networks", GPUS, Demand(4, 1, None)),
        ("features", GPUS, Demand(4, 1, None)),
        ("learners", GPUS, Demand(2, 0, None)),
        ("others", GPUS, Demand(1, 0, None)),
        ("networks", SMALL, Demand(3, 0, None)),  # what the largest machine has
        ("learners", Room(6, 3, 0, at_once=6), Demand(1, 0, None)),
        ("networks", Room(2, 2, 0, at_once=4), Demand(1, 0, None)),
    ],
)
def test_defaults_fit_the_machines(kind, room, expected):
    assert room.demand(kind, {}) == expected


def test_what_the_config_says_goes_before_defaults():
    asked = {"networks": {"gpu": 0.5, "cpu": 6, "memory": "8GiB"}, "learners": {"cpu": 8}}
    resources = Runtime(executor="ray", resources=asked).resources
    assert GPUS.demand("networks", resources) == Demand(6, 0.5, 8 * 2**30)
    assert GPUS.demand("learners", resources) == Demand(8, 0, None)
    assert GPUS.jobs_at_once(resources) == 4
    assert GPUS.jobs_at_once({}) == 16
    assert Room(32, 16, 0, at_once=3).jobs_at_once({}) == 3
    large = SMALL.demand("others", {"others": Resources(cpu=64)})
    assert large.cpu == 64
    assert not SMALL.has(large)
    assert not SMALL.has(Demand(1, 1, None))
    assert SMALL.has(SMALL.demand("networks", {}))


def test_the_kind_of_a_job_is_that_of_its_arguments(tmp_path):
    def kind(**arguments: object) -> str:
        return resource_kind(Job("a", "x:y", tmp_path, "r", arguments))

    assert kind(backbone="lite0") == kind(short_side=110) == "features"
    assert kind(member="net") == kind() == "others"
