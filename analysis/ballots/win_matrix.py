"""Votes as counts: who beat whom how often, and which arms those counts can place on one scale."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from .votes import Ballot


def win_matrix(ballot: Ballot) -> Float64[NDArray[np.float64], "arms arms"]:
    """Return (K, K) float64 counts: entry (i, j) is how often i beat j.

    A tie is half a win for each (Nichol et al. 2021, appendix A.1). Entries (i, j) and (j, i) add
    up to the votes between the two; the diagonal is zero.

    Examples:
        >>> win_matrix(ballot)
        array([[ 0.,  5.,  2.],
               [ 7.,  0.,  7.],
               [10.,  5.,  0.]])
    """
    K = len(ballot.arms)
    cell = ballot.left * K + ballot.right
    won = np.bincount(cell, ballot.left_wins, K * K).reshape(K, K)
    votes = np.bincount(cell, minlength=K * K).reshape(K, K)
    return np.asarray(won + (votes - won).T, np.float64)


def cluster_wins(
    ballot: Ballot, clusters: Int64[NDArray[np.int64], "votes"], count: int
) -> Float64[NDArray[np.float64], "clusters arms arms"]:
    """Return (G, K, K): the win matrix of each cluster of votes; they add up to `win_matrix`.

    Args:
        ballot: N votes.
        clusters: (N,) int64 in 0 … G − 1, for example `ballot.rater`.
        count: G.

    Examples:
        >>> cluster_wins(ballot, ballot.rater, ballot.raters).shape
        (6, 3, 3)
    """
    K = len(ballot.arms)
    shape = (count, K, K)
    left_over_right = np.ravel_multi_index((clusters, ballot.left, ballot.right), shape)
    right_over_left = np.ravel_multi_index((clusters, ballot.right, ballot.left), shape)
    size = count * K * K
    wins = np.bincount(left_over_right, ballot.left_wins, size)
    wins += np.bincount(right_over_left, 1 - ballot.left_wins, size)
    return np.asarray(wins, np.float64).reshape(shape)


def strong_groups(
    wins: Float64[NDArray[np.float64], "arms arms"],
) -> Int64[NDArray[np.int64], "arms"]:
    """Return the (K,) group of each arm: arms linked by chains of wins in both directions.

    Exactly within such a group Elo differences have a finite best value (Ford 1957; Hunter 2004,
    Assumption 1): a group of arms that never lost to the rest could be raised forever.
    Groups are numbered in the order of their first arm.

    Args:
        wins: (K, K) counts; an entry above zero is a link.

    Examples:
        >>> strong_groups(np.array([[0.0, 1, 1], [1, 0, 1], [0, 0, 0]]))  # the third never won
        array([0, 0, 1])
    """
    # imported where it is used: a study's server starts without it
    from scipy.sparse.csgraph import connected_components  # pyright: ignore

    labels = np.asarray(connected_components(wins > 0, connection="strong")[1], np.int64)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def reachable(
    wins: Float64[NDArray[np.float64], "arms arms"],
) -> Bool[NDArray[np.bool_], "arms arms"]:
    """Return (K, K): whether a chain of wins leads from arm i down to arm j, or i is j.

    Examples:
        >>> reachable(np.array([[0.0, 1, 0], [0, 0, 1], [0, 0, 0]]))[0]
        array([ True,  True,  True])
    """
    groups = strong_groups(wins)
    if (groups == 0).all():
        return np.ones(wins.shape, bool)
    # Arms of one group reach the same arms, so the groups' own graph is enough.
    count = int(groups.max()) + 1
    member = np.zeros((count, len(wins)), bool)
    member[groups, np.arange(len(wins))] = True
    between = member.astype(np.float32) @ (wins > 0).astype(np.float32) @ member.T > 0
    reach = between | np.eye(count, dtype=bool)
    # Squaring doubles the length of the chains that are found, so log₂ of their number is enough.
    for _ in range(max(1, int(np.ceil(np.log2(max(count, 2)))))):
        reach = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
    return reach[groups][:, groups]


def one_group(
    wins: Float64[NDArray[np.float64], "rounds arms arms"],
) -> Bool[NDArray[np.bool_], "rounds"]:
    """Return (R,): whether each of (R, K, K) win matrices links all its arms in both directions.

    Examples:
        >>> one_group(np.array([[[0.0, 1], [1, 0]], [[0, 1], [0, 0]]]))
        array([ True, False])
    """
    beats = wins > 0
    return _all_reached(beats) & _all_reached(beats.transpose(0, 2, 1))


def _all_reached(beats: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(R,): whether arm 0 reaches every arm in each of (R, K, K) graphs."""
    reached = np.zeros(beats.shape[:2], bool)
    reached[:, 0] = True
    for _ in range(beats.shape[1] - 1):
        wider = reached | np.matmul(reached[:, None, :], beats)[:, 0, :]
        if (wider == reached).all():
            break
        reached = wider
    return np.asarray(reached.all(axis=1))
