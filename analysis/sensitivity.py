"""Does the ranking hang on a choice of whom to believe?

The same fit under other exclusions than the study's own: if the order of arms changes, the claim
is the exclusion's, not the votes'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .conduct import TOO_FAST, rater_screens
from .elo import EloFit, fit_elo
from .votes import Ballot, ballots, counted
from .win_matrix import cluster_wins, win_matrix

Rule = Callable[[pd.DataFrame], NDArray[np.bool_]]
"""From the votes (`read_votes`) to (N,): which to count."""


@dataclass(frozen=True)
class Sensitivity:
    """A ballot's ranking under several rules.

    Attributes:
        table: a row a rule, the study's own first: rule, votes, raters, kendall_tau (with the
            study's own ranking, over arms that have a score in both; NaN for fewer than two),
            best (the arm on top), largest_change (Elo points, of any difference between two
            arms), reason.
        scores: rule, arm, elo, rank.
    """

    table: pd.DataFrame
    scores: pd.DataFrame


def sensitivity(
    votes: pd.DataFrame,
    question: str,
    rater_kind: str = "person",
    rules: Mapping[str, Rule] | None = None,
) -> Sensitivity:
    """Fit one ballot under the study's own rule and under others.

    Without `rules`: with excluded votes counted; without votes faster than a second; without
    raters that `rater_screens` flags; decided votes only; and without the one rater who moves the
    scores most. A rule that changes nothing is left out.

    Args:
        votes: what `read_votes` returned.
        question: of the ballot.
        rater_kind: of the ballot.
        rules: name → rule, instead of those.
    """
    of_ballot = ((votes["question"] == question) & (votes["rater_kind"] == rater_kind)).to_numpy()
    mine = votes[of_ballot].reset_index(drop=True)
    own = counted(mine)
    base = _fit(mine, own)
    chosen = {name: np.asarray(rule(mine), bool) for name, rule in (rules or _RULES).items()}
    if rules is None and (without := _without_most_influential(mine, own)) is not None:
        chosen["without the most influential rater"] = without
    fits = {"the study's own": (own, base)}
    fits |= {name: (kept, _fit(mine, kept)) for name, kept in chosen.items()
             if rules is not None or (kept != own).any()}  # fmt: skip
    rows, scores = [], []
    for name, (kept, fit) in fits.items():
        raters = mine["rater"][kept].nunique()
        change = order_change(fit.arms, base.scores, fit.scores)
        rows.append((name, int(kept.sum()), raters, *change))
        ranks = pd.Series(fit.scores).where(np.isfinite(fit.scores)).rank(ascending=False)
        scores += [(name, arm, fit.scores[i], ranks[i]) for i, arm in enumerate(fit.arms)]
    columns = ["rule", "votes", "raters", "kendall_tau", "best", "largest_change", "reason"]
    return Sensitivity(
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(scores, columns=["rule", "arm", "elo", "rank"]),
    )


def order_change(
    arms: Sequence[str], before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[float, str, float, str]:
    """How two sets of scores of the same arms differ.

    Args:
        arms: K names.
        before: (K,) scores, NaN or infinite without one.
        after: (K,) other scores.

    Returns:
        Kendall's τ over arms that have both (NaN for fewer than two, with the reason last), the
        arm on top after (empty without one), the largest change of a difference, and the reason.
    """
    best = ""
    if np.isfinite(after).any():
        best = arms[int(np.nanargmax(np.where(np.isfinite(after), after, np.nan)))]
    both = np.flatnonzero(np.isfinite(before) & np.isfinite(after))
    if len(both) < 2:
        return np.nan, best, np.nan, "fewer than two arms have a score in both"
    x, y = before[both], after[both]
    i, j = np.triu_indices(len(both), 1)
    old, new = x[i] - x[j], y[i] - y[j]
    tau = float((np.sign(old) * np.sign(new)).mean())
    return tau, best, float(np.abs(new - old).max()), ""


def _with_excluded(votes: pd.DataFrame) -> NDArray[np.bool_]:
    return counted(votes.drop(columns="excluded", errors="ignore"))


def _without_fast_votes(votes: pd.DataFrame) -> NDArray[np.bool_]:
    if "seconds" not in votes:
        return counted(votes)
    return counted(votes) & ~(votes["seconds"] < TOO_FAST).to_numpy()


def _without_flagged_raters(votes: pd.DataFrame) -> NDArray[np.bool_]:
    screens = rater_screens(votes)
    flagged = screens.loc[screens["flags"] != "", "rater"]
    return counted(votes) & ~votes["rater"].astype(str).isin(flagged).to_numpy()


def _decided_only(votes: pd.DataFrame) -> NDArray[np.bool_]:
    return counted(votes) & votes["answer"].isin(["left", "right"]).to_numpy()


_RULES: dict[str, Rule] = {
    "with excluded votes": _with_excluded,
    f"without votes under {TOO_FAST:g} s": _without_fast_votes,
    "without flagged raters": _without_flagged_raters,
    "decided votes only": _decided_only,
}


def _without_most_influential(
    votes: pd.DataFrame, kept: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """Without the rater whose leaving changes some arm's score most; None for under three."""
    ballot = _ballot(votes, kept)
    if ballot is None or not 2 < ballot.raters <= 2000 or len(ballot.arms) > 50:
        return None
    base = fit_elo(win_matrix(ballot)).scores
    wins = cluster_wins(ballot, ballot.rater, ballot.raters)
    changes = []
    for own in wins:
        scores = fit_elo(wins.sum(axis=0) - own).scores
        both = np.isfinite(base) & np.isfinite(scores)
        changes.append(np.abs(scores[both] - base[both]).max(initial=0))
    codes = np.asarray(votes["rater"].cat.codes)
    return kept & (codes != np.unique(codes[kept])[int(np.argmax(changes))])


def _fit(votes: pd.DataFrame, kept: NDArray[np.bool_]) -> EloFit:
    ballot = _ballot(votes, kept)
    arms = tuple(votes["arm_left"].cat.categories)
    return fit_elo(np.zeros((len(arms), len(arms))) if ballot is None else win_matrix(ballot), arms)


def _ballot(votes: pd.DataFrame, kept: NDArray[np.bool_]) -> Ballot | None:
    aside = ["gold", "practice", "revised", "excluded"]
    return next(iter(ballots(votes[kept].drop(columns=aside, errors="ignore"))), None)
