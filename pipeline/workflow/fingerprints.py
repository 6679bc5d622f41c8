"""Fingerprints: what each artifact depends on, and the format of each artifact.

An artifact is made anew when its fingerprint changes. A fingerprint is a digest of a recipe: the
settings that matter, digests of rows and images, fingerprints of other artifacts, and the format's
version. It never depends on the machine.
"""

from pathlib import Path
from typing import Any

from pipeline.backbones.weights import weights_identity
from pipeline.config.own_parts import ITEMS, codes_of
from pipeline.config.schema import (
    Backbone,
    Config,
    Learner,
    Network,
)
from pipeline.core.artifacts import file_digest, fingerprint
from pipeline.core.folds import ALL_ROWS
from pipeline.members.external import FILES
from pipeline.project import Project
from pipeline.workflow.recipes import (
    backbone_recipe,
    blends_recipe,
    code_recipe,
    folds_recipe,
    metric_recipe,
    precision_recipe,
    scoring_recipe,
    settings_recipe,
    submission_recipe,
    task_recipe,
)

# Raise one when its code changes what it writes: artifacts of the old format are made anew.
FORMAT = {
    "folds": 6,
    "scenes": 1,  # what is a scene, where folds keep them whole
    "scene_check": 2,
    "cache": 1,
    "block": 3,
    "views": 1,
    "train": 4,
    "linear": 2,  # logistic regressions and SVMs: other steps end elsewhere within the tolerance
    "predict": 2,
    "blend": 5,  # predictions of a blend that is a teacher
    "ensemble": 13,
    "report": 10,
}

LINEAR = ("logistic", "svm")  # learners


def of_folds(project: Project, *, blocks: list[str]) -> str:
    """Return the fingerprint of folds and the audit.

    Args:
        blocks: fingerprints of blocks that find scenes.
    """
    config, competition = project.config, project.competition
    column = config.folds.column
    scenes: dict[str, Any] = {}
    if config.folds.scheme == "scenes":
        scenes = {"scenes": [FORMAT["scenes"], *(blocks or ["thumbnails"])]}
    return fingerprint(
        format=FORMAT["folds"],
        folds=folds_recipe(config.folds),
        seed=config.seed,
        task=[config.task.kind, config.task.targets],
        rows=competition.rows_digest,
        groups=None if competition.groups is None else competition.groups.tolist(),
        column=None if column is None else competition.train.get(column, []).tolist(),
        images=project.digest_of_images,
        **scenes,
    )


def of_features(settings: Backbone, precision: str = "32") -> str:
    """Return the fingerprint of one image's features, without the image and the view."""
    return fingerprint(
        format=FORMAT["block"], **backbone_recipe(settings), **precision_recipe(precision)
    )


def of_block(project: Project, *, features: str) -> str:
    """Return the fingerprint of all images' features by one backbone."""
    views, images = project.config.tta.views, project.digest_of_images
    return fingerprint(how=features, views=views, images=images)


def of_views(project: Project, *, features: str) -> str:
    """Return the fingerprint of the decision on views and augmentation."""
    return fingerprint(
        format=FORMAT["views"],
        how=features,
        task=task_recipe(project.config.task),
        rows=project.competition.rows_digest,
        images=project.digest_of_train_images,
        folds=project.folds.digest_of(0),
        groups=project.folds.groups_digest,
        seed=project.config.seed,
    )


def of_cache(project: Project, *, short_side: int) -> str:
    """Return the fingerprint of resized images."""
    images = project.digest_of_images
    return fingerprint(format=FORMAT["cache"], short_side=short_side, images=images)


def of_model(project: Project, member: str, fold: int, *, sources: list[str]) -> str:
    """Return the fingerprint of one fold's model.

    Test rows are no part of it, unless the model learns from predictions for them.

    Args:
        sources: fingerprints of what it learns from besides labels.
    """
    config, settings = project.config, project.member(member)
    if isinstance(settings, Network):
        made_from = network_recipe(project, member, settings)
    else:
        made_from = learner_recipe(project, settings)
        made_from |= transform_recipe(project, fold, stacks=bool(settings.stacks))
    return fingerprint(
        format=FORMAT["train"],
        settings=settings_recipe(settings),
        made_from=made_from,
        task=task_recipe(config.task),
        rows=project.competition.rows_digest,
        metadata=[config.data.numeric, config.data.categorical],
        images=project.digest_of_learnt_images,
        folds=project.folds.digest_of(fold),
        fold=fold,
        teachers=sources,
        blend=teaching_blend_recipe(project, member),
        **project.competition.scale_entry,
    )


def of_fold_predictions(project: Project, *, model: str, precision: str = "32") -> str:
    """Return the fingerprint of what one fold's model predicts for held-out and test rows.

    Args:
        precision: of a network's forward passes.
    """
    return fingerprint(
        format=FORMAT["predict"],
        trained=model,
        tta=project.config.tta.model_dump(),
        images=project.digest_of_test_images,
        rows=project.competition.test_digest,
        **precision_recipe(precision),
    )


def of_parts(parts: list[str]) -> str:
    """Return the fingerprint of several models or their predictions; of one, its own."""
    return parts[0] if len(parts) == 1 else fingerprint(parts=parts)


def of_predictions(config: Config, *, parts: list[str]) -> str:
    """Return the fingerprint of a member's predictions, of all its models."""
    return fingerprint(parts=parts, scored=scoring_recipe(config))


def of_external(project: Project, folder: Path) -> str:
    """Return the fingerprint of a member's predictions that were made elsewhere."""
    return fingerprint(
        format=FORMAT["predict"],
        digests=[file_digest(folder / name) for name in FILES],
        folds=project.folds.digest,
        rows=[project.competition.rows_digest, project.competition.test_digest],
        scored=scoring_recipe(project.config),
        **project.competition.scale_entry,
    )


def of_ensemble(project: Project, *, members: dict[str, str]) -> str:
    """Return the fingerprint of blends, the estimate and the submission."""
    config, competition = project.config, project.competition
    sample = competition.folder / config.data.sample_submission
    return fingerprint(
        format=FORMAT["ensemble"],
        members=members,
        blends=config.blends,
        calibrate=config.calibrate,
        metric=metric_recipe(config.task),
        rows=[competition.rows_digest, competition.test_digest],
        submission=submission_recipe(config.submission),
        mixed=[file_digest(path) for path in project.submissions_to_mix],
        sample=file_digest(sample) if competition.sample is not None else None,
        groups=project.folds.groups.tolist(),
        seed=config.seed,
        **blends_recipe(config.blends),
    )


def of_scene_check(project: Project, *, block: str) -> str:
    """Return the fingerprint of the search for scenes whose images are in several folds."""
    config, competition = project.config, project.competition
    return fingerprint(
        format=[FORMAT["scene_check"], FORMAT["scenes"]],
        block=block,
        task=task_recipe(config.task) | {"metric": metric_recipe(config.task)},
        metadata=[config.data.numeric, config.data.categorical],
        rows=[competition.rows_digest, competition.test_digest],
        folds=folds_recipe(config.folds),
        torn=file_digest(project.workspace.folds_csv),
        submission=config.submission.model_dump(include={"threshold", "test_split"}),
        seed=config.seed,
        **project.competition.scale_entry,
        **transform_recipe(project, ALL_ROWS),
    )


def of_report(project: Project, *, ensemble: str) -> str:
    """Return the fingerprint of the report."""
    workspace, decision = project.workspace, project.decision
    decided = {} if decision is None else {"views": decision.sentence()}
    sections = codes_of("report section", ITEMS["report section"])
    audits = [workspace.audit_json, workspace.findings_json, workspace.scenes_json]
    return fingerprint(
        format=FORMAT["report"],
        ensemble=ensemble,
        audits=[file_digest(path) for path in audits if path.exists()],
        **decided,
        **({"failed": dict(project.failed)} if project.failed else {}),
        **({"sections": sections} if sections else {}),
    )


def transform_recipe(project: Project, fold: int, *, stacks: bool = False) -> dict[str, Any]:
    """Return what a learner does with its targets in one fold; nothing if they stay as they are."""
    targets = project.competition.targets[~project.folds.held_out(fold)]
    transform = project.transform_of(targets, stacks=stacks)
    return {} if transform == "none" else {"transform": [transform, project.row_error]}


def network_recipe(project: Project, member: str, settings: Network) -> dict[str, Any]:
    """Return what a network's model is made from, besides its settings and rows."""
    backbone = project.config.backbones[settings.network]
    recipe = {
        **backbone.model_dump(include={"arch", "cut"}),
        "weights": weights_identity(backbone.weights),
        "image_size": project.image_size(member),
        **code_recipe(backbone),
    }
    if settings.stages and settings.pool == "auto":
        recipe["last"] = "as the backbone pools it"  # earlier versions: its plain average
    if settings.init == "linear_probe":
        recipe["linear"] = FORMAT["linear"]
        if project.folds.groups_digest is not None:
            recipe["groups"] = project.folds.groups_digest  # of the probe's inner folds
    if settings.patience:
        recipe["stopped_by"] = {
            "rows": "inner rows",  # earlier versions: the held-out rows
            "groups": project.folds.groups.tolist(),
            "threshold": project.config.submission.threshold,
            "metric": metric_recipe(project.config.task),
        }
    return recipe


def learner_recipe(project: Project, settings: Learner) -> dict[str, Any]:
    """Return what a learner's model is made from, besides its settings and rows."""
    config = project.config
    recipe: dict[str, Any] = {
        name: of_features(config.backbones[name], config.runtime.precision)
        for name in settings.backbones
    }
    if [name for name in settings.blocks if name in recipe] != list(recipe):
        recipe["concatenated"] = "by name"  # earlier versions: fitted otherwise than read back
    recipe["views"] = config.tta.views
    if settings.learner in LINEAR:
        recipe["linear"] = FORMAT["linear"]
    if settings.stacks:
        recipe["average"] = config.tta.average  # of the stacked learners' views
    if project.folds.groups_digest is not None:
        recipe["groups"] = project.folds.groups_digest  # of inner folds
    return recipe


def teaching_blend_recipe(project: Project, member: str) -> list | None:
    """Return what a blend that is a member's teacher depends on, besides its members."""
    config = project.config
    if all(name in config.members for name in config.members[member].teachers.values()):
        return None
    recipe = [FORMAT["blend"], *scoring_recipe(config), config.seed]
    code = blends_recipe(config.members[member].teachers.values())
    return [*recipe, *filter(None, [project.folds.groups_digest, code])]
