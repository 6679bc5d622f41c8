"""A block's features in shards, where several jobs run at once: the same block."""

from dataclasses import replace

import pytest
import tiny_project
from tiny_project import CONFIG

from pipeline.config.load import load_config
from pipeline.project import open_project
from pipeline.workflow.plan import Plan

NUM_IMAGES = {"num_train": 520, "num_test": 9}  # three shards


@pytest.mark.slow
def test_a_block_made_in_shards_has_the_same_bytes_and_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    blocks = []
    for jobs in (1, 2):
        root = tmp_path / str(jobs)
        tiny_project.write_competition(root, **NUM_IMAGES)
        runtime = CONFIG["runtime"] | {"jobs": jobs}
        tiny_project.run(root, "features", runtime=runtime)
        folder = root / "features" / "tiny" / "small"
        blocks.append((folder / "features.npy").read_bytes())
        assert not {"parts", "shards"} & {path.name for path in folder.iterdir()}
        monkeypatch.chdir(root)
        project = open_project(load_config("tiny.yaml"), root)
        block = Plan(project).block("small")
        assert block.is_done()
        assert [job.name for job in block.needs] == [
            *(f"features small {number}/3" for number in (1, 2, 3) if jobs == 2)
        ]
        few = replace(project, index=project.index.take(range(256)))
        assert Plan(few).block("small").needs == ()
    assert blocks[0] == blocks[1]
