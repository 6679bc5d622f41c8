"""The graph of jobs: which artifacts there are, what each depends on, which function makes it.

All fingerprints are made here, and nowhere else, so that one page answers the question "what is
computed anew when I change this?". A fingerprint is a recipe: it never depends on the machine.
Which settings are part of one, and in which version of the code, says `fingerprints.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any

from pipeline.backbones.weights import weights_identity
from pipeline.config.references import (
    backbone_of_scenes,
    blocks_of,
    members_of_blend,
    untaught_members,
)
from pipeline.config.schema import External, Learner, Network
from pipeline.core.artifacts import file_digest, fingerprint
from pipeline.core.folds import ALL_ROWS, model_name
from pipeline.errors import UserError
from pipeline.members.external import FILES
from pipeline.project import Project
from pipeline.workflow.fingerprints import (
    FORMAT,
    backbone_recipe,
    folds_recipe,
    metric_recipe,
    settings_recipe,
    stopping_recipe,
    task_recipe,
)
from pipeline.workflow.jobs import Job

Taught = tuple[str, tuple[Job, ...]]  # a fingerprint of what teaches, and the jobs that make it


def folds_job(project: Project) -> Job:
    """Folds, duplicates and the audit; stands before what folds hold out, whose recipes need it.

    Blocks hang on no folds: where these keep scenes whole, a block comes first.
    """
    config, competition = project.config, project.competition
    groups = None if competition.groups is None else competition.groups.tolist()
    column = config.folds.column
    blocks = [Plan(project).block(name) for name in [backbone_of_scenes(config)] if name]
    scenes: dict[str, Any] = {}
    if config.folds.scheme == "scenes":
        seen_on = [block.fingerprint for block in blocks] or ["thumbnails"]
        scenes = {"scenes": [FORMAT["scenes"], *seen_on]}
    recipe = fingerprint(
        format=FORMAT["folds"],
        folds=folds_recipe(config.folds),
        seed=config.seed,
        task=[config.task.kind, config.task.targets],
        rows=competition.rows_digest,
        groups=groups,
        column=None if column is None else competition.train.get(column, []).tolist(),
        images=project.index.digest,
        **scenes,
    )
    return Job(
        name=f"folds {config.competition}",
        function="pipeline.stages.folds:make_folds",
        folder=project.workspace.features,
        fingerprint=recipe,
        arguments={"project": project},
        needs=tuple(blocks),
        owns_folder=False,
        overwrites=False,  # it says which folds.csv was written by us
    )


def _once(make: Callable[..., Job]) -> Callable[..., Job]:
    """Remember a plan's jobs: those of later rounds stand on the same ones, over and over."""

    @wraps(make)
    def remembered(plan: "Plan", *which: str | int) -> Job:
        key = (make.__name__, *which)
        if key not in plan.made:
            plan.made[key] = make(plan, *which)
        return plan.made[key]

    return remembered


@dataclass(frozen=True)
class Plan:
    """Jobs of a project; all but blocks and caches need its folds."""

    project: Project
    made: dict[tuple[str | int, ...], Job] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """What every job function gets."""
        return {"project": self.project}

    @cached_property
    def metric(self) -> dict[str, Any]:
        """What the metric is, for what depends on it."""
        return metric_recipe(self.project.config.task)

    @property
    def rows(self) -> list[str]:
        """What there is in rows, for what depends on them and not only through its members."""
        return [self.project.competition.rows_digest, self.project.competition.test_digest]

    @property
    def scored(self) -> list[Any]:
        """How predictions are scored."""
        return [self.metric, self.project.config.submission.threshold]

    def how(self, backbone: str) -> str:
        """Fingerprint of what one image's features depend on, besides the image and the view."""
        settings = self.project.config.backbones[backbone]
        return fingerprint(format=FORMAT["block"], **backbone_recipe(settings))

    def block(self, backbone: str) -> Job:
        """Frozen features of all images, train and test."""
        views = self.project.config.tta.views
        recipe = fingerprint(how=self.how(backbone), views=views, images=self.project.index.digest)
        return Job(
            name=f"features {backbone}",
            function="pipeline.stages.features:make_block",
            folder=self.project.workspace.block(backbone),
            fingerprint=recipe,
            arguments=self.arguments | {"backbone": backbone, "how": self.how(backbone)},
            owns_folder=False,  # features of the same images and views are used again
            overwrites=False,
            wants_gpu=True,
        )

    def cache(self, short_side: int) -> Job:
        """Resized images for networks of one input size."""
        return Job(
            name=f"images at {short_side} px",
            function="pipeline.stages.features:make_cache",
            folder=self.project.workspace.image_cache(short_side),
            fingerprint=fingerprint(
                format=FORMAT["cache"], short_side=short_side, images=self.project.index.digest
            ),
            arguments=self.arguments | {"short_side": short_side},
        )

    def inputs(self, member: str) -> list[Job]:
        """Blocks of a learner and of those that it stacks, or cached images of a network."""
        members = self.project.config.members
        settings = members[member]
        if isinstance(settings, Learner):
            seen = [name for one in (member, *settings.stacks) for name in members[one].backbones]
            return [self.block(name) for name in dict.fromkeys(seen)]
        return [self.cache(self.project.cached_side(member))]

    @_once
    def train(self, member: str, fold: int) -> Job:
        """One fold's model. Its recipe knows nothing of test rows, unless they teach it."""
        project, settings = self.project, self.project.member(member)
        config = project.config
        if isinstance(settings, Network):
            backbone = config.backbones[settings.network]
            made_from: Any = {
                **backbone.model_dump(include={"arch", "cut"}),
                "weights": weights_identity(backbone.weights),
                "image_size": self.project.image_size(member),
            }
            if settings.stages and settings.pool == "auto":
                made_from["last"] = "as the backbone pools it"  # once, its plain average
            if settings.patience:
                groups, threshold = project.folds.groups, config.submission.threshold
                made_from["stopped_by"] = stopping_recipe(groups, threshold, self.metric)
        else:
            made_from = {name: self.how(name) for name in settings.backbones}
            if [name for name in settings.blocks if name in made_from] != list(made_from):
                made_from["concatenated"] = "by name"  # once, fitted otherwise than read back
            made_from["views"] = config.tta.views
            if settings.stacks:
                made_from["average"] = config.tta.average  # of what is stacked
            if project.folds.groups_digest is not None:
                made_from["groups"] = project.folds.groups_digest  # of inner folds
        taught_by = self.taught_by(member, fold)
        recipe = fingerprint(
            format=FORMAT["train"],
            settings=settings_recipe(settings),
            made_from=made_from,
            task=task_recipe(config.task),
            rows=project.competition.rows_digest,
            metadata=[config.data.numeric, config.data.categorical],
            images=project.train_index.digest,
            folds=project.folds.digest_of(fold),
            fold=fold,
            teachers=[taught for taught, _ in taught_by],
            blend=self.blend_recipe(member),
        )
        return Job(
            name=f"train {member} {model_name(fold)}",
            function="pipeline.stages.train:train_fold",
            folder=project.workspace.fold(member, fold),
            fingerprint=recipe,
            arguments=self.arguments | {"member": member, "fold": fold},
            needs=(
                *self.inputs(member),
                *(job for _, jobs in taught_by for job in jobs),
                *self.asked(member, fold),
            ),
            wants_gpu=isinstance(settings, Network),
            attic=project.workspace.models / "attic",
        )

    def taught_by(self, member: str, fold: int) -> list[Taught]:
        """What one fold's model learns from besides labels: predictions, or another's weights.

        A member's predictions of this fold, or of all folds for a model of all rows, and for
        pseudo-labels those of the members that must agree; a blend's are made of all its members'.
        Nothing of another repeat.
        """
        settings = self.project.config.members[member]
        taught = []
        for key, teacher in settings.teachers.items():
            if teacher not in self.project.config.members:
                names = members_of_blend(self.project.config, member, key)
                taught += [self.said(name, fold, in_blend=True) for name in names]
            else:
                taught.append(self.said(teacher, fold))
        if settings.pseudo is not None and settings.pseudo.agreement is not None:
            taught += [self.said(name, fold) for name in untaught_members(self.project.config)]
        if fold == ALL_ROWS and getattr(settings, "patience", 0):
            taught += [_alone(self.train(member, k)) for k in self.project.folds.models_in(0)]
        if isinstance(settings, Network) and settings.start is not None:
            taught.append(_alone(self.train(settings.start.member, fold)))
        taught += map(_alone, self.stacked(member, fold))
        return list(dict.fromkeys(taught))

    def asked(self, member: str, fold: int) -> list[Job]:
        """Models that a member that distils asks about its own rows, and what these see."""
        distill = self.project.config.members[member].teachers.get("distill")
        if distill is None:
            return []
        is_member = distill in self.project.config.members
        names = [distill] if is_member else members_of_blend(self.project.config, member, "distill")
        folds = self.project.folds.models_in(0) if fold == ALL_ROWS else [fold]
        return [
            job
            for name in names
            for model in folds
            for job in (self.train(name, model), *self.inputs(name), *self.stacked(name, model))
        ]

    def stacked(self, member: str, fold: int) -> list[Job]:
        """One fold's models of the learners that a learner stacks."""
        names = getattr(self.project.config.members[member], "stacks", [])
        if names and self.project.folds.num_folds < 3:
            raise UserError(
                f"members.{member}: stacks needs rows outside two folds, but there are only two. "
                "Make three folds or more, or leave stacks out."
            )
        return [self.train(name, fold) for name in names]

    def said(self, member: str, fold: int, *, in_blend: bool = False) -> Taught:
        """What a member's model of a fold says; for all rows or a blend, its repeat's models."""
        if fold != ALL_ROWS and not in_blend:
            return _alone(self.predict(member, fold))
        parts = self.parts(member, [self.project.folds.repeat_of(fold)])
        return fingerprint(parts=[part.fingerprint for part in parts]), parts

    def blend_recipe(self, member: str) -> list | None:
        """What a blend used as teacher depends on besides its members' predictions."""
        config, teachers = self.project.config, self.project.config.members[member].teachers
        if all(name in config.members for name in teachers.values()):
            return None
        recipe = [FORMAT["blend"], self.metric, config.submission.threshold, config.seed]
        return [*recipe, *filter(None, [self.project.folds.groups_digest])]

    def models_of(self, member: str) -> list[int]:
        """Folds that a member is trained for; with `all_rows` what stands for none, too."""
        if isinstance(self.project.config.members[member], External):
            return []
        folds = list(self.project.folds.models)
        return [*folds, ALL_ROWS] if self.project.config.members[member].all_rows else folds

    @_once
    def predict(self, member: str, fold: int) -> Job:
        """One fold's model on the rows that it held out and on the test rows."""
        project, trained = self.project, self.train(member, fold)
        recipe = fingerprint(
            format=FORMAT["predict"],
            trained=trained.fingerprint,
            tta=project.config.tta.model_dump(),
            images=project.test_index.digest,
            rows=project.competition.test_digest,
        )
        return Job(
            name=f"infer {member} {model_name(fold)}",
            function="pipeline.stages.infer:predict_fold",
            folder=project.workspace.fold_predictions(member, fold),
            fingerprint=recipe,
            arguments=self.arguments | {"member": member, "fold": fold},
            needs=(trained, *self.inputs(member), *self.stacked(member, fold)),
            wants_gpu=trained.wants_gpu,
        )

    def adopt(self, member: str) -> Job:
        """Predictions that were made elsewhere, as a member's."""
        folder = self.project.workspace.root / self.project.config.members[member].external
        if absent := [name for name in FILES if not (folder / name).is_file()]:
            raise UserError(
                f"members.{member}: {' and '.join(absent)} not in {folder}. Put them there, or "
                "leave the member out."
            )
        return Job(
            name=f"infer {member}",
            function="pipeline.stages.infer:adopt_external",
            folder=self.project.workspace.member(member),
            fingerprint=fingerprint(
                format=FORMAT["predict"],
                digests=[file_digest(folder / name) for name in FILES],
                folds=self.project.folds.digest,
                rows=self.rows,
                scored=self.scored,
            ),
            arguments=self.arguments | {"member": member},
        )

    def parts(self, member: str, repeats: Sequence[int]) -> tuple[Job, ...]:
        """Predictions of a member's models of some repeats, and of its model of all rows."""
        of = self.project.folds.repeat_of
        folds = [fold for fold in self.models_of(member) if fold == ALL_ROWS or of(fold) in repeats]
        return tuple(self.predict(member, fold) for fold in folds)

    @_once
    def join(self, member: str) -> Job:
        """A member's oof and test predictions, of all folds, and of the model of all rows."""
        if isinstance(self.project.config.members[member], External):
            return self.adopt(member)
        parts = self.parts(member, range(self.project.folds.num_repeats))
        return Job(
            name=f"infer {member}",
            function="pipeline.stages.infer:join_folds",
            folder=self.project.workspace.member(member),
            fingerprint=fingerprint(parts=[part.fingerprint for part in parts], scored=self.scored),
            arguments=self.arguments | {"member": member},
            needs=parts,
            owns_folder=False,  # the folds lie in it
        )

    def ensemble(self) -> Job:
        """Blends, the estimate and the submission."""
        project, config = self.project, self.project.config
        members = tuple(self.join(name) for name in config.members)
        sample = project.competition.folder / config.data.sample_submission
        recipe = fingerprint(
            format=FORMAT["ensemble"],
            members={job.folder.name: job.fingerprint for job in members},
            blends=config.blends,
            calibrate=config.calibrate,
            metric=self.metric,
            rows=self.rows,
            submission=config.submission.model_dump(),
            sample=file_digest(sample) if project.competition.sample is not None else None,
            groups=project.folds.groups.tolist(),
            seed=config.seed,
        )
        return Job(
            name=f"ensemble {config.competition}",
            function="pipeline.stages.ensemble:blend_members",
            folder=project.workspace.submissions,
            fingerprint=recipe,
            arguments=self.arguments,
            needs=members,
            owns_folder=False,  # earlier submissions and the ledger stay
            overwrites=False,
        )

    def scene_check(self) -> Job | None:
        """What features say of scenes that folds tear; None where no learner sees features."""
        project, config = self.project, self.project.config
        seen = blocks_of(config)
        if not seen:
            return None
        block = self.block(seen[0])
        recipe = fingerprint(
            format=[FORMAT["scene_check"], FORMAT["scenes"]],
            block=block.fingerprint,
            task=task_recipe(config.task) | {"metric": self.metric},
            metadata=[config.data.numeric, config.data.categorical],
            rows=[project.competition.rows_digest, project.competition.test_digest],
            folds=folds_recipe(config.folds),
            torn=file_digest(project.workspace.folds_csv),
            submission=config.submission.model_dump(include={"threshold", "test_split"}),
            seed=config.seed,
        )
        return Job(
            name=f"scenes on {seen[0]}",
            function="pipeline.stages.scene_check:check_scenes",
            folder=project.workspace.scenes_json.parent,
            fingerprint=recipe,
            arguments=self.arguments | {"backbone": seen[0]},
            needs=(block,),
        )

    def report(self) -> Job:
        """The page of pictures and numbers."""
        ensemble = self.ensemble()
        workspace = self.project.workspace
        audits = [workspace.audit_json, workspace.findings_json, workspace.scenes_json]
        recipe = fingerprint(
            format=FORMAT["report"],
            ensemble=ensemble.fingerprint,
            audits=[file_digest(path) for path in audits if path.exists()],
        )
        return Job(
            name=f"report {self.project.config.competition}",
            function="pipeline.stages.report:make_report",
            folder=ensemble.folder / "report",
            fingerprint=recipe,
            arguments=self.arguments,
            needs=(ensemble, *ensemble.needs),
        )


def _alone(job: Job) -> Taught:
    return job.fingerprint, (job,)
