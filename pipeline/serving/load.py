"""From Python: load a submission's blend or a member; read out-of-fold predictions."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.load import load_config
from pipeline.config.schema import Config
from pipeline.core import predictions
from pipeline.core.archives import with_unpacked
from pipeline.core.artifacts import fingerprint_of, is_whole
from pipeline.core.find_submission import config_of, find_submission, summary_of
from pipeline.core.member_predictions import MemberPredictions
from pipeline.core.read_competition import read_competition
from pipeline.core.scale import from_scale
from pipeline.core.summary import Summary
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.members.outputs import read_members, read_repeat
from pipeline.project import Project, open_project
from pipeline.serving.model import Model
from pipeline.serving.new_rows import models_needed
from pipeline.serving.root import in_root


def load(
    config: str | Path,
    *,
    member: str | None = None,
    run: str = "last",
    root: str | Path | None = None,
) -> Model:
    """Load what made a submission, to predict new images.

    Args:
        config: a YAML file, or the name of a shipped config.
        member: one of its members in place of the blend.
        run: which submission: part of its name, last or best.
        root: the folder that holds input/ and models/; default: where the config lies, or the
            working directory, whichever has a folder input/; else the repository.
    Raises:
        UserError: there is no such submission, its models were replaced since, or a member of the
            blend was predicted elsewhere.

    Example:
        >>> import pipeline
        >>> model = pipeline.load("clothing")
        >>> model.predict(["photos/1.jpg", "photos/2.jpg"])
    """
    with in_root(config, root) as name:
        workspace, settings, summary = _submission(name, run)
        _check_member(member, settings)
        project = open_project(settings, workspace.root)
        _refuse_replaced(workspace, summary, settings.members if member is None else [member])
        members = read_members(project)
        by_fold = names_by_fold(summary) if member is None else [[member]] * summary.folds
        csv = workspace.root / summary.submission
        model = Model.fit(project, members, by_fold, submission=csv.stem, member=member)
        model.refuse_external()
        _refuse_other_models(project, summary, members, model.members)
        if member is None:
            saved = predictions.load(csv.with_suffix(".npz"), scale=None)
            saved = saved.in_order_of(project.competition.ids)
            model.warn_of_other_fit(saved.values, csv)
        return model


def read_oof(
    config: str | Path,
    *,
    member: str | None = None,
    run: str = "last",
    root: str | Path | None = None,
) -> pd.DataFrame:
    """Read out-of-fold predictions: of each training row, by a model that never saw it.

    Args:
        config, member, run, root: as `load` takes them.
    Returns:
        A row for each training row, by its id: a column for each class (or target, in its own
        unit), `fold`, and `true_NAME` for each target column of train.csv.
    Raises:
        UserError: there is no such submission, or the member's predictions were replaced since.

    Example:
        >>> oof = pipeline.read_oof("clothing")
        >>> (oof[list(classes)].idxmax(axis=1) == oof["true_label"]).groupby(oof["fold"]).mean()
    """
    with in_root(config, root) as name:
        workspace, settings, summary = _submission(name, run)
        path = (workspace.root / summary.submission).with_suffix(".npz")
        if member is not None:
            _check_member(member, settings)
            _refuse_replaced(workspace, summary, [member])
            path = workspace.member(member) / "oof.npz"
        oof = predictions.load(path, scale=None)
        folder = with_unpacked(workspace, settings.data)
        competition = read_competition(folder, settings.task, settings.data, settings.submission)
    table = pd.DataFrame(from_scale(oof.values, oof.scale), oof.ids, list(oof.classes))
    table.index.name = settings.data.id
    table["fold"] = oof.folds
    train = competition.train.set_index(settings.data.id).loc[oof.ids]
    for target in settings.task.targets:
        is_number = len(settings.task.targets) > 1 or settings.task.is_regression
        table[f"true_{target}"] = pd.to_numeric(train[target]) if is_number else train[target]
    return table


def names_by_fold(summary: Summary) -> list[list[str]]:
    """Return which blends each fold takes the mean of."""
    if summary.choice is None:
        return [[summary.estimate.name]] * summary.folds
    return summary.choice.by_fold


def _submission(config: str, run: str) -> tuple[Workspace, Config, Summary]:
    """Return a submission's settings and summary; plugins are those of the config."""
    workspace = Workspace(Path.cwd(), load_config(config).competition)
    entry = find_submission(workspace, run)
    return workspace, config_of(entry, workspace), Summary.read(summary_of(entry, workspace))


def _check_member(member: str | None, settings: Config) -> None:
    if member is not None and member not in settings.members:
        raise UserError(f"member={member!r}: the submission has {', '.join(settings.members)}.")


def _refuse_replaced(workspace: Workspace, summary: Summary, names: Iterable[str]) -> None:
    """Refuse members whose predictions are not those that the submission was made of."""
    for name in names:
        if fingerprint_of(workspace.member(name)) != summary.members[name].get("fingerprint"):
            raise _replaced(workspace.member(name), summary)


def _refuse_other_models(
    project: Project, summary: Summary, members: MemberPredictions, names: Iterable[str]
) -> None:
    """Refuse models that are not there, or did not make the members' predictions."""
    workspace, positions = project.workspace, {name: m for m, name in enumerate(members.meta)}
    for name, number in models_needed(project, names):
        if not is_whole(workspace.fold(name, number)):
            raise _replaced(workspace.fold(name, number), summary)
    for name in names:
        repeats = range(project.folds.num_repeats)
        oof = np.mean([read_repeat(project, name, repeat)[0] for repeat in repeats], axis=0)
        if not np.array_equal(oof, members.oof[positions[name]]):
            raise _replaced(workspace.member(name), summary)


def _replaced(path: Path, summary: Summary) -> UserError:
    csv = Path(summary.submission)
    return UserError(
        f"{path}: not there, or made anew since {csv.name} was. `make infer "
        f"CONFIG=... RUN={csv.stem}` brings back what it was made of."
    )
