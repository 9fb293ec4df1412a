"""Raters of differing quality: Crowd-BT, as a check on scores that believe all alike.

Chen, Bennett, Collins-Thompson & Horvitz 2013 (doi:10.1145/2433396.2433420): a rater follows the
Bradley–Terry model with probability η and says the opposite with 1 − η. An η of 1 is a faithful
rater, ½ one who guesses, below ½ one who has the question backwards. Taste is not error, so this
stands beside the scores and never replaces them: a minority that sees things otherwise would be
argued away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import Ballot, win_matrix
from analysis.errors import AnalysisError

from .elo import fit_batch, fit_elo, win_probability, with_prior
from .shown import Shown

_PRIOR = (10.0, 1.0)  # Beta prior of η, as the paper's: most raters are faithful
_ROUNDS = 1000
_SETTLED = 1e-7  # change of η


@dataclass(frozen=True)
class CrowdFit(Shown):
    """Scores with raters weighed, beside those without.

    Attributes:
        table: arm, elo (Crowd-BT's), plain_elo (the same weak prior, all raters believed), change.
        quality: (raters,) η of each rater, in the order of the ballot's codes.
        votes: (raters,) how many votes each gave.
    """

    table: pd.DataFrame
    quality: NDArray[np.float64]
    votes: NDArray[np.int64]


def crowd_bt(ballot: Ballot, prior: float = 1.0) -> CrowdFit:
    """Fit scores and raters' quality together, by expectation–maximisation.

    A rater of quality η prefers i to j with probability η p_ij + (1 − η)(1 − p_ij), with
    p_ij = P(i beats j) (Chen et al. 2013). The E step computes the chance that each vote
    was meant as given; the M step refits the scores to the votes as meant, and sets η to the
    mode of its Beta posterior, under a Beta(10, 1) prior.

    Args:
        ballot: the votes; a tie is half a vote either way.
        prior: tied votes each arm is taken to have had (`with_prior`); > 0, since weighed votes
            may leave an arm without a win.

    Raises:
        AnalysisError: no votes, or `prior` is not positive.

    Examples:
        >>> crowd_bt(ballot).quality.round(2)  # six raters who hardly contradict each other
        array([1., 1., 1., 1., 1., 1.])
    """
    if not ballot.votes or not prior > 0:
        raise AnalysisError(
            f"Crowd-BT needs votes and a prior above 0: found {ballot.votes} votes, prior {prior}."
        )
    K, G = len(ballot.arms), ballot.raters
    cell = (ballot.rater * K + ballot.left) * K + ballot.right
    # Votes alike are counted once: (rater, left, right) with wins of the left and of the right.
    codes, inverse = np.unique(cell, return_inverse=True)
    won = np.bincount(inverse, ballot.left_wins)
    lost = np.bincount(inverse) - won
    left, right, rater = codes // K % K, codes % K, codes // (K * K)
    given = np.bincount(ballot.rater, minlength=G)
    plain = fit_elo(win_matrix(ballot), ballot.arms, prior).scores
    scores, quality = plain, np.full(G, _PRIOR[0] / sum(_PRIOR))
    for _ in range(_ROUNDS):
        p, eta = win_probability(scores[left] - scores[right]), quality[rater]
        # Chance that a vote was meant as given: for a win of the left, and for one of the right.
        meant_won = eta * p / (eta * p + (1 - eta) * (1 - p))
        meant_lost = eta * (1 - p) / (eta * (1 - p) + (1 - eta) * p)
        faithful = np.bincount(rater, won * meant_won + lost * meant_lost, G)
        # The mode of the Beta posterior; its mean would never let a faithful rater reach 1.
        before, quality = quality, (faithful + _PRIOR[0] - 1) / (given + sum(_PRIOR) - 2)
        left_better = won * meant_won + lost * (1 - meant_lost)
        better = np.bincount(left * K + right, left_better, K * K)
        worse = np.bincount(right * K + left, won + lost - left_better, K * K)
        wins = np.asarray(better + worse, np.float64).reshape(K, K)
        scores = fit_batch(with_prior(wins, prior)[None])[0]
        if np.abs(quality - before).max() < _SETTLED:
            break
    table = pd.DataFrame({"arm": ballot.arms, "elo": scores, "plain_elo": plain})
    return CrowdFit(table.assign(change=scores - plain), quality, given.astype(np.int64))
