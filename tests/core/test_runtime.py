"""The process: times in words."""

import pytest

from pipeline.core.runtime import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0s"), (99.4, "99s"), (99.6, "2m"), (725, "12m"), (5940, "99m"), (12_000, "3h 20m")],
)
def test_times_in_words(seconds, words):
    assert duration(seconds) == words
