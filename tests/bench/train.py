"""Speed of fine-tuning one fold beside a plain timm loop of the same epochs and learning rates.

    make bench BENCH=train

2,727 clothing photos train tf_efficientnet_lite0 at 160 px and 682 are held out. Each side is a
process of its own, timed from start to end, with imports; ours also makes its cache of resized
images in that time. The plain loop is what a competitor writes: in every epoch timm's transforms of
the photos, DataLoader's workers, AdamW, a cosine, cross-entropy. Where other work shares the
machine, CPU seconds say more than the clock's.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import pandas as pd

from features import ARCH, LOOP_WORKERS, PHOTOS, WEIGHTS, spread, timed, write_project

ROUNDS = int(os.environ.get("ROUNDS", "3"))
EPOCHS, SIDE, BATCH, SMOOTHING = 3, 160, 32, 0.1
HEAD_LR, BACKBONE_LR, DECAY = 3e-3, 1e-3, 0.02
CONFIG = f"""
competition: clothing
task: {{kind: multiclass, target: label, metric: accuracy}}
backbones: {{lite0: {{arch: {ARCH}, weights: "{WEIGHTS}", image_size: {SIDE}}}}}
members:
  net: {{network: lite0, image_size: {SIDE}, epochs: {EPOCHS}, augment: light}}
tta: {{views: [original]}}
runtime: {{workers: {LOOP_WORKERS}}}
"""
FOLDS = Path("features", "clothing", "folds.csv")
ACCURACY = Path("accuracy.txt")  # of the plain loop


def main() -> None:
    """Measure both sides in turn and print a table."""
    with tempfile.TemporaryDirectory() as name:
        root = write_project(Path(name), CONFIG)
        rounds = []
        for number in range(ROUNDS):
            rounds.append((time_loop(root), time_stage(root)))
            shown = ", ".join(f"{clock:.0f}s" for clock, _, _ in rounds[-1])
            print(f"round {number + 1}/{ROUNDS}: {shown}", file=sys.stderr, flush=True)
        held_out = (pd.read_csv(root / FOLDS)["fold"] == 0).sum()
        trained = EPOCHS * (len(pd.read_csv(root / FOLDS)) - held_out)
    print(f"{EPOCHS} epochs at {SIDE} px; medians (least to most) of {ROUNDS} rounds.\n")
    print("| side | trained images/s | times the plain loop | in CPU seconds | held-out accuracy |")
    print("|---|---|---|---|---|")
    for side, title in enumerate(("plain timm loop", "ours")):
        speed = median(trained / each[side][0] for each in rounds)
        clock, cpu = ([each[0][i] / each[side][i] for each in rounds] for i in (0, 1))
        accuracy = median(each[side][2] for each in rounds)
        print(f"| {title} | {speed:.0f} | {spread(clock)} | {spread(cpu)} | {accuracy:.4f} |")


def time_loop(root: Path) -> tuple[float, float, float]:
    """Return seconds, CPU seconds and held-out accuracy of the plain loop."""
    seconds = timed([__file__, "loop"], root)
    return *seconds, float((root / ACCURACY).read_text(encoding="utf-8"))


def time_stage(root: Path) -> tuple[float, float, float]:
    """Return the same of `make train` for one fold, without anything of an earlier run."""
    shutil.rmtree(root / "models", ignore_errors=True)
    for cache in (root / "features" / "clothing" / "images").glob("*/"):
        shutil.rmtree(cache)
    command = [
        "-m",
        "pipeline",
        "train",
        "--config",
        "bench.yaml",
        "--member",
        "net",
        "--fold",
        "0",
    ]
    seconds = timed(command, root)
    epochs = pd.read_csv(root / "models" / "clothing" / "net" / "fold0" / "log.csv")
    return *seconds, float(epochs["val_score"].iloc[-1])


def loop() -> None:
    """Train as a competitor would, and write the accuracy on the fold that is held out."""
    import timm
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    from pipeline.backbones.create import create_backbone
    from pipeline.config.schema import Backbone

    labels = pd.read_csv(PHOTOS / "train.csv", dtype={"label": str}).set_index("id")["label"]
    codes = dict(zip(labels.index, pd.factorize(labels, sort=True)[0], strict=True))
    rows = pd.read_csv(FOLDS)

    class Photos(Dataset):
        def __init__(self, ids: list[str], *, is_training: bool) -> None:
            self.ids = ids
            settings = timm.data.resolve_model_data_config(model) | {
                "input_size": (3, SIDE, SIDE),
                "crop_pct": 1.0,
            }
            self.transform = timm.data.create_transform(
                **settings, is_training=is_training, color_jitter=0.2 if is_training else None
            )

        def __len__(self) -> int:
            return len(self.ids)

        def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
            name = self.ids[row]
            image = Image.open(PHOTOS / "train" / name).convert("RGB")
            return self.transform(image), int(codes[name])

    torch.manual_seed(0)
    model = create_backbone(Backbone(arch=ARCH, weights=WEIGHTS))
    head = nn.Linear(model.num_features, labels.nunique())
    learned = [
        {"params": model.parameters(), "lr": BACKBONE_LR},
        {"params": head.parameters(), "lr": HEAD_LR},
    ]
    optimizer = torch.optim.AdamW(learned, weight_decay=DECAY)
    parts = [rows["id"][(rows["fold"] == 0) == held_out].tolist() for held_out in (False, True)]
    training, held_out = (
        DataLoader(
            Photos(ids, is_training=is_training),
            batch_size=BATCH,
            shuffle=is_training,
            num_workers=LOOP_WORKERS,
        )
        for ids, is_training in zip(parts, (True, False), strict=True)
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(training))
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    for _ in range(EPOCHS):
        model.train()
        for images, targets in training:
            loss = loss_of(head(model(images)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            right = [(head(model(one)).argmax(1) == two).float() for one, two in held_out]
        accuracy = torch.cat(right).mean().item()
    ACCURACY.write_text(str(accuracy), encoding="utf-8")


if __name__ == "__main__":
    loop() if sys.argv[1:2] == ["loop"] else main()
