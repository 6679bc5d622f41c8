"""Training section: curves of the networks."""

import pandas as pd

from pipeline.config.schema import Network
from pipeline.core.artifacts import is_whole, read_meta
from pipeline.report import figures
from pipeline.report.page import Part, Picture, Section
from pipeline.report.page_inputs import PageInputs


def training_section(inputs: PageInputs) -> Section:
    """Return a picture of each network's logs, a line per model."""
    pictures = [
        picture
        for name, settings in inputs.project.config.members.items()
        if isinstance(settings, Network) and (picture := _curves(inputs, name))
    ]
    parts: list[Part] = [*pictures]
    look = (
        "Look for folds that differ from the others."
        if parts
        else "No member is a network, so there are no curves."
    )
    return Section("Training curves", look, parts)


def _curves(inputs: PageInputs, member: str) -> Picture | None:
    workspace = inputs.project.workspace
    models = range(inputs.summary.num_models)
    folders = {number: workspace.fold(member, number) for number in models}
    folders = {number: folder for number, folder in folders.items() if is_whole(folder)}
    if not folders:
        return None
    logs = {number: pd.read_csv(folder / "log.csv") for number, folder in folders.items()}
    metrics = {(read_meta(folder) or {}).get("metric") for folder in folders.values()}
    epochs = max(len(table) for table in logs.values())
    look = (
        f"{epochs} epoch{'s' if epochs > 1 else ''}. If validation loss rises while training loss "
        "falls, train less or augment more; if the score still improves at the end, train longer."
    )
    picture = figures.curves(logs, metric=" or ".join(sorted(filter(None, metrics))))
    return Picture(member, look, picture, f"Training curves of {member}")
