"""Does the ranking depend on which votes are excluded?

The same fit is made under other exclusions than the study's own. If the order of arms changes, the
claim rests on the exclusion and not on the votes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import ASIDE, Ballot, ballots, cluster_wins, counted, tied, win_matrix
from analysis.raters import TOO_FAST, rater_screens
from analysis.scores import TIED_ELO, EloFit, fit_elo, ranks_of

Rule = Callable[[pd.DataFrame], NDArray[np.bool_]]
"""From the votes (`read_votes`) to (N,): which to count."""


@dataclass(frozen=True)
class Sensitivity:
    """A ballot's ranking under several rules.

    Attributes:
        table: one row per rule, the study's own first: rule, votes, raters, kendall_tau (with the
            study's own ranking, over two arms each that votes link in both; NaN where there are
            none), best (the arm on top; empty where several share it, or where votes don't link all
            that have a score),
            largest_change (Elo points, of any difference between two such arms), reason.
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

    Without `rules`, the others are: with excluded votes counted; without votes faster than a
    second; without raters that `rater_screens` flags; decided votes only; without “both bad”
    votes; and without the one rater who moves the scores most. A rule that changes nothing is left
    out.

    Args:
        votes: what `read_votes` returned.
        question: of the ballot.
        rater_kind: of the ballot.
        rules: name → rule, to use in place of those.
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
    rows: list[tuple[Any, ...]] = []
    scores: list[tuple[str, str, float, float]] = []
    for name, (kept, fit) in fits.items():
        raters = mine["rater"][kept].nunique()
        tau, change, reason = order_change(base.scores, fit.scores, _linked(base) & _linked(fit))
        rows.append((name, int(kept.sum()), raters, tau, _best(fit), change, reason))
        finite, ranks = np.isfinite(fit.scores), np.full(len(fit.arms), np.nan)
        ranks[finite] = ranks_of(fit.scores[finite])
        scores += [(name, arm, fit.scores[i], ranks[i]) for i, arm in enumerate(fit.arms)]
    columns = ["rule", "votes", "raters", "kendall_tau", "best", "largest_change", "reason"]
    return Sensitivity(
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(scores, columns=["rule", "arm", "elo", "rank"]),
    )


def order_change(
    before: NDArray[np.float64], after: NDArray[np.float64], linked: NDArray[np.bool_]
) -> tuple[float, float, str]:
    """Return how the order of K arms differs between two sets of scores.

    Args:
        before: (K,) scores.
        after: (K,) other scores.
        linked: (K, K), which two arms have a difference in both.

    Returns:
        Kendall's τ over linked pairs (NaN where there is none), the largest change of a
        difference, and why they are missing. Arms tied in both orders agree, as in the τ_x of
        Emond & Mason 2002 (doi:10.1002/mcda.313); without ties that is Kendall's τ.
    """
    i, j = np.triu_indices(len(before), 1)
    i, j = i[linked[i, j]], j[linked[i, j]]
    if not len(i):
        return np.nan, np.nan, "no two arms are linked by votes in both"
    old, new = before[i] - before[j], after[i] - after[j]
    ahead = [np.where(gap > -TIED_ELO, 1.0, -1.0) for gap in (old, new)]
    behind = [np.where(gap < TIED_ELO, 1.0, -1.0) for gap in (old, new)]
    tau = (ahead[0] * ahead[1] + behind[0] * behind[1]).mean() / 2
    return float(tau), float(np.abs(new - old).max()), ""


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
    return counted(votes) & ~tied(votes)


def _without_both_bad(votes: pd.DataFrame) -> NDArray[np.bool_]:
    return counted(votes) & (votes["answer"] != "both_bad").to_numpy()


_RULES: dict[str, Rule] = {
    "with excluded votes": _with_excluded,
    f"without votes under {TOO_FAST:g} s": _without_fast_votes,
    "without flagged raters": _without_flagged_raters,
    "decided votes only": _decided_only,
    "without “both bad” votes": _without_both_bad,
}


def _without_most_influential(
    votes: pd.DataFrame, kept: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """Without the rater whose leaving changes some arm's score most; None for under three."""
    ballot = _ballot(votes, kept)
    # One fit per rater: beyond these sizes they would take longer than the rest of a report.
    if ballot is None or not 2 < ballot.raters <= 2000 or len(ballot.arms) > 50:
        return None
    together = win_matrix(ballot)
    base = fit_elo(together).scores
    changes: list[float] = []
    for own in cluster_wins(ballot, ballot.rater, ballot.raters):
        scores = fit_elo(together - own).scores
        both = np.isfinite(base) & np.isfinite(scores)
        changes.append(float(np.abs(scores[both] - base[both]).max(initial=0)))
    codes = np.asarray(votes["rater"].cat.codes)
    return kept & (codes != np.unique(codes[kept])[int(np.argmax(changes))])


def _fit(votes: pd.DataFrame, kept: NDArray[np.bool_]) -> EloFit:
    ballot = _ballot(votes, kept)
    arms = tuple(votes["arm_left"].cat.categories)
    return fit_elo(np.zeros((len(arms), len(arms))) if ballot is None else win_matrix(ballot), arms)


def _ballot(votes: pd.DataFrame, kept: NDArray[np.bool_]) -> Ballot | None:
    return next(iter(ballots(votes[kept].drop(columns=list(ASIDE), errors="ignore"))), None)


def _best(fit: EloFit) -> str:
    """Return the arm on top; empty where several share it, or votes don't link all with a score."""
    finite = np.flatnonzero(np.isfinite(fit.scores))
    if not len(finite) or (fit.groups[finite] != fit.groups[finite[0]]).any():
        return ""
    return first_alone(fit.arms, fit.scores)


def first_alone(arms: Sequence[str], scores: NDArray[np.float64]) -> str:
    """Return the arm with the highest finite score; empty where it shares the first rank."""
    finite = np.flatnonzero(np.isfinite(scores))
    first = finite[ranks_of(scores[finite]) == 1]
    return arms[int(first[0])] if len(first) == 1 else ""


def _linked(fit: EloFit) -> NDArray[np.bool_]:
    return fit.groups[:, None] == fit.groups[None, :]
