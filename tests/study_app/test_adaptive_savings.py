"""What docs/explanation/adaptive-studies.md says an adaptive study saves, on simulated votes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.adaptive import FIELDS, ask, savings, variances

HALF_WIDTH, SEEDS = 70.0, range(3)


def test_the_variance_of_two_arms_differences_is_that_of_a_share():
    counts = np.array([[0.0, 50], [50, 0]])
    elo = 400 / np.log(10)
    assert variances(counts, np.zeros(2)) == pytest.approx([elo**2 / (50 / 4)])
    assert np.isinf(variances(np.zeros((3, 3)), np.zeros(3))).all(), "arms never compared"


def test_an_adaptive_study_saves_a_fifth_where_one_arm_is_far_behind_and_none_among_equals():
    far = savings(FIELDS["one arm far behind"], HALF_WIDTH, SEEDS)
    assert far["least"] > 0.18
    assert 0.6 < far["error adaptive"] < 1.4, "narrower intervals, and still true ones"
    equal = savings(FIELDS["nearly equal"], HALF_WIDTH, SEEDS)
    assert abs(equal["saved"]) < 0.03


def test_a_simulation_repeats_itself():
    scores = np.array(FIELDS["a guidance sweep"])
    first, again = (ask(scores, 120.0, 7, adaptive=True) for _ in range(2))
    assert first == again
