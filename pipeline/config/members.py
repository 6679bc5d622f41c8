"""Members' sections of the YAML: learners on blocks, networks, and their pseudo-labels."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.config.learners import BUILT_IN, LEARNERS, UNKNOWN, LearnerEntry
from pipeline.config.names import one_of
from pipeline.config.network import NetworkSettings
from pipeline.config.section import Section

METADATA = "metadata"  # one of a learner's blocks: the encoded columns of the CSVs
STACKED = "stacks"  # another one: predictions of the learners that it stacks


class Pseudo(Section):
    """Test rows, labelled by a teacher, join the training rows of each fold."""

    teacher: str = Field(description="a member, or one of `blends`")
    threshold: float | None = Field(
        None, ge=0, le=1, description="keep rows at least this confident"
    )
    top_share: float | None = Field(
        None, gt=0, le=1, description="keep this share of the most confident rows of each class"
    )
    agreement: float | None = Field(
        None,
        gt=0,
        le=1,
        description="keep rows where at least this share of round 0's members predict the "
        "teacher's class",
    )
    balance: bool = Field(
        False,
        description="of the rows kept so far, no class fills more than its share of the training "
        "rows; the least confident go",
    )
    labels: Literal["hard", "soft"] = Field("hard", description="the class, or the probabilities")
    weight: float = Field(1.0, gt=0, description="weight of a pseudo-labelled row in the loss")
    rounds: int = Field(
        1,
        ge=1,
        description="a member for each: NAME, NAME_round-2 (its teacher is NAME, or the blend that "
        "NAME joins), ...; blends use the rounds before the first without a gain",
    )
    after: str | None = Field(
        None,
        description="the student of the round before, which joins the members that a blend as "
        "teacher is made of; `rounds` fills it in",
    )


class Member(Section):
    """Keys that learners and networks share."""

    pseudo: Pseudo | None = Field(None, description="learn from labelled test rows too")
    seed: int | None = Field(None, description="default: the config's seed")
    seeds: list[int] = Field([], description="a member for each: NAME, NAME_seed-2, ...")
    vary: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="a member for each combination: {lr: [1e-3, 3e-4]} adds NAME_lr-0.0003"
    )
    all_rows: bool = Field(
        False,
        description="train once more on all rows, as many epochs as the folds took; the submission "
        "is made by that model, the estimate by the folds'",
    )

    @property
    def teachers(self) -> dict[str, str]:
        """Return teachers by the key that names them."""
        return {} if self.pseudo is None else {"pseudo": self.pseudo.teacher}

    @property
    def depends_on(self) -> list[str]:
        """Return members or blends that must be fitted before."""
        before = None if self.pseudo is None else self.pseudo.after
        return [*self.teachers.values(), *([] if before is None else [before])]


Strength = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]


class Search(Section):
    """A search inside each fold, scored on rows that inner folds hold out."""

    params: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="values of `params`, drawn at random: {num_leaves: [7, 15, 31]}"
    )
    strength: list[Strength] = Field([], description="values of `strength`, drawn with them")
    blocks: list[Weight] = Field(
        [],
        description="weights tried for one block after the other, e.g. [0, 0.5, 1, 2], starting "
        "from the member's `blocks`, with the params that were found",
    )
    trials: int = Field(
        20, ge=1, description="most draws of params, and again most steps of block weights"
    )
    axes: int | None = Field(
        128,
        ge=1,
        description="principal axes of each block that trials see, for speed, where `concatenate` "
        "is scaled (the last fit sees all); None: all dimensions",
    )
    budget_seconds: float | None = Field(
        None,
        gt=0,
        description="start no trial after this time, in each fold; what is found then depends on "
        "the machine's speed",
    )

    @model_validator(mode="after")
    def _something_to_search(self) -> "Search":
        if not (self.params or self.strength or self.blocks):
            raise ValueError(
                "names nothing to search: give `params`, `strength` or `blocks` lists of values"
            )
        return self


class Learner(Member):
    """A model on concatenated blocks: [w1*block1, w2*block2, ...] of N rows."""

    learner: Annotated[str, one_of("learner", BUILT_IN)] = Field(
        description="what is fitted, or a plugin's; logistic and svm (linear) predict classes "
        "only; xgboost and catboost are installed beside"
    )
    blocks: dict[str, Weight] = Field(
        min_length=1,
        description="backbone: weight, `concatenate` says of what; metadata: weight of "
        "data.numeric and data.categorical (default 1), also alone",
    )
    concatenate: Literal["scaled", "pca", "importance"] = Field(
        "scaled",
        description="scaled: a weight multiplies its block; pca, importance: a backbone's is the "
        "share of the block's dimensions that is kept, in (0, 1], 0 for none: the first principal "
        "axes, or the dimensions whose squared correlation with the target's columns is highest "
        "on average (the order of F-scores; scikit-learn's f_regression); fitted inside the fold",
    )
    transform: Literal["none", "sqrt"] = Field(
        "sqrt", description="sqrt: signed square root of features (Arandjelovic 2012)"
    )
    scale: Literal["standard", "whiten", "l2", "none"] = Field(
        "standard",
        description="standard: zero mean, unit variance; whiten: the same along principal axes, "
        "quiet ones held back (PCA-cor whitening, Kessy 2018); both fitted inside the fold",
    )
    views: Literal["mean", "rows"] = Field(
        "rows",
        description="rows: each view is a training row, predictions are averaged (tta.average); "
        "mean: the views' features are averaged",
    )
    pool_images: Literal["mean", "max", "mean_max", "concat"] = Field(
        "mean",
        description="of rows with several images: how their features become a row's; mean_max: "
        "one beside the other; concat: each image's beside the next one's, for rows with as many",
    )
    strength: Strength | list[Strength] | None = Field(
        None,
        description="L2 penalty; several: chosen inside the fold (not lightgbm, mlp); None: the "
        "learner's own; extra_trees and knn have none",
    )
    sampling: Literal["all", "oversample", "undersample", "smote"] = Field(
        "all",
        description="of training rows: each class as large as the largest (oversample: copies; "
        "smote: new rows between neighbours, Chawla 2002), or as the smallest (undersample)",
    )
    class_weights: Literal["none", "balanced"] = Field("none", description="reweight rare classes")
    metadata: bool = Field(
        True, description="join data.numeric and data.categorical columns, a block of their own"
    )
    params: dict[str, Any] = Field({}, description="passed to the library's estimator as they are")
    search: Search | None = Field(
        None, description="choose params, strength or block weights inside the fold"
    )
    stacks: list[str] = Field(
        [],
        description="learners whose predictions join the blocks (Wolpert 1992, here beside the "
        "features), as logarithms but for regression, a block of weight 1; those of a training row "
        "are by models that saw neither its fold nor the held-out one, which costs, for K folds, "
        "K - 1 fits more of each learner in each fold",
    )

    @property
    def entry(self) -> LearnerEntry:
        """Return what is known of its learner."""
        return LEARNERS.get(self.learner, UNKNOWN)

    @property
    def depends_on(self) -> list[str]:
        """Return members or blends that must be fitted before."""
        return [*super().depends_on, *self.stacks]

    @property
    def backbones(self) -> list[str]:
        """Return its backbones, sorted: their order in the YAML has no meaning."""
        return sorted(name for name in self.blocks if name != METADATA)

    @property
    def metadata_weight(self) -> float:
        """Return the weight of the metadata block; 0 leaves it out."""
        return self.blocks.get(METADATA, 1.0) if self.metadata else 0.0

    @model_validator(mode="after")
    def _something_to_see(self) -> "Learner":
        if not self.backbones and not self.metadata:
            raise ValueError("blocks: metadata alone, and `metadata: false` leaves it out")
        return self

    @model_validator(mode="after")
    def _no_choice_that_is_not_made(self) -> "Learner":
        penalties = self.entry.penalties
        if penalties == "one" and isinstance(self.strength, list) and len(self.strength) > 1:
            raise ValueError(
                f"strength: {self.learner} takes one; say `vary: {{strength: [...]}}` for a member "
                "each, or `search: {strength: [...]}`"
            )
        if penalties == "none" and self.search and self.search.strength:
            raise ValueError(f"search: {self.learner} has no strength")
        return self

    @model_validator(mode="after")
    def _stacks_stay_nested(self) -> "Learner":
        if not self.stacks:
            return self
        if self.pseudo is not None:
            raise ValueError(
                "stacks: not with pseudo: labels of test rows repeat the stacked learners' "
                "predictions there, and the learner would rely on them. Remove one of the two"
            )
        # The stacked columns contain the labels of rows that inner folds hold out, so any choice by
        # these rows is wrong: on noise, the weakest penalty wins.
        if self.search is not None or self.entry.chooses:
            what = "search" if self.search is not None else f"learner {self.learner}"
            others = [name for name, entry in LEARNERS.items() if not entry.chooses]
            raise ValueError(
                f"stacks: {what} chooses by rows whose labels the stacked learners saw; say one "
                f"of {others}, without search"
            )
        return self

    @model_validator(mode="after")
    def _params_are_known(self) -> "Learner":
        known = self.entry.params
        named = {*self.params, *(self.search.params if self.search else ())}
        if known is not None and (unknown := sorted(named - set(known))):
            raise ValueError(
                f"{self.learner} has no params {unknown}; it knows {list(known)}. Correct "
                "`params` or `search.params`"
            )
        return self

    @model_validator(mode="after")
    def _shares_are_shares(self) -> "Learner":
        weights = [self.blocks[name] for name in self.backbones]
        weights += self.search.blocks if self.search else []
        if self.concatenate != "scaled" and not all(0 <= weight <= 1 for weight in weights):
            raise ValueError(
                f"concatenate: {self.concatenate} keeps shares of blocks: weights lie in (0, 1], "
                f"or are 0 for none, not {weights}"
            )
        return self


class Network(Member, NetworkSettings):
    """A backbone fine-tuned once per fold."""

    @property
    def teachers(self) -> dict[str, str]:
        """Return teachers by the key that names them."""
        distilled = {} if self.distill is None else {"distill": self.distill.teacher}
        return super().teachers | distilled

    @property
    def depends_on(self) -> list[str]:
        """Return members or blends that must be fitted before."""
        return [*super().depends_on, *([] if self.start is None else [self.start.member])]


class External(Section):
    """Predictions that were made elsewhere, on the same folds."""

    external: str = Field(description="folder of oof.csv (id, one column per class) and test.csv")

    all_rows: ClassVar[bool] = False
    teachers: ClassVar[dict[str, str]] = {}
    depends_on: ClassVar[list[str]] = []


KINDS: dict[str, type[Section]] = {"learner": Learner, "network": Network, "external": External}


def member_kind(raw: Any) -> str | None:
    """Return a member's kind, by its defining key; None if it has none or several."""
    keys = raw if isinstance(raw, dict) else getattr(raw, "__dict__", {})
    found = [kind for kind in KINDS if kind in keys]
    return found[0] if len(found) == 1 else None


AnyMember = Annotated[
    Annotated[Learner, Tag("learner")]
    | Annotated[Network, Tag("network")]
    | Annotated[External, Tag("external")],
    Discriminator(
        member_kind,
        custom_error_type="member_kind",
        custom_error_message="a member has either `learner: NAME`, `network: BACKBONE` or "
        "`external: FOLDER`",
    ),
]
