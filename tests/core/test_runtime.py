"""The process: its threads, times in words."""

import os

import pytest

from pipeline.core.runtime import duration, let_threads_sleep


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0s"), (99.4, "99s"), (99.6, "2m"), (725, "12m"), (5940, "99m"), (12_000, "3h 20m")],
)
def test_times_in_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("given", "kept"), [(None, "passive"), ("active", "active")])
def test_threads_sleep_unless_the_environment_says_otherwise(monkeypatch, given, kept):
    monkeypatch.setenv("OMP_WAIT_POLICY", given) if given else monkeypatch.delenv(
        "OMP_WAIT_POLICY", raising=False
    )
    let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == kept
    os.environ.pop("OMP_WAIT_POLICY")
