"""Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, eq. 6).

    F = ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½)

Covariances are never multiplied. With C = AᵀA for any A, the last term is the nuclear norm of
A₁A₂ᵀ, and F − ‖Δμ‖² is a Procrustes distance, min over orthogonal Q of ‖A₁ − Q A₂‖²: a sum of
squares, so it is never negative, is zero for identical sets, and needs neither full rank nor a
regulariser. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from glide_eval.errors import FeatureError

from .value import MetricValue, as_matrix, clustered_se, no_interval, t_interval, undefined


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and spread of a set of features, in a form that adds up.

    Attributes:
        n: how many rows were seen.
        mean: float64 (d,).
        root: float64 (r, d), r ≤ max(d, 1): rootᵀ·root = Σ (x − mean)(x − mean)ᵀ. Keeping the root
            rather than its square keeps the digits that a nearly singular covariance loses.
    """

    n: int
    mean: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, what: str = "features") -> Self:
        """Moments of the rows of (n, d), n ≥ 1.

        Raises:
            FeatureError: not a finite, non-empty matrix.
        """
        matrix = as_matrix(features, what)
        if not len(matrix):
            raise FeatureError(f"{what} are of no image at all: expected at least one row.")
        mean = matrix.mean(axis=0)
        return cls(len(matrix), mean, _compress(matrix - mean))

    @classmethod
    def of_batches(cls, batches: Iterable[np.ndarray], what: str = "features") -> Self:
        """Moments of all rows of several matrices, one in memory at a time."""
        total: Self | None = None
        for batch in batches:
            if len(batch):
                part = cls.of(batch, what)
                total = part if total is None else total.merge(part)
        if total is None:
            raise FeatureError(f"{what} are of no image at all: expected at least one row.")
        return total

    @classmethod
    def from_covariance(cls, n: int, mean: np.ndarray, covariance: np.ndarray) -> Self:
        """From published statistics: μ (d,) and the unbiased C (d, d) of n images."""
        eigenvalues, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
        scale = np.sqrt(np.clip(eigenvalues, 0, None) * (n - 1))
        return cls(n, np.asarray(mean, dtype=np.float64), scale[:, None] * vectors.T)

    def merge(self, other: Self) -> Self:
        """Moments of both sets together (Chan et al. 1979, on roots)."""
        n = self.n + other.n
        step = other.mean - self.mean
        between = np.sqrt(self.n * other.n / n) * step
        root = _compress(np.vstack([self.root, other.root, between]))
        return type(self)(n, self.mean + step * (other.n / n), root)

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance (d, d); NaN for one row."""
        if self.n < 2:
            return np.full((len(self.mean), len(self.mean)), np.nan)
        return self.root.T @ self.root / (self.n - 1)

    @property
    def factor(self) -> np.ndarray:
        """A (r, d) with AᵀA the covariance; needs n ≥ 2."""
        return self.root / np.sqrt(self.n - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Squared Fréchet distance of two sets, ≥ 0; NaN if either has fewer than two rows.

    Raises:
        FeatureError: the two differ in dimension.
    """
    _refuse_other_dimension(first, second)
    if first.n < 2 or second.n < 2:
        return float("nan")
    covariance_part, _, _ = _procrustes(first.factor, second.factor)
    return float(np.sum((first.mean - second.mean) ** 2)) + covariance_part


def fid(
    features: np.ndarray, reference: Moments, clusters: Sequence[Hashable] | None = None
) -> MetricValue:
    """FID of generated features against a reference, with an influence-function interval.

    The influence of x on F at (μ₁, C₁) is 2(μ₁−μ₂)ᵀ(x−μ₁) + (x−μ₁)ᵀ(I−T)(x−μ₁) less its mean,
    T the optimal map between the Gaussians; on the data, xᵀTx falls out of the same singular
    vectors as F. The interval holds the reference fixed and covers F's sampling error, not its
    bias, which is upward and large below a few images a dimension; `note` warns there.

    Args:
        features: (n, d) of generated images.
        reference: moments of the real images' features.
        clusters: (n,) prompt of each image; None means all differ.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.
    """
    matrix = as_matrix(features, "features for FID")
    n, d = matrix.shape
    if n < 2 or reference.n < 2:
        return undefined(
            "fid", n, f"needs 2 images on each side, has {n} generated and {reference.n} real"
        )
    mean = matrix.mean(axis=0)
    centred = matrix - mean
    basis, root = np.linalg.qr(centred) if n > d else (None, centred)
    moments = Moments(n, mean, root)
    _refuse_other_dimension(moments, reference)
    covariance_part, left, singular = _procrustes(moments.factor, reference.factor)
    step = mean - reference.mean
    value = float(step @ step) + covariance_part
    if basis is not None:
        left = basis @ left
    transported = (n - 1) * (left**2 @ singular)  # x_iᵀ T x_i
    influence = 2 * centred @ step + np.sum(centred**2, axis=1) - transported
    se, groups = clustered_se(influence, clusters)
    interval = t_interval(value, se, groups, bounds=(0.0, np.inf))
    note = "; ".join(filter(None, [no_interval(se, groups), *_doubts(n, d, reference.n)]))
    return MetricValue("fid", value, interval, n, "influence function", note)


def _procrustes(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Min over orthogonal Q of ‖A − QB‖²_F for (r₁, d) and (r₂, d), zero rows making sizes equal.

    Returns:
        The minimum, and A Bᵀ's left singular vectors (r₁, k) and singular values (k,).
    """
    left, singular, right = np.linalg.svd(a @ b.T, full_matrices=False)
    rotated = right @ b  # (k, d)
    residual = np.sum((a - left @ rotated) ** 2)
    if len(a) < len(b):  # what of B the rotation had no rows left for
        residual += np.sum((b - right.T @ rotated) ** 2)
    return float(residual), left, singular


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
            f"{n} images for {d} features: FID is biased upwards, which its interval does not "
            "cover; compare only values of equal n"
        )
    if reference_n < 2 * d:
        yield f"the reference has only {reference_n} images for {d} features"
