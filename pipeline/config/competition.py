"""A competition's sections of the YAML: the task, where its files are, how rows are held out."""

import codecs
import re
from string import Formatter
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, field_validator, model_validator

from pipeline.config.section import Section

MAX_WIDTH = 255  # a path's part has no more bytes
Kind = Literal["binary", "multiclass", "multilabel", "ordinal", "regression"]
Link = Literal["softmax", "sigmoid", "identity"]
Scale = Literal["none", "log1p"]  # of targets and predictions between the files
Transform = Literal["auto", "none", "log1p", "yeo_johnson", "quantile"]
DEFAULT_METRICS: dict[str, str] = {
    "binary": "roc_auc",
    "multiclass": "accuracy",
    "multilabel": "average_precision",
    "ordinal": "quadratic_weighted_kappa",
    "regression": "rmse",
}


class OfKind:
    """What follows from a task's kind."""

    kind: Kind

    @property
    def is_regression(self) -> bool:
        """Whether values are numbers, not probabilities."""
        return self.kind == "regression"

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes, one of them positive."""
        return self.kind == "binary"

    @property
    def is_multilabel(self) -> bool:
        """Whether each column is a yes or no of its own."""
        return self.kind == "multilabel"

    @property
    def is_ordinal(self) -> bool:
        """Whether classes are levels of a number."""
        return self.kind == "ordinal"

    @property
    def has_one_class_per_row(self) -> bool:
        """Whether probabilities of a row sum to 1."""
        return not (self.is_regression or self.is_multilabel)

    @property
    def link(self) -> Link:
        """What makes predictions of scores."""
        if self.is_regression:
            return "identity"
        return "sigmoid" if self.is_multilabel else "softmax"


class Task(Section, OfKind):
    """What is predicted and how it is scored."""

    kind: Kind = Field(description="what the target is")
    target: str | list[str] = Field(
        description="target column of train.csv, or a list of columns (multilabel, regression; "
        "multiclass: 0/1, one 1 in each row)"
    )
    metric: str = Field(
        "", description="metric's name, or module:function; default by kind (see METRICS)"
    )
    greater_is_better: bool | None = Field(
        None, description="of module:function: its direction; default: its attribute of this name"
    )
    wants: Literal["probabilities", "classes", "labels", "values", "levels"] | None = Field(
        None,
        description="of module:function: what y_pred holds; classes: their positions, 0 to C - 1 "
        "in the order of `classes` (labels is another word for it); default: its attribute",
    )
    class_weights: dict[str, NonNegativeFloat] | None = Field(
        None,
        description="of weighted_log_loss, balanced_log_loss, weighted_roc_auc, weighted_r2: what "
        "classes, labels or target columns count, others 1",
    )
    classes: list[str] | None = Field(
        None, description="class names in order; default: sorted values found in train.csv"
    )
    positive: str | None = Field(
        None,
        description="of two classes, the one that F1, average precision and a single column of "
        "probabilities are of; default: the class that the sample's only column is named like, "
        "else the last one",
    )
    separator: str = Field(
        " ", min_length=1, description="between labels, where one multilabel cell holds several"
    )

    votes: bool = Field(
        False,
        description="multiclass: the target columns hold votes or shares, of which a row has any "
        "sum above 0; members learn the shares, and kl_divergence scores them (other metrics: the "
        "class of most votes)",
    )
    transform: Transform = Field(
        "auto",
        description="of regression's targets, undone in predictions. auto: rmsle and msle, and mae "
        "where logarithms are far less skewed, work on log1p throughout, blends too; for other "
        "metrics each learner takes, in each fold and for each skewed target, the transform with "
        "which a ridge surely loses least. Networks standardise. none: targets as they are",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_metric(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and not raw.get("metric"):
            raw = {**raw, "metric": DEFAULT_METRICS.get(str(raw.get("kind")), "")}
        return raw

    @property
    def targets(self) -> list[str]:
        """Return the target columns, always as a list."""
        return [self.target] if isinstance(self.target, str) else list(self.target)

    @model_validator(mode="after")
    def _keys_go_together(self) -> "Task":
        if len(self.targets) != 1 and self.kind in ("binary", "ordinal"):
            raise ValueError(f"a {self.kind} task has one target column, got {self.targets}")
        if self.votes and (self.kind != "multiclass" or len(self.targets) < 2):
            raise ValueError(
                "`votes` is for a multiclass task with a column for each class: `target: [a, b, c]`"
            )
        if self.classes is not None:
            if self.is_regression or len(self.targets) > 1:
                raise ValueError("`classes` names labels in one column; here columns are named")
            if len(set(self.classes)) != len(self.classes):
                raise ValueError(f"`classes` names one twice: {self.classes}")
        declared = [key for key in ("greater_is_better", "wants") if getattr(self, key) is not None]
        if declared and ":" not in self.metric:
            raise ValueError(f"`{declared[0]}` is for module:function; {self.metric} is known")
        if self.transform not in ("auto", "none") and not self.is_regression:
            raise ValueError(
                f"`transform: {self.transform}` is for regression, kind is {self.kind}: leave it "
                "out"
            )
        if self.positive is not None and not self.is_binary:
            raise ValueError(f"`positive` is for binary tasks, kind is {self.kind}: leave it out")
        return self


class Split(Section):
    """Training and test rows in one CSV, which a column tells apart."""

    column: str = Field(description="of train_csv")
    train: list[str] = Field(["train"], description="its values in training rows")
    test: list[str] = Field(["test"], description="its values in test rows")

    @field_validator("train", "test", mode="before")
    @classmethod
    def _one_or_several(cls, values: Any) -> Any:
        return values if isinstance(values, list) else [values]

    @model_validator(mode="after")
    def _values_differ(self) -> "Split":
        if both := sorted({*self.train} & {*self.test}):
            raise ValueError(f"{both} stand in both `train` and `test`")
        return self


class Extra(Section):
    """Rows that are learnt from and never held out or scored, such as external data."""

    rows: str = Field(
        description="a CSV with the target's columns, or a folder with a folder for each class"
    )
    images: str | list[str] = Field(
        description="paths of their images, as train_images; of a folder: FOLDER/{id}"
    )
    weight: float = Field(1.0, gt=0, description="of such a row, where a training row weighs 1")

    @property
    def templates(self) -> list[str]:
        """Return the paths of a row's images, always as a list."""
        return [self.images] if isinstance(self.images, str) else self.images

    @field_validator("images")
    @classmethod
    def _readable_templates(cls, templates: str | list[str]) -> str | list[str]:
        return _checked_templates(templates)


class Data(Section):
    """Where the rows and their images are, relative to input/<competition>/."""

    id: str = Field("id", description="column that identifies a row, the same in every CSV")
    train_images: str | list[str] = Field(
        "train/{id}",
        description="path of a training image; any column of train.csv may stand in braces. This "
        "and other paths may pass through an archive, which is unpacked once: train.zip/{id}.png; "
        "or through a Parquet, CSV or HDF5 file with images inside: train.parquet/COLUMN/{id}. "
        "Rows with several images: a list of paths, or one with `*`: train/{id}/*.png",
    )
    test_images: str | list[str] = Field("test/{id}", description="the same for test.csv")
    train_csv: str = Field("train.csv", description="training rows with targets")
    rows: Literal["image", "label", "file"] = Field(
        "image",
        description="label: train_csv has a row for each label of an image (multilabel); file: "
        "train_csv and test_csv have a row for each image file of an id (a study, a patient), "
        "which gets one answer. Rows of one id are joined",
    )
    class_folders: str | None = Field(
        None,
        description="in place of train_csv: a folder with one folder for each class. Ids are paths "
        "below it (cat/1.jpg), the target column is the folder's name; without a test.csv and a "
        "sample, test rows are the images in the folder of test_images",
    )
    test_csv: str = Field(
        "test.csv",
        description="test rows; where the file is absent, the sample's ids are taken. A folder: "
        "its images that are no training rows', with ids as test_images spells them",
    )
    sample_submission: str = Field(
        "sample_submission.csv", description="the file whose columns and rows are copied"
    )
    split: Split | None = Field(
        None,
        description="test rows are in train_csv, too: {column: set, train: [train, val], test: "
        "test} tells them apart",
    )
    join: dict[str, str] = Field(
        {},
        description="CSVs whose columns are joined to train and test rows, each by a column that "
        "both have: {patients.csv: patient_id}",
    )
    extra: Extra | None = Field(
        None,
        description="rows that are learnt from and never held out or scored: {rows: other.csv, "
        "images: other/{id}.jpg, weight: 0.5}. Those of a group, or with a copy, that is held out "
        "are left out of that fold; `folds.scheme: column` makes such rows of -1",
    )
    weight: str | None = Field(
        None,
        description="column of what a training row counts where members are fitted; scores count "
        "all rows alike",
    )
    csv_separator: str | None = Field(
        None, description="between cells of the CSVs; default: found in each one's header"
    )
    csv_encoding: str | None = Field(
        None, description="of the CSVs: utf-8, cp1251, shift_jis; default: found in each one"
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
    pixel_range: tuple[float, float] | None = Field(
        None,
        description="pixel values that become black and white, for images of more than 8 bits: "
        "[0, 4095]; default: measured on the training images",
    )
    bands: tuple[PositiveInt, ...] = Field(
        (),
        description="which bands are red, green and blue, or the one that is grey, counted from 1: "
        "[4, 3, 2]; of images with any number of bands: .npy, and .tif after `make install "
        "EXTRAS=tiff`; default: a file's colours",
    )
    unreadable: Literal["stop", "skip"] = Field(
        "stop",
        description="images that are missing or cannot be decoded. skip: training rows are left "
        "out, test rows get the mean of the training targets, both are listed in audit.json",
    )
    numeric: list[str] = Field([], description="columns that learners see, scaled to [-1, 1]")
    categorical: list[str] = Field(
        [],
        description="columns that learners see, one-hot; times mlp's first layer an embedding",
    )

    @model_validator(mode="before")
    @classmethod
    def _images_are_in_class_folders(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("class_folders") and "train_images" not in raw:
            template = f"{raw['class_folders']}/{{{raw.get('id', 'id')}}}"
            raw = {**raw, "train_images": template}
        return raw

    @model_validator(mode="after")
    def _one_source_of_rows(self) -> "Data":
        if self.split is not None and self.class_folders is not None:
            raise ValueError("`split` is of a CSV, `class_folders` stand for one: leave one out")
        if self.split is not None and self.test_csv != Data.model_fields["test_csv"].default:
            raise ValueError("`split` finds test rows in train_csv: leave `test_csv` out")
        return self

    @field_validator("csv_separator")
    @classmethod
    def _one_character(cls, separator: str | None) -> str | None:
        if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
            raise ValueError('expected one character, such as ";" or "\\t"')
        return separator

    @field_validator("csv_encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError:
            raise ValueError("no encoding of this name; expected one such as utf-8") from None

    @field_validator("pixel_range")
    @classmethod
    def _range_is_one(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and not limits[0] < limits[1]:
            raise ValueError("expected [LOW, HIGH], the lower value first")
        return limits

    @field_validator("bands")
    @classmethod
    def _three_or_one(cls, bands: tuple[int, ...]) -> tuple[int, ...]:
        if len(bands) not in (0, 1, 3):
            raise ValueError(f"expected three bands, or one; got {len(bands)}")
        return bands

    @property
    def train_templates(self) -> list[str]:
        """Return the paths of a training row's images, always as a list."""
        return [self.train_images] if isinstance(self.train_images, str) else self.train_images

    @property
    def test_templates(self) -> list[str]:
        """Return the paths of a test row's images, always as a list."""
        return [self.test_images] if isinstance(self.test_images, str) else self.test_images

    @field_validator("train_images", "test_images")
    @classmethod
    def _readable_templates(cls, templates: str | list[str]) -> str | list[str]:
        return _checked_templates(templates)


def _checked_templates(templates: str | list[str]) -> str | list[str]:
    """Return paths of images; refuse those that make none of a row's cells."""
    if not templates:
        raise ValueError("it names no path; expected one such as train/{id}.png")
    for template in [templates] if isinstance(templates, str) else templates:
        _check_template(template)
    return templates


def _check_template(template: str) -> None:
    """Refuse a template that makes no path of a row's cells."""
    try:
        parts = list(Formatter().parse(template))
        columns = [name for _, name, _, _ in parts if name is not None]
        widths = re.findall(r"\d+", " ".join(form for _, _, form, _ in parts if form))
        if any(len(width) > 3 or int(width) > MAX_WIDTH for width in widths):
            raise ValueError(f"a width of more than {MAX_WIDTH} makes no file's name")
        if not columns:
            raise ValueError("it names no column in braces, so all rows have the same image")
        template.format_map(dict.fromkeys(columns, "1"))
    except (ValueError, LookupError, AttributeError) as error:
        raise ValueError(f"{error}; expected a path such as train/{{id}}.png") from None


class Folds(Section):
    """How training rows are held out."""

    scheme: Literal[
        "stratified",
        "kfold",
        "group",
        "stratified_group",
        "multilabel_stratified",
        "binned_stratified",
        "scenes",
        "column",
    ] = Field(
        "stratified",
        description="`stratified` means: as the task asks for, and by group where one is named "
        "(fewer than 500 groups at random, as balanced classes would flatter there); "
        "`scenes`: likewise, near-identical images whole, which the first backbone's frozen "
        "features tell (without a backbone, thumbnails)",
    )
    n: int = Field(5, ge=2, le=50, description="number of folds K")
    repeats: int = Field(
        1,
        ge=1,
        le=20,
        description="how often rows are parted into K folds, each time by a draw of its own; a "
        "member has a model per fold and repeat, and says their mean",
    )
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
        if self.scheme == "column" and self.repeats > 1:
            raise ValueError(
                "a column of train.csv is one repeat: leave `repeats` out, and add columns fold_2, "
                "fold_3 ... to the folds.csv that `make folds` writes"
            )
        return self
