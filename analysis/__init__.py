"""Votes to claims: Elo scores with intervals, agreement, metrics against people, the report.

A small library of its own: tables in, named results out. It needs NumPy, SciPy and pandas (and
Altair and Jinja2 for the report); none of the other packages, no torch.

    votes = read_votes("votes.csv")
    for ballot in ballots(votes):                        # a question and kind of rater each
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        intervals = sandwich(fit, ballot)                # clustered by rater and prompt
        print(elo_table(fit, intervals, anchor="unguided"))
"""

from __future__ import annotations

from .adaptive import StopDecision, always_valid, pair_gains, stop
from .bootstrap import Bootstrap, bootstrap
from .conduct import study_conduct
from .elo import EloFit, fit_elo, win_probability
from .errors import AnalysisError, ReportError, VotesError
from .intervals import Interval, Sandwich, sandwich
from .leaderboard import elo_table, win_table
from .tradeoff import join_metrics, metric_correlations
from .votes import Ballot, ballots, read_votes
from .win_matrix import strong_groups, win_matrix

__all__ = [
    "AnalysisError",
    "Ballot",
    "Bootstrap",
    "EloFit",
    "Interval",
    "ReportError",
    "Sandwich",
    "StopDecision",
    "VotesError",
    "always_valid",
    "ballots",
    "bootstrap",
    "elo_table",
    "fit_elo",
    "join_metrics",
    "metric_correlations",
    "pair_gains",
    "read_votes",
    "sandwich",
    "stop",
    "strong_groups",
    "study_conduct",
    "win_matrix",
    "win_probability",
    "win_table",
]
