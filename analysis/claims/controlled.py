"""Arms compared at equal properties of their pictures, beside the reported scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import counted
from analysis.errors import AnalysisError
from analysis.scores import BallotResult, fit_covariates, ranks_of

_MOST_ARMS = 70  # beyond which leaving out clusters one by one takes minutes
_MOST_CELLS = 20_000_000  # votes times parameters that are held at a time
_LEAST = 1e-9  # spread of a property that differs between images at all


@dataclass(frozen=True)
class Controlled:
    """One ballot's ranking at equal properties.

    Attributes:
        table: arm, rank, elo, low, high (as reported, mean zero), adjusted_rank, adjusted,
            adjusted_low, adjusted_high; arms that have both.
        effects: property, effect (Elo points that one standard deviation more between images is
            worth), low, high, reason.
        votes: how many votes have the properties of both images.
    """

    table: pd.DataFrame
    effects: pd.DataFrame
    votes: int


def controlled(
    result: BallotResult, votes: pd.DataFrame, properties: pd.DataFrame | None
) -> Controlled | None:
    """Return one ballot's arms at equal properties; None without properties, or without a fit.

    Properties are those of samples, and any two numeric columns `NAME_left` and `NAME_right` of
    the votes.

    Args:
        result: the reported fit.
        votes: what `read_votes` returned.
        properties: arm, prompt_id, replica, and one column per property; None without images.
    """
    ballot = result.ballot
    mine = (votes["question"] == ballot.question) & (votes["rater_kind"] == ballot.rater_kind)
    own = votes[mine.to_numpy() & counted(votes)]
    differences = _differences(own, properties)
    size = len(own) * (len(ballot.arms) + differences.shape[1])
    if not differences.shape[1] or len(ballot.arms) > _MOST_ARMS or size > _MOST_CELLS:
        return None
    names = list(map(str, differences))
    try:
        found = fit_covariates(ballot, differences.to_numpy(np.float64), names)
    except AnalysisError:
        return None
    effects = [(name, found.effects[i], found.effect(name)) for i, name in enumerate(names)]
    rows = [(name, value, b.low, b.high, b.reason) for name, value, b in effects]
    told = pd.DataFrame(rows, columns=["property", "effect", "low", "high", "reason"])
    return Controlled(_beside(result, found), told, found.votes)


def property_names(votes: pd.DataFrame) -> list[str]:
    """Return the properties that votes carry: NAME of numeric `NAME_left` and `NAME_right`."""
    names = [str(name).removesuffix("_left") for name in votes if str(name).endswith("_left")]
    return [
        name
        for name in names
        if name not in ("arm", "image")
        and f"{name}_right" in votes
        and all(_numbers(votes[f"{name}_{side}"]).notna().any() for side in ("left", "right"))
    ]


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column.astype(object), errors="coerce").astype(np.float64)


def _differences(votes: pd.DataFrame, properties: pd.DataFrame | None) -> pd.DataFrame:
    """(N, P) left minus right of each property, in standard deviations between images."""
    sides: dict[str, list[NDArray[np.float64]]] = {
        name: [_numbers(votes[f"{name}_{side}"]).to_numpy() for side in ("left", "right")]
        for name in property_names(votes)
    }
    if properties is not None and {"prompt_id", "replica"} <= set(votes):
        keys = ["arm", "prompt_id", "replica"]
        table = properties.assign(**{key: properties[key].astype(str) for key in keys})
        table = table.drop_duplicates(keys).set_index(keys)
        at = [
            pd.MultiIndex.from_arrays([votes[n].astype(str) for n in (side, *keys[1:])])
            for side in ("arm_left", "arm_right")
        ]
        found = [table.reindex(index).to_numpy(np.float64) for index in at]
        sides |= {str(n): [values[:, i] for values in found] for i, n in enumerate(table.columns)}
    differences: dict[str, Any] = {}
    for name, (left, right) in sides.items():
        spread = float(np.nanstd(np.r_[left, right])) if np.isfinite(left).any() else 0.0
        if spread > _LEAST:
            differences[name] = (left - right) / spread
    return pd.DataFrame(differences, index=votes.index)


def _beside(result: BallotResult, found: Any) -> pd.DataFrame:
    """Return both rankings over the arms that have both scores, each with mean zero over them."""
    fit = result.fit
    both = np.flatnonzero(np.isfinite(fit.scores) & np.isfinite(found.scores))
    reported = [result.intervals.score(int(i)) for i in both]
    adjusted = [found.score(int(i)) for i in both]
    table = pd.DataFrame({
        "arm": [fit.arms[i] for i in both],
        "rank": ranks_of(fit.scores[both]), "elo": fit.scores[both],
        "low": [b.low for b in reported], "high": [b.high for b in reported],
        "adjusted_rank": ranks_of(found.scores[both]), "adjusted": found.scores[both],
        "adjusted_low": [b.low for b in adjusted], "adjusted_high": [b.high for b in adjusted],
    })  # fmt: skip
    return table.sort_values(["rank", "arm"], ignore_index=True)
