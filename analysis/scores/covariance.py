"""Cluster-robust covariance of a fit, by leaving out one cluster at a time.

Votes of one rater share that rater's taste, votes on one prompt that prompt's images, so the
information matrix alone claims too much. Here every cluster's pull on the parameters is taken from
the fit linearised at its solution (Liang & Zeger 1986), as the change that leaving the cluster out
would make: the cluster jackknife CV3 of MacKinnon, Nielsen & Webb 2023 (doi:10.1002/jae.2969).
For clusters of equal size it equals CR1; for unequal ones, where CR1 is too small, it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array  # pyright: ignore[reportMissingTypeStubs]

_TOLERANCE = 1e-4  # of the jackknife's series, relative to the largest pull
_TERMS = 60
_NEGLIGIBLE = 5e-5  # a cluster's part of the correction below which no interval shows it
_LARGE = 1000  # parameters from which sums over clusters are sparse too
_SPARSE = 100  # parameters from which sums over cells are held sparse
_BLOCK = 1 << 16  # votes at a time, so that what is made of them stays in the cache
_ALIKE = 4  # votes in a sum that make summing them worth it
_SUMS = 1 << 24  # sums held at a time, 128 MB


Votes = slice | NDArray[np.int64]
"""Some of the votes: a range of them, or their indices."""


@dataclass(frozen=True)
class Column:
    """Part of every vote's linear predictor: `sign` × parameter[`index`], in one component.

    Attributes:
        index: (N,) int64, the parameter each vote meets.
        sign: +1 or −1.
        component: which of the model's predictors it belongs to.
    """

    index: NDArray[np.int64]
    sign: float = 1.0
    component: int = 0


@dataclass(frozen=True)
class Linearised:
    """N votes at the solution of a fit with P parameters and M predictors per vote.

    Attributes:
        columns: how parameters make the predictors.
        residual: (M, N) gradient of each vote's log-likelihood by its predictors.
        weight: (M, M, N) minus its expected second derivative.
        bread: (P, P) inverse of the information, Σ over votes of that.
        unit: (P,) or one number, what one unit of each parameter is reported as.
        repeats: (N,) of how many votes each is the sum; None for one each.
        leverage: the power of (I − B A_g)⁻¹ that corrects a cluster's pull for its own share of
            the information: 1 for CV3, ½ for CR2 (Bell & McCaffrey 2002, Surv. Methodol. 28),
            0 for CR1.
    """

    columns: Sequence[Column]
    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    bread: NDArray[np.float64]
    unit: NDArray[np.float64] | float = 1.0
    repeats: NDArray[np.float64] | None = None
    leverage: float = 1.0

    def covariance(
        self, clusters: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.float64], Concentration]:
        """(P, P) CV3 covariance for (N,) cluster codes in 0 … G − 1, and how votes spread.

        With another `leverage` it is CR2 or CR1.
        """
        if len(self.bread) > _LARGE:
            return self._of_many(clusters, count)
        merged, clusters = self._merged(clusters, count)
        met = merged._met(clusters, count)
        votes = met.sum(axis=0)
        share = met / np.where(votes, votes, 1)
        pull = merged._jackknife(clusters, count, float(share.max(initial=0)))
        share /= np.where(votes, votes, 1)
        # The factors of CV3 (MacKinnon, Nielsen & Webb 2023), of CR2 (none) and of CR1.
        factor = ((count - 1) / count) ** (2 * self.leverage - 1)
        return self._carried(pull.T @ pull * factor), Concentration(votes, share.T @ share)

    def _of_many(
        self, clusters: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.float64], Concentration]:
        """The same for so many parameters that a cluster meets few of them.

        Of the correction for a cluster's own share only the diagonal of B A_g is taken.
        """
        shape, ones = (count, len(self.bread)), np.ones(self.residual.shape[1])
        met = self._gathered(clusters, shape, [ones for _ in self.columns])
        votes = np.asarray(met.sum(axis=0), np.float64)
        own = self._gathered(
            clusters, shape, [self.weight[c.component, c.component] for c in self.columns]
        )
        own.data *= np.diagonal(self.bread)[own.indices]
        own.data = 1 / np.maximum(1 - own.data, 0.05) ** self.leverage
        pull = self._sparse_sums(clusters, count)
        pull.sort_indices()
        own.sort_indices()
        pull.data *= own.data  # both meet the same parameters
        factor = ((count - 1) / count) ** (2 * self.leverage - 1)
        share = met.multiply(1 / np.where(votes, votes, 1) ** 2).tocsr()
        dense = count < len(self.bread)
        if dense:
            share = share.toarray()
        overlap = share.T @ share
        spread = Concentration(votes, overlap if dense else overlap.toarray())
        if dense:
            moved = pull.toarray() @ self.bread
            scale = np.multiply.outer(self.unit, self.unit) * factor
            return (moved.T @ moved) * scale, spread
        return self._carried((pull.T @ pull).toarray() * factor), spread

    def _gathered(
        self, clusters: NDArray[np.int64], shape: tuple[int, int], values: list[NDArray[np.float64]]
    ) -> Any:
        """(G, P) csr_array of the sums of votes' values by cluster and parameter."""
        rows = np.tile(clusters, len(self.columns))
        index = np.concatenate([c.index for c in self.columns])
        return coo_array((np.concatenate(values), (rows, index)), shape).tocsr()

    def crossed(
        self, first: NDArray[np.int64], second: NDArray[np.int64], counts: tuple[int, int]
    ) -> NDArray[np.float64]:
        """(P, P) the same for the votes that share both clusters, none left out: they are many.

        Args:
            first: (N,) codes of one clustering.
            second: (N,) codes of the other.
            counts: how many clusters each has.
        """
        cells, count = _cells(first, second, counts)
        if len(self.bread) > _SPARSE:
            pull: Any = self._sparse_sums(cells, count)
            used = np.count_nonzero(np.bincount(cells, minlength=1))
            return self._carried((pull.T @ pull).toarray() * (used / max(used - 1, 1)))
        held = max(1, _SUMS // len(self.bread))
        meat = np.zeros_like(self.bread)
        for start in range(0, count, held):
            size = min(held, count - start)
            inside = None
            if size < count:
                inside = np.flatnonzero((cells >= start) & (cells < start + size))
            pull = self._sums(self._residual, cells, size, start, inside)
            meat += pull.T @ pull
        used = np.count_nonzero(np.bincount(cells, minlength=1))
        return self._carried(meat * used / max(used - 1, 1))

    def independent(self) -> tuple[NDArray[np.float64], Concentration]:
        """(P, P) the same were each vote a cluster of its own."""
        P = len(self.bread)
        meat, met = np.zeros((P, P)), np.zeros((P, P))
        count = self.residual.shape[1]
        for votes in _blocks(count):
            for i, first in enumerate(self.columns):
                row, left = first.index[votes] * P, self.residual[first.component, votes]
                for second in self.columns[i:]:
                    key, right = row + second.index[votes], self.residual[second.component, votes]
                    both = np.bincount(key, left * right, P * P).reshape(P, P)
                    seen = np.bincount(key, minlength=P * P).reshape(P, P)
                    meat += first.sign * second.sign * both
                    met += seen
                    # Each pair of different columns is visited once, but counts in both orders.
                    if second is not first:
                        meat += first.sign * second.sign * both.T
                        met += seen.T
        votes_of = np.diagonal(met)
        seen = np.where(votes_of, votes_of, 1.0) ** 2
        covariance = self._carried(meat * count / max(count - 1, 1))
        return covariance, Concentration(votes_of, met / np.multiply.outer(seen, seen))

    def _carried(self, meat: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.bread @ meat @ self.bread * np.multiply.outer(self.unit, self.unit)

    def _merged(
        self, clusters: NDArray[np.int64], count: int
    ) -> tuple[Linearised, NDArray[np.int64]]:
        """Sum the votes of a cluster that meet the same parameters; return that, and its clusters.

        Nothing is summed where clusters and parameters can meet in so many ways that few votes are
        alike.
        """
        shape = (count, *(len(self.bread),) * len(self.columns))
        ways, votes = math.prod(shape), self.residual.shape[1]
        # Sorting votes into more ways than that costs more than the passes it saves.
        if ways * _ALIKE > votes:
            return self, clusters
        way = clusters.copy()
        for column in self.columns:
            way *= len(self.bread)
            way += column.index
        repeats = np.bincount(way, minlength=ways).astype(np.float64)
        used = np.flatnonzero(repeats)
        of_used, *indices = np.unravel_index(used, shape)

        def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
            rows = [np.bincount(way, row, ways)[used] for row in values.reshape(-1, votes)]
            return np.asarray(rows, np.float64).reshape(*values.shape[:-1], -1)

        columns = [replace(c, index=i) for c, i in zip(self.columns, indices, strict=True)]
        merged = replace(
            self, columns=columns, residual=summed(self.residual), weight=summed(self.weight),
            repeats=repeats[used],
        )  # fmt: skip
        return merged, of_used.astype(np.int64)

    def _residual(self, votes: Votes) -> NDArray[np.float64]:
        return self.residual[:, votes]

    def _sums(
        self,
        values: Callable[[Votes], NDArray[np.float64]],
        clusters: NDArray[np.int64],
        count: int,
        start: int = 0,
        inside: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """(G, P) sums over each cluster of each vote's (M,) values carried to the parameters.

        Of clusters start … start + G − 1, to which the votes `inside` belong: all, by default.
        """
        P = len(self.bread)
        total = np.zeros(count * P)
        for votes in _blocks(len(clusters), inside):
            of_block, base = values(votes), (clusters[votes] - start) * P
            for column in self.columns:
                gather = np.add if column.sign > 0 else np.subtract
                gather.at(total, base + column.index[votes], of_block[column.component])
        return total.reshape(count, P)

    def _sparse_sums(self, clusters: NDArray[np.int64], count: int) -> Any:
        """(G, P) sums of residuals over each cluster, for clusters that meet few parameters."""
        values = [c.sign * self.residual[c.component] for c in self.columns]
        return self._gathered(clusters, (count, len(self.bread)), values)

    def _jackknife(
        self, clusters: NDArray[np.int64], count: int, share: float
    ) -> NDArray[np.float64]:
        """(G, P) scores s_g (I − B A_g)⁻ᵃ, A_g the cluster's own information, B the bread.

        By the binomial series, s + sBA + s(BA)² + … for a = 1, which never builds A_g: each term
        costs one pass over the votes. Its ratio is the cluster's share of the information, about
        its share of votes.
        """
        total = term = self._sums(self._residual, clusters, count)
        for order in range(1, _TERMS):
            if share**order < _NEGLIGIBLE or not self.leverage:
                break
            moved = term @ self.bread
            term = self._sums(self._weighted(moved, clusters), clusters, count)
            term *= (self.leverage + order - 1) / order
            total = total + term
            if np.abs(term).max(initial=0) <= _TOLERANCE * np.abs(total).max(initial=0):
                break
        return total

    def _weighted(
        self, moved: NDArray[np.float64], clusters: NDArray[np.int64]
    ) -> Callable[[Votes], NDArray[np.float64]]:
        """Return a block's (M, n) weighted predictors, were each cluster's parameters (G, P)
        `moved`.
        """
        parameters = moved.ravel()

        def values(votes: Votes) -> NDArray[np.float64]:
            base = clusters[votes] * moved.shape[1]
            predictors = np.zeros((len(self.residual), len(base)))
            for column in self.columns:
                part = np.asarray(parameters.take(base + column.index[votes]), np.float64)
                add = np.add if column.sign > 0 else np.subtract
                add(predictors[column.component], part, out=predictors[column.component])
            return np.einsum("abn,bn->an", self.weight[:, :, votes], predictors)

        return values

    def _met(self, clusters: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        """(G, P) how many of each cluster's votes met each parameter."""
        P = len(self.bread)
        met = np.zeros(count * P)
        for votes in _blocks(len(clusters)):
            base = clusters[votes] * P
            seen = 1.0 if self.repeats is None else self.repeats[votes]
            for column in self.columns:
                np.add.at(met, base + column.index[votes], seen)
        return met.reshape(count, P)


def _blocks(votes: int, inside: NDArray[np.int64] | None = None) -> Iterator[Votes]:
    """Yield all votes, or those `inside`, a few at a time."""
    if inside is not None:
        return (inside[start : start + _BLOCK] for start in range(0, len(inside), _BLOCK))
    return (slice(start, start + _BLOCK) for start in range(0, votes, _BLOCK))


def _cells(
    first: NDArray[np.int64], second: NDArray[np.int64], counts: tuple[int, int]
) -> tuple[NDArray[np.int64], int]:
    """(N,) codes of the pairs of clusters, and how many codes there may be: about N at most."""
    codes = first * counts[1] + second
    if counts[0] * counts[1] <= len(codes):
        return codes, counts[0] * counts[1]
    _, dense = np.unique(codes, return_inverse=True)
    return dense, int(dense.max(initial=-1)) + 1


@dataclass(frozen=True)
class Concentration:
    """How far the votes behind each parameter come from few clusters.

    Attributes:
        votes: (P,) votes that met the parameter.
        overlap: (P, P) Σ_g n_gp n_gq / (n_p² n_q²), n_gp cluster g's votes on p.
    """

    votes: NDArray[np.float64]
    overlap: NDArray[np.float64]

    def effective_clusters(self, contrast: NDArray[np.float64]) -> float:
        """G* = (Σ_g d_g)² / Σ_g d_g², d_g = Σ_p c_p² n_gp/n_p² cluster g's part of the variance.

        The number of equal clusters that would spread a contrast's variance as widely (Carter,
        Schnepel & Steigerwald 2017, doi:10.1162/REST_a_00639); G for equal clusters.
        """
        squares = contrast**2
        total = (squares / np.where(self.votes, self.votes, 1)).sum()
        return float(total**2 / max(squares @ self.overlap @ squares, 1e-300))
