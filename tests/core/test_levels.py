"""Levels: a value between two of them, by hand."""

import numpy as np

from pipeline.core.levels import interpolate_levels

LEVELS = np.array([0.0, 1.0, 4.0])


def test_levels_are_interpolated_so_that_the_expectation_is_the_value():
    probs = interpolate_levels(np.array([-3.0, 0.25, 1.0, 2.5, 9.0]), LEVELS)
    expected = [[1, 0, 0], [0.75, 0.25, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(probs, expected)
    np.testing.assert_allclose(probs @ LEVELS, [0, 0.25, 1, 2.5, 4])
