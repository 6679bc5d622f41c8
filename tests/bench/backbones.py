"""Figures of the catalogue of backbones, and what each entry takes on this machine.

PYTHONPATH=. .venv/bin/python tests/bench/backbones.py            # print the comment of each entry
PYTHONPATH=. .venv/bin/python tests/bench/backbones.py write      # write it into the entry's file
PYTHONPATH=. .venv/bin/python tests/bench/backbones.py measure    # write tests/bench/BACKBONES.md

Figures are computed from shapes on torch's meta device, for one image of the entry's size:
multiply-adds in 1e9, the most memory that activations take at once in a forward pass, and what a
training step keeps for the backward pass, in 32 bits, without weights and without fused attention
(which keeps less). `measure` builds each entry
with random weights in a process of its own and runs it on one image.
"""

import json
import re
import resource
import subprocess
import sys
import time
import weakref
from pathlib import Path

import timm
import torch
from timm.layers import set_fused_attn, use_fused_attn
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pipeline.backbones.create import create_backbone
from pipeline.config.catalogue import catalogue, figures, read_entry
from pipeline.config.schema import Backbone

MIB, GIB = 2**20, 2**30
MOST_PARAMETERS = 500  # millions, for `measure`
POOLING = {"token": "class token", "map": "attention", "avg": "mean"}
REPEATS = 5  # the quickest forward pass counts: other work shares the machine
TABLE = Path(__file__).with_name("BACKBONES.md")


class LiveMemory(TorchDispatchMode):
    """Bytes of all tensors that a computation makes and still holds, and the most of it."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if torch.is_tensor(t)}
        for tensor in tree_leaves(made):
            if torch.is_tensor(tensor) and id(tensor.untyped_storage()) not in self.seen | given:
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        self.seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.live -= size


def on_meta(backbone: Backbone) -> nn.Module:
    """Build an entry's model without memory for its weights, at its size."""
    fused = use_fused_attn()
    set_fused_attn(False)  # the fused kernels' multiply-adds are not counted on this device
    try:
        with torch.device("meta"):
            return create_backbone(backbone, weights=False).eval()
    finally:
        set_fused_attn(bool(fused))


def computed(backbone: Backbone, model: nn.Module, *, memory: bool = True) -> dict[str, str]:
    """Return an entry's figures, as they stand in its file.

    Args:
        model: of `on_meta`.
        memory: False leaves out those that take long to compute.
    """
    image = torch.zeros(1, 3, backbone.image_size, backbone.image_size, device="meta")
    counter, live = FlopCounterMode(display=False), LiveMemory()
    with counter:  # with gradients: its hooks need them
        features = model(image)
    pool = getattr(model, "global_pool", "avg")
    found = {
        "licence": timm.get_pretrained_cfg(backbone.arch).license or "unknown",
        "features": str(features.shape[1]),
        "pooling": POOLING[pool if isinstance(pool, str) else "avg"],
        "parameters": f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M",
        "GMACs": f"{counter.get_total_flops() / 2e9:.1f}",
    }
    if memory:
        with torch.no_grad(), live:
            model(image)
        found["memory"] = f"{live.peak / MIB:.0f} MiB"
        found["training"] = f"{kept_for_backward(model, image) / MIB:.0f} MiB"
    return found


def kept_for_backward(model: nn.Module, image: torch.Tensor) -> int:
    """Count bytes of the tensors that a training step keeps, without the weights."""
    weights = {id(p.untyped_storage()) for p in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[id(storage)] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = model(image)
    del outputs
    return sum(storage.nbytes() for storage in kept.values())


def write(name: str, found: dict[str, str]) -> None:
    """Replace the figures in an entry's comment."""
    path = catalogue()[name]
    keys = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    about = [f"# {figures(name)['use']}", *(f"# {key}: {value}" for key, value in found.items())]
    path.write_text("\n".join([*about, *keys]) + "\n", encoding="utf-8")


def measure_one(name: str) -> dict[str, float]:
    """Build an entry with random weights and run it on one image; seconds and GiB."""
    backbone = Backbone(**(read_entry(name) | {"weights": "random"}))
    before = peak_gib()
    started = time.monotonic()
    model = create_backbone(backbone).eval().to(memory_format=torch.channels_last)
    built = time.monotonic()
    image = torch.zeros(1, 3, backbone.image_size, backbone.image_size)
    with torch.inference_mode():
        model(image)
        seconds = []
        for _ in range(REPEATS):
            warm = time.monotonic()
            model(image)
            seconds.append(time.monotonic() - warm)
    return {
        "build": built - started,
        "forward": min(seconds),
        "peak": peak_gib(),
        "imports": before,
    }


def peak_gib() -> float:
    """Return the most memory that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def measure() -> str:
    """Return a Markdown table of all entries."""
    lines = [
        "# Backbones of the catalogue",
        "",
        "`PYTHONPATH=. .venv/bin/python tests/bench/backbones.py measure`: random weights, one",
        f"image, {torch.get_num_threads()} thread of a CPU shared with other work, a process each.",
        f"Forward is the quickest of {REPEATS}, after one that does not count.",
        "Builds vary most with the other work. Peak is that of the process, of which imports alone",
        "take the last column. The columns up",
        "to `training` are computed, as the script says.",
        "",
        "| entry | arch | px | licence | D | parameters | GMACs | memory | training | build s | "
        "forward s | peak GiB | imports GiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in catalogue():
        entry, about = read_entry(name), figures(name)
        if float(about["parameters"].split()[0]) > MOST_PARAMETERS:
            found = {}
        else:
            done = subprocess.run(
                [sys.executable, __file__, "one", name], capture_output=True, text=True, check=True
            )
            found = json.loads(re.search(r"\{.*\}", done.stdout)[0])
        times = [
            f"{found[key]:.2f}" if found else "-" for key in ("build", "forward", "peak", "imports")
        ]
        keys = ("licence", "features", "parameters", "GMACs", "memory", "training")
        cells = [name, f"`{entry['arch']}`", str(entry["image_size"]), *(about[k] for k in keys)]
        lines.append(f"| {' | '.join([*cells, *times])} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main(mode: str = "", name: str = "") -> None:
    """Print, write or measure."""
    if mode == "one":
        print(json.dumps(measure_one(name)))
    elif mode == "measure":
        TABLE.write_text(measure(), encoding="utf-8")
    else:
        for entry in catalogue():
            backbone = Backbone(**read_entry(entry))
            found = computed(backbone, on_meta(backbone))
            print(entry, found, flush=True)
            if mode == "write":
                write(entry, found)


if __name__ == "__main__":
    main(*sys.argv[1:])
