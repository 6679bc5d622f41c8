"""README: its commands run, and its YAML blocks are configs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_project import write_competition

from pipeline.config.load import load_config
from pipeline.config.own_parts import import_plugins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
BASE = {
    "extends": "quick",
    "competition": "clothing",
    "task": {"kind": "multiclass", "target": "label"},
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language; "" for plain ones."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands(text: str) -> list[str]:
    return [line.partition(" #")[0].strip() for line in text.splitlines() if "make " in line]


def merged(base: dict, own: dict) -> dict:
    sections = {key: base[key] | own[key] for key in base.keys() & own.keys() if key == "task"}
    return base | own | sections


@pytest.mark.parametrize("text", blocks("yaml"))
def test_each_yaml_block_is_a_config_or_a_part_of_one(text, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_parts.py").write_text("")
    (tmp_path / "my_module.py").write_text("def my_function(y_true, y_pred):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    raw = merged(BASE, yaml.safe_load(text))
    (tmp_path / "some.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    try:
        load_config("some.yaml")
    finally:
        import_plugins((), str)


@pytest.mark.parametrize("command", commands("\n".join(blocks(""))))
def test_each_command_names_a_target(command) -> None:
    program, *arguments = shlex.split(command)
    assert program == "make"
    assert arguments[0] in TARGETS


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page}: {link}"


@pytest.mark.slow
def test_the_first_competition_runs_as_it_is_written(tmp_path) -> None:
    write_competition(tmp_path)
    (tmp_path / "input" / "tiny").rename(tmp_path / "input" / "clothing")
    (block,) = [text for text in blocks("") if "make new" in text and "make report" in text]
    # Without the fine-tuned network: it takes minutes.
    environ = os.environ | {"PYTHONPATH": str(ROOT), "SET": "members.net=null"}
    make = ["make", "-f", str(ROOT / "Makefile"), "-o", f"{sys.prefix}/.installed"]
    for command in commands(block):
        arguments = shlex.split(command)[1:]
        if arguments[0] == "new":
            arguments.append("SET=")
        ran = subprocess.run(
            [*make, f"VENV={sys.prefix}", *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    assert (tmp_path / "submissions" / "clothing" / "report.html").exists()
    assert list((tmp_path / "submissions" / "clothing").glob("*.csv"))
