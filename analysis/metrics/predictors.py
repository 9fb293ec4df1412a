"""Could a metric vote instead of people? Votes predicted by the metrics of their two images.

Everything is judged on prompts that the prediction has not seen: prompts are divided into folds,
and each fold's votes are predicted by what was fitted to the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize  # pyright: ignore[reportMissingTypeStubs]
from scipy.special import expit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import TIED, counted, left_wins
from analysis.scores import Shown, clustered_share

from .against_votes import looked_up
from .catalogue import metric_info

FOLDS = 5
BINS = 6  # of a calibration curve
LINEAR, MONOTONE = "all, linear", "all, better is better"
_FEWEST_PROMPTS = 10
_RIDGE = 1.0  # of coefficients of standardised differences: keeps twins of one metric apart
_CUTS = np.linspace(0, 0.6, 25)  # shares of training votes that are called ties

Clusters = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(N,) codes of each vote's rater and prompt."""


@dataclass(frozen=True)
class Predictors(Shown):
    """What the metrics of two images say of a vote on them, on prompts not seen before.

    Attributes:
        table: predictor (a metric, or a combination of all), extractor, accuracy (of decided
            votes), low, high (the wider of those clustered by rater and by prompt),
            accuracy_with_ties (of all votes, with ties as an answer of their own), ties_low,
            ties_high, log_loss (nats per vote; a coin has 0.693), n (votes with both values),
            winner (the arm with the best mean on the same images), same_winner (share of redrawn
            prompts in which that is the arm with most wins).
        calibration: predictor, extractor, predicted, observed (the left image's share), low,
            high, n: one row per bin.
        reason: why there is none; empty when there is.
    """

    table: pd.DataFrame
    calibration: pd.DataFrame
    reason: str = ""

    @property
    def best(self) -> Any:
        """The row with the smallest log loss."""
        return self.table.iloc[int(np.nanargmin(self.table["log_loss"]))]


_COLUMNS = ["predictor", "extractor", "accuracy", "low", "high", "accuracy_with_ties", "ties_low",
            "ties_high", "log_loss", "n", "winner", "same_winner"]  # fmt: skip
_BINNED = ["predictor", "extractor", "predicted", "observed", "low", "high", "n"]


def vote_predictors(votes: pd.DataFrame, samples: pd.DataFrame | None, seed: int = 0) -> Predictors:
    """Return how well each metric with a value per image predicts votes, and all together.

    With g the difference of a metric between the two images, in its better direction and in
    standard deviations, the prediction is P(left) = 1 / (1 + e^{−βᵀg}), fitted with ties as half a
    win (no constant: exchanging the images must exchange the answer). Combinations take all metrics
    with a ridge of 1; one of them lets no metric count against its better direction. A vote is
    predicted to be a tie where |βᵀg| is below the cut that is right most often on the training
    votes (Deutsch et al. 2023, doi:10.18653/v1/2023.emnlp-main.798).

    Args:
        votes: on one question by one kind of rater, as `read_votes` returned them.
        samples: arm, prompt_id, replica, metric, value, and extractor where known.
        seed: of the folds and of the redrawn prompts.

    Examples:
        >>> vote_predictors(votes, None).reason
        'no metric has a value per image'
    """
    kept = votes[counted(votes)]
    empty = pd.DataFrame(columns=_COLUMNS), pd.DataFrame(columns=_BINNED)
    if samples is None or samples.empty or not {"prompt_id", "replica"} <= set(kept):
        return Predictors(*empty, "no metric has a value per image")
    prompts = pd.factorize(kept["prompt_id"].astype(str))[0]
    if prompts.max(initial=-1) + 1 < _FEWEST_PROMPTS:
        return Predictors(*empty, f"fewer than {_FEWEST_PROMPTS} prompts were voted on")
    gaps = _gaps(kept, samples if "extractor" in samples else samples.assign(extractor=""))
    gaps = {key: gap for key, gap in gaps.items() if np.any(gap[np.isfinite(gap)])}
    if not gaps:
        return Predictors(*empty, "no image that was voted on has a metric")
    rng = np.random.default_rng(seed)
    folds = rng.permutation(prompts.max() + 1)[prompts] % FOLDS
    won, raters = left_wins(kept), np.asarray(kept["rater"].cat.codes, np.int64)
    rows: list[tuple[Any, ...]] = []
    binned: list[tuple[Any, ...]] = []
    for name, extractor, columns, lowest in _predictors(gaps):
        known = np.isfinite(columns).all(axis=1)
        if len(np.unique(folds[known])) < FOLDS:
            continue
        held = _held_out(columns[known], won[known], folds[known], lowest)
        told = _judged(held, won[known], (raters[known], prompts[known]))
        winner = ("", np.nan) if columns.shape[1] > 1 else _winner(
            pd.DataFrame(kept[known]), samples, name, extractor, won[known], prompts[known], rng
        )  # fmt: skip
        rows.append((name, extractor, *told, int(known.sum()), *winner))
        binned += [
            (name, extractor, *cell)
            for cell in _bins(held[0], won[known], (raters[known], prompts[known]))
        ]
    return Predictors(pd.DataFrame(rows, columns=_COLUMNS), pd.DataFrame(binned, columns=_BINNED))


def _gaps(votes: pd.DataFrame, samples: pd.DataFrame) -> dict[tuple[str, str], NDArray[np.float64]]:
    """(metric, extractor) → (N,) left minus right, positive where left is better."""
    keys, gaps = ["arm", "prompt_id", "replica"], dict[tuple[str, str], NDArray[np.float64]]()
    for (metric, extractor), values in samples.groupby(["metric", "extractor"], sort=False):
        sign = 1 if metric_info(str(metric)).better == "higher" else -1
        left, right = (looked_up(votes, values, keys, side) for side in ("left", "right"))
        gaps[str(metric), str(extractor)] = sign * (left - right)
    return gaps


def _predictors(
    gaps: dict[tuple[str, str], NDArray[np.float64]],
) -> Iterator[tuple[str, str, NDArray[np.float64], float]]:
    """Name, extractor, (N, P) differences, and the lowest coefficient allowed."""
    for (metric, extractor), gap in gaps.items():
        yield metric, extractor, gap[:, None], -np.inf
    if len(gaps) > 1:
        both = np.stack(list(gaps.values()), axis=1)
        yield LINEAR, "", both, -np.inf
        yield MONOTONE, "", both, 0.0


def _held_out(
    gaps: NDArray[np.float64], won: NDArray[np.float64], folds: NDArray[np.int64], lowest: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N,) P(left) and whether a tie is predicted, each by a fit to the other folds."""
    predicted, tie = np.full(len(won), 0.5), np.zeros(len(won), bool)
    for fold in range(FOLDS):
        train, test = folds != fold, folds == fold
        spread = np.maximum(gaps[train].std(axis=0), 1e-300)
        beta = _fitted(gaps[train] / spread, won[train], lowest)
        own, eta = gaps[train] / spread @ beta, gaps[test] / spread @ beta
        predicted[test] = expit(eta)
        tie[test] = np.abs(eta) < _cut(own, won[train])
    return predicted, tie


def _fitted(
    gaps: NDArray[np.float64], won: NDArray[np.float64], lowest: float
) -> NDArray[np.float64]:
    """(P,) coefficients by maximum likelihood with a ridge where there are several."""
    ridge = _RIDGE if gaps.shape[1] > 1 else 1e-6

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        eta = gaps @ beta
        value = float((np.logaddexp(0, eta) - won * eta).sum() + ridge / 2 * beta @ beta)
        return value, gaps.T @ (expit(eta) - won) + ridge * beta

    bounds = [(None if np.isinf(lowest) else lowest, None)] * gaps.shape[1]
    found: Any = cast("Any", optimize).minimize(
        loss, np.zeros(gaps.shape[1]), jac=True, bounds=bounds
    )
    return np.asarray(found.x, np.float64)


def _cut(eta: NDArray[np.float64], won: NDArray[np.float64]) -> float:
    """Return below which |η| a tie is the better guess."""
    cuts = np.quantile(np.abs(eta), _CUTS)
    cuts[0] = 0.0
    right = [(_answers(eta, np.abs(eta) < cut) == won).mean() for cut in cuts]
    return float(cuts[int(np.argmax(right))])


def _answers(eta: NDArray[np.float64], tie: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(tie, TIED, (eta > 0).astype(np.float64))


def _judged(
    held: tuple[NDArray[np.float64], NDArray[np.bool_]],
    won: NDArray[np.float64],
    clusters: Clusters,
) -> tuple[float, ...]:
    """Accuracies with their intervals, and the log loss."""
    predicted, tie = held
    decided = won != TIED
    right = ((predicted > 0.5) == (won == 1)).astype(np.float64)
    right[predicted == 0.5] = 0.5
    hit = (_answers(predicted - 0.5, tie) == won).astype(np.float64)
    alone = _interval(right[decided], clusters, decided)
    with_ties = _interval(hit, clusters)
    likely = np.clip(predicted, 1e-12, 1 - 1e-12)
    loss = -(won * np.log(likely) + (1 - won) * np.log(1 - likely)).mean()
    accuracy = float(right[decided].mean()) if decided.any() else np.nan
    return accuracy, *alone, float(hit.mean()), *with_ties, float(loss)


def _interval(
    values: NDArray[np.float64], clusters: Clusters, rows: Any = slice(None)
) -> tuple[float, float]:
    """Return the ends of a share's interval by rater and by prompt, the wider of the two.

    Votes on the same two images are right or wrong together, whoever gave them.
    """
    found = [clustered_share(values, codes[rows]) for codes in clusters]
    return min(each.low for each in found), max(each.high for each in found)


def _bins(
    predicted: NDArray[np.float64], won: NDArray[np.float64], clusters: Clusters
) -> Iterator[tuple[float, ...]]:
    """Yield predicted and observed shares of equally many votes, either image taken as the left.

    A vote for the left at 30% is one for the right at 70%: all are turned above one half.
    """
    turned = predicted < 0.5
    chance, share = np.where(turned, 1 - predicted, predicted), np.where(turned, 1 - won, won)
    for rows in np.array_split(np.argsort(chance, kind="stable"), BINS):
        if len(rows):
            ends = _interval(share[rows], clusters, rows)
            yield float(chance[rows].mean()), float(share[rows].mean()), *ends, len(rows)


def _winner(
    votes: pd.DataFrame,
    samples: pd.DataFrame,
    metric: str,
    extractor: str,
    won: NDArray[np.float64],
    prompts: NDArray[np.int64],
    rng: np.random.Generator,
    draws: int = 400,
) -> tuple[str, float]:
    """Return the arm with the best mean, and how often people choose it as prompts are redrawn."""
    arms = list(votes["arm_left"].cat.categories)
    sides = [np.asarray(votes[side].cat.codes, np.int64) for side in ("arm_left", "arm_right")]
    count, K = int(prompts.max()) + 1, len(arms)
    own = samples[(samples["metric"] == metric)]
    if extractor:
        own = own[own["extractor"] == extractor]
    sign = 1 if metric_info(metric).better == "higher" else -1
    keys = ["arm", "prompt_id", "replica"]
    value = [sign * looked_up(votes, own, keys, side) for side in ("left", "right")]
    cells = np.concatenate([prompts * K + side for side in sides])
    shape = (count, K)
    given = np.bincount(cells, minlength=count * K).reshape(shape)
    sums = [
        np.bincount(cells, np.concatenate(pair), count * K).reshape(shape)
        for pair in ((won, 1 - won), value)
    ]
    drawn = rng.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)
    drawn = np.vstack([np.ones(count), drawn])
    shown = np.maximum(drawn @ given, 1e-300)
    people, metrics = (
        np.where(drawn @ given > 0, drawn @ each / shown, -np.inf).argmax(axis=1) for each in sums
    )
    return arms[int(metrics[0])], float((people[1:] == metrics[1:]).mean())
