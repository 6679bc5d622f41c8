"""The graph of jobs: which artifacts there are, what each needs, which function makes it.

Jobs are listed in the order of the work. What an artifact's fingerprint depends on is in
`fingerprints.py`; which models learn from which others is in `sources.py`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any, TypeVar

from pipeline.config.dependencies import backbone_of_scenes, backbone_of_views, blocks_of
from pipeline.config.schema import External, Learner, Network
from pipeline.core.artifacts import fingerprint
from pipeline.core.folds import model_name
from pipeline.errors import UserError
from pipeline.members.external import FILES
from pipeline.project import Project
from pipeline.workflow import fingerprints
from pipeline.workflow.jobs import Job
from pipeline.workflow.sources import distilled_models, models_of, sources_of, stacked_by

Made = TypeVar("Made")
MAKE_BLOCK = "pipeline.stages.features:make_block"
SHARD_IMAGES = 256  # seconds of a processor; a device that computes more at once leaves some empty
MOST_SHARDS = 1000


def blocks_together(jobs: list[Job]) -> list[Job]:
    """Tell the job of each block which blocks follow, so that one decoding serves all of them."""
    hows = {
        job.arguments["backbone"]: job.arguments["how"]
        for job in jobs
        if job.function == MAKE_BLOCK
    }
    told = []
    for job in jobs:
        if job.function == MAKE_BLOCK:
            del hows[job.arguments["backbone"]]
            job = replace(job, arguments=job.arguments | {"beside": dict(hows)})
        told.append(job)
    return told


def _once(make: Callable[..., Made]) -> Callable[..., Made]:
    """Remember what a plan's method returns: jobs need each other's fingerprints over and over."""

    @wraps(make)
    def remembered(plan: "Plan", *which: str | int) -> Made:
        key = (make.__name__, *which)
        if key not in plan._made:
            plan._made[key] = make(plan, *which)
        return plan._made[key]

    return remembered


class Plan:
    """Jobs of a project; all but folds, blocks and caches need its folds.csv."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.config = project.config
        self._made: dict[tuple[str | int, ...], Any] = {}

    @_once
    def folds(self) -> Job:
        """Return the job of folds, duplicates and the audit.

        It needs a block where folds keep scenes whole.
        """
        blocks = [self.block(name) for name in [backbone_of_scenes(self.config)] if name]
        return Job(
            name=f"folds {self.config.competition}",
            function="pipeline.stages.folds:make_folds",
            folder=self.project.workspace.features,
            fingerprint=fingerprints.of_folds(
                self.project, blocks=[block.fingerprint for block in blocks]
            ),
            arguments=self._arguments,
            needs=tuple(blocks),
            owns_folder=False,
            overwrites=False,  # its metadata tells which folds.csv the pipeline wrote
        )

    @_once
    def block(self, backbone: str) -> Job:
        """Return the job of a backbone's features of all images, train and test."""
        features = fingerprints.of_features(
            self.config.backbones[backbone], self.config.runtime.precision
        )
        block = Job(
            name=f"features {backbone}",
            function=MAKE_BLOCK,
            folder=self.project.workspace.block(backbone),
            fingerprint=fingerprints.of_block(self.project, features=features),
            arguments=self._arguments | {"backbone": backbone, "how": features},
            owns_folder=False,  # features of the same images and views are used again
            overwrites=False,
        )
        return replace(block, needs=tuple(self._shards(block)))

    def _shards(self, block: Job) -> list[Job]:
        """Return the jobs that compute a block's features, where several jobs run at once."""
        number = min(math.ceil(len(self.project.all_images.paths) / SHARD_IMAGES), MOST_SHARDS)
        if number == 1 or not self.config.runtime.does_several:
            return []
        return [
            Job(
                name=f"{block.name} {shard + 1}/{number}",
                function="pipeline.stages.features:make_shard",
                folder=block.folder / "shards" / str(shard),
                fingerprint=fingerprint(block=block.fingerprint, shard=[shard, number]),
                arguments=block.arguments | {"shard": shard, "num_shards": number},
            )
            for shard in range(number)
        ]

    @_once
    def views(self) -> Job | None:
        """Return the job of what `auto` stands for; None where no member uses a backbone."""
        backbone = backbone_of_views(self.config)
        if backbone is None:
            return None
        features = fingerprints.of_features(self.config.backbones[backbone])
        return Job(
            name=f"views on {backbone}",
            function="pipeline.stages.views:decide_views",
            folder=self.project.workspace.views_json.parent,
            fingerprint=fingerprints.of_views(self.project, features=features),
            arguments=self._arguments | {"backbone": backbone, "how": features},
            owns_folder=False,  # features of the same rows are used again
        )

    @_once
    def cache(self, short_side: int) -> Job:
        """Return the job of resized images, for networks of one input size."""
        return Job(
            name=f"images at {short_side} px",
            function="pipeline.stages.features:make_cache",
            folder=self.project.workspace.image_cache(short_side),
            fingerprint=fingerprints.of_cache(self.project, short_side=short_side),
            arguments=self._arguments | {"short_side": short_side},
        )

    def inputs(self, member: str) -> list[Job]:
        """Return blocks of a learner and of those that it stacks, or a network's cached images."""
        members = self.config.members
        settings = members[member]
        if isinstance(settings, Learner):
            names = [name for one in (member, *settings.stacks) for name in members[one].backbones]
            return [self.block(name) for name in dict.fromkeys(names)]
        return [self.cache(self.project.cached_side(member))]

    def models_of(self, member: str) -> list[int]:
        """Return the numbers of a member's models; with `all_rows` also ALL_ROWS."""
        return models_of(self.config, self.project.folds, member)

    @_once
    def train(self, member: str, fold: int) -> Job:
        """Return the job of one fold's model."""
        project, config, folds = self.project, self.config, self.project.folds
        needs, sources = self.inputs(member), []
        for source in sources_of(config, folds, member, fold):
            make = self.train if source.stage == "train" else self.predict
            jobs = [make(source.member, model) for model in source.folds]
            sources.append(fingerprints.of_parts([job.fingerprint for job in jobs]))
            needs += jobs
        for name, model in distilled_models(config, folds, member, fold):
            needs += [self.train(name, model), *self.inputs(name), *self._stacked(name, model)]
        return Job(
            name=f"train {member} {model_name(fold)}",
            function="pipeline.stages.train:train_fold",
            folder=project.workspace.fold(member, fold),
            fingerprint=fingerprints.of_model(project, member, fold, sources=sources),
            arguments=self._arguments | {"member": member, "fold": fold},
            needs=tuple(needs),
            attic=project.workspace.models / "attic",
        )

    @_once
    def predict(self, member: str, fold: int) -> Job:
        """Return the job of one fold's model predicting held-out and test rows."""
        model = self.train(member, fold)
        is_network = isinstance(self.config.members[member], Network)
        precision = self.config.runtime.precision if is_network else "32"
        return Job(
            name=f"infer {member} {model_name(fold)}",
            function="pipeline.stages.infer:predict_fold",
            folder=self.project.workspace.fold_predictions(member, fold),
            fingerprint=fingerprints.of_fold_predictions(
                self.project, model=model.fingerprint, precision=precision
            ),
            arguments=self._arguments | {"member": member, "fold": fold},
            needs=(model, *self.inputs(member), *self._stacked(member, fold)),
        )

    @_once
    def join(self, member: str) -> Job:
        """Return the job of a member's oof and test predictions, of all its models."""
        if isinstance(self.config.members[member], External):
            return self._adopt(member)
        parts = [self.predict(member, fold) for fold in self.models_of(member)]
        return Job(
            name=f"infer {member}",
            function="pipeline.stages.infer:join_folds",
            folder=self.project.workspace.member(member),
            fingerprint=fingerprints.of_predictions(
                self.config, parts=[part.fingerprint for part in parts]
            ),
            arguments=self._arguments | {"member": member},
            needs=tuple(parts),
            owns_folder=False,  # it holds the folders of folds
        )

    def _adopt(self, member: str) -> Job:
        """Return the job that copies predictions made elsewhere."""
        folder = self.project.workspace.root / self.config.members[member].external
        if absent := [name for name in FILES if not (folder / name).is_file()]:
            raise UserError(
                f"members.{member}: {' and '.join(absent)} not in {folder}. Put them there, or "
                "leave the member out."
            )
        return Job(
            name=f"infer {member}",
            function="pipeline.stages.infer:adopt_external",
            folder=self.project.workspace.member(member),
            fingerprint=fingerprints.of_external(self.project, folder),
            arguments=self._arguments | {"member": member},
        )

    def block_fingerprints(self, backbones: Iterable[str]) -> dict[str, str]:
        """Return the fingerprints of blocks, for stages that use only those that are there."""
        return {name: self.block(name).fingerprint for name in backbones}

    @_once
    def ensemble(self) -> Job:
        """Return the job of blends, the estimate and the submission."""
        members = {name: self.join(name) for name in self.config.members}
        return Job(
            name=f"ensemble {self.config.competition}",
            function="pipeline.stages.ensemble:blend_members",
            folder=self.project.workspace.submissions,
            fingerprint=fingerprints.of_ensemble(
                self.project, members={name: job.fingerprint for name, job in members.items()}
            ),
            arguments=self._arguments | {"blocks": self.block_fingerprints(blocks_of(self.config))},
            needs=tuple(members.values()),
            owns_folder=False,  # earlier submissions and the ledger stay
            overwrites=False,
        )

    @_once
    def scene_check(self) -> Job | None:
        """Return the job that looks for scenes in several folds; None without a learner's block."""
        backbone = next(iter(blocks_of(self.config)), None)
        if backbone is None:
            return None
        block = self.block(backbone)
        return Job(
            name=f"scenes on {backbone}",
            function="pipeline.stages.audit:check_scenes",
            folder=self.project.workspace.scenes_json.parent,
            fingerprint=fingerprints.of_scene_check(self.project, block=block.fingerprint),
            arguments=self._arguments | {"backbone": backbone},
            needs=(block,),
        )

    @_once
    def report(self) -> Job:
        """Return the job of the report."""
        ensemble = self.ensemble()
        return Job(
            name=f"report {self.config.competition}",
            function="pipeline.stages.report:make_report",
            folder=ensemble.folder / "report",
            fingerprint=fingerprints.of_report(self.project, ensemble=ensemble.fingerprint),
            arguments=self._arguments,
            needs=(ensemble, *ensemble.needs),
        )

    @cached_property
    def _arguments(self) -> dict[str, Any]:
        """Arguments of every job's function."""
        return {"project": self.project}

    def _stacked(self, member: str, fold: int) -> list[Job]:
        """Return one fold's models of the learners that a learner stacks."""
        names = stacked_by(self.config, self.project.folds, member)
        return [self.train(name, fold) for name in names]
