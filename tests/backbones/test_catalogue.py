"""The catalogue of backbones: every entry is what its file says, built without its weights."""

import pytest
import timm
from bench.backbones import computed, on_meta  # the script that writes the figures

from pipeline.backbones.create import normalisation
from pipeline.backbones.pooling import create_pooling
from pipeline.config.catalogue import catalogue, figures, read_entry
from pipeline.config.schema import Backbone

ENTRIES = list(catalogue())
FAMILIES = ("dinov2", "dinov3", "siglip2", "eva02", "convnextv2", "caformer", "maxvit", "clip")


def test_the_catalogue_holds_what_wins_today():
    for family in (*FAMILIES, "beitv2", "lite"):
        assert [name for name in ENTRIES if name.startswith(family)], family


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_builds_at_its_size_and_its_figures_are_right(name):
    backbone = Backbone(**read_entry(name))
    assert {"arch", "weights", "image_size", "cut", "pool"} <= set(read_entry(name))
    model = on_meta(backbone)
    written = figures(name)
    small = float(written["GMACs"]) < 6  # the memory of others takes seconds
    found = computed(backbone, model, memory=small)
    assert written == written | found
    assert written["use"].endswith(".")
    assert all(written.values())
    assert written["licence"]
    mean, std = normalisation(model)
    assert len(mean) == len(std) == 3
    assert all(0 <= m <= 1 for m in mean)
    assert all(0 < s <= 1 for s in std)
    create_pooling(backbone, model, arch=backbone.arch)


@pytest.mark.parametrize("name", [name for name in ENTRIES if not name.startswith("lite")])
def test_an_entry_of_the_hub_names_weights_that_timm_knows(name):
    arch = read_entry(name)["arch"]
    config = timm.get_pretrained_cfg(arch)
    assert "." in arch  # with its tag: another version of timm must not choose another one
    assert config.has_weights
    assert config.license
