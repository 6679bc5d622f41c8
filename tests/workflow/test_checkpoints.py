"""The state to continue a training from: there while it is needed, then gone."""

import os
import signal
from pathlib import Path

import pytest
from tiny_project import NETWORK, Killed, run, write_competition

from pipeline.core import artifacts
from pipeline.networks.trainer import Trainer
from pipeline.stages import train

pytestmark = pytest.mark.slow
MEMBERS = {
    "net": NETWORK | {"epochs": 2, "all_rows": True, "patience": 1},
    "circle": NETWORK | {"epochs": 1, "cycles": 2},
    "begun": NETWORK | {"start": {"member": "net"}},
}


def states(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root / "models")) for p in root.rglob("*last.pt*"))


def weights(root: Path) -> dict[str, bytes]:
    found = (root / "models").rglob("weights.safetensors")
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("straight")
    write_competition(root)
    run(root, "train", members=MEMBERS)
    return root


def test_a_killed_worker_is_replaced_by_fewer_and_changes_no_weight(
    straight, tmp_path, monkeypatch, caplog
):
    write_competition(tmp_path)
    original, killed = Trainer.train_epoch, []

    def kills(trainer, loader, epoch):
        if trainer.name == "net fold 1" and epoch == 1 and not killed:
            killed.append(loader.num_workers)
            os.kill(loader._iterator._workers[0].pid, signal.SIGKILL)
        return original(trainer, loader, epoch)

    monkeypatch.setattr(Trainer, "train_epoch", kills)
    members = {"net": MEMBERS["net"]}
    run(tmp_path, "train", members=members, runtime={"device": "cpu", "workers": 2})
    assert killed == [2]
    assert "going on with runtime.workers: 1" in caplog.text
    ours, theirs = weights(tmp_path), weights(straight)
    assert ours == {name: theirs[name] for name in ours}


def test_finished_trainings_leave_no_state_also_of_cycles_and_starts(straight):
    assert len(weights(straight)) == 4 * 3 + 1  # all_rows
    assert states(straight) == []


def test_a_run_killed_in_its_second_epoch_continues_to_the_same_bytes(
    straight, tmp_path, monkeypatch
):
    write_competition(tmp_path)
    original, epochs = Trainer.train_epoch, []

    def dies(trainer, loader, epoch):
        epochs.append((trainer.name, epoch))
        if epochs.count(("net fold 1", 1)) == 1 and epochs[-1] == ("net fold 1", 1):
            raise Killed
        return original(trainer, loader, epoch)

    monkeypatch.setattr(Trainer, "train_epoch", dies)
    with pytest.raises(Killed):
        run(tmp_path, "train", members=MEMBERS)
    assert states(tmp_path) == ["tiny/net/fold1/.last.pt.sha256", "tiny/net/fold1/last.pt"]
    run(tmp_path, "train", members=MEMBERS)
    assert epochs.count(("net fold 1", 0)) == 1  # not from the beginning
    assert states(tmp_path) == []
    assert weights(tmp_path) == weights(straight)


def test_a_run_killed_before_the_model_is_finished_keeps_its_state(straight, tmp_path, monkeypatch):
    """The state goes after the metadata: until then a killed run would train again."""
    write_competition(tmp_path)
    finish = artifacts.finish

    def dies(folder, fingerprint, **meta):
        if folder.name == "fold0" and "epochs" in meta:
            raise Killed
        return finish(folder, fingerprint, **meta)

    with monkeypatch.context() as patch:
        patch.setattr(train.artifacts, "finish", dies)
        with pytest.raises(Killed):
            run(tmp_path, "train", members={"net": MEMBERS["net"]})
    assert "tiny/net/fold0/last.pt" in states(tmp_path)
    epochs, original = [], Trainer.train_epoch

    def noted(trainer, loader, epoch):
        epochs.append(trainer.name)
        return original(trainer, loader, epoch)

    monkeypatch.setattr(Trainer, "train_epoch", noted)
    run(tmp_path, "train", members={"net": MEMBERS["net"]})
    assert "net fold 0" not in epochs
    assert states(tmp_path) == []
    ours, theirs = weights(tmp_path), weights(straight)
    assert ours == {name: theirs[name] for name in ours}
