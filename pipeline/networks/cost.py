"""Cost of an epoch: images per second, the share of time spent waiting for data, memory."""

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from pipeline.core.runtime import GIB

Batch = TypeVar("Batch")


@dataclass
class Cost:
    """Time and images of one epoch's training, without validation.

    Attributes:
        images: trained on; seconds: since the first was requested.
        waited: seconds in which the network had no batch to work on.
    """

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pass batches on, and time the wait for each."""
        started = asked = time.monotonic()
        for batch in batches:
            self.waited += time.monotonic() - asked
            yield batch
            asked = time.monotonic()
            self.seconds = asked - started

    @property
    def images_per_second(self) -> float:
        """Return the speed of training alone."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def wait_share(self) -> float:
        """Return a share in [0, 1]; near 1, use more workers or smaller cached images."""
        return self.waited / max(self.seconds, 1e-9)


def peak_memory_gib(device: torch.device) -> float:
    """Return the most memory used so far: of the GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB
