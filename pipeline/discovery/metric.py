"""Which metric: asked for, or the usual one of the task's kind and the sample's form."""

from typing import get_args

from pipeline.config.schema import DEFAULT_METRICS, Kind
from pipeline.discovery.guess import Guess
from pipeline.discovery.sample_form import SampleForm
from pipeline.errors import UserError, did_you_mean
from pipeline.metrics.find_metric import METRICS_OF_KIND, get_metric
from pipeline.metrics.kaggle_names import kaggle_name

# Metrics that competitions of a kind use most; the first is what is guessed without more.
USUAL: dict[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "log_loss", "accuracy", "f1"),
    "multiclass": ("accuracy", "log_loss", "f1_macro", "balanced_accuracy"),
    "multilabel": ("average_precision", "roc_auc", "f1_samples", "f1_macro", "log_loss"),
    "ordinal": ("quadratic_weighted_kappa", "accuracy", "mae", "rmse"),
    "regression": ("rmse", "mae", "rmsle", "r2", "spearman"),
}


def find_metric(kind: Kind, form: SampleForm, per_class: bool, asked: str) -> Guess:
    """Decide on the metric.

    Args:
        asked: METRIC=, one of our names, Kaggle's, or module:function; empty: what is usual.
    """
    if ":" in asked:
        return Guess(
            asked, "sure", "METRIC=; it may need `wants` and `greater_is_better`, see README"
        )
    if asked:
        return _asked_for(asked, kind)
    name, reason = _by_form(kind, form, per_class)
    others = tuple(other for other in USUAL[kind] if other != name)
    page = "the competition's page says which"
    return Guess(name, "a guess", f"{reason}; {page}" if reason else page, others)


def _asked_for(asked: str, kind: Kind) -> Guess:
    """Return the metric of a name; one that needs weights of classes without them."""
    metric = get_metric(kaggle_name(asked, kind) or asked, kind)
    name = metric.name
    if not metric.needs_weights:
        return Guess(name, "sure", f"METRIC={asked}")
    plain = name.replace("balanced_", "").replace("weighted_", "")
    plain = plain if plain in METRICS_OF_KIND[kind] else DEFAULT_METRICS[kind]
    reason = f"{name} needs the weight of each class: task.class_weights: {{NAME: 2.0}}"
    return Guess(plain, "a guess", reason, (name,))


def kinds_of(asked: str) -> list[Kind]:
    """Return the kinds of task that a metric is for; none where its name is unknown."""
    kinds = []
    for kind in get_args(Kind):
        try:
            get_metric(kaggle_name(asked, kind) or asked, kind)
        except UserError:
            continue
        kinds.append(kind)
    return kinds


def unknown_metric(asked: str, kind: Kind) -> str:
    """Return a note on a metric that is unknown, or not for a kind of task."""
    near = did_you_mean(asked, METRICS_OF_KIND[kind], most=3, list_all=False)
    return (
        f"METRIC={asked} is no metric of a {kind} task that is known here{near}"
        f"{'' if near else '.'} `make config` lists all; one of your own is module:function"
    )


def _by_form(kind: Kind, form: SampleForm, per_class: bool) -> tuple[str, str]:
    """Return the metric that a sample's form speaks for, and why; the kind's default otherwise."""
    if kind == "multiclass" and form.number > 1:
        return f"map_at_{form.number}", f"the sample has {form.number} labels in each cell"
    if kind == "multiclass" and per_class and len(form.columns) > 1:
        return "log_loss", "the sample has a column per class"
    if kind == "binary" and form.holds == "words":
        return "accuracy", "the sample holds labels"
    if kind == "multilabel" and form.column and not form.is_long:
        return "f1_samples", "the sample holds lists of labels"
    if kind == "ordinal" and form.holds == "fractions":
        return "rmse", "the sample holds fractions"
    return DEFAULT_METRICS[kind], ""
