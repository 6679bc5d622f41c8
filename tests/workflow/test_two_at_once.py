"""Two processes at work on one competition end as one after the other does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_project import CONFIG, NETWORK, submission, write_competition

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MEMBERS = CONFIG["members"] | {"net": NETWORK}


def start(root: Path, stage: str, config: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipeline", stage, "--config", config, *arguments]
    settings = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=root, env=settings, stderr=subprocess.PIPE, text=True)


def end(*processes: subprocess.Popen) -> list[str]:
    """Wait for all processes, which must succeed; return their stderr."""
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return said


def content(root: Path) -> dict[str, bytes]:
    paths = [submission(root), submission(root).with_suffix(".npz")]
    paths += [*root.glob("features/tiny/images/*/pixels.bin"), *root.glob("models/tiny/*/oof.npz")]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def write(root: Path) -> Path:
    """Make a competition and two configs."""
    write_competition(root)
    for name, epochs in {"one": 1, "two": 2}.items():
        members = MEMBERS | {"net": NETWORK | {"epochs": epochs}}
        (root / f"{name}.yaml").write_text(yaml.safe_dump(CONFIG | {"members": members}))
    return root


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Return what each config ends with when nothing else runs."""
    found = {}
    for name in ("one", "two"):
        root = write(tmp_path_factory.mktemp(name))
        end(start(root, "ensemble", f"{name}.yaml"))
        found[name] = content(root)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path)


def test_two_parts_of_one_config_share_the_image_cache(root, alone):
    end(*(start(root, "train", "one.yaml", "--member", "net", "--fold", fold) for fold in "01"))
    end(*(start(root, "ensemble", "one.yaml") for _ in range(2)))
    assert content(root) == alone["one"]


def test_of_two_configs_one_waits_for_the_other(root, alone):
    said = end(*(start(root, "ensemble", f"{name}.yaml") for name in ("one", "two")))
    waited = [text for text in said if "is being used for another config, by process" in text]
    assert len(waited) == 1
    for name in ("one", "two"):
        end(start(root, "ensemble", f"{name}.yaml"))
        assert content(root) == alone[name]
