"""Names that a config may give: the built-in ones of a kind, and those that plugins registered."""

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from pipeline.config.own_parts import ITEMS, PartKind

# Context of a validation that takes names as they are: plugins are not imported for a config that
# is read back from an artifact.
ANY_NAMES = {"any names": True}


@dataclass(frozen=True)
class OneOf:
    """A validator of names.

    Attributes:
        built_in: names that are there without plugins.
    """

    kind: PartKind
    built_in: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names, plugins' last."""
        return (*self.built_in, *ITEMS[self.kind])

    def __call__(self, name: str, info: ValidationInfo) -> str:
        """Return a name that is known.

        Raises:
            PydanticCustomError: as for a `Literal`.
        """
        if name in self.names or info.context == ANY_NAMES:
            return name
        *first, last = (repr(known) for known in self.names)
        raise PydanticCustomError(
            "literal_error",
            "Input should be {expected}",
            {"expected": f"{', '.join(first)} or {last}"},
        )


def one_of(kind: PartKind, built_in: Collection[str]) -> AfterValidator:
    """Return what restricts a text to these names and those of plugins, in `Annotated`."""
    return AfterValidator(OneOf(kind, tuple(built_in)))


def names_in(metadata: Collection[object]) -> tuple[str, ...]:
    """Return the names that a field's metadata allows; () where it is no field of names."""
    found = (part.func for part in metadata if isinstance(part, AfterValidator))
    return next((one.names for one in found if isinstance(one, OneOf)), ())
