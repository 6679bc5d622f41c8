"""Own parts: what plugins register, modules of the user's own that a config's `plugins` names.

Only `load_config` imports plugins: a config that is read back from an artifact runs no code. A part
carries the digest of the code that it was imported from, for the fingerprint of what uses it.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from pipeline.config.source_files import PIPELINE, code_digest, own_files
from pipeline.errors import JobFailed, UserError, did_you_mean

PartKind = Literal["learner", "loss", "augmentation", "blend", "metric", "report section"]


@dataclass(frozen=True)
class OwnPart:
    """A part that a plugin registered.

    Attributes:
        item: what its users take: an entry, a function or a class.
        code: digest of its module's code.
    """

    kind: PartKind
    name: str
    item: Any
    module: str
    code: str


_registered: list[OwnPart] = []  # of every plugin that this process imported
_digests: dict[str, str] = {}  # of the code of plugins and of parts' modules, as it was imported
_looked_in: list[str] = []  # the folder that is first on the path of modules, if we put it there
# Of the plugins in use, by name; LEARNERS and others look into them.
ITEMS: dict[PartKind, dict[str, Any]] = {kind: {} for kind in get_args(PartKind)}
_parts: dict[tuple[PartKind, str], OwnPart] = {}


def register(kind: PartKind, name: str, item: Any, *, module: str) -> None:
    """Add a part of a plugin.

    Raises:
        UserError: if another part of the kind has its name, or its module has no file.
    """
    try:
        code = code_digest(module)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{kind} {name!r} is defined in {module}, which has no file of its own. Write it into "
            "a file, my_module.py, and name that in the config: `plugins: [my_module]`."
        ) from error
    part, key = OwnPart(kind, name, item, module, code), (kind, name, module)
    _use(part)
    # Without what a module registered when it was imported before.
    _registered[:] = [one for one in _registered if (one.kind, one.name, one.module) != key]
    _registered.append(part)
    _digests[module] = code


def code_of(kind: PartKind, name: str) -> str | None:
    """Return the digest of a part's code; None where no plugin has such a part."""
    part = _parts.get((kind, name))
    return None if part is None else part.code


def codes_of(kind: PartKind, names: Iterable[str]) -> dict[str, str]:
    """Return the digests of the code of those among the names that plugins registered."""
    found = {name: code_of(kind, name) for name in names}
    return {name: code for name, code in found.items() if code is not None}


def code_of_architecture(arch: str) -> str | None:
    """Return the digest of a plugin that registered an architecture with timm; else None."""
    timm = sys.modules.get("timm")  # a plugin that registers one has imported it
    if timm is None or not _digests or not timm.is_model(arch):
        return None
    module = timm.model_entrypoint(arch).__module__
    return next((code for name, code in _digests.items() if _is_within(module, name)), None)


def imported_module(name: str) -> ModuleType | None:
    """Return a module that parts in use are defined in; None if there is no such module."""
    return sys.modules.get(name) if name in {part.module for part in _parts.values()} else None


def import_plugins(names: Iterable[str], place: Callable[[int], str] = "plugins.{}".format) -> None:
    """Import plugins, once each; from now on, their parts are the ones in use.

    Modules are found in the working directory and on PYTHONPATH. One whose code changed since this
    process imported it is imported again.

    Args:
        place: where a name is written, by its position.
    Raises:
        UserError: if one cannot be imported, or a name is taken.
    """
    for items in (*ITEMS.values(), _parts):
        items.clear()
    if names := list(dict.fromkeys(names)):
        _look_first_in(str(Path.cwd()))
        # Else importing albumentations, as a plugin does, connects to the internet.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    for position, name in enumerate(names):
        try:
            if not _is_unchanged(name):
                _import(name)
            for part in _parts_of(name):
                _use(part)
        except UserError as error:
            raise UserError(f"{place(position)}: plugin {name}: {error}") from error


@contextmanager
def own_code(kind: PartKind, name: str) -> Iterator[None]:
    """Run a part's code; name the part, and the line of its file, if it fails.

    Raises:
        JobFailed: for what the code raised; files and memory have messages of their own.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # anything may go wrong in the user's code
        raise JobFailed(
            f"{kind} {name} failed: {type(error).__name__}: {error}{line_of(error)}."
        ) from error


def line_of(error: BaseException) -> str:
    """Return file and line where an error was raised, as far down as the user's own file goes."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno}: {(error.text or '').strip()})"
    ours = (str(PIPELINE), "<frozen", importlib.__file__)
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if not frame.filename.startswith(ours)]
    if not frames:
        return ""
    own = [frame for frame in frames if frame.filename == frames[0].filename][-1]
    return f" ({Path(own.filename).name}, line {own.lineno}: {own.line})"


def _look_first_in(folder: str) -> None:
    """Put a folder first on the path of modules, in place of the one that was put there before."""
    if _looked_in and _looked_in[0] in sys.path:
        sys.path.remove(_looked_in[0])
    _looked_in[:] = [folder]
    sys.path.insert(0, folder)


def _use(part: OwnPart) -> None:
    taken = _parts.get((part.kind, part.name))
    if taken in _registered and taken is not part:  # else it was imported anew
        raise UserError(
            f"{part.kind} {part.name!r} is registered in {taken.module} already; rename one of them"
        )
    _parts[part.kind, part.name] = part
    ITEMS[part.kind][part.name] = part.item


def _is_unchanged(plugin: str) -> bool:
    """Return whether this process imported a plugin, and its code is still the same."""
    try:
        if plugin not in _digests or _digests[plugin] != code_digest(plugin):
            return False
        top = plugin.split(".")[0]
        found, imported = PathFinder.find_spec(top), sys.modules[top].__spec__
        return found.origin == imported.origin and found.origin is not None
    except (ImportError, ValueError, AttributeError, KeyError, SyntaxError, OSError):
        return False


def _import(name: str) -> None:
    """Import a plugin, or import it anew."""
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        raise UserError("expected a module's name, such as my_module for the file my_module.py.")
    if name in _digests:
        _forget(name)
    importlib.invalidate_caches()
    try:
        importlib.import_module(name)
        _digests[name] = code_digest(name)
    except UserError as error:  # of a decorator
        raise UserError(f"{str(error).rstrip('.')}{line_of(error)}.") from error
    except (Exception, SystemExit) as error:  # anything may go wrong while the module runs
        raise UserError(f"{_reason(name, error)}{line_of(error)}.") from error


def _forget(name: str) -> None:
    """Forget a plugin that was imported before, with the modules of its own that it imported."""
    parts, files = _parts_of(name), _files_of(name)
    _registered[:] = [part for part in _registered if part not in parts]
    for known, module in list(sys.modules.items()):
        if _is_within(known, name) or getattr(module, "__file__", None) in files:
            del sys.modules[known]


def _parts_of(plugin: str) -> list[OwnPart]:
    """Return the parts that a plugin's files registered, or files of its own that it imports."""
    files = _files_of(plugin)

    def is_its(module: str) -> bool:
        file = getattr(sys.modules.get(module), "__file__", None)
        return file in files or _is_within(module, plugin)

    return [part for part in _registered if is_its(part.module)]


def _files_of(plugin: str) -> set[str]:
    """Return a plugin's files; none where they cannot be read."""
    try:
        return {str(path) for path in own_files(plugin)}
    except (ImportError, ValueError, SyntaxError, OSError):
        return set()


def _is_within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _reason(name: str, error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name != name.split(".")[0]:
        return f"importing it failed: {type(error).__name__}: {error}"
    here = [path.stem for path in Path.cwd().glob("*.py")]
    near = did_you_mean(name, here, list_all=False)
    return f"no such module in {Path.cwd()} or on PYTHONPATH{near.rstrip('?')}"
