"""Do metrics say what people say? Rank correlation, agreement with votes, and the paper's finding.

GLIDE found that CLIP score prefers CLIP guidance and people classifier-free guidance. `finding`
tests such a disagreement: both halves must hold, so the larger of two one-sided p-values is the
claim's (intersection-union test, Berger 1982, doi:10.1080/00401706.1982.10487790), with nothing to
correct for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import counted, left_wins, tied
from analysis.errors import AnalysisError
from analysis.scores import (
    NO_VARIATION,
    Interval,
    Sandwich,
    clustered_share,
    difference_contrast,
    draw_scores,
)

from .catalogue import metric_info

_FEW = 40  # values whose ranks are counted pair by pair, at once for all rows


def rank_agreement(
    intervals: Sandwich, metrics: pd.DataFrame, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return the rank correlation of each metric with Elo across arms.

    Spearman's ρ (Spearman 1904), with its sign turned where lower values are better. The interval
    is of these arms' true correlation: scores and metric values are redrawn with their own errors.
    Errors only ever blur an order, so it leans towards zero. `metric_correlations` says how far
    these arms speak for others.

    Args:
        intervals: `sandwich(fit, ballot)`.
        metrics: arm, metric, value, ci_low, ci_high, extractor; 95% intervals of the values,
            taken as exact where missing.
        draws: redrawn tables.
        seed: of the draws.

    Returns:
        metric, extractor, n (arms with both), spearman (positive where the metric, by its better
        end, agrees with people), low, high, reason.

    Examples:
        >>> table = pd.DataFrame({"arm": fit.arms, "metric": "clip_score", "extractor": "clip",
        ...                       "value": [20.0, 25.0, 24.0], "ci_low": 19.0, "ci_high": 26.0})
        >>> rank_agreement(intervals, table).loc[0, ["n", "spearman"]].tolist()
        [3.0, 0.5]
    """
    fit = intervals.fit
    index = {arm: i for i, arm in enumerate(fit.arms) if np.isfinite(fit.scores[i])}
    known = metrics[metrics["arm"].isin(index) & np.isfinite(metrics["value"])]
    scores = np.where(np.isfinite(fit.scores), fit.scores, 0.0)
    drawn = draw_scores(intervals, scores, draws, seed)
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for (metric, extractor), arms in known.groupby(["metric", "extractor"], sort=False):
        sign = 1 if metric_info(str(metric)).better == "higher" else -1
        at = np.array([index[arm] for arm in arms["arm"]])
        value = sign * arms["value"].to_numpy(np.float64)
        rho = float(_spearman(value[None], scores[None, at])[0])
        reason = "" if len(at) > 2 else f"only {len(at)} arms have both"
        bounds = Interval.undefined(reason or intervals.reason or NO_VARIATION, intervals.level)
        if len(drawn) and not reason:
            error = _errors(arms)
            redrawn = value + error * rng.standard_normal((draws, len(at)))
            rhos = _spearman(redrawn, drawn[:, at])
            tail = (1 - intervals.level) / 2
            low, high = np.quantile(rhos, [tail, 1 - tail])
            bounds = Interval(float(low), float(high), intervals.level)
        shown = np.nan if reason else rho
        rows.append((metric, extractor, len(at), shown, bounds.low, bounds.high, bounds.reason))
    columns = ["metric", "extractor", "n", "spearman", "low", "high", "reason"]
    return pd.DataFrame(rows, columns=columns)


def vote_agreement(
    votes: pd.DataFrame, metrics: pd.DataFrame, samples: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return how often the image, or the arm, with the better metric won its vote.

    The accuracy is the share of decided votes for the side with the better value, with Wilson's
    interval clustered by rater (`analysis.scores.clustered_share`).

    Args:
        votes: on one question by one kind of rater, as `read_votes` returned them; ties and votes
            set aside are left out.
        metrics: arm, metric, value, extractor: the arm's metric predicts each vote.
        samples: arm, prompt_id, replica, metric, value, and extractor where known: the sample's
            own value predicts.

    Returns:
        metric, extractor, by (`arm` or `sample`), accuracy, low, high (clustered by rater), n
        (decided votes where the two values differ), reason. Guessing has an accuracy of ½.

    Examples:
        >>> scores = [20.0, 25.0, 24.0]
        >>> table = pd.DataFrame({"arm": fit.arms, "metric": "clip_score", "value": scores})
        >>> vote_agreement(votes, table)[["by", "n", "accuracy"]].values.tolist()
        [['arm', 32, 0.6875]]
    """
    kept = votes[counted(votes) & ~tied(votes)]
    left_won = left_wins(kept) == 1
    raters = np.asarray(kept["rater"].cat.codes, np.int64)
    sources = [("arm", metrics, ["arm"])]
    if samples is not None and {"prompt_id", "replica"} <= set(kept.columns):
        sources.append(("sample", samples, ["arm", "prompt_id", "replica"]))
    rows: list[tuple[Any, ...]] = []
    for by, table, keys in sources:
        if "extractor" not in table:
            table = table.assign(extractor="")
        for (metric, extractor), values in table.groupby(["metric", "extractor"], sort=False):
            sign = 1 if metric_info(str(metric)).better == "higher" else -1
            left, right = (looked_up(kept, values, keys, side) for side in ("left", "right"))
            gap = sign * (left - right)
            told = np.isfinite(gap) & (gap != 0)
            right_ones = ((gap > 0) == left_won)[told].astype(np.float64)
            bounds = clustered_share(right_ones, raters[told])
            accuracy = float(right_ones.mean()) if len(right_ones) else np.nan
            rows.append(
                (metric, extractor, by, accuracy, bounds.low, bounds.high, len(right_ones),
                 bounds.reason)
            )  # fmt: skip
    columns = ["metric", "extractor", "by", "accuracy", "low", "high", "n", "reason"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Finding:
    """Whether a metric prefers one arm and people another.

    Attributes:
        metric: its name.
        arm: the arm the metric is said to prefer.
        against: the arm people are said to prefer.
        metric_difference: value of `arm` minus that of `against`, in the metric's units, positive
            where the metric prefers `arm`.
        metric_interval: of it.
        elo_difference: score of `arm` minus that of `against`.
        elo_interval: of it.
        p: of "no such disagreement"; NaN with a reason.
        holds: p below 1 − level: metric and people certainly disagree.
        reason: why there is no test; empty when there is.
    """

    metric: str
    arm: str
    against: str
    metric_difference: float
    metric_interval: Interval
    elo_difference: float
    elo_interval: Interval
    p: float
    holds: bool
    reason: str = ""


def finding(
    intervals: Sandwich, metrics: pd.DataFrame, metric: str, arm: str, against: str
) -> Finding:
    """Test that `metric` prefers `arm` while people prefer `against`.

    The claim has two halves, and its p-value is the larger of their two one-sided ones,

        p = max(Φ(−Δ_metric / SE), T_df(Δ_Elo / SE))

    (intersection-union test: Berger 1982).

    Arms usually share prompts and noise; their values' errors are taken as independent, which
    makes the metric's half of the test stricter than need be.

    Args:
        intervals: `sandwich(fit, ballot)`.
        metrics: arm, metric, value, ci_low, ci_high (95%); of one extractor.
        metric: for example `clip_score`.
        arm: for example the best arm of CLIP guidance.
        against: for example the best arm of classifier-free guidance.

    Raises:
        AnalysisError: an arm is unknown, or has no single value of the metric.

    Examples:
        >>> table = pd.DataFrame({"arm": fit.arms, "metric": "clip_score",
        ...                       "value": [20.0, 25.0, 22.0],
        ...                       "ci_low": [19.0, 24.0, 21.0], "ci_high": [21.0, 26.0, 23.0]})
        >>> finding(intervals, table, "clip_score", "cfg-2", "cfg-4").holds
        False
    """
    rows: list[pd.DataFrame] = []
    for name in (arm, against):
        found = metrics[(metrics["arm"] == name) & (metrics["metric"] == metric)]
        if len(found) != 1 or name not in intervals.fit.arms:
            raise AnalysisError(
                f"{metric} of arm {name}: expected an arm that has votes and one value of it, "
                f"found {len(found)} values. Name arms of this run and one extractor's metrics."
            )
        rows.append(found)
    sign = 1 if metric_info(metric).better == "higher" else -1
    values = [float(row["value"].iloc[0]) for row in rows]
    error = float(np.hypot(*(_errors(row)[0] for row in rows)))
    gap = sign * (values[0] - values[1])
    half = float(ndtri((1 + intervals.level) / 2)) * error
    i, j = intervals.fit.arms.index(arm), intervals.fit.arms.index(against)
    elo = float(intervals.fit.differences()[i, j])
    of_elo = intervals.difference(i, j)
    of_metric = Interval(gap - half, gap + half, intervals.level)
    reason = of_elo.reason
    if not error > 0:
        reason = reason or "the metric's values carry no intervals"
        of_metric = Interval.undefined("no intervals of its values", intervals.level)
    p = np.nan
    if not reason:
        contrast = difference_contrast(len(intervals.fit.arms), i, j)
        t = elo / np.sqrt(intervals.covariance.variance(contrast))
        people = float(stdtr(intervals.covariance.df(contrast), t))
        p = max(float(stdtr(np.inf, -gap / error)), people)
    holds = bool(p < 1 - intervals.level)
    return Finding(metric, arm, against, gap, of_metric, elo, of_elo, p, holds, reason)


def _errors(arms: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) standard errors from 95% intervals; zero where there are none."""
    width = (arms["ci_high"] - arms["ci_low"]).to_numpy(np.float64)
    return np.nan_to_num(width / (2 * ndtri(0.975)))


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) rank correlations of rows; ties share their mean rank; NaN where all are equal."""
    ranks = [_ranks(values) for values in (x, y)]
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return (a * b).sum(axis=1) / np.where(scale > 0, scale, np.nan)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, n) ranks within each row, the mean rank where values tie."""
    if values.shape[1] > _FEW:
        return pd.DataFrame(values.T).rank().to_numpy(np.float64).T
    below = (values[:, :, None] > values[:, None, :]).sum(axis=2)
    equal = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    return below + (equal + 1) / 2


def looked_up(
    votes: pd.DataFrame, values: pd.DataFrame, keys: list[str], side: str
) -> NDArray[np.float64]:
    """(N,) the value of each vote's image or arm on one side; NaN where there is none."""
    wanted = pd.DataFrame({"arm": votes[f"arm_{side}"].astype(str).to_numpy()})
    for name in keys[1:]:
        wanted[name] = votes[name].astype(str).to_numpy()
    table = values[keys].astype(str).assign(value=values["value"].to_numpy(np.float64))
    merged = wanted.merge(table.drop_duplicates(keys), on=keys, how="left")
    return merged["value"].to_numpy(np.float64)
