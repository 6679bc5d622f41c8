"""Law 10: on noise, blends and the choice among them promise no more than their members do."""

from dataclasses import replace

import numpy as np
import pytest
from bench import noise

from pipeline.ensembles import cross_fit as cross_fitting

pytestmark = pytest.mark.slow
DRAWS = 12


def optimism(kind: str, groups: int | None) -> dict[str, np.ndarray]:
    """Of blends and the choice beyond the members', in each draw."""
    found: dict[str, list[float]] = {}
    for draw in range(DRAWS):
        line = noise.one_draw(kind, 300, groups, 5, draw)[0]
        for name in ("stack", "greedy", "choice"):
            found.setdefault(name, []).append(line[name] - line["members"])
    return {name: np.array(values) for name, values in found.items()}


def in_standard_errors(values: np.ndarray) -> float:
    return float(values.mean() / (values.std(ddof=1) / len(values) ** 0.5 + 1e-12))


@pytest.mark.parametrize(("kind", "groups"), [("binary", None), ("regression", 15)])
def test_blends_and_the_choice_are_at_chance(kind: str, groups: int | None) -> None:
    for values in optimism(kind, groups).values():
        assert in_standard_errors(values) < 3


def test_the_test_sees_a_stack_that_reads_base_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    careful = cross_fitting.fit_blend
    monkeypatch.setattr(
        cross_fitting,
        "fit_blend",
        lambda *rows: careful(*rows[:-1], replace(rows[-1], cautious=False, prune=False)),
    )
    monkeypatch.setattr(cross_fitting, "move_to_level_of", lambda _, values, *__, **___: values)
    assert in_standard_errors(optimism("regression", 15)["stack"]) > 3
