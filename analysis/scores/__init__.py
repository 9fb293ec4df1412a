"""Ballots to scores with intervals: Elo, ties and sides, curves, comparisons, leaderboards."""

from __future__ import annotations

from .all_pairs import Comparisons, compare_arms, simultaneous
from .ballot_result import BallotResult, analyse
from .bootstrap import Bootstrap, bootstrap
from .categories import CategoryScores, by_category
from .covariates import CovariateFit, fit_covariates
from .crowd import CrowdFit, crowd_bt
from .curves import ScaleCurves, draw_scores, scale_curves
from .davidson import OutcomeFit, fit_outcomes
from .elo import ELO_PER_NAT, MANY, TIED_ELO, EloFit, fit_elo, ranks_of, win_probability, with_prior
from .goodness import Goodness, goodness_of_fit
from .graded import GradedFit, fit_graded
from .interval import Interval
from .intervals import NO_VARIATION, Sandwich, difference_contrast, sandwich
from .leaderboard import READABLE, elo_table, win_table
from .series import COLUMNS, SCALE, curves, has_curve, variant_in, variant_of, with_series
from .shares import clustered_share, wilson
from .shown import Shown

__all__ = [
    "COLUMNS",
    "ELO_PER_NAT",
    "MANY",
    "NO_VARIATION",
    "READABLE",
    "SCALE",
    "TIED_ELO",
    "BallotResult",
    "Bootstrap",
    "CategoryScores",
    "Comparisons",
    "CovariateFit",
    "CrowdFit",
    "EloFit",
    "Goodness",
    "GradedFit",
    "Interval",
    "OutcomeFit",
    "Sandwich",
    "ScaleCurves",
    "Shown",
    "analyse",
    "bootstrap",
    "by_category",
    "clustered_share",
    "compare_arms",
    "crowd_bt",
    "curves",
    "difference_contrast",
    "draw_scores",
    "elo_table",
    "fit_covariates",
    "fit_elo",
    "fit_graded",
    "fit_outcomes",
    "goodness_of_fit",
    "has_curve",
    "ranks_of",
    "sandwich",
    "scale_curves",
    "simultaneous",
    "variant_in",
    "variant_of",
    "wilson",
    "win_probability",
    "win_table",
    "with_prior",
    "with_series",
]
