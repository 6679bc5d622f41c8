"""Members' sections of the YAML: learners on blocks, networks, and their pseudo-labels."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pipeline.config.section import Section


class Pseudo(Section):
    """Test rows, labelled by a teacher, join the training rows of each fold."""

    teacher: str = Field(description="a member, or one of `blends`")
    threshold: float | None = Field(
        None, ge=0, le=1, description="keep rows at least this confident"
    )
    top_share: float | None = Field(
        None, gt=0, le=1, description="keep this share of the most confident rows of each class"
    )
    labels: Literal["hard", "soft"] = Field("hard", description="the class, or the probabilities")
    weight: float = Field(1.0, gt=0, description="weight of a pseudo-labelled row in the loss")


class Member(Section):
    """What learners and networks have in common."""

    pseudo: Pseudo | None = Field(None, description="learn from labelled test rows too")
    seed: int | None = Field(None, description="default: the config's seed")


Strength = Annotated[float, Field(gt=0)]


class Learner(Member):
    """A model on concatenated blocks: [w1*block1, w2*block2, ...] of N rows."""

    learner: Literal["logistic", "ridge", "lightgbm"] = Field(description="what is fitted")
    blocks: dict[str, float] = Field(
        min_length=1, description="backbone: weight; blocks are standardised, then scaled by it"
    )
    transform: Literal["none", "sqrt"] = Field(
        "sqrt", description="sqrt: signed square root of features (Arandjelovic 2012)"
    )
    scale: Literal["standard", "l2", "none"] = Field(
        "standard", description="standard: zero mean, unit variance; fitted inside the fold"
    )
    views: Literal["mean", "rows"] = Field(
        "rows",
        description="rows: each view is a training row, predictions are averaged (tta.average); "
        "mean: the views' features are averaged",
    )
    strength: Strength | list[Strength] | None = Field(
        None, description="L2 penalty; several: chosen inside the fold; None: the learner's list"
    )
    class_weights: Literal["none", "balanced"] = Field("none", description="reweight rare classes")
    metadata: bool = Field(True, description="join data.numeric and data.categorical columns")
    params: dict[str, Any] = Field({}, description="passed to the library's estimator as they are")


class Network(Member):
    """A backbone fine-tuned once per fold."""

    network: str = Field(description="one of `backbones`: its architecture and weights")
    image_size: int | None = Field(None, ge=16, le=2048, description="default: the backbone's")
    epochs: int = Field(8, ge=1, description="passes over the training rows")
    batch_size: int = Field(32, ge=1, description="images per optimiser step")
    accumulate: int = Field(1, ge=1, description="split a batch in this many parts to save memory")
    augment: Literal["none", "light", "medium", "heavy"] | list[dict[str, Any]] = Field(
        "medium", description="a preset, or albumentations transforms: [{HorizontalFlip: {p: 0.5}}]"
    )
    mixup: float = Field(0.2, ge=0, description="alpha of Beta(alpha, alpha); 0: off (Zhang 2018)")
    loss: Literal["auto", "cross_entropy", "bce", "mse", "mae", "huber"] = Field(
        "auto", description="by task: cross_entropy, bce (multilabel), mse (regression)"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="for cross_entropy")
    class_weights: Literal["none", "balanced"] = Field("none", description="inverse frequency")
    optimizer: str = Field("adamw", description="any optimizer that timm knows")
    lr: float = Field(1e-3, gt=0, description="peak learning rate of the head")
    backbone_lr: float = Field(0.3, gt=0, description="backbone's learning rate as a share of lr")
    weight_decay: float = Field(0.02, ge=0, description="not applied to norms and biases")
    warmup_epochs: float = Field(1.0, ge=0, description="linear warm-up")
    min_lr: float = Field(1e-5, ge=0, description="floor of the cosine")
    clip_norm: float = Field(1.0, ge=0, description="clip the gradient's norm; 0: off")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="average of weights; 0: off")
    dropout: float = Field(0.2, ge=0, lt=1, description="before the linear head")
    drop_path: float = Field(0.0, ge=0, lt=1, description="stochastic depth, where timm has it")
    patience: int = Field(
        0, ge=0, description="stop after so many epochs without a better score; 0: never"
    )
    plain: bool = Field(
        False, description="no augmentation, no mixing, one process: for hunting bugs"
    )


def member_kind(raw: Any) -> str | None:
    """Tell a learner from a network by its defining key."""
    keys = raw if isinstance(raw, dict) else getattr(raw, "__dict__", {})
    if ("learner" in keys) == ("network" in keys):
        return None
    return "learner" if "learner" in keys else "network"


AnyMember = Annotated[
    Annotated[Learner, Tag("learner")] | Annotated[Network, Tag("network")],
    Discriminator(
        member_kind,
        custom_error_type="member_kind",
        custom_error_message="a member has either `learner: NAME` or `network: BACKBONE`",
    ),
]
