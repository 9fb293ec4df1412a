"""Votes to claims: Elo scores with intervals, agreement, metrics against people, the report.

A small library of its own: tables in, named results out. It needs NumPy, SciPy and pandas (and
Altair and Jinja2 for the report); none of the other packages, no torch. docs/leaderboard.md walks
through it, docs/statistics.md says what is computed and how well it holds.

    votes = read_votes("votes.csv")
    for ballot in ballots(votes):                        # a question and kind of rater each
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        intervals = sandwich(fit, ballot)                # clustered by rater and prompt
        print(elo_table(fit, intervals, anchor="unguided"))
        print(compare_arms(intervals).ranks)             # which places are certain
"""

from __future__ import annotations

from .ballots.votes import Ballot, ballots, counted, left_out, read_votes
from .ballots.win_matrix import strong_groups, win_matrix
from .claims.sensitivity import Sensitivity, sensitivity
from .errors import AnalysisError, ReportError, VotesError
from .metrics.against_elo import join_metrics, metric_correlations
from .metrics.against_votes import Finding, finding, rank_agreement, vote_agreement
from .planning.adaptive import StopDecision, always_valid, pair_gains, stop
from .raters.agreement import agreement, gold_accuracy, repeat_consistency
from .raters.conduct import rater_screens, study_conduct
from .scores.all_pairs import Comparisons, compare_arms, simultaneous
from .scores.bootstrap import Bootstrap, bootstrap
from .scores.categories import CategoryScores, by_category
from .scores.crowd import CrowdFit, crowd_bt
from .scores.curves import ScaleCurves, scale_curves
from .scores.davidson import OutcomeFit, fit_outcomes
from .scores.elo import EloFit, fit_elo, win_probability, with_prior
from .scores.intervals import Interval, Sandwich, sandwich
from .scores.leaderboard import elo_table, win_table

__all__ = [
    "AnalysisError",
    "Ballot",
    "Bootstrap",
    "CategoryScores",
    "Comparisons",
    "CrowdFit",
    "EloFit",
    "Finding",
    "Interval",
    "OutcomeFit",
    "ReportError",
    "Sandwich",
    "ScaleCurves",
    "Sensitivity",
    "StopDecision",
    "VotesError",
    "agreement",
    "always_valid",
    "ballots",
    "bootstrap",
    "by_category",
    "compare_arms",
    "counted",
    "crowd_bt",
    "elo_table",
    "finding",
    "fit_elo",
    "fit_outcomes",
    "gold_accuracy",
    "join_metrics",
    "left_out",
    "metric_correlations",
    "pair_gains",
    "rank_agreement",
    "rater_screens",
    "read_votes",
    "repeat_consistency",
    "sandwich",
    "scale_curves",
    "sensitivity",
    "simultaneous",
    "stop",
    "strong_groups",
    "study_conduct",
    "vote_agreement",
    "win_matrix",
    "win_probability",
    "win_table",
    "with_prior",
]
