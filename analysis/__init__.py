"""Votes to claims: Elo scores with intervals, agreement, metrics against people, the report.

A small library of its own: it takes tables and returns named results. It needs NumPy, SciPy and
pandas, and for the report Altair and Jinja2; it imports no other package of the project and no
torch. docs/how-to/analyse-votes-in-python.md walks through it; docs/explanation/statistics.md says
what is computed, and how well intervals hold.

    votes = read_votes("votes.csv")
    for ballot in ballots(votes):                        # one per question and kind of rater
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        intervals = sandwich(fit, ballot)                # clustered by rater and prompt
        print(elo_table(fit, intervals, anchor="unguided"))
        print(compare_arms(intervals).ranks)             # which places are certain

Examples in the docstrings of this package use 36 made-up votes of six raters on twelve prompts:

Examples:
    >>> import pandas as pd
    >>> arms = ["unguided", "cfg-2", "cfg-4"]
    >>> names = {"<": "left", "=": "tie", ">": "right"}
    >>> votes = read_votes(
    ...     pd.DataFrame({
    ...         "question": "photorealism",
    ...         "prompt_id": [f"p{i % 12}" for i in range(36)],
    ...         "arm_left": ["unguided", "cfg-2", "cfg-4", "cfg-2", "unguided", "cfg-4"] * 6,
    ...         "arm_right": ["cfg-2", "unguided", "cfg-2", "cfg-4", "cfg-4", "unguided"] * 6,
    ...         "answer": [names[sign] for sign in "><=<>><><<><<>>=><>=<<><=<>>>>><<<><"],
    ...         "rater": [f"r{i // 6}" for i in range(36)],
    ...         "seconds": 2.5,
    ...     }),
    ...     arms,
    ... )
    >>> (ballot,) = ballots(votes)
    >>> fit = fit_elo(win_matrix(ballot), ballot.arms)
    >>> fit.scores.round()
    array([-103.,   41.,   62.])
    >>> intervals = sandwich(fit, ballot)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from analysis.ballots import (
    Ballot,
    ballots,
    counted,
    left_out,
    read_votes,
    strong_groups,
    win_matrix,
)

from .errors import AnalysisError, ReportError, VotesError

if TYPE_CHECKING:
    from analysis.claims import Sensitivity, sensitivity
    from analysis.metrics import (
        Finding,
        finding,
        join_metrics,
        metric_correlations,
        rank_agreement,
        vote_agreement,
        vote_predictors,
    )
    from analysis.planning import StopDecision, always_valid, pair_gains, stop
    from analysis.raters import (
        agreement,
        gold_accuracy,
        rater_screens,
        repeat_consistency,
        study_conduct,
    )
    from analysis.scores import (
        Bootstrap,
        CategoryScores,
        Comparisons,
        CovariateFit,
        CrowdFit,
        EloFit,
        Goodness,
        Interval,
        OutcomeFit,
        Sandwich,
        ScaleCurves,
        bootstrap,
        by_category,
        compare_arms,
        crowd_bt,
        elo_table,
        fit_covariates,
        fit_elo,
        fit_outcomes,
        goodness_of_fit,
        sandwich,
        scale_curves,
        simultaneous,
        win_probability,
        win_table,
        with_prior,
    )


__all__ = [
    "AnalysisError",
    "Ballot",
    "Bootstrap",
    "CategoryScores",
    "Comparisons",
    "CovariateFit",
    "CrowdFit",
    "EloFit",
    "Finding",
    "Goodness",
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
    "fit_covariates",
    "fit_elo",
    "fit_outcomes",
    "gold_accuracy",
    "goodness_of_fit",
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
    "vote_predictors",
    "win_matrix",
    "win_probability",
    "win_table",
    "with_prior",
]

_ROOMS = ("scores", "raters", "planning", "metrics", "claims")  # lowest first


def __getattr__(name: str) -> Any:
    """Fetch a public name from its room when it is first asked for (PEP 562).

    Whoever imports one room does not wait for those above it: a study's server needs ballots alone.
    """
    if name in __all__:
        for room in _ROOMS:
            module = importlib.import_module(f"{__name__}.{room}")
            if hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
