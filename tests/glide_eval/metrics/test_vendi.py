from __future__ import annotations

import numpy as np
import pytest

from glide_eval.errors import FeatureError
from glide_eval.metrics import vendi


def features(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(0.3, 2, d)


def by_definition(rows: np.ndarray) -> float:
    """exp of the Shannon entropy of the eigenvalues of the n × n similarities over n."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(rows @ rows.T / len(rows))
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-np.sum(eigenvalues * np.log(eigenvalues))))


@pytest.mark.parametrize(("n", "d"), [(5, 8), (8, 8), (9, 8), (200, 8), (40, 100)])
def test_it_is_the_papers_definition_whichever_side_is_smaller(n, d):
    assert vendi(features(n, d)).value == pytest.approx(by_definition(features(n, d)), rel=1e-9)


def test_it_counts_different_images():
    assert vendi(np.eye(4)[np.arange(40) % 4]).value == pytest.approx(4)
    assert vendi(np.tile(features(1), (20, 1))).value == pytest.approx(1)
    assert vendi(np.tile([[0.1, 0.2]], (2, 1)) * [[1], [9]]).value == pytest.approx(1)


def test_its_interval_covers_the_mean_of_repeated_draws():
    draws = [vendi(features(200, 6, seed)) for seed in range(300)]
    mean = np.mean([draw.value for draw in draws])
    covered = np.mean([d.interval.low <= mean <= d.interval.high for d in draws])
    assert 0.92 <= covered <= 0.98


@pytest.mark.parametrize("n", [6, 60])
def test_an_images_influence_is_what_leaving_it_out_changes(n):
    rows = features(n, 10)
    found = vendi(rows)
    change = [found.value - vendi(np.delete(rows, i, axis=0)).value for i in range(n)]
    assert np.corrcoef(change, found.influence)[0, 1] > 0.98


def test_it_says_that_it_grows_with_n():
    assert "still grows with n, here 10" in vendi(features(10)).note
    assert vendi(features(500)).note == ""


def test_without_images_or_direction_it_is_undefined():
    assert np.isnan(vendi(features(0)).value)
    rows = features(5)
    rows[3] = 0
    result = vendi(rows)
    assert np.isnan(result.value)
    assert "features of image 3 (from 0) are all zero" in result.note
    assert "single prompt" in vendi(features(1)).note
    rows[3] = np.inf
    with pytest.raises(FeatureError, match="features for the Vendi score are NaN or infinite"):
        vendi(rows)
