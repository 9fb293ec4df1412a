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
    half_se,
    jackknife_influence,
    no_interval,
    prompt_halves,
    share_interval,
    t_interval,
    undefined,
)

_SIBLINGS = 32  # of one prompt, that a half loses together; more only matter where they are close
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
        recalled: share of real images in any generated ball; first of all images, then of each of
            `prompt_halves`, with radii of its own: float64 (1 + H,).
    """

    numbers: Int[np.ndarray, " n"]
    real_count: int
    k: int
    density_k: int
    inside: Bool[np.ndarray, " n"]
    balls: Int[np.ndarray, " n"]
    covered: Float64[np.ndarray, " left_out"]
    recalled: Float64[np.ndarray, " halved"]

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
        kept = np.vstack([np.ones(n, bool), prompt_halves(numbers)])
        balls = _GeneratedBalls.of(points, numbers, kept, real.k) if n > real.k else None
        # A small reference may have fewer neighbours than that; `_too_few` then gives no value.
        depth = min(density_k, real.nearest.shape[1])
        real_radii = np.stack([real.squared_radii, real.radii_at(depth)], axis=1)
        inside, counts = np.zeros(n, bool), np.zeros(n, np.int64)
        recalled = np.zeros((len(kept), len(real.points)), bool)
        covered = _Cover(len(real.points), int(numbers.max(initial=-1)) + 1)
        radii = balls.radii if balls else np.full((n, 1), -1.0)
        for pairs in pairs_within(points, real.points, radii, real_radii):
            in_real, dense = (pairs.squared[:, None] <= real_radii[pairs.b]).T
            inside[pairs.a[in_real]] = True
            counts += np.bincount(pairs.a[dense], minlength=n)
            covered.add(pairs.b[dense], numbers[pairs.a[dense]])
            if balls:
                balls.mark(pairs, recalled)
        return cls(
            numbers, len(real.points), real.k, density_k, inside, counts,
            covered.shares(), recalled.mean(axis=1),
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
    for n ≤ k. Balls come and go one by one as images do, too roughly for a jackknife that leaves
    out one prompt at a time; so the standard error is that of halves of the prompts (`half_se`),
    each with radii of its own. Wilson's interval is taken at its effective size.

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
    images = np.sort(np.bincount(seen.numbers))  # of each prompt
    if images[: len(images) - len(images) // 2].sum() <= seen.k:
        reason = f"no interval: half of the prompts of {seen.n} images are too few at k = {seen.k}"
        return MetricValue("recall", float(seen.recalled[0]), Interval(), seen.n, note=reason)
    se, groups = half_se(seen.recalled[1:], seen.numbers)
    value, note = float(seen.recalled[0]), no_interval(1.0, groups) or _depends_on_n(seen)
    interval, method = share_interval(value, se, groups), "halves of the prompts, Wilson score"
    return MetricValue("recall", value, interval, seen.n, method, note, halves=seen.recalled[1:])


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

    coverage = mean_j 1[ball of y_j holds some x_i] (Naeem et al. 2020, eq. 5). The standard error
    is a jackknife over prompts, conservative where few images hold what is covered. (Halves would
    not do: half the images cover far less of a reference.)

    Args:
        seen: `Neighbourhoods.of`.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 200, 4))
        >>> coverage(Neighbourhoods.of(generated[:20], Manifold.of(real))).value < 0.5
        True
    """
    if reason := _too_few(seen):
        return undefined("coverage", seen.n, reason)
    value = float(seen.covered[0])
    influence = jackknife_influence(seen.covered[1:], seen.numbers)
    se, groups = clustered_se(influence, seen.numbers)
    note = no_interval(1.0, groups) or _depends_on_n(seen)
    interval, method = share_interval(value, se, groups), "jackknife over prompts, Wilson score"
    return MetricValue("coverage", value, interval, seen.n, method, note, influence)


def _too_few(seen: Neighbourhoods) -> str:
    if seen.real_count <= seen.density_k:
        return f"the reference has {seen.real_count} images, needs more than k = {seen.density_k}"
    return "" if seen.n else "needs at least one image"


def _depends_on_n(seen: Neighbourhoods) -> str:
    if 2 * seen.n >= seen.real_count:
        return ""
    return f"depends on n, here {seen.n} against {seen.real_count} real; compare values of equal n"


@dataclass(frozen=True, eq=False)
class _GeneratedBalls:
    """Balls around generated images: of all of them, then of each half of their prompts.

    Attributes:
        manifold: of the generated images.
        place: int (1 + H, n), which neighbour the ball reaches to, from 0; −1 for no ball. Halves
            that keep fewer than k of the neighbours at hand have the last of them, a ball a little
            too small.
    """

    manifold: Manifold
    place: Int[np.ndarray, "subsets n"]

    @classmethod
    def of(
        cls, points: np.ndarray, numbers: np.ndarray, kept: np.ndarray, k: int
    ) -> _GeneratedBalls:
        # A half keeps k of 4k neighbours in 98 of 100 cases, and a prompt's images go together.
        depth = 4 * k + min(int(np.bincount(numbers).max()), _SIBLINGS)
        manifold = Manifold.of(points, k, depth=depth)
        last = manifold.nearest.shape[1] - 1
        place = np.empty(kept.shape, np.int16)
        for row, subset in zip(place, kept, strict=True):
            found = np.cumsum(subset[manifold.neighbours], axis=1) >= k
            row[:] = np.where(found[:, last], np.argmax(found, axis=1), last)
            row[~subset] = -1
        return cls(manifold, place)

    @property
    def radii(self) -> np.ndarray:
        """Squared radii that pairs are asked for, the ball's and the largest: float64 (n, 2)."""
        return np.stack([self.manifold.squared_radii, self.manifold.nearest[:, -1]], axis=1)

    def mark(self, pairs: Pairs, held: np.ndarray) -> None:
        """Mark the real images that the balls of each subset hold in bool (1 + H, m)."""
        nearer = np.zeros(len(pairs.a), np.int16)  # the generated image's neighbours nearer to it
        for column in self.manifold.nearest.T:
            nearer += column[pairs.a] < pairs.squared
        for row, place in zip(held, self.place, strict=True):
            row[pairs.b[nearer <= place[pairs.a]]] = True


class _Cover:
    """Which of m real images hold a generated one, and would without each of G prompts.

    A real image that holds images of two prompts survives the loss of any one. So its lowest and
    highest prompt tell all.
    """

    def __init__(self, m: int, groups: int) -> None:
        self._lowest = np.full(m, groups)
        self._highest = np.full(m, -1)
        self._groups = groups

    def add(self, real: np.ndarray, prompts: np.ndarray) -> None:
        """Take in that these real images hold images of these prompts: int (p,) each."""
        np.minimum.at(self._lowest, real, prompts)
        np.maximum.at(self._highest, real, prompts)

    def shares(self) -> np.ndarray:
        """Share of real images that hold any, by all and without each prompt: float64 (1 + G,)."""
        holds = self._highest >= 0
        lost = np.bincount(
            self._highest[holds & (self._lowest == self._highest)], minlength=self._groups
        )
        return (np.count_nonzero(holds) - np.append(0, lost)) / len(holds)


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
