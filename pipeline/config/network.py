"""A network's section of the YAML: architecture, objective, inputs and optimisation."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PositiveInt, model_validator

from pipeline.config.names import one_of
from pipeline.config.section import Section

LossName = Literal[
    "auto",
    "cross_entropy",
    "focal",
    "am_softmax",
    "cosface",
    "arcface",
    "cumulative",
    "bce",
    "mse",
    "mae",
    "huber",
]
AnyLoss = Annotated[str, one_of("loss", get_args(LossName))]  # or a plugin's
MARGINS = {"am_softmax": 0.35, "cosface": 0.35, "arcface": 0.5}  # of losses that compare angles
Positive = Annotated[float, Field(gt=0)]
Pool = Literal["auto", "avg", "max", "avgmax", "gem", "concat"]

Preset = Literal["auto", "none", "light", "medium", "heavy"]  # of augmentation


class Start(Section):
    """Weights of another member's model of the same fold."""

    member: str = Field(description="a network of the same backbone")
    head: Literal["new", "keep"] = Field("new", description="keep: go on from its head too")


class Architecture(Section):
    """Backbone, pooling and head, and their first weights."""

    network: str = Field(description="one of `backbones`: its architecture and weights")
    image_size: int | None = Field(None, ge=16, le=2048, description="default: the backbone's")
    channels: Literal[1, 3, 4] = Field(
        3, description="1: grey; 4: a channel of zeros more, for tensor cores, same predictions"
    )
    pool: Pool = Field(
        "auto",
        description="auto: the backbone's own; gem: learned power mean (Radenovic 2018); "
        "concat: avg beside max",
    )
    stages: list[int] = Field(
        [], description="join these stages, pooled, to the last: [-2], or [1, 2] (Hariharan 2015)"
    )
    head: Literal["linear", "mlp", "cosine"] = Field(
        "linear", description="cosine: of angles, for the margin losses (Wang 2018)"
    )
    hidden: int = Field(512, ge=64, multiple_of=64, description="width of head: mlp")
    dropout: float = Field(0.2, ge=0, lt=1, description="before the head's last layer")
    dropout_samples: int = Field(
        1, ge=1, description="mean loss over so many dropout masks (Inoue 2019)"
    )
    drop_path: float = Field(0.0, ge=0, lt=1, description="stochastic depth, where timm has it")
    init: Literal["zero", "kaiming", "xavier", "linear_probe"] = Field(
        "zero",
        description="weights of the head's last layer (He 2015, Glorot 2010); linear_probe: a "
        "logistic regression (ridge for regression) on the frozen features of the fold's training "
        "rows (Kumar 2022)",
    )
    bias: Literal["prior", "rare", "zero"] = Field(
        "prior",
        description="prior: log class frequencies, or log-odds (Karpathy 2019); rare: every class "
        "at 0.01, for focal (Lin 2017)",
    )
    start: Start | None = Field(None, description="weights of another member, instead of ImageNet")


class Distill(Section):
    """Predictions of a member's or blend's models of the same fold as targets (Hinton 2015)."""

    teacher: str = Field(description="a member, or one of `blends`")
    weight: float = Field(0.5, gt=0, le=1, description="share of the teacher's loss")
    temperature: float = Field(2.0, gt=0, description="softens both sides")


class Objective(Section):
    """Losses and their weights."""

    loss: AnyLoss | dict[AnyLoss, Positive] = Field(
        "auto",
        description="by task: cross_entropy, bce (multilabel), mse (regression); or a sum: "
        "{cross_entropy: 1.0, focal: 0.5}; plugins add others",
    )
    loss_balance: Literal["fixed", "learned"] = Field(
        "fixed", description="learned: weights of a sum from their uncertainty (Kendall 2018)"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="for cross_entropy (Szegedy 2016)")
    focal_gamma: float = Field(2.0, ge=0, description="0: cross-entropy (Lin 2017)")
    margin: float | None = Field(
        None, ge=0, description="default: am_softmax, cosface 0.35 (Wang 2018); arcface 0.5 rad"
    )
    scale: float = Field(16.0, gt=0, description="of head: cosine; papers take 30 to 64 for faces")
    class_weights: Literal["none", "balanced", "effective"] = Field(
        "none", description="balanced: inverse frequency; effective: by number (Cui 2019)"
    )
    effective_beta: float = Field(0.999, ge=0, lt=1, description="of class_weights: effective")
    distill: Distill | None = Field(None, description="a teacher")

    @property
    def loss_weights(self) -> dict[str, float]:
        """Return each loss's weight in the sum."""
        return self.loss if isinstance(self.loss, dict) else {self.loss: 1.0}

    @model_validator(mode="after")
    def _some_loss(self) -> "Objective":
        if not self.loss_weights:
            raise ValueError("loss: a sum of nothing; name a loss, or say `auto`")
        return self


class Inputs(Section):
    """Batches, sampling, augmentation and mixing."""

    early_size: float = Field(
        1.0,
        ge=0.25,
        le=1,
        description="side of training images in the first two thirds of the epochs, as a share of "
        "image_size; below 1 training is faster (Touvron 2019, Tan 2021)",
    )

    batch_size: int = Field(32, ge=1, description="images per optimiser step")
    accumulate: int = Field(1, ge=1, description="split a batch in this many parts to save memory")
    sampling: Literal["all", "balanced", "oversample", "undersample", "weighted"] = Field(
        "all",
        description="balanced: classes drawn alike; over-, undersample: to the largest, the "
        "smallest class; weighted: by row weights; rows drawn anew each epoch",
    )
    augment: Preset | list[dict[str, Any]] = Field(
        "auto",
        description="a preset, or transforms of albumentations or a plugin: "
        "[{HorizontalFlip: {p: 0.5}}]; auto: light, with vertical flips and quarter turns where "
        "they do no harm to frozen features, and without horizontal flips where they make another "
        "class",
    )
    mixup: float = Field(0.2, ge=0, description="alpha of Beta(alpha, alpha); 0: off (Zhang 2018)")
    cutmix: float = Field(0.0, ge=0, description="alpha; 0: off (Yun 2019)")
    ricap: float = Field(0.0, ge=0, description="beta; 0: off; four images (Takahashi 2018)")
    mosaic: float = Field(
        0.0, ge=0, description="beta; 0: off; four whole images (Bochkovskiy 2020)"
    )
    mix_probability: float = Field(
        1.0, ge=0, le=1, description="of a batch to be mixed, by one of those that are on"
    )


class Optimisation(Section):
    """Optimizer, schedule, averages of weights and early stopping."""

    epochs: PositiveInt | Literal["auto"] = Field(
        "auto", description="passes over the training rows; auto: 500 / sqrt(rows), from 4 to 30"
    )
    optimizer: str = Field(
        "adamw", description="adabound (Luo 2019), or any of timm's that needs no other library"
    )
    lr: float = Field(3e-3, gt=0, description="peak learning rate of the head")
    scale_lr: bool = Field(False, description="multiply lr by batch_size / 256 (Goyal 2017)")
    backbone_lr: float = Field(0.3, gt=0, description="backbone's learning rate as a share of lr")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="each layer's lr as a share of the next one's (Clark 2020)"
    )
    freeze: int = Field(0, ge=0, description="stages, from the stem, that do not learn")
    unfreeze_every: int = Field(
        0, ge=0, description="epochs until one stage more learns, from the head (Howard 2018)"
    )
    batch_norm: Literal["learn", "freeze"] = Field(
        "learn", description="freeze: keep the pretrained statistics"
    )
    weight_decay: float = Field(0.02, ge=0, description="not applied to norms and biases")
    schedule: Literal["cosine", "constant", "step", "multistep", "restarts", "one_cycle"] = Field(
        "cosine", description="after warm-up, down to min_lr (Loshchilov 2017; Smith 2018)"
    )
    warmup_epochs: float = Field(1.0, ge=0, description="linear warm-up; one_cycle has its own")
    min_lr: float = Field(1e-5, ge=0, description="floor of the schedule")
    milestones: list[float] = Field(
        [], description="multistep: epochs at which lr falls; step: their distance, [2]"
    )
    lr_drop: float = Field(0.1, gt=0, lt=1, description="step, multistep: what lr is multiplied by")
    restarts: int = Field(2, ge=1, description="cosines of schedule: restarts (Loshchilov 2017)")
    clip_norm: float = Field(1.0, ge=0, description="clip the gradient's norm; 0: off")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="average of weights; 0: off")
    swa_epochs: int = Field(
        0, ge=0, description="use the mean of the last epochs' weights instead (Izmailov 2018)"
    )
    patience: int = Field(
        0,
        ge=0,
        description="stop after so many epochs without a better score of some training rows, which "
        "are kept from training, and use the best epoch; held-out rows are not used; 0: never",
    )
    patience_share: float = Field(
        0.1,
        ge=0.02,
        le=0.5,
        description="about what share of the training rows, whole groups, patience keeps aside; 20 "
        "rows at least, or a quarter",
    )
    cycles: int = Field(
        1, ge=1, description="train again from the trained weights, each time a member more: NAME_2"
    )
    plain: bool = Field(
        False, description="no augmentation, no mixing, one process: for hunting bugs"
    )

    @model_validator(mode="after")
    def _means_end_with_the_run(self) -> "Optimisation":
        if self.epochs == "auto":
            if self.swa_epochs or self.milestones:
                raise ValueError("swa_epochs and milestones need a number of epochs, not auto")
        elif self.swa_epochs > self.epochs:
            raise ValueError(f"swa_epochs {self.swa_epochs}: there are {self.epochs} epochs")
        return self


def auto_epochs(num_rows: int) -> int:
    """Return what `epochs: auto` is: more rows get fewer epochs, and more steps."""
    return min(30, max(4, round(500 / num_rows**0.5)))


class NetworkSettings(Optimisation, Inputs, Objective, Architecture):
    """All of a network's keys that learners do not have."""

    @model_validator(mode="after")
    def _margin_losses_want_angles(self) -> "NetworkSettings":
        wanting = [name for name in self.loss_weights if name in MARGINS]
        if wanting and self.head != "cosine":
            raise ValueError(f"loss {wanting[0]} compares angles: say `head: cosine`")
        return self

    @model_validator(mode="after")
    def _probe_is_linear(self) -> "NetworkSettings":
        if self.init == "linear_probe" and self.head != "linear":
            raise ValueError("init: linear_probe is a linear model: say `head: linear`")
        return self
