"""Weights stage: reads the model hub, writes models/weights/NAME.safetensors for each backbone."""

import logging

from pipeline.backbones.hub import fetch_weights
from pipeline.config.schema import Config
from pipeline.errors import UserError

log = logging.getLogger(__name__)


def bring_weights(config: Config) -> None:
    """Bring the weights of all backbones with `weights: hub` into the weights folder.

    All are tried, also after a failure.

    Raises:
        UserError: with all that the hub does not have.
    """
    problems = []
    archs = [b.arch for b in config.backbones.values() if b.weights == "hub"]
    for arch in dict.fromkeys(archs):
        try:
            path, new = fetch_weights(arch)
        except UserError as error:
            problems.append(str(error))
            continue
        done = f"{path.stat().st_size / 2**20:,.0f} MiB" if new else "already there"
        log.info("weights %s: %s -> %s", arch, done, path)
    if not archs:
        log.info("weights: no backbone of this config has `weights: hub`, nothing to do")
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
