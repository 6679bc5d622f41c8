"""The YAML's schema: one model per section; unknown keys are refused, every key has a default.

`python -m pipeline config` prints it, so the descriptions are the documentation.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import ByteSize, Field, field_validator, model_validator

from pipeline.config.competition import (
    DEFAULT_METRICS,
    Data,
    Extra,
    Folds,
    Kind,
    Scale,
    Split,
    Task,
    Transform,
)
from pipeline.config.members import AnyMember, External, Learner, Member, Network, Pseudo, Search
from pipeline.config.names import one_of
from pipeline.config.network import Distill, Pool, Start
from pipeline.config.own_parts import ITEMS
from pipeline.config.section import Section
from pipeline.config.tta import expand_views

# Every section is imported from here, wherever it is written.
__all__ = [
    "BLENDS_OF_PROBABILITIES",
    "DEFAULT_METRICS",
    "TTA",
    "AnyBlend",
    "Backbone",
    "BlendKind",
    "Calibrate",
    "Config",
    "Data",
    "Distill",
    "External",
    "Extra",
    "Folds",
    "Kind",
    "Learner",
    "Member",
    "Network",
    "Pseudo",
    "Runtime",
    "Scale",
    "Search",
    "Section",
    "Split",
    "Start",
    "Submission",
    "Task",
    "Transform",
    "blends_of_probabilities",
    "known_blends",
]


class Backbone(Section):
    """A pretrained architecture, and how images are cut for its frozen features."""

    arch: str = Field(description="any timm architecture, with or without its tag")
    weights: str = Field(
        "hub",
        description="hub (what `make weights` fetched, else the model hub) | package:NAME (an "
        "installed package) | file:PATH | random",
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

    views: Literal["auto"] | Annotated[list[str], Field(min_length=1)] = Field(
        "auto",
        description="auto: original and mirrored, without the mirrored one if it makes another "
        "class, with more if they surely help, by a test on frozen features; or a list of "
        "original, mirrored, flipped, rotated_90|180|270, transposed, transversed, "
        "scale_F, crop_POSITION_F; eight_of_square and five_crops stand for lists",
    )

    @field_validator("views")
    @classmethod
    def _known_views(cls, views: str | list[str]) -> str | list[str]:
        return views if isinstance(views, str) else expand_views(views)

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
AnyBlend = Annotated[str, one_of("blend", get_args(BlendKind))]  # or a plugin's
# Ranks, and geometric and power means: values of a regression lose their unit in them.
BLENDS_OF_PROBABILITIES = ("rank_average", "geometric", "power")


def known_blends() -> tuple[str, ...]:
    """Return the names of blends, plugins' last."""
    return (*get_args(BlendKind), *ITEMS["blend"])


def blends_of_probabilities() -> tuple[str, ...]:
    """Return the names of blends that a regression cannot have."""
    own = [name for name, blend in ITEMS["blend"].items() if blend.of_probabilities]
    return (*BLENDS_OF_PROBABILITIES, *own)


Calibrate = Literal["none", "temperature", "isotonic"]


class Submission(Section):
    """Which blend is submitted, in which form."""

    id: str | None = Field(
        None, description="the sample's column of ids, where it is named otherwise than `data.id`"
    )
    columns: dict[str, str] = Field(
        {},
        description="the sample's columns that are named otherwise than classes or targets, and "
        "what they hold: {class_0: normal}; of a sample with a row for each id and class, classes",
    )
    rows: Literal["same", "sample", "test"] = Field(
        "same",
        description="same: the sample has an id for each test row; sample: it has some of them, "
        "and just these are written; test: it shows only some, and all test rows are written",
    )
    blend: str = Field(
        "best",
        description="best: in each fold what `choice` takes, by the other folds' rows; or the name "
        "of a blend or member",
    )
    choice: Literal["loss", "metric"] = Field(
        "loss",
        description="loss: the mean of all blends whose log loss (or squared error) is within two "
        "standard errors of the least; metric: the one blend whose metric is best",
    )
    format: Literal["auto", "label", "probability", "value", "level", "labels"] = Field(
        "auto",
        description="auto: found from sample_submission.csv and the metric; value: the expected "
        "level, level: the one nearest to it (ordinal); labels: those above the threshold, joined, "
        "or the likeliest (multiclass)",
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="for multilabel decisions")
    empty: str = Field(
        "auto",
        min_length=1,
        description="what a cell of labels holds where none is over the threshold: likeliest (the "
        "likeliest label), blank, or a word, such as `No Finding`; auto: likeliest where every "
        "training row has a label, else blank",
    )
    decisions: Literal["fitted", "fixed"] = Field(
        "fitted",
        description="fitted: thresholds for metrics that count decisions (F1, MCC, Jaccard ...), "
        "factors of classes for their F1 and balanced accuracy, cut-points for ordinal kappa, "
        "without the rows that are scored; fixed: threshold, likeliest class, or nearest level",
    )
    clip: Literal["auto", "none"] | tuple[float, float] = Field(
        "auto",
        description="of regression: what predictions are moved into. auto: the range of the "
        "training targets, column by column (metrics of ranks: none); or [LOW, HIGH]",
    )
    mix: dict[str, float] = Field(
        {},
        description="submissions made elsewhere, in the sample's form, with their weights: "
        "{teammate.csv: 0.3}. Beside the submission, NAME.mixed.csv holds the weighted mean (of "
        "ranks where the metric ranks); the estimate knows nothing of it",
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
    slug: str = Field(
        "",
        pattern=r"^[\w-]*$",
        description="the competition's name in its address on Kaggle, for `make submit`; default: "
        "the name under `competition`",
    )

    @field_validator("columns")
    @classmethod
    def _names_differ(cls, columns: dict[str, str]) -> dict[str, str]:
        held = list(columns.values())
        if twice := sorted({name for name in held if held.count(name) > 1}):
            raise ValueError(f"several columns hold {twice}: each holds another class or target")
        return columns

    @model_validator(mode="after")
    def _mixed_have_all_rows(self) -> "Submission":
        if self.mix and self.rows == "sample":
            raise ValueError(
                "`mix` needs submissions of all test rows, `rows: sample` writes some of them: "
                "leave one of the two out"
            )
        return self

    @field_validator("mix")
    @classmethod
    def _weights_leave_a_rest(cls, weights: dict[str, float]) -> dict[str, float]:
        if not all(weight > 0 for weight in weights.values()) or sum(weights.values()) >= 1:
            raise ValueError("expected weights above 0 whose sum is below 1: ours has the rest")
        return weights

    @field_validator("clip")
    @classmethod
    def _limits_rise(cls, limits: Any) -> Any:
        if isinstance(limits, tuple) and not limits[0] < limits[1]:
            raise ValueError("expected [LOW, HIGH], the lower value first")
        return limits


KindOfJob = Literal["features", "networks", "learners", "others"]


class Resources(Section):
    """What jobs of a kind want of a machine of a cluster."""

    cpu: float | None = Field(
        None, gt=0, description="processors, and threads; default: 4, of learners 2, of others 1"
    )
    gpu: float | None = Field(
        None, ge=0, description="0.5: two jobs share one; default: 1 where a machine has GPUs"
    )
    memory: ByteSize | None = Field(None, description="8GiB; default: not counted")


class Runtime(Section):
    """The machine: where networks run, and how fast; only `precision` changes what is computed."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where networks run")
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto",
        description="auto: on a GPU 16 for frozen features and bf16 or 16 to train, 32 elsewhere",
    )
    engine: Literal["auto", "eager", "compiled", "openvino"] = Field(
        "auto",
        description="of frozen and of trained networks' forward passes; auto: OpenVINO for many "
        "images on a CPU, if it is installed (`make install EXTRAS=openvino`), else eager torch",
    )
    workers: int | None = Field(
        None, ge=0, le=256, description="processes that read images; default: auto"
    )
    executor: Literal["local", "ray"] = Field(
        "local",
        description="what does the jobs: this machine, or Ray (`make install EXTRAS=ray`), on a "
        "cluster where RAY_ADDRESS names one",
    )
    jobs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="jobs at once at most; local: they share processors and GPUs (default: 1); "
        "ray: as many as the cluster has room for",
    )
    resources: dict[KindOfJob, Resources] = Field(
        {}, description="ray: what jobs want of a machine: `networks: {gpu: 0.5, memory: 8GiB}`"
    )

    @property
    def does_several(self) -> bool:
        """Whether several jobs may run at once."""
        return self.executor != "local" or (self.jobs or 1) > 1

    @field_validator("precision", mode="before")
    @classmethod
    def _number_as_text(cls, precision: Any) -> Any:
        return str(precision) if isinstance(precision, int) else precision


class Config(Section):
    """One competition."""

    competition: str = Field(description="folder under input/")
    plugins: list[str] = Field(
        [],
        description="modules of your own, in the working directory or on PYTHONPATH, that add "
        "learners, losses, augmentations, blends, metrics, architectures and sections of the "
        "report (see pipeline/plugins.py)",
    )
    task: Task
    data: Data = Data()
    folds: Folds = Folds()
    backbones: dict[str, Backbone] = Field({}, description="name: architecture and weights")
    members: dict[str, AnyMember] = Field({}, description="name: a learner or a network")
    tta: TTA = TTA()
    blends: list[AnyBlend] = Field(
        ["soft_vote", "weighted", "greedy", "stack"],
        min_length=1,
        description="tried and compared; plugins add others",
    )
    calibrate: Calibrate = Field(
        "temperature",
        description="how members' probabilities are calibrated before they are blended (and, by "
        "temperature, a blend's), fitted without the rows that are scored; "
        "regression: nothing",
    )
    submission: Submission = Submission()
    runtime: Runtime = Runtime()
    seed: int = Field(42, ge=0, description="governs every random draw")
