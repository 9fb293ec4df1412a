"""The report's first sentences: who won, by how much, and how sure that is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.metrics import metric_info
from analysis.report.strategies import strategy_words
from analysis.scores import BallotResult, Interval, win_probability

from .wording import bounds, listed, lower_first, percent, question_words, signed

_EQUAL = 0.05  # Elo points: printed as 0
MOST_SHARED = 5  # arms named that share the first rank


def ballot_findings(result: BallotResult, arms: pd.DataFrame) -> list[str]:
    """Return sentences about one ballot.

    Args:
        result: its fit and intervals.
        arms: name, strategy, label.
    """
    labels = dict(zip(arms["name"], arms["label"], strict=True))
    fit = result.fit
    table = result.relative()
    ranked = table[np.isfinite(table["elo"])]
    found = []
    if len(ranked) >= 2:
        first, second = ranked["arm"].iloc[0], ranked["arm"].iloc[1]
        i, j = fit.arms.index(first), fit.arms.index(second)
        above = _above_anchor(result, ranked, labels)
        leads = f"{labels[first]} ranks first{above}"
        gap = _gap_words(result, i, j)
        level = ranked[ranked["elo"].iloc[0] - ranked["elo"] < _EQUAL]
        if len(level) > 1 and fit.groups[i] == fit.groups[j]:
            found.append(_shared([labels[arm] for arm in level["arm"]], len(ranked), above))
        else:
            found.append(f"{leads}. Its lead over the next, {labels[second]}, is {gap}.")
        if apart := _apart(result, ranked, labels):
            found.append(apart)
    versus = _best_of_strategies(result, arms, ranked)
    if versus:
        found.append(versus)
    unbounded = [
        f"{labels[arm]} {reason}"
        for arm, reason in zip(fit.arms, fit.reasons, strict=True)
        if reason and reason != "no votes"
    ]
    found += [f"{sentence}." for sentence in unbounded[:4]]
    if not found:
        found.append("These votes don't yet link two arms in both directions, so nobody leads.")
    return found


def metric_findings(metrics: pd.DataFrame, arms: pd.DataFrame, results: list[BallotResult]) -> str:
    """Return the best arm by each main metric, and who measured it; empty without metrics."""
    labels = dict(zip(arms["name"], arms["label"], strict=True))
    best = []
    wanted = ("fid", "inception_score", "clip_score", "caption_accuracy")
    usable = metrics[np.isfinite(metrics["value"])]
    for (metric, extractor), rows in usable.groupby(
        ["metric", "extractor"], sort=False, observed=True
    ):
        if metric not in wanted or len(rows) < 2:
            continue
        info = metric_info(str(metric))
        first = rows.sort_values("value", ascending=info.better == "lower", kind="stable").iloc[0]
        value = f"{first['value']:.{info.decimals}f}"
        best.append((info.label, labels[first["arm"]], value, str(extractor)))
    if not best:
        return ""
    extractors = {extractor for *_, extractor in best}
    parts = [
        f"{label}: {arm} ({value}{'' if len(extractors) == 1 else ', ' + extractor})"
        for label, arm, value, extractor in best
    ]
    return f"Best {'; best '.join(parts)}.{_disagreement(usable, labels, results)}"


def _above_anchor(result: BallotResult, ranked: pd.DataFrame, labels: dict[str, str]) -> str:
    """Return how far the first arm is above the anchor; empty if it is none, or no better."""
    row = ranked.iloc[0]
    if not result.anchor or row["arm"] == result.anchor or row["elo"] < _EQUAL:
        return ""
    chance = percent(float(win_probability(row["elo"])))
    return (
        f", {signed(row['elo'])} Elo above {lower_first(labels[result.anchor])}"
        f"{_within(Interval(row['low'], row['high'], reason=row['reason']))}: "
        f"preferred to it in an expected {chance}% of votes"
    )


def _shared(first: list[str], of: int, above: str) -> str:
    """Return who share the first rank, and how far they are above the anchor."""
    if len(first) == of > 2:
        return f"All {of:,} arms share the first rank."
    if len(first) > MOST_SHARED:
        return f"{len(first):,} arms share the first rank, {first[0]} among them{above}."
    return f"{listed(first)} share the first rank{above}."


def _best_of_strategies(result: BallotResult, arms: pd.DataFrame, ranked: pd.DataFrame) -> str:
    """Answer the paper's question: the best classifier-free against the best CLIP-guided arm."""
    of = dict(zip(arms["name"], arms["strategy"], strict=True))
    labels = dict(zip(arms["name"], arms["label"], strict=True))
    best = {}
    for arm in ranked["arm"]:
        best.setdefault(of[arm], arm)
    if not {"classifier_free", "clip"} <= set(best):
        return ""
    pair = [best["classifier_free"], best["clip"]]
    pair.sort(key=list(ranked["arm"]).index)
    if list(ranked["arm"][:2]) == pair:
        return ""  # the lead just told is this one
    i, j = (result.fit.arms.index(arm) for arm in pair)
    above, below = (lower_first(strategy_words(of[arm])) for arm in pair)
    return (
        f"The best {above} arm ({labels[pair[0]]}) stands above the best {below} arm "
        f"({labels[pair[1]]}) by {_gap_words(result, i, j)}."
    )


def _disagreement(
    metrics: pd.DataFrame, labels: dict[str, str], results: list[BallotResult]
) -> str:
    """Return where raters put the arm that CLIP score puts first, unless they put it first too."""
    scores = metrics[metrics["metric"] == "clip_score"]
    if scores.empty or scores["extractor"].nunique() > 1:
        return ""
    favourite = scores.sort_values("value", ascending=False, kind="stable")["arm"].iloc[0]
    sentences = ""
    for kind, who in (("person", "Raters"), ("simulated", "Simulated raters")):
        places = []
        for result in results:
            table = result.relative()
            ranks = dict(zip(table["arm"], table["rank"], strict=True))
            rank, of = ranks[favourite], sum(r > 0 for r in ranks.values())
            if rank > 1 and result.ballot.rater_kind == kind:
                question = lower_first(question_words(result.ballot.question))
                places.append(f"{rank} of {of} for {question}")
        if places:
            sentences += (
                f" {who} don't share CLIP score's choice: {labels[favourite]} ranks "
                f"{', '.join(places)}."
            )
    return sentences


def _apart(result: BallotResult, ranked: pd.DataFrame, labels: dict[str, str]) -> str:
    """Return which arms have scores, but none that the ranked ones' may be compared with."""
    together = set(ranked["arm"])
    scored = [
        arm for arm, score in zip(result.fit.arms, result.fit.scores, strict=True)
        if np.isfinite(score) and arm not in together
    ]  # fmt: skip
    if not scored:
        return ""
    names = ", ".join(labels[arm] for arm in scored)
    return f"Votes don't link {names} with these in both directions: they are scored apart."


def _gap_words(result: BallotResult, i: int, j: int) -> str:
    gap = float(result.fit.differences()[i, j])
    interval = result.intervals.difference(i, j)
    if interval.reason:
        return f"{signed(gap)} Elo; no interval ({interval.reason})"
    clear = interval.low > 0 or interval.high < 0
    verdict = "clear at 95%" if clear else "too close to call"
    return f"{signed(gap)} Elo ({bounds(interval.low, interval.high)}), {verdict}"


def _within(interval: Interval) -> str:
    if interval.reason:
        return f" (no interval: {interval.reason})"
    return f" (95% interval {bounds(interval.low, interval.high)})"
