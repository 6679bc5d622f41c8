"""Engines: what runs the forward passes of a network that is not being trained.

    eager      torch, at any precision, on any device
    compiled   torch.compile; starts slowly, and needs a compiler
    openvino   Intel's library, on CPUs of any maker; `make install EXTRAS=openvino`

Measured on one core with AVX-512 (tf_efficientnet_lite0 at 224 px): OpenVINO takes 0.6 of the time
of eager passes in 32 bits and 0.5 in bf16. A start takes two seconds.
"""

import importlib.util
import logging
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pipeline.backbones.device import Hardware, autocast
from pipeline.core.runtime import num_threads
from pipeline.errors import UserError, first_line

log = logging.getLogger(__name__)

Engine = Callable[[torch.Tensor], torch.Tensor]  # images (B, channels, H, W) -> float32 (B, D)

FEW_PASSES = 1000  # a start costs more than it saves
SLICE = 4  # images in one thread: with more, maps leave the core's cache
OPENVINO_PRECISIONS = {"32": "f32", "bf16": "bf16"}
# How far from eager passes in 32 bits an engine may be. In 32 bits: a share of the largest value;
# in fewer: a cosine, or a multiple of how far eager passes of that precision are.
LARGEST_ERROR, LEAST_COSINE, MULTIPLE = 1e-4, 0.998, 2.0


def make_engine(model: nn.Module, hardware: Hardware, *, passes: int) -> Engine:
    """Return the fastest way to run a model in eval mode on its device.

    An engine is made for each size of images when the first batch of that size comes, and compared
    with eager passes on that batch; if it fails or says something else, eager passes take over.

    Args:
        passes: forward passes of one image that are expected; few are not worth a start.
    Raises:
        UserError: if `runtime.engine` asks for what is not there.
    """
    eager = in_parts(_eager(model, hardware))
    kind = choose_engine(hardware, passes)
    if kind == "eager":
        return eager
    by_size: dict[tuple[int, ...], Engine] = {}

    def engine(images: torch.Tensor) -> torch.Tensor:
        size = tuple(images.shape[1:])
        if size not in by_size:
            by_size[size] = _checked(kind, model, images, hardware) or eager
        return by_size[size](images)

    return engine


def choose_engine(hardware: Hardware, passes: int) -> str:
    """Return the engine that `runtime.engine` names, or for "auto" the one that pays.

    Raises:
        UserError: if OpenVINO is asked for where it is not installed, or does not fit.
    """
    wanted, on_cpu = hardware.engine, hardware.device.type == "cpu"
    installed = importlib.util.find_spec("openvino") is not None
    fits = on_cpu and hardware.precision in OPENVINO_PRECISIONS
    if wanted == "openvino" and not installed:
        raise UserError(
            "runtime.engine: openvino is not installed. Run `make install EXTRAS=openvino`, or "
            "say SET=runtime.engine=auto."
        )
    if wanted == "openvino" and not fits:
        raise UserError(
            f"runtime.engine: openvino runs on a CPU in precision 32 or bf16; this is "
            f"{hardware.device.type} in {hardware.precision}. Say SET=runtime.engine=auto."
        )
    if wanted == "auto":
        return "openvino" if installed and fits and passes >= FEW_PASSES else "eager"
    return wanted


def _checked(
    kind: str, model: nn.Module, images: torch.Tensor, hardware: Hardware
) -> Engine | None:
    """Make an engine and compare it with eager passes on a batch; None if it cannot be used."""
    what = f"{kind} at {tuple(images.shape[2:])} px"
    try:
        engine = {"compiled": _compiled, "openvino": _openvino}[kind](model, images, hardware)
        found = engine(images)
    except Exception as error:  # of any kind: what these libraries cannot convert, they say anyhow
        log.warning("%s does not run this network (%s); eager is used", what, first_line(error))
        return None
    wanted = model(images).float()
    cosine, error = compare(found, wanted)
    log.info("%s: cosine %.5f, largest error %.1e against eager", what, cosine, error)
    if hardware.precision == "32":
        agrees = error <= LARGEST_ERROR
    else:
        of_eager, _ = compare(_eager(model, hardware)(images), wanted)
        agrees = cosine >= min(LEAST_COSINE, 1 - MULTIPLE * (1 - of_eager))
    if agrees:
        return engine
    log.warning("%s says something else than eager, which is used", what)
    return None


def in_parts(run: Engine) -> Engine:
    """Return an engine that halves batches for which there is no memory, and those after them.

    Raises:
        torch.OutOfMemoryError: if one image does not fit.
    """
    most: int | None = None

    def engine(images: torch.Tensor) -> torch.Tensor:
        nonlocal most
        while True:
            size = min(most or len(images), len(images))
            try:
                return torch.cat([run(part) for part in images.split(size)])
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            # Outside `except`, whose traceback would hold on to what filled the memory.
            most = (size + 1) // 2
            if images.device.type == "cuda":
                torch.cuda.empty_cache()
            log.warning("out of memory: %d images are computed at once from now on", most)

    return engine


def compare(found: torch.Tensor, wanted: torch.Tensor) -> tuple[float, float]:
    """Return the mean cosine of rows (B, D), and the largest error as a share of the largest value.

    Values that are not finite have cosine and error NaN, which no comparison accepts.
    """
    cosine = F.cosine_similarity(found, wanted).mean().item()
    error = (found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12)
    return cosine, error.item()


def _eager(model: nn.Module, hardware: Hardware) -> Engine:
    def run(images: torch.Tensor) -> torch.Tensor:
        with autocast(hardware.device, hardware.precision):
            return model(images).float()

    return run


def _compiled(model: nn.Module, images: torch.Tensor, hardware: Hardware) -> Engine:
    """Compile for batches of one size, that of the first; others are cut and filled up."""
    run, size = _eager(torch.compile(model), hardware), len(images)
    return lambda batch: torch.cat([run(part) for part in _slices(batch, size)])[: len(batch)]


def _openvino(model: nn.Module, images: torch.Tensor, hardware: Hardware) -> Engine:
    """Convert for slices of a batch, each computed by one thread, as many at once as processors."""
    sys.modules.setdefault("openvino_telemetry", None)  # else it reports every use to its makers
    import openvino  # optional

    example = _slices(images, SLICE)[0].contiguous()
    log_level = logging.root.level
    try:
        graph = openvino.convert_model(torch.export.export(model, (example,)))
    finally:
        logging.root.setLevel(log_level)  # where it fails, it leaves ERROR behind
    graph.reshape(list(example.shape))
    streams = num_threads()
    settings = {
        "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[hardware.precision],
        "INFERENCE_NUM_THREADS": streams,
        "NUM_STREAMS": streams,
    }
    queue = openvino.AsyncInferQueue(_core().compile_model(graph, "CPU", settings), streams)
    outputs: dict[int, torch.Tensor] = {}

    def keep(request: Any, position: int) -> None:
        outputs[position] = torch.from_numpy(request.get_output_tensor().data.copy())

    queue.set_callback(keep)

    def run(batch: torch.Tensor) -> torch.Tensor:
        parts = [part.contiguous().numpy() for part in _slices(batch, SLICE)]
        for position, part in enumerate(parts):
            queue.start_async([part], userdata=position, share_inputs=True)
        queue.wait_all()
        return torch.cat([outputs.pop(position) for position in range(len(parts))])[: len(batch)]

    return run


@cache
def _core() -> Any:
    """Return OpenVINO's core, one for the process, which is never removed.

    Each core moves the stack that signals are handled on. When two are removed in the order in
    which they were made, that stack is lost: the next signal, as of a worker that ends or of
    Ctrl-C, ends the process (OpenVINO 2026.4).
    """
    import openvino  # optional

    return openvino.Core()


def _slices(images: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Cut a batch into slices of one size; zeros fill up the last."""
    missing = -len(images) % size
    filled = F.pad(images, (0,) * (2 * images.ndim - 1) + (missing,)) if missing else images
    return list(filled.split(size))
