"""Precision and recall, density and coverage, from one pass over the distances.

Precision is the share of generated images inside the manifold of the real ones, recall the share of
real images inside the manifold of the generated ones (Kynkäänniemi et al. 2019, arXiv 1904.06991).
A manifold is the union of balls around its points out to their k-th neighbour, k = 3 as there.

Density counts how many real balls hold a generated image, over k, so that one outlier's large ball
does not make an image real; coverage is the share of real images whose own ball holds a generated
one (Naeem et al. 2020, arXiv 2002.09797, eq. 4 and 5), k = 5 as there. Density can exceed 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Real

from .neighbours import Manifold, Pairs, pairs_within, refuse_other_dimension
from .record import Measured, Metric
from .value import (
    Clusters,
    Interval,
    MetricValue,
    check_features,
    cluster_numbers,
    clustered_se,
    jackknife_influence,
    no_interval,
    share_interval,
    t_interval,
    undefined,
)

DENSITY_K = 5  # of density and coverage; that of precision and recall is the manifold's


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Who lies in whose ball, generated images against real ones.

    Attributes:
        numbers: int (n,), each generated image's prompt, from 0.
        real_count: m, real images.
        k: neighbour that sets the radius for precision and recall.
        density_k: the same for density and coverage.
        inside: bool (n,), generated images in any real ball.
        balls: int (n,), how many of the real balls for density hold each generated image.
        covered: share of real images whose ball for density holds a generated one; first of all
            images, then without each prompt: float64 (1 + G,).
        recalled: share of real images in any generated ball; likewise (1 + G,), the radii drawn
            anew without each prompt.
    """

    numbers: Int[np.ndarray, " n"]
    real_count: int
    k: int
    density_k: int
    inside: Bool[np.ndarray, " n"]
    balls: Int[np.ndarray, " n"]
    covered: Float64[np.ndarray, " shares"]
    recalled: Float64[np.ndarray, " shares"]

    @classmethod
    def of(
        cls,
        features: Real[np.ndarray, ...],
        real: Manifold,
        clusters: Clusters = None,
        density_k: int = DENSITY_K,
    ) -> Neighbourhoods:
        """Compare generated images with real ones.

        Args:
            features: (n, d) of generated images.
            real: manifold of the real images' features; its k serves precision and recall.
            clusters: (n,) prompt of each image; None means all differ.
            density_k: neighbour that sets the radius for density and coverage.

        Raises:
            FeatureError: not finite, or of another dimension than the reference.
        """
        points = check_features(features, "features for precision and recall")
        refuse_other_dimension(points, real.points)
        n, numbers = len(points), cluster_numbers(len(points), clusters)
        balls = _GeneratedBalls.of(points, numbers, real.k)
        # A small reference may have fewer neighbours than that; `_too_few` then gives no value.
        depth = min(density_k, real.nearest.shape[1])
        real_radii = np.stack([real.squared_radii, real.radii_at(depth)], axis=1)
        inside, counts = np.zeros(n, bool), np.zeros(n, np.int64)
        groups = int(numbers.max(initial=-1)) + 1
        covered, recalled = (_Cover(len(real.points), groups) for _ in range(2))
        for pairs in pairs_within(points, real.points, balls.radii, real_radii):
            in_real, dense = (pairs.squared[:, None] <= real_radii[pairs.b]).T
            inside[pairs.a[in_real]] = True
            counts += np.bincount(pairs.a[dense], minlength=n)
            covered.add(pairs.b[dense], numbers[pairs.a[dense]])
            balls.add_to(recalled, pairs, numbers)
        return cls(
            numbers, len(real.points), real.k, density_k, inside, counts,
            covered.shares(), recalled.shares(),
        )  # fmt: skip

    @property
    def n(self) -> int:
        """Generated images."""
        return len(self.numbers)


def precision(seen: Neighbourhoods) -> MetricValue:
    """Return the share of generated images that lie in the real images' manifold.

    precision = mean_i 1[some real ball holds x_i] (Kynkäänniemi et al. 2019, eq. 2). For a given
    reference each image is in or out by itself, so the interval is Wilson's, clustered by prompt.

    Args:
        seen: `Neighbourhoods.of`.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 100, 4))
        >>> near = Neighbourhoods.of(generated, Manifold.of(real))
        >>> far = Neighbourhoods.of(generated + 9, Manifold.of(real))
        >>> precision(near).value > 0.5, precision(far).value
        (True, 0.0)
    """
    if not seen.n:
        return undefined("precision", 0, "needs at least one image")
    inside = seen.inside.astype(np.float64)
    se, groups = clustered_se(inside, seen.numbers)
    value = float(inside.mean())
    interval = share_interval(value, se, groups)
    note = no_interval(1.0, groups)  # Wilson's interval bears a zero error
    method = "Wilson score, clustered by prompt"
    return MetricValue("precision", value, interval, seen.n, method, note, inside - value)


def recall(seen: Neighbourhoods) -> MetricValue:
    """Return the share of real images that lie in the generated images' manifold.

    recall = mean_j 1[some generated ball holds y_j] (Kynkäänniemi et al. 2019, eq. 2), undefined
    for n ≤ k. Leaving out an image moves its neighbours' radii too, so the standard error is a
    jackknife over prompts with every radius recomputed; Wilson's interval is taken at its effective
    size. It is conservative: balls come and go one by one, and the jackknife counts such jumps
    twice.

    Args:
        seen: `Neighbourhoods.of`.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 100, 4))
        >>> varied = Neighbourhoods.of(generated, Manifold.of(real))
        >>> alike = Neighbourhoods.of(generated / 9, Manifold.of(real))
        >>> recall(alike).value < 0.2 < recall(varied).value
        True
    """
    if seen.n <= seen.k:
        return undefined("recall", seen.n, f"needs more than k = {seen.k} images, has {seen.n}")
    if seen.n - np.bincount(seen.numbers).max() <= seen.k:
        reason = f"no interval: without one prompt, {seen.n} images are too few at k = {seen.k}"
        return MetricValue("recall", float(seen.recalled[0]), Interval(), seen.n, note=reason)
    return _share_of_real("recall", seen, seen.recalled)


def density(seen: Neighbourhoods) -> MetricValue:
    """Return how many real balls hold a generated image on average, over k.

    density = Σ_i Σ_j 1[ball of y_j holds x_i] / (k n) (Naeem et al. 2020, eq. 4). It is ≥ 0 and
    about 1 for real images. For a given reference it is a mean over images.

    Args:
        seen: `Neighbourhoods.of`.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 200, 4))
        >>> round(density(Neighbourhoods.of(generated, Manifold.of(real))).value, 1)
        1.0
    """
    if reason := _too_few(seen):
        return undefined("density", seen.n, reason)
    scores = seen.balls / seen.density_k
    se, groups = clustered_se(scores, seen.numbers)
    value = float(scores.mean())
    interval = t_interval(value, se, groups, (0.0, np.inf))
    method, note = "standard error clustered by prompt", no_interval(se, groups)
    return MetricValue("density", value, interval, seen.n, method, note, scores - value)


def coverage(seen: Neighbourhoods) -> MetricValue:
    """Return the share of real images whose own ball holds a generated image.

    coverage = mean_j 1[ball of y_j holds some x_i] (Naeem et al. 2020, eq. 5). The interval is
    made as that of `recall`.

    Args:
        seen: `Neighbourhoods.of`.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 200, 4))
        >>> coverage(Neighbourhoods.of(generated[:20], Manifold.of(real))).value < 0.5
        True
    """
    if reason := _too_few(seen):
        return undefined("coverage", seen.n, reason)
    return _share_of_real("coverage", seen, seen.covered)


def _too_few(seen: Neighbourhoods) -> str:
    if seen.real_count <= seen.density_k:
        return f"the reference has {seen.real_count} images, needs more than k = {seen.density_k}"
    return "" if seen.n else "needs at least one image"


def _share_of_real(metric: str, seen: Neighbourhoods, shares: np.ndarray) -> MetricValue:
    value = float(shares[0])
    influence = jackknife_influence(shares[1:], seen.numbers)
    se, groups = clustered_se(influence, seen.numbers)
    note = no_interval(1.0, groups)
    if not note and 2 * seen.n < seen.real_count:
        note = (
            f"depends on n, here {seen.n} against {seen.real_count} real; compare values of equal n"
        )
    interval, method = share_interval(value, se, groups), "jackknife over prompts, Wilson score"
    return MetricValue(metric, value, interval, seen.n, method, note, influence)


@dataclass(frozen=True, eq=False)
class _GeneratedBalls:
    """Balls around generated images, with what becomes of them as prompts are left out.

    Attributes:
        radii: float64 (n, 1 + k): the squared radius, then the one without each of the k nearest
            images' prompts; −1 (nothing) for n ≤ k, and where no ball is left.
        prompts: int (n, k): the prompt left out for each of the latter.
    """

    radii: np.ndarray
    prompts: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, numbers: np.ndarray, k: int) -> _GeneratedBalls:
        n = len(points)
        radii, prompts = np.full((n, 1 + k), -1.0), np.zeros((n, k), np.intp)
        if n <= k:
            return cls(radii, prompts)
        depth = k + int(np.bincount(numbers).max())  # k remain whichever prompt is left out
        manifold = Manifold.of(points, k, depth=depth)
        near = numbers[manifold.neighbours]  # prompts of the neighbours, nearest first
        radii[:, 0] = manifold.squared_radii
        for t in range(k):
            left = near != near[:, [t]]
            place = np.argmax(np.cumsum(left, axis=1) == k, axis=1)
            known = (left.sum(axis=1) >= k) & (near[:, t] != numbers)
            radii[known, 1 + t] = manifold.nearest[known, place[known]]
            prompts[:, t] = near[:, t]
        return cls(radii, prompts)

    def add_to(self, recalled: _Cover, pairs: Pairs, numbers: np.ndarray) -> None:
        """Real images in the balls, and those that balls reach only without a prompt."""
        radii = self.radii[pairs.a]
        within = pairs.squared <= radii[:, 0]
        recalled.add(pairs.b[within], numbers[pairs.a[within]])
        for t in range(self.prompts.shape[1]):
            gained = ~within & (pairs.squared <= radii[:, 1 + t])
            recalled.add_without(pairs.b[gained], self.prompts[pairs.a[gained], t])


class _Cover:
    """Which of m real images some ball holds, and would hold without each of G prompts.

    A real image that balls of two prompts hold survives the loss of any one. So its lowest and
    highest prompt tell all, and those that are reached only without a prompt are few.
    """

    def __init__(self, m: int, groups: int) -> None:
        self._lowest = np.full(m, groups)
        self._highest = np.full(m, -1)
        self._groups = groups
        self._without: list[np.ndarray] = []

    def add(self, real: np.ndarray, prompts: np.ndarray) -> None:
        """Balls of these prompts hold these real images: int (p,) each."""
        np.minimum.at(self._lowest, real, prompts)
        np.maximum.at(self._highest, real, prompts)

    def add_without(self, real: np.ndarray, prompts: np.ndarray) -> None:
        """Without these prompts, balls would hold these real images: int (p,) each."""
        self._without.append(real * self._groups + prompts)

    def shares(self) -> np.ndarray:
        """Share of real images held, by all and without each prompt: float64 (1 + G,)."""
        held = self._highest >= 0
        lost = held & (self._lowest == self._highest)
        change = -np.bincount(self._highest[lost], minlength=self._groups)
        if self._without:
            real, prompts = np.divmod(np.unique(np.concatenate(self._without)), self._groups)
            gained = ~held[real] | (lost[real] & (self._highest[real] == prompts))
            change += np.bincount(prompts[gained], minlength=self._groups)
        return (np.count_nonzero(held) + np.append(0, change)) / len(held)


def _of_arm(arm: Measured) -> Neighbourhoods:
    """Return who lies in whose ball, which all four metrics of an arm share."""
    return arm.once(
        "neighbourhoods",
        lambda: Neighbourhoods.of(arm.features.pool, arm.real.manifold, arm.prompts),
    )


def _record(
    name: str, place: int, value: Callable[[Neighbourhoods], MetricValue], drawn: bool = False
) -> Metric:
    return Metric(
        name, name.capitalize(), "higher", 3, needs="pool", place=place, needs_reference=True,
        least_real=4, drawn=drawn, value=lambda arm, _: value(_of_arm(arm)),
    )  # fmt: skip


METRICS = (
    _record("precision", 70, precision, drawn=True),
    _record("recall", 80, recall, drawn=True),
    _record("density", 90, density),
    _record("coverage", 100, coverage),
)
