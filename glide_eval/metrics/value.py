"""A metric's value with its interval, and the standard errors behind the intervals.

Every interval is over the generated images, the reference held fixed. Images of one prompt (its
replicas) are one cluster: they are not independent, so uncertainty is summed over prompts.
"""

# SciPy has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int, Real
from scipy.special import stdtrit

from glide_eval.errors import FeatureError

LEVEL = 0.95
GROUPS = 50  # of prompts for a grouped jackknife, which then knows its error to 10%
HALVES = 50  # random halves of the prompts, likewise
Clusters = Sequence[Hashable] | np.ndarray | None  # (n,) labels; None: each its own


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; NaN bounds where none can be given.

    Attributes:
        low: lower bound.
        high: upper bound.
        level: nominal coverage in 0..1.
    """

    low: float = float("nan")
    high: float = float("nan")
    level: float = LEVEL


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric of one set of images.

    Attributes:
        metric: its name, as in `metrics.csv`.
        value: NaN where it is not defined; `note` says why.
        interval: see `Interval`.
        n: images the value was computed from.
        method: how the interval was made, in a few words; empty where there is none.
        note: why a value or interval is missing or should be doubted; else empty.
        influence: float64 (images,), how much each image of the arm moves the value: to first
            order the value errs by their mean, and one image less by −influence/n. The interval and
            those of differences between arms come from it (`difference`); None where there is
            none. Never written to files.
        halves: float64 (H,), the value of each of `prompt_halves`, for a metric that single images
            move by jumps; it then has no `influence`. Never written either.
    """

    metric: str
    value: float
    interval: Interval
    n: int
    method: str = ""
    note: str = ""
    influence: Float64[np.ndarray, " images"] | None = field(
        default=None, repr=False, compare=False
    )
    halves: Float64[np.ndarray, " halves"] | None = field(default=None, repr=False, compare=False)


def undefined(metric: str, n: int, reason: str) -> MetricValue:
    """Return a value that is not defined, with the reason.

    Examples:
        >>> undefined("fid", 1, "needs 2 images").note
        'needs 2 images'
    """
    return MetricValue(metric, float("nan"), Interval(), n, note=reason)


def no_interval(se: float, groups: int) -> str:
    """Return why `t_interval` gives no interval; empty where it does."""
    if groups < 2:
        return "no interval from a single prompt"
    return "" if se > 0 else "no interval: every prompt contributes the same"


def as_matrix(features: Real[np.ndarray, ...], what: str) -> Float64[np.ndarray, "n d"]:
    """Return features as float64 (n, d).

    Args:
        features: (n, d), of any real dtype.
        what: their name in errors.

    Raises:
        FeatureError: see `check_features`.

    Examples:
        >>> as_matrix(np.array([[1, 2]]), "features")
        array([[1., 2.]])
    """
    return check_features(features, what).astype(np.float64, copy=False)


def as_unit_rows(embeddings: Real[np.ndarray, ...], what: str) -> Float64[np.ndarray, "n e"]:
    """Return embeddings of unit length as float64 (n, e).

    Raises:
        FeatureError: see `check_features`; or a row is not of unit length.
    """
    matrix = as_matrix(embeddings, what)
    lengths = np.linalg.norm(matrix, axis=1)
    # Half precision is off by about 1e-3; anything more is not an embedding meant for a cosine.
    if len(lengths) and np.abs(lengths - 1).max() > 0.01:
        worst = lengths[np.argmax(np.abs(lengths - 1))]
        raise FeatureError(f"{what} have length {worst:.3g}: expected 1. Normalise them first.")
    return matrix


def check_features(features: Real[np.ndarray, ...], what: str) -> Real[np.ndarray, "n d"]:
    """Return features (n, d) in their own dtype, for passes to which a float64 copy is too big.

    Raises:
        FeatureError: not a matrix, without columns, or not finite; `what` and the first bad row
            are named.
    """
    matrix = np.asarray(features)
    if matrix.dtype == np.float16:  # whose sums and products overflow at 65,504
        matrix = matrix.astype(np.float32)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise FeatureError(
            f"{what} have shape {matrix.shape}: expected (images, features). "
            "The extractor does not keep its contract."
        )
    bad = nonfinite_rows(matrix)
    if len(bad):
        raise FeatureError(
            f"{what} are NaN or infinite for {len(bad)} of {len(matrix)} images, first for number "
            f"{bad[0]} (from 0): expected finite numbers. Half precision overflowing is the usual "
            "cause; extract in float32."
        )
    return matrix


def nonfinite_rows(values: Real[np.ndarray, "n ..."]) -> Int[np.ndarray, " k"]:
    """Return which rows of (n, …) hold a NaN or an infinity: int (k,), ascending.

    Examples:
        >>> nonfinite_rows(np.array([[0.0, 1.0], [np.nan, 1.0]]))
        array([1])
    """
    bad = np.any(~np.isfinite(values), axis=tuple(range(1, values.ndim)))
    return np.flatnonzero(bad)


def clustered_se(influence: Real[np.ndarray, " n"], clusters: Clusters = None) -> tuple[float, int]:
    """Return the standard error of a statistic from its influence values, summed within clusters.

    SE² = G/(G−1) · Σ_g (Σ_{i∈g} φ_i)² / n², φ centred (the cluster-robust sandwich with CR1's
    small-sample factor; Liang and Zeger 1986). For a mean and clusters of one it is s/√n.

    Args:
        influence: float (n,), each image's influence φ_i on the statistic (value minus mean, for
            a mean).
        clusters: (n,) labels; None means every image is its own.

    Returns:
        The standard error, NaN for fewer than two clusters, and the number of clusters G.

    Examples:
        >>> se, groups = clustered_se(np.array([-1.0, 0, 1]))
        >>> round(se, 4), groups  # s/√n = 1/√3
        (0.5774, 3)
    """
    sums = cluster_sums(influence - influence.mean() if len(influence) else influence, clusters)
    groups = len(sums)
    if groups < 2:
        return float("nan"), groups
    se = float(np.sqrt(groups / (groups - 1) * np.sum(sums**2)) / len(influence))
    # Clusters that contribute the same leave a rounding error, which would pass for precision.
    return (se if se > 1e-12 * np.abs(influence).max() else 0.0), groups


def cluster_sums(
    values: Real[np.ndarray, " n"], clusters: Clusters = None
) -> Real[np.ndarray, " groups"]:
    """Return sums of float (n,) over each cluster, in order of first appearance: float64 (G,)."""
    if clusters is None:
        return values
    return np.bincount(cluster_numbers(len(values), clusters), weights=values)


def cluster_numbers(n: int, clusters: Clusters = None) -> Int[np.ndarray, " n"]:
    """Return labels as numbers from 0 in order of appearance: int (n,); None gives each its own.

    Raises:
        ValueError: not as many labels as images.
    """
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ValueError(f"{n} images but {len(clusters)} cluster labels.")
    number = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    return np.array([number[label] for label in clusters], dtype=np.intp)


def jackknife_influence(
    left_out: Float64[np.ndarray, " groups"], numbers: Int[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return the influence of each image on a statistic computed without each cluster in turn.

    With it `clustered_se` is the jackknife over clusters, √((G−1)/G · Σ_g (θ₍g₎ − θ̄)²) (Efron
    and Stein 1981, whose theorem says that it errs upwards if at all).

    Args:
        left_out: float64 (G,), the statistic without each cluster, G ≥ 1.
        numbers: (n,) of `cluster_numbers`.
    """
    groups, n = len(left_out), len(numbers)
    of_cluster = (groups - 1) / groups * (left_out.mean() - left_out)
    return n * (of_cluster / np.bincount(numbers))[numbers]


def prompt_halves(numbers: Int[np.ndarray, " n"]) -> Bool[np.ndarray, "halves n"]:
    """Return which images random halves of the prompts keep: bool (`HALVES`, n).

    Arms of the same prompts keep the same ones. Of an odd number of prompts the larger part is
    kept.

    Args:
        numbers: (n,) of `cluster_numbers`.

    Examples:
        >>> prompt_halves(np.array([0, 0, 1, 1])).sum(axis=1).tolist() == [2] * HALVES
        True
    """
    prompts = int(numbers.max(initial=-1)) + 1
    order = np.random.default_rng(0).permuted(np.tile(np.arange(prompts), (HALVES, 1)), axis=1)
    return (order < prompts - prompts // 2)[:, numbers]


def half_se(
    values: Float64[np.ndarray, " halves"], numbers: Int[np.ndarray, " n"]
) -> tuple[float, int]:
    """Return the standard error of a statistic from its values of `prompt_halves`.

    SE² = (G − d)/d · s², s² their variance and d of G prompts left out: the delete-d jackknife,
    which also holds for statistics that single prompts move by jumps (Shao and Wu 1989).

    Args:
        values: of each half.
        numbers: (n,) of `cluster_numbers`.

    Returns:
        The standard error, NaN for fewer than two prompts, and how many values or prompts it rests
        on, whichever are fewer.

    Examples:
        >>> x, each = np.random.default_rng(0).normal(size=400), np.arange(400)
        >>> se, rests_on = half_se(np.array([x[kept].mean() for kept in prompt_halves(each)]), each)
        >>> 0.04 < se < 0.06, rests_on  # 1/√400, known to 10%
        (True, 50)
    """
    prompts = int(numbers.max(initial=-1)) + 1
    if prompts < 2:
        return float("nan"), prompts
    dropped = prompts // 2
    se = float(np.sqrt((prompts - dropped) / dropped) * np.std(values, ddof=1))
    return se, min(prompts, len(values))


def jackknife_groups(numbers: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return the images' groups for a grouped jackknife: whole prompts, at most `GROUPS` groups.

    Args:
        numbers: (n,) of `cluster_numbers`.

    Examples:
        >>> np.bincount(jackknife_groups(np.arange(100))).tolist() == [2] * 50
        True
    """
    prompts = int(numbers.max(initial=-1)) + 1
    if prompts <= GROUPS:
        return numbers
    # At random: prompts often come from a grid, whose columns a fixed step would group.
    return (np.random.default_rng(0).permutation(prompts) % GROUPS)[numbers]


def jackknifed(
    influence: Float64[np.ndarray, " n"],
    left_out: Float64[np.ndarray, " groups"],
    group: Int[np.ndarray, " n"],
    numbers: Int[np.ndarray, " n"],
) -> tuple[Float64[np.ndarray, " n"], float, int]:
    """Scale influence values to the standard error that a grouped jackknife finds.

    First-order influence misses what an image changes in the others' influence. Scaled, it gives
    differences between arms errors of the right size too.

    Args:
        influence: (n,) first-order influence values.
        left_out: (G,) the statistic without each group.
        group: (n,) of `jackknife_groups`.
        numbers: (n,) of `cluster_numbers`.

    Returns:
        The scaled influence, the standard error, and the number of groups. Where influence alone
        gives no error, they are as `clustered_se` has them.
    """
    first_order, prompts = clustered_se(influence, numbers)
    if not first_order > 0:
        return influence, first_order, prompts
    se, groups = clustered_se(jackknife_influence(left_out, group), group)
    return influence * (se / first_order), se, groups


def asymmetry(influence: Float64[np.ndarray, " n"], clusters: Clusters = None) -> float:
    """Return the skewness of the clusters' sums of influence over √G, for `t_interval`.

    Examples:
        >>> asymmetry(np.array([-1.0, 0.0, 1.0]))
        0.0
    """
    sums = cluster_sums(influence - influence.mean(), clusters)
    spread = np.mean(sums**2)
    return float(np.mean(sums**3) / spread**1.5 / np.sqrt(len(sums))) if spread > 0 else 0.0


def heavy_tails(influence: Float64[np.ndarray, " n"], clusters: Clusters = None) -> str:
    """Say that a few prompts carry the error, if they do; their number is (Σφ²)²/Σφ⁴.

    For Gaussian features it is about a third of the prompts. With so few, no estimate of the error
    is reliable.
    """
    squares = cluster_sums(influence, clusters) ** 2
    prompts, carrying = len(squares), squares.sum() ** 2 / max(np.sum(squares**2), 1e-300)
    if prompts < 50 or carrying >= max(5, prompts / 30):
        return ""
    return (
        f"heavy tails: its error comes from about {carrying:.0f} of {prompts} prompts, and the "
        "interval is too narrow"
    )


def t_interval(
    value: float,
    se: float,
    groups: int,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    level: float = LEVEL,
    skew: float = 0.0,
) -> Interval:
    """Return value ± t_{G−1} · SE, cut at the values the metric can take; none for SE = 0.

    With `skew`, Hall's transformation (1992) moves the ends to where a mean of skewed
    values needs them.

    Args:
        value: the estimate.
        se: its standard error.
        groups: G.
        bounds: the values the metric can take.
        level: nominal coverage.
        skew: see `asymmetry`.

    Examples:
        >>> t_interval(0.5, 0.1, groups=10, bounds=(0.0, 1.0))
        Interval(low=0.273..., high=0.726..., level=0.95)
    """
    if groups < 2 or not se > 0:
        return Interval(level=level)
    ends = stdtrit(groups - 1, [0.5 + level / 2, 0.5 - level / 2])
    if abs(skew) > 1e-6:
        ends = 3 / skew * (np.cbrt(1 + skew * (ends - skew / 6)) - 1)
    low, high = (value - se * float(end) for end in ends)
    return Interval(max(bounds[0], low), min(bounds[1], high), level)


def share_interval(value: float, se: float, groups: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval (1927) for a mean in 0..1, at an effective sample size.

    The effective size is the one at which a binomial share would have this SE,
    n = p(1−p)/SE²; where SE is zero (all alike: certainty by accident) it is the number of
    clusters. So 48 of 48 gives an interval below 1, not a point.

    Args:
        value: the mean, in 0..1.
        se: its (clustered) standard error.
        groups: number of clusters.
        level: nominal coverage.

    Examples:
        >>> share_interval(1.0, 0.0, groups=48)  # 48 of 48
        Interval(low=0.922..., high=1.0, level=0.95)
    """
    if not np.isfinite(se) or groups < 2:
        return Interval(level=level)
    spread = value * (1 - value)
    n = spread / se**2 if se > 1e-12 and spread > 1e-12 else groups
    z = float(stdtrit(groups - 1, 0.5 + level / 2))
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(spread / n + z**2 / (4 * n**2))
    low = float(centre - half) if value > 0 else 0.0
    high = float(centre + half) if value < 1 else 1.0
    return Interval(max(0.0, low), min(1.0, high), level)
