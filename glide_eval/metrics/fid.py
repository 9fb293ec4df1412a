"""Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, eq. 6).

    F = ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½)

Covariances are never multiplied. With C = AᵀA for any A, the last term is the nuclear norm of
A₁A₂ᵀ, and F − ‖Δμ‖² is a Procrustes distance, min over orthogonal Q of ‖A₁ − Q A₂‖²: it needs
neither full rank nor a regulariser, and as a sum of squares can't be negative. Everything is
float64.

FID on Inception's pool, and FD on DINOv2's (Stein et al. 2023), are this distance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Real

from glide_eval.errors import FeatureError

from .record import Measured, Metric
from .value import (
    GROUPS,
    Clusters,
    MetricValue,
    as_matrix,
    asymmetry,
    cluster_numbers,
    clustered_se,
    heavy_tails,
    jackknife_groups,
    jackknifed,
    no_interval,
    t_interval,
    undefined,
)

SPLITS = 4  # into halves, for FID∞


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and spread of a set of features, in a form that adds up.

    Attributes:
        n: how many rows were seen.
        mean: float64 (d,).
        root: float64 (r, d), r ≤ min(n − 1, d): rootᵀ·root = Σ (x − mean)(x − mean)ᵀ. Keeping the
            root rather than its square keeps the digits that a nearly singular covariance loses.
    """

    n: int
    mean: Float64[np.ndarray, " d"]
    root: Float64[np.ndarray, "r d"]

    @classmethod
    def of(cls, features: Real[np.ndarray, ...], what: str = "features") -> Moments:
        """Return moments of the rows of (n, d), n ≥ 1.

        Raises:
            FeatureError: not a finite, non-empty matrix.
        """
        matrix = as_matrix(features, what)
        if not len(matrix):
            raise FeatureError(f"{what} are of no image at all: expected at least one row.")
        mean = matrix.mean(axis=0)
        # Two passes: Σx² − n·mean² would cancel nearly all digits of large, similar features.
        centred = matrix - mean
        if 1 < len(matrix) <= matrix.shape[1]:
            # A reflection turns the first row into √n·mean, which is zero: n − 1 rows remain.
            centred = centred[1:] + centred[0] / (np.sqrt(len(matrix)) - 1)
        return cls(len(matrix), mean, _compress(centred))

    @classmethod
    def of_batches(
        cls, batches: Iterable[Real[np.ndarray, "..."]], what: str = "features"
    ) -> Moments:
        """Return moments of all rows of several matrices, one in memory at a time."""
        total: Moments | None = None
        for batch in batches:
            if len(batch):
                part = cls.of(batch, what)
                total = part if total is None else total.merge(part)
        if total is None:
            raise FeatureError(f"{what} are of no image at all: expected at least one row.")
        return total

    @classmethod
    def from_covariance(
        cls, n: int, mean: Real[np.ndarray, " d"], covariance: Real[np.ndarray, "d d"]
    ) -> Moments:
        """Return moments from published μ (d,) and unbiased covariance (d, d) of n images."""
        eigenvalues, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
        # What is left below rounding is noise of either sign; its roots would be NaN or too big.
        known = (
            eigenvalues > len(eigenvalues) * np.finfo(np.float64).eps * np.abs(eigenvalues).max()
        )
        scale = np.sqrt(eigenvalues[known] * (n - 1))
        return cls(n, np.asarray(mean, dtype=np.float64), scale[:, None] * vectors.T[known])

    def merge(self, other: Moments) -> Moments:
        """Return moments of both sets together (Chan et al. 1979, on roots)."""
        n = self.n + other.n
        step = other.mean - self.mean
        between = np.sqrt(self.n * other.n / n) * step
        root = _compress(np.vstack([self.root, other.root, between]))
        return type(self)(n, self.mean + step * (other.n / n), root)

    @property
    def covariance(self) -> Float64[np.ndarray, "d d"]:
        """Unbiased covariance (d, d); NaN for one row."""
        if self.n < 2:
            return np.full((len(self.mean), len(self.mean)), np.nan)
        return self.root.T @ self.root / (self.n - 1)

    @cached_property
    def factor(self) -> Float64[np.ndarray, "r d"]:
        """A (r, d) with AᵀA the covariance; needs n ≥ 2."""
        return self.root / np.sqrt(self.n - 1)

    @cached_property
    def trace(self) -> float:
        """Of the covariance; needs n ≥ 2."""
        return float(np.sum(self.factor**2))


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the squared Fréchet distance of two sets, ≥ 0; NaN if either has fewer than two rows.

    F = ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½) (Heusel et al. 2017, eq. 6).

    Three ways to the same number, the fastest that keeps its digits: the nuclear norm from the
    eigenvalues of a Gram matrix of the smaller rank; from singular values, twice as slow, where
    square roots of tiny eigenvalues would lose digits; and, where the distance is a small
    difference of large traces, the Procrustes sum of squares, six times as slow.

    Raises:
        FeatureError: the two differ in dimension.

    Examples:
        >>> points = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(frechet_distance(Moments.of(points), Moments.of(points + 2)), 6)  # 3 · 2²
        12.0
    """
    _refuse_other_dimension(first, second)
    if first.n < 2 or second.n < 2:
        return float("nan")
    a, b = first.factor, second.factor
    product = a @ b.T
    traces = first.trace + second.trace
    covariance_part = traces - 2 * _nuclear_norm(product, tolerance=1e-10 * traces)
    if covariance_part < 1e-6 * traces:
        covariance_part = _procrustes(a, b, product)
    return float(np.sum((first.mean - second.mean) ** 2)) + covariance_part


def fid(
    features: Real[np.ndarray, "n d"],
    reference: Moments,
    clusters: Clusters = None,
    metric: str = "fid",
) -> MetricValue:
    """Return FID of generated features against a reference, with a jackknife interval.

    The value is `frechet_distance`. Its standard error is the grouped jackknife over prompts: F
    without each of 50 random groups, to second order in what a group changes. The influence of x on
    F at (μ₁, C₁) is 2(μ₁−μ₂)ᵀ(x−μ₁) + (x−μ₁)ᵀ(I−T)(x−μ₁) less its mean, with T the optimal map
    between the Gaussians; it is returned scaled to that error. Alone it gives errors that are up to
    a third too small for skewed features.

    The interval holds the reference fixed and covers F's sampling error, not its bias, which is
    upward and large below a few images per dimension; `note` warns there, and where a few images
    carry the error.

    Args:
        features: (n, d) of generated images.
        reference: moments of the real images' features.
        clusters: (n,) prompt of each image; None means all differ.
        metric: the value's name: the extractor makes it FID or another Fréchet distance.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 200, 4))
        >>> round(fid(generated + [1, 0, 0, 0], Moments.of(real)).value, 2)  # the true value is 1
        1.0
    """
    matrix = as_matrix(features, f"features for {metric}")
    n, d = matrix.shape
    if n < 2 or reference.n < 2:
        return undefined(
            metric, n, f"needs 2 images on each side, has {n} generated and {reference.n} real"
        )
    moments = Moments.of(matrix)
    value = frechet_distance(moments, reference)
    seen = _Seen.of(matrix, moments, reference)
    numbers = cluster_numbers(n, clusters)
    group = jackknife_groups(numbers)
    influence, se, groups = jackknifed(seen.influence(), seen.left_out(group), group, numbers)
    interval = t_interval(value, se, groups, (0.0, np.inf), skew=asymmetry(influence, numbers))
    method = f"jackknife over {groups} groups of prompts"
    notes = [no_interval(se, groups), *_doubts(n, d, reference.n), heavy_tails(influence, numbers)]
    return MetricValue(
        metric, value, interval, n, method, "; ".join(filter(None, notes)), influence
    )


def fid_infinity(
    features: Real[np.ndarray, "n d"],
    reference: Moments,
    clusters: Clusters = None,
    plain: MetricValue | None = None,
    seed: int = 0,
) -> MetricValue:
    """Return FID without its small-sample bias: FID∞ (Chong and Forsyth 2020), from halves.

    FID∞ = 2 F(n) − F(n/2) for halves of n/2 images. The bias falls as 1/n, so that this is nearly
    free of it (Richardson's extrapolation); F(n/2) is the mean over both halves of several random
    splits by prompt. It can be below zero. The reference's own bias stays. The interval is that of
    the plain value, moved.

    Args:
        features: (n, d) of generated images.
        reference: moments of the real images' features.
        clusters: (n,) prompt of each image; None means all differ.
        plain: what `fid` gave for the same, if it was computed already.
        seed: of the splits.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> reference = Moments.of(real)
        >>> fid_infinity(generated, reference).value < fid(generated, reference).value
        True
    """
    whole = plain or fid(features, reference, clusters)
    matrix, metric = np.asarray(features, dtype=np.float64), "fid_infinity"
    n, d = matrix.shape
    numbers = cluster_numbers(n, clusters)
    groups = int(numbers.max()) + 1 if n else 0
    if whole.influence is None:
        return undefined(metric, n, whole.note)
    if groups < 4:
        return undefined(metric, n, f"needs 4 prompts to halve, has {groups}")
    rng = np.random.default_rng(seed)
    mapped = matrix @ reference.factor.T
    excess, inverse_n = 0.0, 0.0  # of F(half) over F(n), and of 1/n_half over 1/n, summed
    for _ in range(SPLITS):
        in_first = rng.permutation(groups)[numbers] < groups // 2
        for half in (in_first, ~in_first):
            excess += _mapped_distance(matrix[half], mapped[half], reference) - whole.value
            inverse_n += 1 / np.count_nonzero(half) - 1 / n
    value = float(whole.value - excess / inverse_n / n)
    se, groups = clustered_se(whole.influence, numbers)
    skew = asymmetry(whole.influence, numbers)
    interval = t_interval(value, se, min(groups, GROUPS), skew=skew)
    notes = [no_interval(se, groups), heavy_tails(whole.influence, numbers)]
    if n < 5 * d:
        notes.append(
            f"weak for {n} images of {d} features: with fewer than 5 per feature the bias does not "
            "shrink as 1/n, and the interval is too narrow"
        )
    if interval.high < 0:
        notes.append(
            "wholly below zero, as no distance is: the reference is perhaps of these very prompts, "
            "which half of them resemble less; take FID"
        )
    method = f"interval of FID, moved; {SPLITS} splits into halves by prompt"
    note = "; ".join(filter(None, notes))
    return MetricValue(metric, value, interval, n, method, note, whole.influence)


def _mapped_distance(matrix: np.ndarray, mapped: np.ndarray, reference: Moments) -> float:
    """Return distance of (n, d), n ≥ 2, given its rows times the reference's factor: (n, r).

    From eigenvalues alone: right to about eight digits, which is far below the bias it is for.
    """
    n = len(matrix)
    centred = mapped - mapped.mean(axis=0)
    gram = centred @ centred.T if n <= centred.shape[1] else centred.T @ centred
    nuclear = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0) / (n - 1)).sum()
    gap = matrix.mean(axis=0) - reference.mean
    return float(gap @ gap + matrix.var(axis=0, ddof=1).sum() + reference.trace - 2 * nuclear)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A set's rows as the distance from a reference sees them.

    Attributes:
        centred: float64 (n, d), rows less their mean.
        gap: float64 (d,), the set's mean less the reference's.
        rotated: float64 (n, r), the rows times the reference's factor, in the basis in which their
            covariance is diagonal.
        roots: float64 (r,), the roots of that diagonal, > 0; they sum to the nuclear norm.
    """

    centred: np.ndarray
    gap: np.ndarray
    rotated: np.ndarray
    roots: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, moments: Moments, reference: Moments) -> _Seen:
        n = len(matrix)
        centred = matrix - moments.mean
        if n <= len(reference.factor):
            product = centred @ reference.factor.T
            eigenvalues, left = np.linalg.eigh(product @ product.T)
            rotated = left * np.sqrt(np.maximum(eigenvalues, 0))
        else:
            product = moments.factor @ reference.factor.T
            rotated = centred @ (reference.factor.T @ np.linalg.eigh(product.T @ product)[1])
        lengths = np.linalg.norm(rotated, axis=0)
        kept = lengths > 1e-8 * lengths.max(initial=0.0)
        roots = lengths[kept] / np.sqrt(n - 1)
        return cls(centred, moments.mean - reference.mean, rotated[:, kept], roots)

    @cached_property
    def total(self) -> float:
        """Sum of squares of all centred rows: a whole pass over them, made once for all groups."""
        return float(np.sum(self.centred**2))

    def influence(self) -> np.ndarray:
        """Return each row's influence on the distance: float64 (n,), of mean 0."""
        influence = 2 * self.centred @ self.gap + np.sum(self.centred**2, axis=1)
        influence -= self.rotated**2 @ (1 / self.roots)  # xᵀ T x
        return influence - influence.mean()

    def left_out(self, group: np.ndarray) -> np.ndarray:
        """Return the distance without each group, but for a constant: float64 (groups,)."""
        s = self.roots
        curvature = 1 / (4 * np.outer(s, s) * (s[:, None] + s))
        return np.array([self._without(group == g, curvature) for g in range(int(group.max()) + 1)])

    def _without(self, left: np.ndarray, curvature: np.ndarray) -> float:
        """Return the distance without some rows, less what is the same whichever they are.

        tr √(D + E) is Σ√λ + ΣE_ii/2√λ_i − Σ E_ij²/(4√λ_i√λ_j(√λ_i + √λ_j)) to second order in E,
        the change of a diagonal covariance D (divided differences of the root: Higham 2008,
        chapter 3).
        """
        n, s = len(left), self.roots
        rows, out = self.centred[left], self.rotated[left]
        m = max(n - len(rows), 1)
        step, turned = -rows.sum(axis=0) / m, -out.sum(axis=0) / m
        spread = np.diag((n - 1) * s**2) - out.T @ out - m * np.outer(turned, turned)
        change = spread / max(m - 1, 1) - np.diag(s**2)
        nuclear = np.sum(np.diag(change) / (2 * s)) - np.vdot(change**2, curvature)
        trace = (self.total - np.sum(rows**2) - m * step @ step) / max(m - 1, 1)
        return float(np.sum((self.gap + step) ** 2) + trace - 2 * nuclear)


def _procrustes(a: np.ndarray, b: np.ndarray, product: np.ndarray) -> float:
    """Min over orthogonal Q of ‖A − QB‖²_F for (r₁, d) and (r₂, d), zero rows making sizes equal.

    Args:
        a: A.
        b: B.
        product: A Bᵀ (r₁, r₂).
    """
    left, _, right = np.linalg.svd(product, full_matrices=False)
    rotated = right @ b
    residual = np.sum((a - left @ rotated) ** 2)
    if len(a) < len(b):  # what of B the rotation had no rows left for
        residual += np.sum((b - right.T @ rotated) ** 2)
    return float(residual)


def _nuclear_norm(matrix: np.ndarray, tolerance: float) -> float:
    """Sum of the singular values, to about this absolute error if eigenvalues can give it."""
    gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    eigenvalues = np.linalg.eigvalsh(gram)
    if _lost_digits(eigenvalues) > tolerance:
        return float(np.linalg.svd(matrix, compute_uv=False).sum())
    return float(np.sqrt(np.maximum(eigenvalues, 0)).sum())


def _lost_digits(eigenvalues: np.ndarray) -> float:
    """About how far off Σ√λ is where each λ is off by rounding δ: √(λ + δ) − √λ ≤ δ/2√λ, or √δ.

    Errors of well-told eigenvalues go either way and add up in squares; of those lost in rounding
    all go up.
    """
    rounding = np.finfo(np.float64).eps * float(np.max(np.abs(eigenvalues), initial=0.0))
    if not rounding:
        return 0.0
    lost = eigenvalues < 100 * rounding
    told = rounding / 2 / np.sqrt(eigenvalues[~lost])
    return float(lost.sum() * np.sqrt(rounding) + np.linalg.norm(told))


def _compress(rows: np.ndarray) -> np.ndarray:
    """At most d rows with the same rowsᵀ·rows."""
    return np.linalg.qr(rows)[1] if len(rows) > rows.shape[1] else rows


def _refuse_other_dimension(first: Moments, second: Moments) -> None:
    if len(first.mean) != len(second.mean):
        raise FeatureError(
            f"Features of {len(first.mean)} dimensions can't be compared with a reference of "
            f"{len(second.mean)}: they come from different extractors. Build the reference with "
            "the extractor that measures the images."
        )


def _doubts(n: int, d: int, reference_n: int) -> Iterator[str]:
    if n < 2 * d:
        yield (
            f"{n} images for {d} features: it is biased upwards, which its interval does not "
            "cover; compare only values of equal n"
        )
    if reference_n < 2 * d:
        yield f"the reference has only {reference_n} images for {d} features"


def _of_arm(arm: Measured) -> MetricValue:
    """FID of an arm, which FID∞ starts from."""
    return arm.once("fid", lambda: fid(arm.features.pool, arm.real.moments, arm.prompts))


def _infinity_of_arm(arm: Measured, _: None) -> MetricValue:
    return fid_infinity(arm.features.pool, arm.real.moments, arm.prompts, _of_arm(arm))


METRICS = (
    Metric(
        "fid", "FID", "lower", 2, needs="fid", place=10, needs_reference=True, drawn=True,
        biased_by_n=True, value=lambda arm, _: _of_arm(arm),
    ),
    Metric(
        "fid_infinity", "FID∞", "lower", 2, needs="fid", place=20, needs_reference=True,
        value=_infinity_of_arm,
    ),
    Metric(
        "fd_dinov2", "FD-DINOv2", "lower", 1, needs="fd_dinov2", place=30, needs_reference=True,
        drawn=True, biased_by_n=True,
        value=lambda arm, _: dataclasses.replace(_of_arm(arm), metric="fd_dinov2"),
    ),
)  # fmt: skip
