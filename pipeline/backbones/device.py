"""Hardware that networks run on: device, precision, and images made ready for it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch

from pipeline.config.schema import Runtime
from pipeline.core.runtime import num_threads
from pipeline.errors import UserError
from pipeline.images.decoding import in_threads

Item = TypeVar("Item")
Opened = TypeVar("Opened")
BATCH = {"cpu": 16, "mps": 64, "cuda": 256}  # images per forward pass, where nothing is trained


@dataclass(frozen=True)
class Hardware:
    """Device, precision and workers of networks.

    Attributes:
        precision: 32, bf16, 16, or a name of Fabric's.
        workers: processes that read images; 0: none.
        engine: of networks that are not being trained, as in the config.
    """

    device: torch.device
    precision: str
    workers: int = 0
    engine: str = "auto"

    @classmethod
    def of(cls, runtime: Runtime, *, trains: bool = True) -> "Hardware":
        """Choose as the config's section `runtime` says, to train or only to run a network.

        Raises:
            UserError: if the device is not there.
        """
        device = choose_device(runtime.device)
        precision = choose_precision(runtime.precision, device, trains=trains)
        return cls(device, precision, choose_workers(runtime.workers, device), runtime.engine)


def choose_device(wanted: str) -> torch.device:
    """Return the device that `runtime.device` asks for; "auto" takes a GPU where there is one.

    Raises:
        UserError: if the device is not there.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, there in present.items() if there)
    if not present[wanted]:
        there = [name for name, is_there in present.items() if is_there]
        raise UserError(
            f"runtime.device: {wanted} is not there (torch {torch.__version__} sees {there}). "
            f"Say SET=runtime.device={there[0]} or `auto`, or check the driver."
        )
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device, *, trains: bool = True) -> str:
    """Return "32", "bf16" or "16".

    "auto" is 32 but on a GPU: there 16, which has eight times the resolution of bf16; to train,
    bf16 where the GPU has it, whose range needs no scaling of gradients.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if trains and has_bf16 else "16"
    return "32"  # measured on CPU: bf16 does not pay; on MPS autocast gains little


def choose_workers(wanted: int | None, device: torch.device) -> int:
    """Count processes that read images; by default a few beside a GPU, none on a CPU."""
    if wanted is not None:
        return wanted
    return min(8, num_threads() - 1) if device.type != "cpu" else 0


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Return the context in which a forward pass runs at this precision."""
    if precision == "32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def normalise(
    images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """Return (B, 3, H, W) uint8 as normalised float32, channels last."""
    device, images = images.device, images.contiguous(memory_format=torch.channels_last)
    scale = torch.tensor(std, device=device).mul(255).view(1, -1, 1, 1)
    offset = torch.tensor(mean, device=device).mul(255).view(1, -1, 1, 1)
    return images.float().sub_(offset).div_(scale)


def batches_ahead(
    open_square: Callable[[Item], torch.Tensor], items: Iterable[Item], device: torch.device
) -> Iterator[torch.Tensor]:
    """Make the device's next batches in threads while it computes, in order.

    Args:
        open_square: returns a square (3, S, S) uint8.
    Returns:
        (B, 3, S, S) uint8 on the device, B of BATCH; the last may be smaller.
    """
    for squares in opened_ahead(open_square, items, device):
        yield stack_on(device, squares)


def opened_ahead(
    open_item: Callable[[Item], Opened], items: Iterable[Item], device: torch.device
) -> Iterator[list[Opened]]:
    """Open the items of the next batches in threads while the device computes, in order.

    Each thread resizes without torch's own threads, which would compete with the forward passes.
    """
    batch, threads = BATCH[device.type], num_threads()
    opened = in_threads(
        open_item, items, threads=threads, ahead=2 * batch + threads, initializer=_one_thread
    )
    while waiting := list(islice(opened, batch)):
        yield waiting


def stack_on(device: torch.device, squares: list[torch.Tensor]) -> torch.Tensor:
    """Stack squares into a batch on the device; a GPU copies pinned memory while it computes."""
    shape = (len(squares), *squares[0].shape)
    batch = torch.empty(shape, dtype=squares[0].dtype, pin_memory=device.type == "cuda")
    return torch.stack(squares, out=batch).to(device, non_blocking=True)


def _one_thread() -> None:
    torch.set_num_threads(1)
