"""What `benchmarks.paper` calls a trade-off, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.paper import METRICS, SUBSETS, Curve, Jackknife, claims


def constant(*values: float) -> np.ndarray:
    return np.repeat(np.array(values)[:, None], 1 + SUBSETS, axis=1)


def curves(**clip: tuple[float, ...]) -> dict[str, Curve]:
    """Two strategies that trade as in the paper, CLIP guidance with these figures instead."""
    free = {
        "fid": (5, 3, 4, 8), "inception_score": (10, 11, 12, 13), "precision": (0.5, 0.6, 0.7, 0.6),
        "recall": (0.9, 0.9, 0.8, 0.7), "caption_accuracy": (0.5, 0.8, 0.9, 0.9),
        "clip_score": (20, 22, 23, 23), "guiding_clip_score": (10, 12, 13, 13),
    }  # fmt: skip
    own = {m: free[m][:3] for m in METRICS} | {
        "fid": (5, 6, 7), "guiding_clip_score": (10, 14, 15), "caption_accuracy": (0.5, 0.6, 0.7)
    }  # fmt: skip
    return {
        "classifier_free": Curve(
            "classifier_free",
            np.array([1.0, 3, 6, 12]),
            {m: constant(*values) for m, values in free.items()},
        ),
        "clip": Curve(
            "clip",
            np.array([0.0, 3, 6]),
            {m: constant(*values) for m, values in (own | clip).items()},
        ),
    }


def verdicts(found: dict[str, Curve]) -> list[bool]:
    return [holds for _, holds, _ in claims(found, Jackknife.of(20))]


def test_the_papers_trade_offs_are_told_from_their_opposites():
    assert verdicts(curves()) == [True] * 6
    assert verdicts(curves(guiding_clip_score=(10, 12, 12))) == [True] * 4 + [False, True]
    assert verdicts(curves(caption_accuracy=(0.5, 0.9, 0.95))) == [True] * 5 + [False]
    backwards = curves()
    for figures in backwards["classifier_free"].figures.values():
        figures *= -1
    assert verdicts(backwards)[:4] == [False] * 4


def test_strategies_that_reach_no_common_fid_are_not_compared():
    apart = curves(fid=(5, 9, 10))
    assert verdicts(apart) == [True] * 4 + [False, False]
    assert "no scale reaches" in [figures for _, _, figures in claims(apart, Jackknife.of(20))][-1]


def test_a_difference_within_its_noise_is_no_trade_off():
    noisy = curves()
    figures = noisy["classifier_free"].figures["recall"]
    figures[3] += np.append(0, np.random.default_rng(1).normal(0, 0.2, SUBSETS))
    assert verdicts(noisy)[2] is False


def test_equal_fid_is_the_last_crossing():
    at = curves()["classifier_free"].at("recall", constant(5, 8, 9, 2))
    np.testing.assert_allclose(at, constant(0.775, 0.7, np.nan, np.nan))


def test_the_interval_of_a_mean_is_that_of_its_replicas():
    rng = np.random.default_rng(0)
    by_replica = rng.normal(3, 1, 40)
    jackknife = Jackknife.of(40)
    replica_of = np.repeat(np.arange(40), 5)
    rows = jackknife.rows(replica_of)
    found = jackknife.interval(np.array([by_replica[replica_of][some].mean() for some in rows]))
    reach = stats.t.ppf(0.975, 39) * stats.sem(by_replica)
    assert found.value == pytest.approx(by_replica.mean())
    # forty subsets know a standard error to about a ninth
    assert found.high - found.value == pytest.approx(reach, rel=0.25)
    assert found.value - found.low == pytest.approx(found.high - found.value)
