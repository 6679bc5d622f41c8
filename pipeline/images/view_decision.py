"""Which views and augmentation the images allow: what `auto` stands for in a config."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config, Network
from pipeline.core.artifacts import read_json, write_json
from pipeline.images.augmentation_presets import light_preset

AUTO = "auto"


@dataclass(frozen=True)
class ViewDecision:
    """What test-time views and augmentation may do to an image.

    Attributes:
        views: of each image at inference.
        horizontal_flips, vertical_flips, quarter_turns: of augmentation.
        colour_matters: whether grey images tell less; `auto` never changes colours.
        reason: why, in words.
    """

    views: tuple[str, ...] = ("original", "mirrored")
    horizontal_flips: bool = True
    vertical_flips: bool = False
    quarter_turns: bool = False
    colour_matters: bool = False
    reason: str = ""

    @property
    def augment(self) -> str | list[dict[str, Any]]:
        """Return what `augment: auto` stands for."""
        return light_preset(**{name: getattr(self, name) for name in KINDS_OF_AUGMENTATION})

    def sentence(self) -> str:
        """Say what was decided and why."""
        allowed = [name.replace("_", " ") for name in KINDS_OF_AUGMENTATION if getattr(self, name)]
        decided = f"views {', '.join(self.views)}; augmentation with {', '.join(allowed)}"
        if not allowed:
            decided = f"views {', '.join(self.views)}; augmentation without flips and turns"
        return f"{decided} ({self.reason})" if self.reason else decided

    def write(self, path: Path, **evidence: Any) -> None:
        """Write the decision as JSON, and beside it what it comes from."""
        write_json(path, asdict(self) | {"augment": self.augment} | evidence)

    @classmethod
    def read(cls, path: Path) -> "ViewDecision":
        """Read what `write` wrote."""
        content = read_json(path) or {}
        fields = {name: content[name] for name in cls.__dataclass_fields__}
        return cls(**fields | {"views": tuple(fields["views"])})


KINDS_OF_AUGMENTATION = ("horizontal_flips", "vertical_flips", "quarter_turns")
DEFAULT = ViewDecision()  # where nothing speaks against it


def asks_for_decision(config: Config) -> bool:
    """Return whether a config says `auto` where it matters to a member."""
    networks = [member for member in config.members.values() if isinstance(member, Network)]
    return config.tta.views == AUTO or any(network.augment == AUTO for network in networks)


def with_decision(config: Config, decision: ViewDecision) -> Config:
    """Return a config that says what was decided in place of `auto`; all else stays as it is.

    Fingerprints are made of this config, so that they depend on the decision, not on the word.
    """
    tta = config.tta
    if tta.views == AUTO:
        tta = tta.model_copy(update={"views": list(decision.views)})
    members = {
        name: member.model_copy(update={"augment": decision.augment})
        if isinstance(member, Network) and member.augment == AUTO
        else member
        for name, member in config.members.items()
    }
    return config.model_copy(update={"tta": tta, "members": members})
