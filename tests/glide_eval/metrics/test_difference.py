from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from glide_eval.metrics import (
    Manifold,
    Moments,
    Neighbourhoods,
    Observed,
    accuracy,
    clip_score,
    differences,
    fid,
    inception_score,
    kid,
    kid_reference_term,
    precision,
    recall,
    undefined,
    vendi,
)
from glide_eval.metrics.difference import difference


def keys(n: int, replicas: int = 1, first: int = 0) -> list[tuple[str, int]]:
    return [(f"p{first + i // replicas}", i % replicas) for i in range(n)]


def of_scores(arm: str, scores, keys) -> Observed:
    return Observed(arm, clip_score(np.asarray(scores, float), [p for p, _ in keys]), keys)


def test_a_mean_over_shared_prompts_has_the_paired_t_interval():
    rng = np.random.default_rng(0)
    common = 5 * rng.normal(size=30)
    a, b = common + rng.normal(size=30), common + rng.normal(size=30) + 1
    found = difference(of_scores("cfg-3", a, keys(30)), of_scores("unguided", b, keys(30)))
    wanted = stats.ttest_rel(a, b)
    assert (found.arm, found.baseline, found.metric, found.n) == (
        "cfg-3", "unguided", "clip_score", 30,
    )  # fmt: skip
    assert found.difference == pytest.approx((a - b).mean())
    low, high = wanted.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.note == ""


def test_the_order_of_images_is_no_matter():
    rng = np.random.default_rng(1)
    a, b, names = rng.normal(size=20), rng.normal(size=20), keys(20, 2)
    order = rng.permutation(20)
    plain = difference(of_scores("a", a, names), of_scores("b", b, names))
    mixed = of_scores("b", b[order], [names[i] for i in order])
    found = difference(of_scores("a", a, names), mixed)
    assert found.interval.low == pytest.approx(plain.interval.low)
    assert found.interval.high == pytest.approx(plain.interval.high)


def test_replicas_count_by_prompt():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=25), rng.normal(size=25)
    once = difference(of_scores("a", a, keys(25)), of_scores("b", b, keys(25)))
    thrice = difference(
        of_scores("a", a.repeat(3), keys(75, 3)), of_scores("b", b.repeat(3), keys(75, 3))
    )
    assert thrice.n == 75
    assert thrice.interval.low == pytest.approx(once.interval.low)


def test_arms_without_a_prompt_in_common_are_independent_and_it_says_so():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=400), 2 * rng.normal(size=300)
    apart = difference(of_scores("a", a, keys(400)), of_scores("b", b, keys(300, first=400)))
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (apart.interval.low, apart.interval.high) == pytest.approx((low, high), abs=2e-3)
    assert (apart.n, apart.note) == (0, "the arms share no prompt: taken as independent")
    partly = difference(of_scores("a", a, keys(400)), of_scores("b", b, keys(300, first=200)))
    assert (partly.n, partly.note) == (200, "only 200 of 400 images have a partner")


def test_undefined_values_give_no_difference_and_hand_on_their_reasons():
    known = of_scores("a", [1, 2, 3], keys(3))
    unknown = Observed("b", undefined("clip_score", 0, "needs at least one image"), keys(3))
    found = difference(known, unknown)
    assert np.isnan([found.difference, found.interval.low]).all()
    assert found.note == "needs at least one image"


def test_without_influence_spread_or_prompts_there_is_no_interval():
    one = of_scores("a", [1.0, 2.0], [("p", 0), ("p", 1)])
    found = difference(one, dataclasses.replace(one, arm="b"))
    assert found.difference == 0
    assert np.isnan(found.interval.low)
    assert "single prompt" in found.note
    many = of_scores("a", [1.0, 2.0, 3.0], keys(3))
    same = difference(many, dataclasses.replace(many, arm="b"))
    assert np.isnan(same.interval.low)
    assert "every prompt differs by the same" in same.note
    bare = dataclasses.replace(many.value, influence=None)
    found = difference(many, Observed("b", bare, keys(3)))
    assert "no influence values" in found.note
    with pytest.raises(ValueError, match="3 influence values but 2 keys"):
        difference(many, Observed("b", many.value, keys(2)))


def test_differences_go_by_pairs_and_by_the_metrics_both_have():
    def arm(name: str, level: float) -> list[Observed]:
        scores = level + np.arange(5.0) * (level + 1)
        value = clip_score(scores, None)
        return [Observed(name, value, keys(5)),
                Observed(name, dataclasses.replace(value, metric="kid"), keys(5))]  # fmt: skip

    observed = [*arm("a", 0), *arm("b", 1), arm("c", 3)[0]]
    found = differences(observed, [("b", "a"), ("c", "a")])
    assert [(d.arm, d.baseline, d.metric) for d in found] == [
        ("b", "a", "clip_score"), ("b", "a", "kid"), ("c", "a", "clip_score"),
    ]  # fmt: skip
    assert found[0].difference == observed[2].value.value - observed[0].value.value


def test_an_accuracys_unclaimed_images_have_no_say():
    values = np.array([1, 0, np.nan, 1, np.nan, 0, 1, 1])
    first = Observed("a", accuracy(values, "relation", list("abcdefgh")), keys(8))
    se = np.std(values[~np.isnan(values)], ddof=1) / np.sqrt(6)
    assert np.sqrt(np.sum(first.value.influence**2)) / 8 == pytest.approx(se * np.sqrt(5 / 6))


def test_differences_of_set_metrics_cover_the_mean_of_repeated_draws():
    rng = np.random.default_rng(5)
    d, n = 4, 80
    mix = np.eye(d) + 0.4 * rng.normal(size=(d, d))
    real = rng.normal(size=(300, d))
    moments, manifold, term = Moments.of(real), Manifold.of(real), kid_reference_term(real)

    def measured(x):
        seen = Neighbourhoods.of(x, manifold)
        return [fid(x, moments), kid(x, real, None, term), inception_score(2 * x), vendi(x - 1),
                precision(seen), recall(seen)]  # fmt: skip

    found = []
    for _ in range(200):
        noise = rng.normal(size=(n, d))  # shared by both arms
        first = measured(1.2 * noise + 0.3)
        second = measured((noise + 0.3 * rng.normal(size=(n, d))) @ mix)
        found.append([
            difference(Observed("a", a, keys(n)), Observed("b", b, keys(n)))
            for a, b in zip(first, second, strict=True)
        ])  # fmt: skip
    for of_metric in zip(*found, strict=True):
        mean = np.mean([result.difference for result in of_metric])
        covered = np.mean([r.interval.low <= mean <= r.interval.high for r in of_metric])
        assert 0.91 <= covered <= 0.99


def test_shared_noise_makes_a_differences_interval_narrower_than_independent_arms():
    rng = np.random.default_rng(6)
    noise, real = rng.normal(size=(200, 4)), Moments.of(rng.normal(size=(900, 4)))
    one = fid(1.3 * noise, real)
    other = fid(1.3 * noise + 0.2 * rng.normal(size=(200, 4)), real)
    shared = difference(Observed("a", one, keys(200)), Observed("b", other, keys(200))).interval
    apart = Observed("b", other, keys(200, first=500))
    independent = difference(Observed("a", one, keys(200)), apart).interval
    assert shared.high - shared.low < 0.6 * (independent.high - independent.low)
