"""The YAML's schema: one model per section; unknown keys are refused, every key has a default.

`python -m pipeline config` prints this page as a table, so descriptions here are the documentation.
"""

from string import Formatter
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config.members import AnyMember, External, Learner, Member, Network, Pseudo, Search
from pipeline.config.network import Distill, Pool, Start
from pipeline.config.section import Section
from pipeline.config.views import expand_views

# Every section is imported from here, wherever it is written.
__all__ = [
    "BLENDS_OF_PROBABILITIES",
    "DEFAULT_METRICS",
    "TTA",
    "Backbone",
    "BlendKind",
    "Calibrate",
    "Config",
    "Data",
    "Distill",
    "External",
    "Folds",
    "Kind",
    "Learner",
    "Member",
    "Network",
    "Pseudo",
    "Runtime",
    "Search",
    "Section",
    "Start",
    "Submission",
    "Task",
]

Kind = Literal["binary", "multiclass", "multilabel", "ordinal", "regression"]
DEFAULT_METRICS: dict[str, str] = {
    "binary": "roc_auc",
    "multiclass": "accuracy",
    "multilabel": "average_precision",
    "ordinal": "quadratic_weighted_kappa",
    "regression": "rmse",
}


class Task(Section):
    """What is predicted and how it is scored."""

    kind: Kind = Field(description="what the target is")
    target: str | list[str] = Field(
        description="target column of train.csv, or a list of columns (multilabel, regression)"
    )
    metric: str = Field(
        "", description="metric's name, or module:function; default by kind (see METRICS)"
    )
    classes: list[str] | None = Field(
        None, description="class names in order; default: sorted values found in train.csv"
    )
    separator: str = Field(
        " ", min_length=1, description="between labels, where one multilabel cell holds several"
    )

    @model_validator(mode="before")
    @classmethod
    def _default_metric(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and not raw.get("metric"):
            raw = {**raw, "metric": DEFAULT_METRICS.get(str(raw.get("kind")), "")}
        return raw

    @property
    def targets(self) -> list[str]:
        """Target columns, always a list."""
        return [self.target] if isinstance(self.target, str) else list(self.target)

    @model_validator(mode="after")
    def _keys_go_together(self) -> "Task":
        if len(self.targets) != 1 and self.kind not in ("multilabel", "regression"):
            raise ValueError(f"a {self.kind} task has one target column, got {self.targets}")
        if self.classes is not None:
            if self.kind == "regression" or len(self.targets) > 1:
                raise ValueError("`classes` names labels in one column; here columns are named")
            if len(set(self.classes)) != len(self.classes):
                raise ValueError(f"`classes` names one twice: {self.classes}")
        return self


class Data(Section):
    """Where the rows and their images are, relative to input/<competition>/."""

    id: str = Field("id", description="column that identifies a row, the same in every CSV")
    train_images: str = Field(
        "train/{id}",
        description="path of a training image; any column of train.csv may stand in braces",
    )
    test_images: str = Field("test/{id}", description="the same for test.csv")
    train_csv: str = Field("train.csv", description="training rows with targets")
    test_csv: str = Field(
        "test.csv", description="test rows; where the file is absent, the sample's ids are taken"
    )
    sample_submission: str = Field(
        "sample_submission.csv", description="the file whose columns and rows are copied"
    )
    group: str | None = Field(
        None, description="column of what must not straddle folds (a person, a patient, a site)"
    )
    allow_shared_ids: bool = Field(
        False, description="ids that stand in both train and test mean different images"
    )
    subset: float = Field(
        1.0, gt=0, le=1, description="stratified share of the training rows, for quick tries"
    )
    numeric: list[str] = Field([], description="columns that learners see, scaled to [-1, 1]")
    categorical: list[str] = Field(
        [],
        description="columns that learners see, one-hot; times mlp's first layer an embedding",
    )

    @field_validator("train_images", "test_images")
    @classmethod
    def _readable_template(cls, template: str) -> str:
        try:
            columns = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
            template.format_map(dict.fromkeys(columns, "1"))
        except (ValueError, LookupError, AttributeError) as error:
            raise ValueError(f"{error}; expected a path such as train/{{id}}.png") from None
        return template


class Folds(Section):
    """How training rows are held out."""

    scheme: Literal[
        "stratified",
        "kfold",
        "group",
        "stratified_group",
        "multilabel_stratified",
        "binned_stratified",
        "column",
    ] = Field(
        "stratified",
        description="`stratified` means: as the task asks for, and by group where one is named",
    )
    n: int = Field(5, ge=2, le=50, description="number of folds K")
    seed: int | None = Field(None, description="default: the config's seed")
    column: str | None = Field(None, description="column of train.csv with ready folds 0..K-1")
    bins: int = Field(10, ge=2, description="quantile bins of binned_stratified")
    keep_duplicates_together: bool = Field(
        True, description="exact and near-duplicate images share a fold"
    )

    @model_validator(mode="after")
    def _column_goes_with_its_scheme(self) -> "Folds":
        if (self.scheme == "column") != (self.column is not None):
            raise ValueError("`scheme: column` and `column: NAME` go together")
        return self


class Backbone(Section):
    """A pretrained architecture, and how images are cut for its frozen features."""

    arch: str = Field(description="any timm architecture, with or without its tag")
    weights: str = Field(
        "hub", description="hub | package:NAME (an installed package) | file:PATH | random"
    )
    image_size: int = Field(224, ge=16, le=2048, description="side of the square it sees, pixels")
    cut: Literal["crop", "squash", "pad"] = Field(
        "crop", description="crop: short side to image_size, centre crop; pad: long side, grey bars"
    )
    stages: list[int] = Field(
        [],
        description="of frozen features only, networks have their own key: join these stages, "
        "pooled, to the last: [-2], or [1, 2] (Hariharan 2015)",
    )
    pool: Pool = Field(
        "auto",
        description="of frozen features only: auto: the last stage as the backbone pools it, "
        "others' averages; gem: power mean, p = 3 (Radenovic 2018); concat: avg beside max",
    )


class TTA(Section):
    """Views of each image at inference, the same for oof and test."""

    views: list[str] = Field(
        ["original", "mirrored"],
        min_length=1,
        description="original, mirrored, flipped, rotated_90|180|270, transposed, transversed, "
        "scale_F, crop_POSITION_F; eight_of_square and five_crops stand for lists",
    )

    @field_validator("views")
    @classmethod
    def _known_views(cls, views: list[str]) -> list[str]:
        return expand_views(views)

    average: Literal["probabilities", "logits", "geometric"] = Field(
        "probabilities", description="how the views' predictions are averaged"
    )


BlendKind = Literal[
    "soft_vote",
    "hard_vote",
    "rank_average",
    "geometric",
    "power",
    "weighted",
    "weighted_metric",
    "class_weighted",
    "greedy",
    "stack",
    "stack_ridge",
    "stack_lightgbm",
    "stack_two_level",
]
# Ranks, and geometric and power means: values of a regression lose their unit in them.
BLENDS_OF_PROBABILITIES = ("rank_average", "geometric", "power")
Calibrate = Literal["none", "temperature", "isotonic"]


class Submission(Section):
    """Which blend is submitted, in which form."""

    blend: str = Field(
        "best",
        description="best: in each fold the blend that scores best on the others; or a name",
    )
    format: Literal["auto", "label", "probability", "value", "level", "labels"] = Field(
        "auto",
        description="auto: found from sample_submission.csv and the metric; value: the expected "
        "level, level: the one nearest to it (ordinal); labels: those above the threshold, joined",
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="for multilabel decisions")
    decisions: Literal["fitted", "fixed"] = Field(
        "fitted",
        description="fitted: thresholds for F1 (and binary balanced accuracy) and cut-points for "
        "ordinal kappa, without the rows that are scored; fixed: threshold, or the nearest level",
    )
    test_split: Literal["random", "stratified"] = Field(
        "random",
        description="how the test rows are thought to have been parted from train; stratified: "
        "class by class, so that intervals need not count that the classes' shares vary",
    )
    public_share: float | None = Field(
        0.3,
        gt=0,
        lt=1,
        description="share of the test rows that the public leaderboard is thought to show; says "
        "what to expect there, and changes no prediction",
    )


class Runtime(Section):
    """The machine; nothing here changes what is computed, only where and how fast."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where networks run")
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto", description="auto: bf16 or 16 on a GPU that gains from it, 32 elsewhere"
    )
    workers: int | None = Field(None, ge=0, description="processes that read images; default: auto")

    @field_validator("precision", mode="before")
    @classmethod
    def _number_as_text(cls, precision: Any) -> Any:
        return str(precision) if isinstance(precision, int) else precision


class Config(Section):
    """One competition."""

    competition: str = Field(description="folder under input/")
    task: Task
    data: Data = Data()
    folds: Folds = Folds()
    backbones: dict[str, Backbone] = Field({}, description="name: architecture and weights")
    members: dict[str, AnyMember] = Field({}, description="name: a learner or a network")
    tta: TTA = TTA()
    blends: list[BlendKind] = Field(
        ["soft_vote", "weighted", "greedy", "stack"], min_length=1, description="tried and compared"
    )
    calibrate: Calibrate = Field(
        "temperature",
        description="what is done to members' probabilities before they are blended (and, by "
        "temperature, to what a blend makes of them), fitted without the rows that are scored; "
        "regression: nothing",
    )
    submission: Submission = Submission()
    runtime: Runtime = Runtime()
    seed: int = Field(42, ge=0, description="governs every random draw")

    @model_validator(mode="after")
    def _members_and_blends_fit_the_task(self) -> "Config":
        kind = self.task.kind
        problems = []
        if kind == "regression":
            problems += [
                f"blends: {blend} is for probabilities, but task.kind is regression; soft_vote "
                "(mean) and hard_vote (median) take its place"
                for blend in self.blends
                if blend in BLENDS_OF_PROBABILITIES
            ]
            problems += [
                f"members.{name}: {member.learner} predicts classes, but task.kind is regression; "
                "use ridge, lightgbm, extra_trees, knn or mlp"
                for name, member in self.members.items()
                if isinstance(member, Learner) and member.learner in ("logistic", "svm")
            ]
        if kind in ("regression", "multilabel"):
            problems += [
                f"members.{name}: class_weights need one class per row, but task.kind is {kind}"
                for name, member in self.members.items()
                if isinstance(member, Learner) and member.class_weights != "none"
            ]
            problems += [
                f"members.{name}: sampling: {member.sampling} needs "
                f"{'classes' if kind == 'regression' else 'one class per row'}, but task.kind is "
                f"{kind}"
                for name, member in self.members.items()
                if isinstance(member, Learner)
                and member.sampling != "all"
                and (kind == "regression" or member.sampling == "smote")
            ]
            problems += [
                f"members.{name}: pseudo.{key} needs one class per row, but task.kind is {kind}"
                for name, pseudo in self._pseudo_labels()
                for key in ("agreement", "balance")
                if getattr(pseudo, key)
            ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _pseudo_labels(self) -> list[tuple[str, Pseudo]]:
        """Members with pseudo-labels, and these, each as it was written (round 1)."""
        found = [(name, getattr(member, "pseudo", None)) for name, member in self.members.items()]
        return [(name, pseudo) for name, pseudo in found if pseudo and pseudo.after is None]
