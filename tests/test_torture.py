"""A few random faults of each kind; `make torture N=100` tries more."""

import pytest
from torture import Failure, check, torture


@pytest.mark.slow
def test_kills_pairs_and_damaged_files_leave_the_same_bytes(tmp_path):
    tally = torture(tmp_path, kills=2, pairs=1, damages=1, seed=0)
    assert tally.outcomes.total() >= 4


def test_other_bytes_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("torture.content", lambda root: {"a": b"1"})
    with pytest.raises(Failure, match=r"after a kill: other bytes in \['a'\]"):
        check(tmp_path, {"a": b"2"}, "a kill")
    check(tmp_path, {"a": b"1"}, "a kill")
